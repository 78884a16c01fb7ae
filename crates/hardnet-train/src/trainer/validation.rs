//! Validation after an epoch, by one process or by several.

use std::ops::ControlFlow;

use hardnet_data::{Sample, SampleError, Shard};
use hardnet_eval::{BatchDone, Metric, Observer, Tally};
use serde::{Deserialize, Serialize};

use super::Trainer;
use super::joint::tell;
use super::source::Told;
use crate::communicator::CommunicationError;
use crate::error::{Error, Result};
use crate::evaluate::{BATCH, Evaluation, Validation};
use crate::event::{Event, RemoteReport};
use crate::metrics::{EpochMetrics, SegmentationMetrics, ValidationMetrics};
use crate::ranks::{ROOT, with_causes};

/// A rank's part of a validation.
#[derive(Default, Serialize, Deserialize)]
struct ValidationReport {
    images: usize,
    top1: usize,
    top5: usize,
    loss: String,
    told: Told,
    stop: bool,
}

impl Trainer {
    /// Evaluates the weights on the validation set, if there is one. Returns `None` if the observer stopped it.
    pub(super) fn validate(&self, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Option<Validated>> {
        if self.job.segmentation.is_some() {
            return self.validate_masks(observe);
        }
        let Some(validation) = &self.job.validation else { return Ok(Some(Validated::default())) };
        let diverged = |loss: f32| {
            let (epoch, batch) = (self.state.epochs() + 1, self.state.batch);
            Error::Diverged { epoch, batch, loss }
        };
        let evaluation = match self.evaluate(validation, observe) {
            Err(Error::Classifier(error)) if matches!(*error, hardnet_classifier::Error::NotFinite { .. }) => {
                return Err(diverged(f32::NAN));
            }
            evaluation => evaluation?,
        };
        let metrics = evaluation.map(|evaluation| evaluation.metrics());
        if let Some(loss) = metrics.map(|metrics| metrics.loss).filter(|loss| !loss.is_finite()) {
            return Err(diverged(loss as f32));
        }
        let metrics =
            if self.ranks.size() == 1 { metrics } else { self.ranks.share(self.ranks.is_root().then_some(metrics))? };
        Ok(metrics.map(|metrics| Validated { labels: Some(metrics), masks: None }))
    }

    /// Evaluates the weights, a part of the images on each rank. Returns the sum of all parts on rank 0; none if the
    /// evaluation was stopped.
    fn evaluate(
        &self,
        validation: &Validation,
        observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Option<Evaluation>> {
        let (config, device) = (&self.job.metadata.config, &self.job.device);
        let mut events = Events { observe, told: Told::default() };
        if self.ranks.size() == 1 {
            return validation.evaluate(config, self.result(), device, &mut events);
        }
        let shard = Shard::new(self.ranks.rank(), self.ranks.size()).expect("a rank is below their number");
        let samples = &validation.samples;
        let part = samples[shard.range(samples.len(), BATCH)].to_vec();
        let evaluation = match part.is_empty() {
            true => Some(Evaluation { tally: Tally::default(), errors: 0 }),
            false => Validation { samples: part.into(), ..validation.clone() }.evaluate(
                config,
                self.result(),
                device,
                &mut events,
            )?,
        };
        let told = events.told;
        let report = evaluation.map(|Evaluation { tally, errors }| ValidationReport {
            images: tally.top1().total,
            top1: tally.top1().correct,
            top5: tally.top5().correct,
            loss: tally.loss_sum().to_string(),
            told: Told { errors, ..told },
            stop: self.asks_to_stop,
        });
        let report = report.unwrap_or_else(|| ValidationReport { stop: true, loss: "0".into(), ..Default::default() });
        let others = self.ranks.gather(&report)?;
        let (mut sum, mut stop) = (Evaluation { tally: Tally::default(), errors: 0 }, false);
        let all = others.iter().map(|(rank, report)| (*rank, report));
        for (rank, report) in std::iter::once((ROOT, &report)).chain(all) {
            let loss = report.loss.parse().map_err(|_| CommunicationError::Message { rank })?;
            sum.tally.merge(&Tally::from_counts(report.images, report.top1, report.top5, loss));
            sum.errors += report.told.errors;
            stop |= report.stop;
            if rank != ROOT {
                tell(&report.told, observe);
            }
        }
        Ok((!stop).then_some(sum))
    }
}

/// Metrics on the validation set, of a classifier or of a segmentation network, if there is such a set.
#[derive(Clone, Debug, Default)]
pub(super) struct Validated {
    pub(super) labels: Option<ValidationMetrics>,
    pub(super) masks: Option<SegmentationMetrics>,
}

impl Validated {
    /// Whether this is better than each of `history`.
    pub(super) fn is_best(&self, history: &[EpochMetrics]) -> bool {
        if let Some(masks) = &self.masks {
            let before = history.iter().filter_map(|metrics| metrics.segmentation.as_ref());
            return before.map(|other| other.mean_iou).all(|other| masks.mean_iou > other);
        }
        let Some(labels) = &self.labels else { return false };
        let before = history.iter().filter_map(|metrics| metrics.validation);
        before.map(|other| other.correct).all(|other| labels.correct > other)
    }
}

/// Turns the progress of an evaluation into events of the run.
struct Events<'a> {
    observe: &'a mut dyn FnMut(Event) -> ControlFlow<()>,
    told: Told,
}

impl Observer for Events<'_> {
    fn image_failed(&mut self, _: &Sample, error: &SampleError) {
        self.told.reports.push(RemoteReport { message: with_causes(error), is_failure: true });
        let _ = (self.observe)(Event::Failure(error));
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        (self.observe)(Event::Validated(batch.done, batch.total()))
    }
}

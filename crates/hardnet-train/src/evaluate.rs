//! How good weights are.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use hardnet_data::{CoreBudget, Loader, LoaderOptions, Pipeline, Sample, SampleError};
use hardnet_eval::{Metric, Proportion, Tally};
use hardnet_model::{Config, HarDNet, Plan, PlanOptions};

use crate::error::{Error, Result};
use crate::metrics::{ValidationMetrics, rounded};
use crate::weights::Weights;

/// Images that a plan computes at once.
const BATCH: usize = 8;

/// Labelled images and what prepares them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Validation {
    /// The images, each with a label.
    pub samples: Arc<Vec<Sample>>,
    /// How they are prepared.
    pub pipeline: Pipeline,
    /// Threads that read images; 0 reads them in between.
    pub workers: usize,
    /// Threads and instruction set of the network on the CPU; the other fields follow from the images.
    pub plan: PlanOptions,
}

/// What an evaluation found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Evaluation {
    /// The scores.
    pub tally: Tally,
    /// Images that could not be read, and are in no score.
    pub errors: usize,
}

impl Evaluation {
    pub(crate) fn metrics(&self) -> ValidationMetrics {
        let percent = |share: Proportion| rounded(share.percent().unwrap_or(0.0));
        ValidationMetrics {
            loss: rounded(self.tally.loss().unwrap_or(0.0)),
            top1: percent(self.tally.top1()),
            top5: percent(self.tally.top5()),
            correct: self.tally.top1().correct,
            images: self.tally.top1().total,
            errors: self.errors,
        }
    }
}

/// What computes logits.
enum Engine {
    Plan(Box<Plan>),
    Network(Box<HarDNet>, Device),
}

impl Validation {
    /// An evaluation of `samples`, each with a label, with one thread for each processor.
    pub fn new(samples: Arc<Vec<Sample>>, pipeline: Pipeline) -> Self {
        let LoaderOptions { workers, .. } = LoaderOptions::default();
        Self { samples, pipeline, workers, plan: PlanOptions::default() }
    }

    /// Evaluates the network of `config` with `weights`: on the CPU as a [`Plan`], elsewhere on Candle.
    ///
    /// `observe` gets each image that cannot be read and, after each batch, the number of images that are behind us; if it
    /// says `false`, the evaluation ends with `None`.
    ///
    /// # Errors
    ///
    /// [`Error::NoLabel`] for a sample without a label; errors of the network and the loader.
    pub fn evaluate(
        &self,
        config: &Config,
        weights: &Weights,
        device: &Device,
        observe: &mut dyn FnMut(Option<&SampleError>, usize) -> bool,
    ) -> Result<Option<Evaluation>> {
        let cores = Arc::new(CoreBudget::detect());
        let mut options = LoaderOptions::default();
        (options.workers, options.batch_size, options.prefetch) = (self.workers, BATCH, 4 * BATCH);
        options.cores = Some(Arc::clone(&cores));
        let mut engine = self.engine(config, weights, device)?;
        let mut evaluation = Evaluation { tally: Tally::default(), errors: 0 };
        for batch in Loader::new(Arc::clone(&self.samples), self.pipeline.clone(), options)? {
            for (_, error) in &batch.failures {
                observe(Some(error), batch.range.start);
            }
            evaluation.errors += batch.failures.len();
            if !batch.samples.is_empty() {
                let _permit = cores.acquire(self.plan.threads);
                let logits = engine.logits(&batch.images, self.pipeline.crop as usize)?;
                let classes = logits.len() / batch.samples.len();
                for (&index, logits) in batch.samples.iter().zip(logits.chunks(classes)) {
                    evaluation.tally.add(index, logits, &(label(&self.samples[index])? as usize));
                }
            }
            if !observe(None, batch.range.end) {
                return Ok(None);
            }
        }
        Ok(Some(evaluation))
    }

    fn engine(&self, config: &Config, weights: &Weights, device: &Device) -> Result<Engine> {
        if !device.is_cpu() {
            let network = HarDNet::new(config, weights.var_builder(|_| false, device))?;
            return Ok(Engine::Network(Box::new(network), device.clone()));
        }
        let side = self.pipeline.crop as usize;
        let mut options = self.plan;
        (options.height, options.width, options.batch) = (side, side, BATCH.min(self.samples.len()).max(1));
        Ok(Engine::Plan(Box::new(Plan::new(config, weights, &options)?)))
    }
}

impl Engine {
    /// Logits `[N, classes]` of images, each `[3, side, side]`.
    fn logits(&mut self, images: &[impl AsRef<[f32]>], side: usize) -> Result<Vec<f32>> {
        match self {
            Self::Plan(plan) => Ok(plan.run(images)?),
            Self::Network(network, device) => {
                let pixels = images.iter().map(AsRef::as_ref).collect::<Vec<_>>().concat();
                let images = Tensor::from_vec(pixels, (images.len(), 3, side, side), device)?;
                Ok(network.forward(&images)?.flatten_all()?.to_vec1()?)
            }
        }
    }
}

/// The label of a sample.
pub(crate) fn label(sample: &Sample) -> Result<u32> {
    sample.label().ok_or_else(|| Error::NoLabel { name: sample.name().into() })
}

//! Steps and validation of segmentation networks.

use std::ops::ControlFlow;

use candle_core::Tensor;
use hardnet_segmentation::training::Loss;
use hardnet_segmentation::{Confusion, Mask};

use super::Trainer;
use super::validation::Validated;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::folder::RunFile;
use crate::job::Job;
use crate::segmentation::{Computing, Crops, validate};

/// The loss of a network for which all classes are equally likely. It has no meaning for the hardest pixels, which are
/// others at each step.
pub(super) fn chance(job: &Job) -> f64 {
    match job.recipe.segmentation.map(|recipe| recipe.loss) {
        Some(Loss::CrossEntropy) => (job.metadata.config.classes() as f64).ln(),
        _ => 0.0,
    }
}

/// Checks that network, recipe and images are for the same task. Returns rows and columns of the training images.
pub(super) fn check_kind(job: &Job) -> Result<(usize, usize)> {
    let task = |found, expected| Err(Error::Task { found, expected });
    match (&job.segmentation, job.metadata.config.decoder.is_some()) {
        (None, false) => {
            let side = job.pipeline.crop as usize;
            Ok((side, side))
        }
        (None, true) => task("segments images", "classifies them, as the images have labels"),
        (Some(_), false) => task("classifies images", "segments them, as the images have masks"),
        (Some(_), true) => {
            let Some(recipe) = &job.recipe.segmentation else {
                let expected = "loss and augmentation of a segmentation network";
                return Err(Error::Recipe { field: "segmentation", found: "none".into(), expected });
            };
            if job.freeze_statistics {
                let expected = "false for a segmentation network";
                return Err(Error::Recipe { field: "freeze_statistics", found: "true".into(), expected });
            }
            let (width, height) = recipe.augmentation.crop;
            Ok((height, width))
        }
    }
}

impl Trainer {
    /// Runs a step with the crops of a batch and returns their loss.
    ///
    /// A batch with fewer than two crops is skipped, as for classifiers.
    pub(super) fn masked_step(&mut self, crops: &Crops, learning_rate: f64) -> Result<f32> {
        let Some(recipe) = self.job.recipe.segmentation.filter(|_| crops.count > 1) else { return Ok(0.0) };
        let cores = self.cores.clone();
        let _permit = cores.acquire(if self.job.device.is_cpu() { self.job.threads } else { 1 });
        let (width, height) = recipe.augmentation.crop;
        let (classes, pixels) = (self.job.metadata.config.classes(), width * height);
        let images = Tensor::from_slice(&crops.images, (crops.count, 3, height, width), &self.job.device)?;
        let logits = self.network.forward_train(&images, self.dropout_seed(0))?;
        let values = logits.flatten_all()?.to_vec1::<f32>()?;
        let mut gradient = vec![0.0; values.len()];
        let loss = recipe.loss.compute_batch(classes, pixels, &values, &crops.truth, &mut gradient)?;
        let loss = self.finite(loss as f32)?;
        // The derivative of this sum by the logits is the gradient.
        let gradient = Tensor::from_vec(gradient, logits.shape(), &self.job.device)?;
        let gradients = (&logits * gradient)?.sum_all()?.backward()?;
        self.update(&self.optimizer.of_parameters(&gradients), learning_rate)?;
        let mut confusion = Confusion::new(classes);
        let images = values.chunks_exact(classes * pixels).zip(crops.truth.chunks_exact(pixels));
        for (logits, truth) in images {
            let truth = Mask::new(width, height, truth.to_vec()).map_err(hardnet_segmentation::Error::from)?;
            let found = Mask::new(width, height, largest(logits, pixels)).map_err(hardnet_segmentation::Error::from)?;
            confusion.add(&truth, &found).map_err(hardnet_segmentation::Error::from)?;
        }
        self.state.totals.add(loss, 0, crops.count);
        self.state.totals.add_pixels(&confusion);
        self.state.steps += 1;
        Ok(loss)
    }

    /// Evaluates the weights on the validation images, if there are any. Returns `None` if the observer stopped it.
    pub(super) fn validate_masks(
        &self,
        observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Option<Validated>> {
        let Some(data) = &self.job.segmentation else { return Ok(Some(Validated::default())) };
        let Some(items) = &data.validation else { return Ok(Some(Validated::default())) };
        let Job { metadata, workers, threads, isa, .. } = &self.job;
        let computing = Computing { workers: *workers, threads: *threads, isa: *isa };
        let metrics = match validate(items, metadata, &data.protocol, self.result(), &computing, observe) {
            Err(Error::Segmentation(error)) if matches!(*error, hardnet_segmentation::Error::NotFinite { .. }) => {
                let (epoch, batch) = (self.state.epochs() + 1, self.state.batch);
                return Err(Error::Diverged { epoch, batch, loss: f32::NAN });
            }
            metrics => metrics?,
        };
        Ok(metrics.map(|masks| Validated { labels: None, masks: Some(masks) }))
    }

    /// Checks the counts of pixels in a state that was read.
    pub(super) fn check_totals(&self) -> Result<()> {
        let (counts, classes) = (self.state.totals.confusion.len(), self.job.metadata.config.classes());
        if counts == 0 || counts == classes * classes {
            return Ok(());
        }
        let reason = format!("{counts} counts of pixels, expected {}", classes * classes);
        Err(Error::InvalidState { path: self.folder().path(RunFile::State), reason })
    }
}

/// The class of the largest logit of each pixel, the first of several; logits are `[classes, pixels]`.
fn largest(logits: &[f32], pixels: usize) -> Vec<u8> {
    let mut best = logits[..pixels].to_vec();
    let mut classes = vec![0; pixels];
    for (class, logits) in (0..).zip(logits.chunks_exact(pixels)) {
        for ((best, found), &logit) in best.iter_mut().zip(&mut classes).zip(logits) {
            if logit > *best {
                (*best, *found) = (logit, class);
            }
        }
    }
    classes
}

//! Evaluation of weights on a validation set.

use std::sync::Arc;

use candle_core::Device;
use hardnet_classifier::Classifier;
use hardnet_data::{LoaderOptions, Pipeline, Sample};
use hardnet_engine::Isa;
use hardnet_eval::{EvalError, EvalOptions, Observer, Proportion, Tally};
use hardnet_model::{Config, HarDNet, Metadata};

use crate::error::{Error, Result};
use crate::metrics::{ValidationMetrics, rounded};
use crate::weights::Weights;

/// Images computed together.
pub(crate) const BATCH: usize = 8;

/// A validation set and how it is evaluated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Validation {
    /// The images, each with a label.
    pub samples: Arc<Vec<Sample>>,
    /// Preprocessing of the images.
    pub pipeline: Pipeline,
    /// Threads that read images; 0 reads them between batches.
    pub workers: usize,
    /// Threads of the network on the CPU.
    pub threads: usize,
    /// Instruction set of the network on the CPU.
    pub isa: Isa,
}

/// Result of an evaluation.
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

impl Validation {
    /// Creates an evaluation of `samples`, each with a label, with a thread for each processor.
    pub fn new(samples: Arc<Vec<Sample>>, pipeline: Pipeline) -> Self {
        let LoaderOptions { workers, .. } = LoaderOptions::default();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { samples, pipeline, workers, threads, isa: Isa::best() }
    }

    /// Sets [`workers`](Self::workers).
    #[must_use]
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = threads;
        self
    }

    /// Sets [`threads`](Self::threads).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets [`isa`](Self::isa).
    #[must_use]
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Evaluates the network of `config` with `weights`: by the native engine on the CPU, by Candle on other devices.
    ///
    /// Returns `None` if `observer` stops it before the last image.
    ///
    /// # Errors
    ///
    /// [`Error::NoLabel`] for a sample without a label; errors of the network and the loader.
    pub fn evaluate(
        &self,
        config: &Config,
        weights: &Weights,
        device: &Device,
        observer: &mut impl Observer,
    ) -> Result<Option<Evaluation>> {
        for sample in self.samples.iter() {
            label(sample)?;
        }
        let classifier = self.classifier(config, weights, device)?;
        let options = EvalOptions::default().batch_size(BATCH).prefetch(4 * BATCH).workers(self.workers).isa(self.isa);
        let mut tally = Tally::default();
        let summary =
            classifier.evaluate(Arc::clone(&self.samples), &options, &mut (&mut tally, observer)).map_err(|error| {
                match error {
                    EvalError::Loader(error) => Error::Loader(error),
                    EvalError::Network(error) => error.into(),
                }
            })?;
        Ok((!summary.stopped).then_some(Evaluation { tally, errors: summary.failures }))
    }

    fn classifier(&self, config: &Config, weights: &Weights, device: &Device) -> Result<Classifier> {
        let builder = Classifier::builder()
            .threads(self.threads)
            .isa(self.isa)
            .batch_size(BATCH.min(self.samples.len()))
            .pipeline(self.pipeline.clone())
            .device(device.clone());
        let metadata = Metadata::new(config.clone());
        if device.is_cpu() {
            return Ok(builder.from_parameters(&metadata, weights)?);
        }
        let network = HarDNet::new(config, weights.var_builder(|_| false, device))?;
        Ok(builder.from_network(&metadata, network)?)
    }
}

/// Returns the label of a sample.
pub(crate) fn label(sample: &Sample) -> Result<u32> {
    sample.label().ok_or_else(|| Error::NoLabel { name: sample.name().into() })
}

//! The description of a training run.

use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use hardnet_data::{Pipeline, Sample};
use hardnet_model::{Isa, Metadata};

use crate::evaluate::Validation;
use crate::recipe::Recipe;
use crate::segmentation::SegmentationData;

/// A training job: network, recipe, images and device.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// Metadata of the weights files: network, class names and pipeline.
    pub metadata: Metadata,
    /// Training recipe.
    pub recipe: Recipe,
    /// Random seed: order and augmentation of images, dropout.
    pub seed: u64,
    /// Number of modules of the network's `base`, from the first, whose weights are frozen. Their running statistics
    /// are still updated, as in PyTorch for weights without a gradient, unless
    /// [`freeze_statistics`](field@Self::freeze_statistics) is set.
    pub freeze_until: usize,
    /// Whether the running statistics of the frozen modules stay too: these modules are computed as in evaluation, like
    /// PyTorch's after `eval()`.
    pub freeze_statistics: bool,
    /// Training images, each with a label.
    pub training: Arc<Vec<Sample>>,
    /// Size and normalization of the images.
    pub pipeline: Pipeline,
    /// Validation after each epoch.
    pub validation: Option<Validation>,
    /// Images with masks, for a segmentation network: training and validation, in place of those above.
    pub segmentation: Option<SegmentationData>,
    /// Threads that load images; 0 loads them between the steps.
    pub workers: usize,
    /// Threads of the network.
    pub threads: usize,
    /// Device of the network.
    pub device: Device,
    /// Instruction set of the kernels that train on the CPU.
    pub isa: Isa,
    /// Save the state every N steps, in addition to the end of each epoch.
    pub checkpoint_every: Option<usize>,
    /// Keep the weights of every epoch.
    pub keep_epochs: bool,
    /// For measuring what an exchange between ranks costs: instead of computing the gradients of a batch, or of each of
    /// its virtual shards, waits for this time and takes zeros. The weights are then worth nothing.
    pub simulated_compute: Option<Duration>,
    /// Data of the caller for building this job again; saved with the state.
    pub settings: serde_json::Value,
}

impl Job {
    /// A job on the CPU with one thread for each processor, no validation, and the state saved after each epoch.
    pub fn new(metadata: Metadata, recipe: Recipe, training: Arc<Vec<Sample>>, pipeline: Pipeline) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            metadata,
            recipe,
            seed: 0,
            freeze_until: 0,
            freeze_statistics: false,
            training,
            pipeline,
            validation: None,
            segmentation: None,
            workers: threads,
            threads,
            device: Device::Cpu,
            isa: Isa::best(),
            checkpoint_every: None,
            keep_epochs: false,
            simulated_compute: None,
            settings: serde_json::Value::Null,
        }
    }

    /// A job that trains a segmentation network, with the same defaults.
    pub fn segmentation(metadata: Metadata, recipe: Recipe, data: SegmentationData) -> Self {
        let mut job = Self::new(metadata, recipe, Arc::default(), Pipeline::pil_bilinear());
        job.segmentation = Some(data);
        job
    }

    /// Number of training images.
    pub(crate) fn image_count(&self) -> usize {
        self.segmentation.as_ref().map_or(self.training.len(), |data| data.training.len())
    }

    /// Sets the random seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the number of frozen modules.
    pub fn freeze_until(mut self, freeze_until: usize) -> Self {
        self.freeze_until = freeze_until;
        self
    }

    /// Sets whether the running statistics of the frozen modules stay.
    pub fn freeze_statistics(mut self, freeze_statistics: bool) -> Self {
        self.freeze_statistics = freeze_statistics;
        self
    }

    /// Sets the validation after each epoch.
    pub fn validation(mut self, validation: Option<Validation>) -> Self {
        self.validation = validation;
        self
    }

    /// Sets the number of threads that load images.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Sets the number of threads of the network.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the device of the network.
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Sets the instruction set of the kernels on the CPU.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Sets the number of steps between two saved states.
    pub fn checkpoint_every(mut self, checkpoint_every: Option<usize>) -> Self {
        self.checkpoint_every = checkpoint_every;
        self
    }

    /// Sets whether to keep the weights of every epoch.
    pub fn keep_epochs(mut self, keep_epochs: bool) -> Self {
        self.keep_epochs = keep_epochs;
        self
    }

    /// Sets the time that is waited for in place of computing gradients.
    pub fn simulated_compute(mut self, time: Option<Duration>) -> Self {
        self.simulated_compute = time;
        self
    }

    /// Sets the data of the caller that is saved with the state.
    pub fn settings(mut self, settings: serde_json::Value) -> Self {
        self.settings = settings;
        self
    }
}

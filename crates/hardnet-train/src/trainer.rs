//! The loop.

mod files;
mod step;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Var};
use hardnet_data::{CoreBudget, DecodeWarning, Loader, LoaderOptions, Pipeline, Sample, SampleError, TrainingEpoch};
use hardnet_eval::{BatchDone, Observer};
use hardnet_model::{HarDNet, Isa, Metadata};

use crate::average::Average;
use crate::error::{Error, Result};
use crate::evaluate::{Validation, label};
use crate::folder::RunFolder;
use crate::metrics::{BatchReport, EpochMetrics, ValidationMetrics, rounded};
use crate::optimizer::Sgd;
use crate::recipe::{Decayed, Recipe};
use crate::state::{self, Progress};
use crate::weights::Weights;

/// What is trained with what.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// What the files of weights say of themselves: the network, its classes and its pipeline.
    pub metadata: Metadata,
    /// How it is trained.
    pub recipe: Recipe,
    /// Seed of all that is random: the order and augmentation of images, and dropout.
    pub seed: u64,
    /// Entries of the network's `base`, from the first, whose weights stay as they are. Their running statistics follow the
    /// images all the same, as in PyTorch where weights need no gradient.
    pub freeze_until: usize,
    /// The training set, each image with a label.
    pub training: Arc<Vec<Sample>>,
    /// The size and normalisation of the images.
    pub pipeline: Pipeline,
    /// What each epoch is evaluated on.
    pub validation: Option<Validation>,
    /// Threads that read images; 0 reads them in between.
    pub workers: usize,
    /// Threads that the network keeps busy.
    pub threads: usize,
    /// Where the network is.
    pub device: Device,
    /// Instruction set of the kernels that train on the CPU.
    pub isa: Isa,
    /// Save the state every so many steps, not after each epoch alone.
    pub checkpoint_every: Option<usize>,
    /// Keep the weights of every epoch.
    pub keep_epochs: bool,
    /// What the caller needs to build this job again.
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
            training,
            pipeline,
            validation: None,
            workers: threads,
            threads,
            device: Device::Cpu,
            isa: Isa::best(),
            checkpoint_every: None,
            keep_epochs: false,
            settings: serde_json::Value::Null,
        }
    }
}

/// What happens in a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step was made.
    Batch(&'a BatchReport),
    /// An image could not be read and is left out.
    Failure(&'a SampleError),
    /// Decoding lost something of an image.
    Warning(&'a Sample, &'a DecodeWarning),
    /// So many of the images of the validation set have been evaluated, of how many.
    Validated(usize, usize),
    /// An epoch is finished and saved.
    Epoch(&'a EpochMetrics),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Save the state and stop.
    Stop,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// It was asked to stop; [`Trainer::resume`] goes on.
    Stopped,
}

/// A run in its folder.
#[derive(Debug)]
pub struct Trainer {
    job: Job,
    folder: RunFolder,
    network: HarDNet,
    weights: Weights,
    average: Option<Average>,
    optimizer: Sgd,
    progress: Progress,
    cores: Arc<CoreBudget>,
}

impl Trainer {
    /// A new run that begins with `weights`. Its state is saved at once.
    ///
    /// # Errors
    ///
    /// [`Error::Recipe`] and others for a job that makes no sense, [`Error::File`] where the folder cannot be written.
    pub fn start(job: Job, weights: Weights, folder: RunFolder) -> Result<Self> {
        let trainer = Self::new(job, weights, folder)?;
        trainer.save_state()?;
        Ok(trainer)
    }

    /// The run in `folder`, at the step where it was saved. The job must be the one it was started with, but for threads and
    /// workers, which change nothing, and for how often it is saved.
    ///
    /// # Errors
    ///
    /// [`Error::State`] where the state is damaged or of another job.
    pub fn resume(job: Job, folder: RunFolder) -> Result<Self> {
        let weights = Weights::random(&job.metadata.config, job.seed, &job.device)?;
        let mut trainer = Self::new(job, weights, folder)?;
        let progress = state::load(&trainer.folder, &trainer.tensors())?;
        if progress.samples != trainer.job.training.len() {
            let reason = format!("{} training images, there are {}", progress.samples, trainer.job.training.len());
            return Err(Error::State { path: trainer.folder.path(crate::RunFile::State), reason });
        }
        trainer.progress = progress;
        Ok(trainer)
    }

    fn new(job: Job, weights: Weights, folder: RunFolder) -> Result<Self> {
        job.recipe.validate()?;
        if job.training.len() < 2 {
            return Err(Error::NoImages);
        }
        for sample in job.training.iter() {
            label(sample)?;
        }
        let graph = hardnet_model::Graph::new(&job.metadata.config)?;
        let side = job.pipeline.crop as usize;
        graph.shapes(side, side)?;
        let frozen = graph.modules().iter().take(job.freeze_until).map(|module| module.nodes.end).max().unwrap_or(0);
        let is_trained = |param: &hardnet_model::ParamInfo| param.kind.is_trained() && param.node >= frozen;
        if frozen == graph.nodes().len() {
            let expected = "fewer than all entries of the network";
            return Err(Error::Recipe { field: "freeze_until", found: job.freeze_until.to_string(), expected });
        }
        let network =
            HarDNet::new(&job.metadata.config, weights.var_builder(is_trained, &job.device))?.with_isa(job.isa);
        let recipe = &job.recipe;
        let decay = |param: &hardnet_model::ParamInfo| match recipe.decayed {
            Decayed::All => recipe.weight_decay,
            Decayed::Weights if param.shape.len() > 1 => recipe.weight_decay,
            Decayed::Weights => 0.0,
        };
        let trained = weights.entries().filter(|(param, _)| is_trained(param));
        let optimizer =
            Sgd::new(trained.map(|(param, var)| (var.clone(), decay(param))), recipe.momentum, recipe.nesterov)?;
        let average = recipe.average_decay.map(|decay| Average::new(&weights, decay)).transpose()?;
        let progress = Progress::new(job.settings.clone(), job.training.len());
        let cores = Arc::new(CoreBudget::detect());
        Ok(Self { job, folder, network, weights, average, optimizer, progress, cores })
    }

    /// How far the run is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The folder of the run.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The weights that the run gives: their average, if the recipe has one.
    pub fn result(&self) -> &Weights {
        self.average.as_ref().map_or(&self.weights, Average::weights)
    }

    /// Trains until all epochs are done or `observe` says to stop; the state is saved in either case.
    ///
    /// # Errors
    ///
    /// [`Error::Diverged`], [`Error::NothingReadable`] and errors of files, images and the network. What was saved before
    /// stays as it is.
    pub fn run(&mut self, observe: &mut dyn FnMut(Event) -> Flow) -> Result<Ending> {
        while self.progress.epochs() < self.job.recipe.epochs {
            let (started, before) = (Instant::now(), self.progress.sums.seconds);
            let flow = self.steps(observe)?;
            if flow == Flow::Stop {
                self.save_state()?;
                return Ok(Ending::Stopped);
            }
            let Some(validation) = self.validate(observe)? else {
                self.save_state()?;
                return Ok(Ending::Stopped);
            };
            let steps = self.progress.sums.seconds - before;
            let beside = (started.elapsed().as_secs_f64() - steps).max(0.0);
            let flow = self.finish_epoch(validation, beside, observe)?;
            if flow == Flow::Stop && self.progress.epochs() < self.job.recipe.epochs {
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Finished)
    }

    /// The rest of the steps of the epoch in hand.
    fn steps(&mut self, observe: &mut dyn FnMut(Event) -> Flow) -> Result<Flow> {
        let (epoch, size) = (self.progress.epochs(), self.job.recipe.batch_size);
        let images = images_of_an_epoch(self.job.training.len(), size);
        let batches = images.div_ceil(size);
        let seed = self.job.seed;
        let mut pass = TrainingEpoch::new(self.job.recipe.augmentation, self.job.training.len(), seed, epoch);
        pass.order.truncate(images);
        pass.order.drain(..(self.progress.batch * size).min(images));
        let loader = Loader::training(Arc::clone(&self.job.training), self.job.pipeline.clone(), pass, self.loading())?;
        let (began, before, seconds) = (Instant::now(), self.progress.sums.images, self.progress.sums.seconds);
        for batch in loader {
            for (sample, warning) in &batch.warnings {
                observe(Event::Warning(&self.job.training[*sample], warning));
            }
            for (_, failure) in &batch.failures {
                observe(Event::Failure(failure));
            }
            self.progress.sums.errors += batch.failures.len();
            let learning_rate = self.learning_rate(epoch, self.progress.batch, batches);
            let batch_loss = self.step(&batch, learning_rate)?;
            self.progress.batch += 1;
            let elapsed = began.elapsed().as_secs_f64();
            self.progress.sums.seconds = seconds + elapsed;
            let sums = &self.progress.sums;
            let report = BatchReport {
                epoch: (epoch + 1, self.job.recipe.epochs),
                batch: (self.progress.batch, batches),
                images: ((self.progress.batch * size).min(images), images),
                loss: sums.loss() / sums.images.max(1) as f64,
                top1: 100.0 * sums.correct as f64 / sums.images.max(1) as f64,
                batch_loss,
                learning_rate,
                images_per_second: (sums.images - before) as f64 / elapsed,
            };
            if observe(Event::Batch(&report)) == Flow::Stop {
                return Ok(Flow::Stop);
            }
            let due = self.job.checkpoint_every.is_some_and(|every| self.progress.batch.is_multiple_of(every.max(1)));
            if due && self.progress.batch < batches {
                self.save_state()?;
            }
        }
        if self.progress.sums.images == 0 {
            return Err(Error::NothingReadable { epoch: epoch + 1, failures: self.progress.sums.errors });
        }
        Ok(Flow::Continue)
    }

    fn loading(&self) -> LoaderOptions {
        let mut options = LoaderOptions::default();
        options.workers = self.job.workers;
        options.batch_size = self.job.recipe.batch_size;
        options.prefetch = 2 * self.job.recipe.batch_size;
        options.cores = Some(Arc::clone(&self.cores));
        options
    }

    fn learning_rate(&self, epoch: u32, batch: usize, batches: usize) -> f64 {
        let recipe = &self.job.recipe;
        recipe.schedule.rate(recipe.learning_rate, recipe.epochs, batches, epoch, batch)
    }

    /// What the weights come to on the validation set, if there is one; none if it was stopped.
    fn validate(&self, observe: &mut dyn FnMut(Event) -> Flow) -> Result<Option<Option<ValidationMetrics>>> {
        let Some(validation) = &self.job.validation else { return Ok(Some(None)) };
        let (config, device) = (&self.job.metadata.config, &self.job.device);
        let diverged = |loss: f32| {
            let (epoch, batch) = (self.progress.epochs() + 1, self.progress.batch);
            Error::Diverged { epoch, batch, loss }
        };
        let evaluation = match validation.evaluate(config, self.result(), device, &mut Events(observe)) {
            Err(Error::Classifier(hardnet_classifier::Error::NotFinite { .. })) => return Err(diverged(f32::NAN)),
            evaluation => evaluation?,
        };
        let metrics = evaluation.map(|evaluation| evaluation.metrics());
        if let Some(loss) = metrics.map(|metrics| metrics.loss).filter(|loss| !loss.is_finite()) {
            return Err(diverged(loss as f32));
        }
        Ok(metrics.map(Some))
    }

    /// Adds the epoch in hand, whose work beside its steps took `beside` seconds, to the history and saves everything.
    fn finish_epoch(
        &mut self,
        validation: Option<ValidationMetrics>,
        beside: f64,
        observe: &mut dyn FnMut(Event) -> Flow,
    ) -> Result<Flow> {
        let epoch = self.progress.epochs();
        let sums = std::mem::take(&mut self.progress.sums);
        let batch = std::mem::take(&mut self.progress.batch);
        let best = validation.map(|validation| {
            let before = self.progress.history.iter().filter_map(|metrics| metrics.validation);
            before.map(|other| other.correct).max().is_none_or(|most| validation.correct > most)
        });
        let images = sums.images as f64;
        self.progress.history.push(EpochMetrics {
            epoch: epoch + 1,
            steps: self.progress.steps,
            learning_rate: rounded_rate(self.learning_rate(epoch, batch.saturating_sub(1), batch)),
            train_loss: rounded(sums.loss() / images),
            train_top1: rounded(100.0 * sums.correct as f64 / images),
            train_images: sums.images,
            train_errors: sums.errors,
            validation,
            best: best.unwrap_or(false),
            images_per_second: rounded(images / sums.seconds.max(1e-9)),
            seconds: rounded(sums.seconds + beside),
        });
        if let Err(error) = self.save_epoch() {
            // The epoch in hand stays in hand: what is on the disk does not know of it either.
            self.progress.history.pop();
            (self.progress.sums, self.progress.batch) = (sums, batch);
            return Err(error);
        }
        let metrics = self.progress.history.last().expect("an epoch was just added");
        Ok(observe(Event::Epoch(metrics)))
    }

    /// The variables of the state under their names.
    fn tensors(&self) -> Vec<(String, &Var)> {
        let mut tensors: Vec<(String, &Var)> =
            self.weights.entries().map(|(param, var)| (format!("weight.{}", param.name), var)).collect();
        tensors.extend(self.optimizer.directions().enumerate().map(|(at, var)| (format!("direction.{at}"), var)));
        if let Some(average) = &self.average {
            tensors.extend(average.weights().entries().map(|(param, var)| (format!("average.{}", param.name), var)));
        }
        tensors
    }
}

/// Turns what an evaluation says into events of the run.
struct Events<'a>(&'a mut dyn FnMut(Event) -> Flow);

impl Observer for Events<'_> {
    fn image_failed(&mut self, _: &Sample, error: &SampleError) {
        (self.0)(Event::Failure(error));
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        match (self.0)(Event::Validated(batch.done, batch.total())) {
            Flow::Continue => ControlFlow::Continue(()),
            Flow::Stop => ControlFlow::Break(()),
        }
    }
}

/// Images of an epoch: all but one that would be a batch of its own, which has no statistics.
fn images_of_an_epoch(samples: usize, batch_size: usize) -> usize {
    if samples % batch_size == 1 { samples - 1 } else { samples }
}

/// To nine significant digits.
fn rounded_rate(rate: f64) -> f64 {
    format!("{rate:.8e}").parse().unwrap_or(rate)
}

//! The training loop.

mod all_reduce;
mod files;
mod frozen;
mod joint;
mod masked;
mod parts;
mod source;
mod step;
mod synchronized;
mod tree;
mod validation;
mod vector;
mod virtual_shards;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Tensor, Var};
use hardnet_data::CoreBudget;
use hardnet_model::HarDNet;

use crate::average::WeightAverage;
use crate::balance::class_counts;
use crate::error::{Error, Result};
use crate::evaluate::label;
use crate::event::{Event, Outcome};
use crate::folder::RunFolder;
use crate::job::Job;
use crate::metrics::{BatchMetrics, EpochMetrics, rounded};
use crate::optimizer::Sgd;
use crate::ranks::Ranks;
use crate::recipe::DecayedParams;
use crate::stall::{Stall, chance};
use crate::state::{self, RunState};
use crate::weights::Weights;
use frozen::Frozen;
pub use joint::Follower;
use source::{Batched, Told};
use validation::Validated;

/// Runs a job and saves its state in a folder.
#[derive(Debug)]
pub struct Trainer {
    job: Job,
    /// None on ranks other than 0.
    folder: Option<RunFolder>,
    network: HarDNet,
    weights: Weights,
    average: Option<WeightAverage>,
    optimizer: Sgd,
    /// The modules that are computed as in evaluation.
    frozen: Option<Frozen>,
    /// Weights of the classes in the loss, `[classes]`.
    class_weights: Option<Tensor>,
    /// The loss of guesses.
    chance: f64,
    state: RunState,
    cores: Arc<CoreBudget>,
    ranks: Ranks,
    /// Whether the observer of this rank, which is not rank 0, wants to stop.
    asks_to_stop: bool,
}

impl Trainer {
    /// Starts a new run with the initial `weights`. Its state is saved at once.
    ///
    /// # Errors
    ///
    /// [`Error::Recipe`] and others for an invalid job, [`Error::Io`] if the folder cannot be written to.
    pub fn start(job: Job, weights: Weights, folder: RunFolder) -> Result<Self> {
        let mut trainer = Self::new(job, weights, Some(folder))?;
        trainer.state.images = Some(trainer.save_image_lists()?);
        trainer.save_state()?;
        Ok(trainer)
    }

    /// Resumes the run in `folder` at the step where it was saved. The job must be the one that the run was started
    /// with, except for threads, workers and [`Job::checkpoint_every`](field@Job::checkpoint_every), which do
    /// not change the result. The images may have moved, as long as their names, labels and order are the same. The
    /// settings of the job replace those of the state.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] if the state is damaged or that of another job, [`Error::OtherImages`] with the first
    /// difference if the images are not the same.
    pub fn resume(job: Job, folder: RunFolder) -> Result<Self> {
        let weights = Weights::random(&job.metadata.config, job.seed, &job.device)?;
        let mut trainer = Self::new(job, weights, Some(folder))?;
        let mut state = state::load(trainer.folder(), &trainer.tensors())?;
        match &state.images {
            Some(images) => trainer.check_image_lists(images)?,
            // Runs of version 0.1 have counts only.
            None if state.samples != trainer.job.image_count() => {
                let (expected, found) = (state.samples, trainer.job.image_count());
                return Err(Error::OtherImages { set: "training", expected, found, difference: None });
            }
            None => state.images = Some(trainer.save_image_lists()?),
        }
        state.settings = trainer.job.settings.clone();
        trainer.state = state;
        trainer.check_totals()?;
        Ok(trainer)
    }

    fn new(job: Job, weights: Weights, folder: Option<RunFolder>) -> Result<Self> {
        job.recipe.validate()?;
        if job.image_count() < 2 {
            return Err(Error::NoImages);
        }
        let (chance, class_weights) = match &job.segmentation {
            None => Self::check_labels(&job)?,
            Some(_) => (masked::chance(&job), None),
        };
        let graph = hardnet_model::Graph::new(&job.metadata.config)?;
        let (height, width) = masked::check_kind(&job)?;
        graph.shapes(height, width)?;
        let frozen = graph.modules().iter().take(job.freeze_until).map(|module| module.nodes.end).max().unwrap_or(0);
        let is_trained = |param: &hardnet_model::ParamInfo| param.kind.is_trained() && param.node >= frozen;
        if frozen == graph.nodes().len() {
            let expected = "fewer than all modules of the network";
            return Err(Error::Recipe { field: "freeze_until", found: job.freeze_until.to_string(), expected });
        }
        if job.freeze_statistics && job.freeze_until == 0 {
            let expected = "false where no module is frozen";
            return Err(Error::Recipe { field: "freeze_statistics", found: "true".into(), expected });
        }
        let network =
            HarDNet::new(&job.metadata.config, weights.var_builder(is_trained, &job.device))?.with_isa(job.isa);
        let recipe = &job.recipe;
        let decay = |param: &hardnet_model::ParamInfo| match recipe.decayed {
            DecayedParams::All => recipe.weight_decay,
            DecayedParams::Weights if param.shape.len() > 1 => recipe.weight_decay,
            DecayedParams::Weights => 0.0,
        };
        let trained = weights.entries().filter(|(param, _)| is_trained(param));
        let optimizer =
            Sgd::new(trained.map(|(param, var)| (var.clone(), decay(param))), recipe.momentum, recipe.nesterov)?;
        let average = recipe.average_decay.map(|decay| WeightAverage::new(&weights, decay)).transpose()?;
        let state = RunState::new(job.settings.clone(), job.image_count());
        let frozen = job.freeze_statistics.then(|| Frozen::new(job.freeze_until - 1));
        let cores = Arc::new(CoreBudget::detect());
        let (ranks, asks_to_stop) = (Ranks::default(), false);
        Ok(Self {
            job,
            folder,
            network,
            weights,
            average,
            optimizer,
            frozen,
            class_weights,
            chance,
            state,
            cores,
            ranks,
            asks_to_stop,
        })
    }

    /// Checks the labels of a classifier's images. Returns the loss of guesses and the weights of the classes.
    fn check_labels(job: &Job) -> Result<(f64, Option<Tensor>)> {
        let classes = job.metadata.config.classes();
        for sample in job.training.iter() {
            if label(sample)? as usize >= classes {
                return Err(Error::LabelOutOfRange { name: sample.name().into(), classes });
            }
        }
        let counts = class_counts(&job.training, classes);
        let class_weights = job.recipe.class_weights.as_ref().map(|weights| weights.resolve(&counts)).transpose()?;
        let chance = chance(&counts, class_weights.as_deref(), job.recipe.label_smoothing);
        let class_weights = class_weights.map(|weights| {
            let weights = weights.into_iter().map(|weight| weight as f32).collect();
            Tensor::from_vec(weights, classes, &job.device)
        });
        Ok((chance, class_weights.transpose()?))
    }

    /// Progress and history of the run.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// The folder of the run.
    pub fn folder(&self) -> &RunFolder {
        self.folder.as_ref().expect("only a `Follower` has none")
    }

    /// The resulting weights: their moving average, if the recipe has one.
    pub fn result(&self) -> &Weights {
        self.average.as_ref().map_or(&self.weights, WeightAverage::weights)
    }

    /// Trains until all epochs are done or `observe` returns `Break`. The state is saved in either case.
    ///
    /// # Errors
    ///
    /// [`Error::Diverged`], [`Error::NoReadableImages`] and errors of files, images and the network;
    /// [`Error::Communication`] if another rank failed. The last saved state is unchanged.
    pub fn run(&mut self, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome> {
        let outcome = self.epochs(observe);
        self.ranks.end_all(outcome)
    }

    fn epochs(&mut self, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome> {
        while self.state.epochs() < self.job.recipe.epochs {
            let (started, before) = (Instant::now(), self.state.totals.seconds);
            let flow = self.steps(observe)?;
            if flow.is_break() {
                self.save_state()?;
                return Ok(Outcome::Stopped);
            }
            let Some(validation) = self.validate(observe)? else {
                self.save_state()?;
                return Ok(Outcome::Stopped);
            };
            let steps = self.state.totals.seconds - before;
            let overhead = (started.elapsed().as_secs_f64() - steps).max(0.0);
            let flow = self.finish_epoch(validation, overhead, observe)?;
            if flow.is_break() && self.state.epochs() < self.job.recipe.epochs {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }

    /// Runs the remaining steps of the current epoch.
    fn steps(&mut self, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<ControlFlow<()>> {
        let (epoch, size, shards) = (self.state.epochs(), self.job.recipe.batch_size, self.job.recipe.virtual_shards);
        let images = images_of_an_epoch(self.job.image_count(), self.job.recipe.images_of_statistics());
        let batches = images.div_ceil(size);
        let mut source = self.source(epoch, images)?;
        let (began, before, seconds) = (Instant::now(), self.state.totals.images, self.state.totals.seconds);
        while self.state.batch < batches {
            // The last step of an epoch may have fewer shards, and the last of these fewer images.
            let left = images - self.state.batch * size;
            let count = left.min(size).div_ceil(size / shards);
            let own = self.ranks.own(shards);
            let step: Vec<Batched> = source.by_ref().take(own.end.min(count).saturating_sub(own.start)).collect();
            let mut told = Told::default();
            step.iter().for_each(|batch| self.report(batch, &mut told, observe));
            let learning_rate = self.learning_rate(epoch, self.state.batch, batches);
            let batch_loss = match &step[..] {
                [Batched::Masked(crops)] => self.masked_step(crops, learning_rate)?,
                [Batched::Labeled(batch)] if shards == 1 => self.step(batch, learning_rate)?,
                step => {
                    let shards: Vec<_> = step.iter().filter_map(Batched::labeled).collect();
                    self.sharded_step(&shards, count, learning_rate)?
                }
            };
            let asked = self.count_images(told, observe)?;
            self.state.batch += 1;
            let elapsed = began.elapsed().as_secs_f64();
            self.state.totals.seconds = seconds + elapsed;
            let totals = &self.state.totals;
            let report = BatchMetrics {
                epoch: (epoch + 1, self.job.recipe.epochs),
                batch: (self.state.batch, batches),
                images: ((self.state.batch * size).min(images), images),
                loss: totals.loss() / totals.images.max(1) as f64,
                top1: totals.top1(),
                mean_iou: totals.mean_iou(),
                batch_loss,
                learning_rate,
                images_per_second: (totals.images - before) as f64 / elapsed,
            };
            let flow = if asked { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let flow = if observe(Event::Batch(&report)).is_break() { ControlFlow::Break(()) } else { flow };
            if self.agree(flow)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let due = self.job.checkpoint_every.is_some_and(|every| self.state.batch.is_multiple_of(every.max(1)));
            if due && self.state.batch < batches {
                self.save_state()?;
            }
        }
        if self.state.totals.images == 0 {
            return Err(Error::NoReadableImages { epoch: epoch + 1, failures: self.state.totals.errors });
        }
        Ok(ControlFlow::Continue(()))
    }

    fn learning_rate(&self, epoch: u32, batch: usize, batches: usize) -> f64 {
        let recipe = &self.job.recipe;
        recipe.schedule.rate(recipe.learning_rate, recipe.epochs, batches, epoch, batch)
    }

    /// Adds the current epoch to the history and saves everything. Its work outside the steps took `overhead` seconds.
    fn finish_epoch(
        &mut self,
        validation: Validated,
        overhead: f64,
        observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let epoch = self.state.epochs();
        let totals = std::mem::take(&mut self.state.totals);
        let batch = std::mem::take(&mut self.state.batch);
        let best = validation.is_best(&self.state.history);
        let images = totals.images as f64;
        self.state.history.push(EpochMetrics {
            epoch: epoch + 1,
            steps: self.state.steps,
            learning_rate: rounded_rate(self.learning_rate(epoch, batch.saturating_sub(1), batch)),
            train_loss: rounded(totals.loss() / images),
            train_top1: rounded(totals.top1()),
            train_mean_iou: totals.mean_iou().map(rounded),
            train_images: totals.images,
            train_errors: totals.errors,
            validation: validation.labels,
            segmentation: validation.masks,
            best,
            images_per_second: rounded(images / totals.seconds.max(1e-9)),
            seconds: rounded(totals.seconds + overhead),
        });
        if let Err(error) = self.save_epoch() {
            // The epoch stays the current one, as it is on disk.
            self.state.history.pop();
            (self.state.totals, self.state.batch) = (totals, batch);
            return Err(error);
        }
        let metrics = self.state.history.last().expect("an epoch was just added");
        let flow = observe(Event::Epoch(metrics));
        if let Some(stall) = Stall::find(&self.state.history, self.chance) {
            let _ = observe(Event::Stalled(&stall));
        }
        self.agree(flow)
    }

    /// The variables of the state with their names.
    fn tensors(&self) -> Vec<(String, &Var)> {
        let mut tensors: Vec<(String, &Var)> =
            self.weights.entries().map(|(param, var)| (format!("weight.{}", param.name), var)).collect();
        tensors.extend(self.optimizer.momentum_buffers().enumerate().map(|(at, var)| (format!("direction.{at}"), var)));
        if let Some(average) = &self.average {
            tensors.extend(average.weights().entries().map(|(param, var)| (format!("average.{}", param.name), var)));
        }
        tensors
    }
}

/// Number of images of an epoch in batches, or virtual shards with statistics of their own, of `size`. An image that
/// would be one of its own, which has no statistics, is left out.
fn images_of_an_epoch(samples: usize, size: usize) -> usize {
    if samples % size == 1 { samples - 1 } else { samples }
}

/// Rounds to nine significant digits.
fn rounded_rate(rate: f64) -> f64 {
    format!("{rate:.8e}").parse().unwrap_or(rate)
}

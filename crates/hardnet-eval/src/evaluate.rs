//! The evaluation loop: loader, core budget, network, observer.
//!
//! Worker threads read, decode and prepare images ahead of the network. Decoders and the network take their cores from
//! one budget of the machine, so that together they never keep more threads busy than there are cores.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hardnet_data::{CoreBudget, Isa, LoaderError, LoaderOptions, Pipeline, PipelinesLoader, Sample};

use crate::logits::Logits;
use crate::observer::{BatchDone, Observer};

/// Computes logits of images.
pub trait ComputeLogits {
    /// Why images could not be computed.
    type Error;

    /// Computes the logits of `images`, each a tensor as the pipeline of the evaluation makes it, `[3, side, side]`.
    ///
    /// # Errors
    ///
    /// The implementation's.
    fn compute_logits(&self, images: &[&[f32]]) -> Result<Logits, Self::Error>;

    /// Returns the threads of this machine that a call keeps busy, 0 if it needs none.
    fn busy_threads(&self) -> usize;
}

/// Options of [`evaluate()`] and [`evaluate_pipelines`].
///
/// ```
/// let options = hardnet_eval::EvalOptions::default().batch_size(8).workers(4);
/// assert_eq!(options.batch_size, 8);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvalOptions {
    /// Images given to the network together, by default 16.
    pub batch_size: usize,
    /// Threads that read images, by default one for each processor; 0 reads them between batches.
    pub workers: usize,
    /// Images decoded ahead of the network, by default two batches.
    pub prefetch: Option<usize>,
    /// Instruction set of the resize, by default the best of this processor; the tensors do not depend on it.
    pub isa: Isa,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { batch_size: 16, workers: LoaderOptions::default().workers, prefetch: None, isa: Isa::best() }
    }
}

impl EvalOptions {
    /// Sets [`batch_size`](Self::batch_size).
    pub fn batch_size(mut self, images: usize) -> Self {
        self.batch_size = images;
        self
    }

    /// Sets [`workers`](Self::workers).
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = threads;
        self
    }

    /// Sets [`prefetch`](Self::prefetch).
    pub fn prefetch(mut self, images: usize) -> Self {
        self.prefetch = Some(images);
        self
    }

    /// Sets [`isa`](Self::isa).
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    fn loader(&self, cores: &Arc<CoreBudget>) -> LoaderOptions {
        LoaderOptions::default()
            .workers(self.workers)
            .batch_size(self.batch_size)
            .prefetch(self.prefetch.unwrap_or(self.batch_size.saturating_mul(2)))
            .isa(self.isa)
            .cores(Arc::clone(cores))
    }
}

/// Summary of an evaluation by one pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvalSummary {
    /// Images computed.
    pub images: usize,
    /// Images that could not be read.
    pub failures: usize,
    /// Images whose EXIF data have an orientation other than upright, applied or ignored as the pipeline says.
    pub oriented: usize,
    /// Whether the observer stopped the evaluation before its last sample.
    pub stopped: bool,
    /// Time of the whole evaluation.
    pub total: Duration,
    /// Time spent waiting for images.
    pub loading: Duration,
    /// Time spent in the network.
    pub network: Duration,
}

impl EvalSummary {
    /// Adds the counts and times of an evaluation of further samples.
    pub fn merge(&mut self, other: &Self) {
        self.images += other.images;
        self.failures += other.failures;
        self.oriented += other.oriented;
        self.stopped |= other.stopped;
        self.total += other.total;
        self.loading += other.loading;
        self.network += other.network;
    }
}

/// Error of [`evaluate()`] and [`evaluate_pipelines`]; `E` is the network's.
#[derive(Debug, thiserror::Error)]
#[allow(clippy::exhaustive_enums)]
pub enum EvalError<E> {
    /// The loader cannot be started.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// The network failed.
    #[error(transparent)]
    Network(E),
}

/// Computes the logits of all `samples`, prepared by `pipeline`, and gives them to `observer` batch by batch, in order.
///
/// An image that cannot be read is reported and left out. If the observer breaks, no further batch is computed.
///
/// ```no_run
/// use hardnet_data::{Dataset, Pipeline};
/// use hardnet_eval::{ComputeLogits, EvalOptions, Tally, evaluate};
///
/// # fn example<N: ComputeLogits<Error = std::io::Error>>(network: &N) -> Result<(), Box<dyn std::error::Error>> {
/// let dataset = Dataset::from_class_folders("photos", 10)?;
/// let mut tally = Tally::default();
/// evaluate(network, dataset.samples, &Pipeline::pil_bilinear(), &EvalOptions::default(), &mut tally)?;
/// println!("top-1 {:?} %", tally.top1().percent());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`EvalError::Loader`] for options or a pipeline that make no sense, [`EvalError::Network`] from the network.
pub fn evaluate<N: ComputeLogits + ?Sized>(
    network: &N,
    samples: impl Into<Arc<Vec<Sample>>>,
    pipeline: &Pipeline,
    options: &EvalOptions,
    mut observer: &mut (impl Observer + ?Sized),
) -> Result<EvalSummary, EvalError<N::Error>> {
    let mut runs = [PipelineRun { network, pipeline: pipeline.clone(), observer: &mut observer }];
    Ok(evaluate_pipelines(&mut runs, samples, options)?.swap_remove(0))
}

/// One pipeline of an [evaluation of several](evaluate_pipelines).
#[allow(clippy::exhaustive_structs)]
pub struct PipelineRun<'a, N: ?Sized> {
    /// The network that computes what the pipeline prepares.
    pub network: &'a N,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Receives the logits of this pipeline.
    pub observer: &'a mut dyn Observer,
}

/// Computes the logits of all `samples` by each of several pipelines in one pass: an image is read once, and decoded
/// once for all pipelines that decode alike.
///
/// Each observer receives what it would of [`evaluate()`] with its pipeline alone. Those of a batch are told in turn,
/// first about the images that could not be read, then about the logits. If one of them breaks, no further batch is
/// computed. The summaries are in the order of `runs`; total time and the time spent waiting for images are those of
/// all together.
///
/// ```no_run
/// use hardnet_data::{Dataset, Pipeline};
/// use hardnet_eval::{ComputeLogits, EvalOptions, PipelineRun, Tally, evaluate_pipelines};
///
/// # fn example<N: ComputeLogits<Error = std::io::Error>>(network: &N) -> Result<(), Box<dyn std::error::Error>> {
/// let dataset = Dataset::from_class_folders("photos", 10)?;
/// let pipelines = [Pipeline::pil_bilinear(), Pipeline::paddleclas()];
/// let mut tallies = [Tally::default(); 2];
/// let mut runs: Vec<_> = pipelines
///     .into_iter()
///     .zip(&mut tallies)
///     .map(|(pipeline, tally)| PipelineRun { network, pipeline, observer: tally })
///     .collect();
/// evaluate_pipelines(&mut runs, dataset.samples, &EvalOptions::default())?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`evaluate()`], for the first pipeline that has one.
pub fn evaluate_pipelines<N: ComputeLogits + ?Sized>(
    runs: &mut [PipelineRun<'_, N>],
    samples: impl Into<Arc<Vec<Sample>>>,
    options: &EvalOptions,
) -> Result<Vec<EvalSummary>, EvalError<N::Error>> {
    let samples = samples.into();
    let cores = Arc::new(CoreBudget::detect());
    let started = Instant::now();
    let pipelines = runs.iter().map(|run| run.pipeline.clone()).collect();
    let mut loader = PipelinesLoader::new(Arc::clone(&samples), pipelines, options.loader(&cores))?;
    let mut summaries = vec![EvalSummary::default(); runs.len()];
    loop {
        let asked = Instant::now();
        let Some(batches) = loader.next() else { break };
        let loading = asked.elapsed();
        for (run, batch) in runs.iter_mut().zip(&batches) {
            for (index, warning) in &batch.warnings {
                run.observer.image_warned(&samples[*index], warning);
            }
            for (index, error) in &batch.failures {
                run.observer.image_failed(&samples[*index], error);
            }
        }
        let (mut done, mut stopped) = (0, false);
        for ((run, summary), batch) in runs.iter_mut().zip(&mut summaries).zip(batches) {
            let (logits, network) = compute(run.network, &batch.images, &cores).map_err(EvalError::Network)?;
            summary.images += batch.samples.len();
            summary.failures += batch.failures.len();
            summary.oriented += batch.infos.iter().filter(|info| !info.orientation.is_upright()).count();
            summary.loading += loading;
            summary.network += network;
            done = batch.range.end;
            let flow = run.observer.batch_done(&BatchDone {
                samples: &samples,
                done,
                indices: &batch.samples,
                infos: &batch.infos,
                logits: &logits,
                loading,
                network,
            });
            stopped |= flow.is_break();
        }
        if stopped && done < samples.len() {
            summaries.iter_mut().for_each(|summary| summary.stopped = true);
            break;
        }
    }
    summaries.iter_mut().for_each(|summary| summary.total = started.elapsed());
    Ok(summaries)
}

/// Computes a batch on cores of the budget; the time is without the wait for them.
fn compute<N: ComputeLogits + ?Sized>(
    network: &N,
    images: &[impl AsRef<[f32]>],
    cores: &CoreBudget,
) -> Result<(Logits, Duration), N::Error> {
    if images.is_empty() {
        return Ok((Logits::default(), Duration::ZERO));
    }
    let images: Vec<&[f32]> = images.iter().map(AsRef::as_ref).collect();
    let threads = network.busy_threads();
    let _permit = (threads > 0).then(|| cores.acquire(threads));
    let started = Instant::now();
    let logits = network.compute_logits(&images)?;
    Ok((logits, started.elapsed()))
}

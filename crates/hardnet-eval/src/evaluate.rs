//! The evaluation loop: loader, core budget, network, observer.
//!
//! Worker threads read, decode and prepare images ahead of the network. Decoders and the network take their cores from
//! one budget of the machine, so that together they never keep more threads busy than there are cores.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hardnet_data::{CoreBudget, Isa, Loader, LoaderError, LoaderOptions, Pipeline, Sample};

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

/// Options of [`evaluate`].
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

/// Summary of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvalSummary {
    /// Images computed.
    pub images: usize,
    /// Images that could not be read.
    pub failures: usize,
    /// Whether the observer stopped the evaluation before its last sample.
    pub stopped: bool,
    /// Time of the whole evaluation.
    pub total: Duration,
    /// Time spent waiting for images.
    pub loading: Duration,
    /// Time spent in the network.
    pub network: Duration,
}

/// Error of [`evaluate`]; `E` is the network's.
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
    observer: &mut (impl Observer + ?Sized),
) -> Result<EvalSummary, EvalError<N::Error>> {
    let samples = samples.into();
    let cores = Arc::new(CoreBudget::detect());
    let started = Instant::now();
    let mut loader = Loader::new(Arc::clone(&samples), pipeline.clone(), options.loader(&cores))?;
    let mut summary = EvalSummary::default();
    loop {
        let asked = Instant::now();
        let Some(batch) = loader.next() else { break };
        let loading = asked.elapsed();
        for (index, warning) in &batch.warnings {
            observer.image_warned(&samples[*index], warning);
        }
        for (index, error) in &batch.failures {
            observer.image_failed(&samples[*index], error);
        }
        let (logits, network) = compute(network, &batch.images, &cores).map_err(EvalError::Network)?;
        summary.images += batch.samples.len();
        summary.failures += batch.failures.len();
        summary.loading += loading;
        summary.network += network;
        let done = batch.range.end;
        let flow = observer.batch_done(&BatchDone {
            samples: &samples,
            done,
            indices: &batch.samples,
            logits: &logits,
            loading,
            network,
        });
        if flow.is_break() && done < samples.len() {
            summary.stopped = true;
            break;
        }
    }
    summary.total = started.elapsed();
    Ok(summary)
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

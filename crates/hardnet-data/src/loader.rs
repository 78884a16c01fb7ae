//! Batches of tensors from samples: files are read, decoded and preprocessed by worker threads, ahead of the network.
//!
//! The batches are the same whatever the number of workers, and an image that cannot be loaded costs only itself: it is
//! reported in the batch in which its row would have been, and no other sample moves to another batch.

mod error;
mod file;
mod image_tensor;
mod permits;
mod training_epoch;

use std::iter::FusedIterator;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub use error::{LoaderError, SampleError};
pub use image_tensor::ImageTensor;
pub use training_epoch::TrainingEpoch;

use hardnet_simd::Isa;

use crate::{
    CoreBudget, DecodeLimits, DecodeOptions, DecodeWarning, Image, ParallelMap, Pipeline, PipelineError, Purpose,
    RandomStream, Resizer, Sample,
};
use image_tensor::TensorPool;
use permits::ImagePermits;

/// The largest image file read, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// The most bytes of tensors a batch may have, and the images decoded ahead together.
pub const MAX_TENSOR_BYTES: u64 = 4 << 30;

/// How a [`Loader`] works. The defaults suit networks that take an image in some milliseconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoaderOptions {
    /// Threads that decode; 0 decodes in the thread that asks for a batch. By default one per processor.
    pub workers: usize,
    /// Consecutive samples of one batch; the last batch may have fewer. By default 32.
    pub batch_size: usize,
    /// The most images decoded ahead of the requested batch, at least 1; by default 64, two batches.
    pub prefetch: usize,
    /// Limits of the memory that a file may make the decoder allocate.
    pub limits: DecodeLimits,
    /// Instruction set of the resize, by default the best of this processor; the tensors do not depend on it.
    pub isa: Isa,
    /// Budget of cores shared with the network: an image is decoded only while it holds one of them. By default there
    /// is no budget, and an image is decoded whenever a worker is free. Reading the file takes no core.
    ///
    /// A consumer that acquires cores itself must release them before it asks for a batch or drops the loader.
    pub cores: Option<Arc<CoreBudget>>,
    /// How long a batch waits for one image, by default 60 seconds. One that is not ready then is a failure,
    /// [`SampleError::TimedOut`]; its thread is abandoned, and its core and its place go to others.
    ///
    /// Without workers every image is waited for.
    pub timeout: Duration,
}

impl LoaderOptions {
    /// Decodes on `count` threads; 0 decodes in the thread that asks for a batch.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Puts `count` consecutive samples in a batch.
    pub fn batch_size(mut self, count: usize) -> Self {
        self.batch_size = count;
        self
    }

    /// Decodes at most `count` images ahead.
    pub fn prefetch(mut self, count: usize) -> Self {
        self.prefetch = count;
        self
    }

    /// Limits what a file may make the decoder allocate.
    pub fn limits(mut self, limits: DecodeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Resizes with an instruction set.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Shares a budget of cores with the network.
    pub fn cores(mut self, cores: Arc<CoreBudget>) -> Self {
        self.cores = Some(cores);
        self
    }

    /// Waits at most `timeout` for one image.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Default for LoaderOptions {
    fn default() -> Self {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers,
            batch_size: 32,
            prefetch: 64,
            limits: DecodeLimits::default(),
            isa: Isa::best(),
            cores: None,
            timeout: Duration::from_secs(60),
        }
    }
}

/// The images of consecutive samples.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Batch {
    /// The samples this batch accounts for, as indices into the loader's samples, or into the order of an epoch.
    pub range: Range<usize>,
    /// The tensors of the n readable images, each `[3, crop, crop]`, f32, normalized by the pipeline.
    ///
    /// They are the buffers that the workers wrote; [`stacked`](Batch::stacked) copies them into one.
    pub images: Vec<ImageTensor>,
    /// The sample of each of the n images, in their order.
    pub samples: Vec<usize>,
    /// The samples that have no image, in their order, and why.
    pub failures: Vec<(usize, SampleError)>,
    /// Losses of decoding the images, in the order of their samples.
    pub warnings: Vec<(usize, DecodeWarning)>,
}

impl Batch {
    /// The images one after the other, `[n, 3, crop, crop]`.
    pub fn stacked(&self) -> Vec<f32> {
        let images: Vec<&[f32]> = self.images.iter().map(AsRef::as_ref).collect();
        images.concat()
    }
}

/// An iterator over the batches of some samples, in their order.
///
/// Dropping it early waits for the images in work, no longer.
pub struct Loader {
    images: ParallelMap<(usize, Loaded)>,
    batch_size: usize,
    total: usize,
    /// The first sample of the next batch, by its position.
    next: usize,
}

/// The result of one sample: its tensor and warnings.
type Loaded = Result<(ImageTensor, Vec<DecodeWarning>), SampleError>;

impl Loader {
    /// Starts loading `samples`, a vector or one that is shared; it is not copied.
    ///
    /// # Errors
    ///
    /// A [`LoaderError`] if the batch size is 0, the pipeline is invalid, or a batch or the images ahead would take
    /// more than [`MAX_TENSOR_BYTES`]. What is wrong with an image is not among these, but in its [`Batch::failures`].
    pub fn new(
        samples: impl Into<Arc<Vec<Sample>>>,
        pipeline: Pipeline,
        options: LoaderOptions,
    ) -> Result<Self, LoaderError> {
        pipeline.validate()?;
        let samples = samples.into();
        let order = Order { count: samples.len(), ..Order::default() };
        let (crop, decode) = (pipeline.crop, pipeline.decode_options());
        let prepare = move |_: OrderedSample, resizer: &mut Resizer, image: &Image, out: &mut [f32]| {
            pipeline.tensor_with(resizer, image, out)
        };
        Self::decoding(samples, order, crop, decode, options, prepare)
    }

    /// Starts loading the samples of `epoch`, at random changed as it says.
    ///
    /// The tensor of a sample depends on the seed, the epoch, the sample's index and how often it occurs before,
    /// neither on the number of workers nor on other samples.
    ///
    /// # Errors
    ///
    /// As [`Loader::new`], and [`LoaderError::Order`] for an index past the samples.
    pub fn training(
        samples: impl Into<Arc<Vec<Sample>>>,
        pipeline: Pipeline,
        epoch: TrainingEpoch,
        options: LoaderOptions,
    ) -> Result<Self, LoaderError> {
        pipeline.validate()?;
        let TrainingEpoch { order, repeats, augmentation, seed, number } = epoch;
        augmentation.validate()?;
        let samples = samples.into();
        if let Some(&index) = order.iter().find(|&&index| index as usize >= samples.len()) {
            return Err(LoaderError::Order { index, samples: samples.len() });
        }
        let order = Order { count: order.len(), indices: Some(order), repeats };
        let (crop, decode) = (pipeline.crop, pipeline.decode_options());
        let prepare = move |ordered: OrderedSample, resizer: &mut Resizer, image: &Image, out: &mut [f32]| {
            let random = RandomStream::new(seed, Purpose::Augmentation, [number, ordered.index as u32]);
            let mut random = random.repeated(ordered.repeat);
            augmentation.tensor_with(&pipeline, resizer, image, &mut random, out)
        };
        Self::decoding(samples, order, crop, decode, options, prepare)
    }

    /// A loader that reads and decodes the samples of `order` and makes tensors of them by `prepare`.
    fn decoding(
        samples: Arc<Vec<Sample>>,
        order: Order,
        crop: u32,
        decode: DecodeOptions,
        options: LoaderOptions,
        prepare: impl Fn(OrderedSample, &mut Resizer, &Image, &mut [f32]) -> Result<(), PipelineError>
        + Send
        + Sync
        + 'static,
    ) -> Result<Self, LoaderError> {
        let (decode, isa) = (decode.limits(options.limits.clone()), options.isa);
        // As many as images were ever in work at once; one that a panic cut short is not used again.
        let free = Mutex::new(Vec::new());
        let load = move |sample: &Sample, permits: &ImagePermits, ordered: OrderedSample, out: &mut [f32]| {
            let mut workspace: file::Workspace = lock(&free).pop().unwrap_or_else(|| file::Workspace::new(isa));
            let prepare = |resizer: &mut Resizer, image: &Image, out: &mut [f32]| prepare(ordered, resizer, image, out);
            let loaded =
                file::load(sample, &decode, || permits.acquire(ordered.position), prepare, &mut workspace, out);
            lock(&free).push(workspace);
            loaded
        };
        Self::with(samples, order, crop, &options, load)
    }

    /// A loader whose images, `[3, crop, crop]`, come from `load`.
    fn with(
        samples: Arc<Vec<Sample>>,
        order: Order,
        crop: u32,
        options: &LoaderOptions,
        load: impl Fn(&Sample, &ImagePermits, OrderedSample, &mut [f32]) -> Result<Vec<DecodeWarning>, SampleError>
        + Send
        + Sync
        + 'static,
    ) -> Result<Self, LoaderError> {
        if options.batch_size == 0 {
            return Err(LoaderError::ZeroBatchSize);
        }
        let total = order.count;
        check_memory("batch_size", options.batch_size, total, crop)?;
        check_memory("prefetch", options.prefetch, total, crop)?;
        let ahead = if options.workers == 0 { 0 } else { options.prefetch };
        let most = ahead.saturating_add(options.batch_size).min(total);
        let pool = TensorPool::new(3 * crop as usize * crop as usize, most);
        let permits = Arc::new(ImagePermits::new(options.cores.clone()));
        let order = Arc::new(order);
        let (all, shared, sample_order) = (Arc::clone(&samples), Arc::clone(&permits), Arc::clone(&order));
        let images = ParallelMap::new(options.workers, options.prefetch, total, move |position| {
            let ordered = sample_order.at(position);
            let sample = &all[ordered.index];
            let mut tensor = pool.take();
            let loaded = file::guarded(sample, || load(sample, &shared, ordered, &mut tensor));
            (ordered.index, loaded.map(|warnings| (tensor, warnings)))
        });
        let seconds = options.timeout.as_secs();
        let images = images.with_timeout(options.timeout, move |position| {
            permits.release(position);
            let index = order.at(position).index;
            (index, Err(SampleError::TimedOut { path: samples[index].path().into_owned(), seconds }))
        });
        Ok(Self { images, batch_size: options.batch_size, total, next: 0 })
    }
}

/// Where a sample stands in the order, which it is, and how often it occurs before.
#[derive(Clone, Copy)]
struct OrderedSample {
    position: usize,
    index: usize,
    repeat: u32,
}

/// Which samples are loaded, by position.
#[derive(Default)]
struct Order {
    count: usize,
    /// All samples in their order if there is none.
    indices: Option<Vec<u32>>,
    /// How often each occurs before; empty if none occurs twice.
    repeats: Vec<u32>,
}

impl Order {
    fn at(&self, position: usize) -> OrderedSample {
        let index = self.indices.as_ref().map_or(position, |indices| indices[position] as usize);
        OrderedSample { position, index, repeat: self.repeats.get(position).copied().unwrap_or(0) }
    }
}

/// Nothing here panics while it holds a lock, so what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether `value` of `total` images fit in [`MAX_TENSOR_BYTES`].
fn check_memory(option: &'static str, value: usize, total: usize, crop: u32) -> Result<(), LoaderError> {
    let image_bytes = 3 * size_of::<f32>() as u64 * u64::from(crop).pow(2);
    let most = MAX_TENSOR_BYTES / image_bytes;
    if value.min(total) as u64 > most {
        return Err(LoaderError::TooMuchMemory { option, value, crop, limit: MAX_TENSOR_BYTES, most });
    }
    Ok(())
}

impl Iterator for Loader {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let range = self.next..self.total.min(self.next.saturating_add(self.batch_size));
        if range.is_empty() {
            return None;
        }
        self.next = range.end;
        let mut batch = Batch { range: range.clone(), ..Batch::default() };
        batch.images.reserve_exact(range.len());
        for (index, loaded) in self.images.by_ref().take(range.len()) {
            match loaded {
                Ok((tensor, warnings)) => {
                    batch.images.push(tensor);
                    batch.samples.push(index);
                    batch.warnings.extend(warnings.into_iter().map(|warning| (index, warning)));
                }
                Err(error) => batch.failures.push((index, error)),
            }
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.total - self.next).div_ceil(self.batch_size);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Loader {}

impl FusedIterator for Loader {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples named `0`, `1`, ..
    fn samples(count: usize) -> Arc<Vec<Sample>> {
        Arc::new((0..count).map(|index| Sample::new(index.to_string(), None, index.to_string())).collect())
    }

    /// So many samples in their order.
    fn all(count: usize) -> Order {
        Order { count, ..Order::default() }
    }

    #[test]
    fn a_panicking_decoder_costs_one_image() {
        for workers in [0, 1, 3] {
            let options = LoaderOptions { workers, batch_size: 4, prefetch: 2, ..LoaderOptions::default() };
            let loader = Loader::with(samples(10), all(10), 1, &options, |sample, _, _, out| {
                let index: usize = sample.name().parse().expect("samples are numbers");
                out.fill(index as f32);
                match index {
                    2 => panic!("image \u{1b}{index}"),
                    5 => std::panic::panic_any("plain"),
                    8 => std::panic::panic_any(7),
                    _ => Ok(vec![DecodeWarning::AlphaDropped; index % 2]),
                }
            });
            let batches: Vec<_> = loader.expect("good options").collect();
            let rows: Vec<_> = batches.iter().map(|batch| (batch.range.clone(), batch.samples.clone())).collect();
            assert_eq!(rows, [(0..4, vec![0, 1, 3]), (4..8, vec![4, 6, 7]), (8..10, vec![9])], "{workers} workers");
            let pixels: Vec<f32> = batches.iter().flat_map(Batch::stacked).collect();
            let expected: Vec<f32> = [0, 1, 3, 4, 6, 7, 9].iter().flat_map(|index| [*index as f32; 3]).collect();
            assert_eq!(pixels, expected, "{workers} workers");
            let failures: Vec<_> = batches.iter().flat_map(|batch| &batch.failures).collect();
            let messages: Vec<_> = failures.iter().map(|(index, error)| (*index, error.to_string())).collect();
            let report = |index: usize, message: &str| {
                (index, format!("decoding `{index}` panicked: {message}; please report the file as a bug"))
            };
            let expected = [report(2, "image \\u{1b}2"), report(5, "plain"), report(8, "no message")];
            assert_eq!(messages, expected, "{workers} workers");
            let warned: Vec<_> = batches.iter().flat_map(|batch| &batch.warnings).map(|(index, _)| *index).collect();
            assert_eq!(warned, [1, 3, 7, 9], "{workers} workers");
        }
    }

    /// However far ahead the workers get.
    #[test]
    fn buffers_are_those_of_the_start() {
        for (workers, expected) in [(0, 4), (1, 10), (3, 10)] {
            let options = LoaderOptions { workers, batch_size: 4, prefetch: 6, ..LoaderOptions::default() };
            let seen = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
            let addresses = Arc::clone(&seen);
            let loader = Loader::with(samples(100), all(100), 1, &options, move |_, _, _, out| {
                // Those of the start are no numbers, one that is made later would be zeros.
                assert!(!lock(&addresses).insert(out.as_ptr() as usize) || out[0].is_nan());
                out.fill(0.0);
                Ok(vec![])
            })
            .expect("good options");
            assert_eq!(loader.map(|batch| batch.images.len()).sum::<usize>(), 100);
            assert!(lock(&seen).len() <= expected, "{workers} workers");
        }
    }

    #[test]
    fn a_stuck_decoder_costs_one_image_and_gives_its_core_back() {
        let cores = Arc::new(CoreBudget::new(1));
        let timeout = Duration::from_millis(100);
        let options = LoaderOptions {
            workers: 2,
            batch_size: 4,
            prefetch: 8,
            cores: Some(Arc::clone(&cores)),
            timeout,
            ..LoaderOptions::default()
        };
        let (release, stuck) = std::sync::mpsc::channel::<()>();
        let stuck = Mutex::new(stuck);
        let mut loader = Loader::with(samples(10), all(10), 1, &options, move |_, permits, ordered, out| {
            let index = ordered.index;
            let _permit = permits.acquire(ordered.position);
            out.fill(index as f32);
            // Not before the other end is gone.
            if index == 5 {
                let _ = lock(&stuck).recv();
            }
            Ok(vec![])
        })
        .expect("good options");
        let rows: Vec<_> = (&mut loader).map(|batch| (batch.samples, batch.failures.len())).collect();
        assert_eq!(rows, [(vec![0, 1, 2, 3], 0), (vec![4, 6, 7], 1), (vec![8, 9], 0)]);
        // All cores are free although sample 5 is still at it.
        assert_eq!(cores.acquire(1).count(), 1);
        drop(loader);
        drop(release);
    }
}

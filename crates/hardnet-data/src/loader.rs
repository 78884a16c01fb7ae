//! Batches of tensors from samples: files are read, decoded and preprocessed by worker threads, ahead of the network.
//!
//! The batches are the same whatever the number of workers, and an image that cannot be loaded costs only itself: it is
//! reported in the batch in which its row would have been, and no other sample moves to another batch.
//!
//! A [`Loader`] prepares images by one pipeline. A [`PipelinesLoader`] prepares each by several: it reads the file
//! once, and decodes it once for all pipelines that decode it alike.

mod batch;
mod error;
mod file;
mod image_tensor;
mod options;
mod order;
mod permits;
#[cfg(test)]
mod tests;
mod training_epoch;

use std::iter::FusedIterator;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use batch::{Batch, ImageInfo};
pub use error::{LoaderError, SampleError};
pub use image_tensor::ImageTensor;
pub use options::LoaderOptions;
pub use training_epoch::TrainingEpoch;

use crate::{DecodeWarning, Image, ParallelMap, Pipeline, PipelineError, Purpose, RandomStream, Resizer, Sample};
use image_tensor::TensorPool;
use order::{Order, OrderedSample};
use permits::ImagePermits;

/// The largest image file read, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// The most bytes of tensors a batch may have, and the images decoded ahead together; of all pipelines together.
pub const MAX_TENSOR_BYTES: u64 = 4 << 30;

/// An iterator over the batches of some samples, in their order.
///
/// Dropping it early waits for the images in work, no longer.
pub struct Loader(Batches);

/// An iterator over the batches of some samples, in their order, each prepared by several pipelines: an item has a
/// batch for each pipeline, in the order of the pipelines, equal to that of a [`Loader`] of this pipeline alone.
///
/// Every file is read once. It is decoded once for all pipelines that decode it alike: Pillow's decoding serves those
/// of OpenCV too if the file is an upright JPEG, but for CMYK.
///
/// Dropping it early waits for the images in work, no longer.
pub struct PipelinesLoader(Batches);

/// An image prepared by one pipeline: its tensor, its size and its warnings.
type Loaded<T> = Result<(T, ImageInfo, Vec<DecodeWarning>), SampleError>;

/// The outcome of loading an image, for each pipeline; the tensors are elsewhere.
type Outcomes = Vec<Loaded<()>>;

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
        Batches::in_order(samples.into(), vec![pipeline], options).map(Self)
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
        let TrainingEpoch { order, repeats, augmentation, seed, number } = epoch;
        augmentation.validate()?;
        let samples = samples.into();
        if let Some(&index) = order.iter().find(|&&index| index as usize >= samples.len()) {
            return Err(LoaderError::Order { index, samples: samples.len() });
        }
        let order = Order { count: order.len(), indices: Some(order), repeats };
        let prepare = move |pipeline: &Pipeline,
                            ordered: OrderedSample,
                            resizer: &mut Resizer,
                            image: &Image,
                            out: &mut [f32]| {
            let random = RandomStream::new(seed, Purpose::Augmentation, [number, ordered.index as u32]);
            let mut random = random.repeated(ordered.repeat);
            augmentation.tensor_with(pipeline, resizer, image, &mut random, out)
        };
        Batches::decoding(samples, order, vec![pipeline], options, prepare).map(Self)
    }
}

impl PipelinesLoader {
    /// Starts loading `samples`, a vector or one that is shared; it is not copied. Without pipelines nothing is loaded,
    /// and batches are empty lists.
    ///
    /// # Errors
    ///
    /// As [`Loader::new`]; the limit of memory is that of all pipelines together.
    pub fn new(
        samples: impl Into<Arc<Vec<Sample>>>,
        pipelines: Vec<Pipeline>,
        options: LoaderOptions,
    ) -> Result<Self, LoaderError> {
        Batches::in_order(samples.into(), pipelines, options).map(Self)
    }
}

/// The batches of some samples, one for each pipeline.
struct Batches {
    images: ParallelMap<(usize, Vec<Loaded<ImageTensor>>)>,
    pipelines: usize,
    batch_size: usize,
    total: usize,
    /// The first sample of the next batch, by its position.
    next: usize,
}

impl Batches {
    /// Loads all samples as the pipelines say.
    fn in_order(
        samples: Arc<Vec<Sample>>,
        pipelines: Vec<Pipeline>,
        options: LoaderOptions,
    ) -> Result<Self, LoaderError> {
        let order = Order { count: samples.len(), ..Order::default() };
        let prepare = |pipeline: &Pipeline, _: OrderedSample, resizer: &mut Resizer, image: &Image, out: &mut [f32]| {
            pipeline.tensor_with(resizer, image, out)
        };
        Self::decoding(samples, order, pipelines, options, prepare)
    }

    /// Reads and decodes the samples of `order` and makes tensors of them by `prepare`, one for each pipeline.
    fn decoding(
        samples: Arc<Vec<Sample>>,
        order: Order,
        pipelines: Vec<Pipeline>,
        options: LoaderOptions,
        prepare: impl Fn(&Pipeline, OrderedSample, &mut Resizer, &Image, &mut [f32]) -> Result<(), PipelineError>
        + Send
        + Sync
        + 'static,
    ) -> Result<Self, LoaderError> {
        pipelines.iter().try_for_each(Pipeline::validate)?;
        let isa = options.isa;
        let crops: Vec<u32> = pipelines.iter().map(|pipeline| pipeline.crop).collect();
        let steps = |pipeline: Pipeline| file::Steps {
            decode: pipeline.decode_options().limits(options.limits.clone()),
            pipeline,
        };
        let steps: Vec<file::Steps> = pipelines.into_iter().map(steps).collect();
        // As many as images were ever in work at once; one that a panic cut short is not used again.
        let free = Mutex::new(Vec::new());
        let load = move |sample: &Sample, permits: &ImagePermits, ordered: OrderedSample, outs: &mut [ImageTensor]| {
            let new = || file::Workspace::new(isa, steps.len());
            let mut workspace: file::Workspace = lock(&free).pop().unwrap_or_else(new);
            let prepare = |pipeline: &Pipeline, resizer: &mut Resizer, image: &Image, out: &mut [f32]| {
                prepare(pipeline, ordered, resizer, image, out)
            };
            let acquire = || permits.acquire(ordered.position);
            let loaded = file::load(sample, &steps, acquire, prepare, &mut workspace, outs);
            lock(&free).push(workspace);
            loaded
        };
        Self::with(samples, order, &crops, &options, load)
    }

    /// Loads images `[3, crop, crop]`, one for each of `crops`, by `load`.
    fn with(
        samples: Arc<Vec<Sample>>,
        order: Order,
        crops: &[u32],
        options: &LoaderOptions,
        load: impl Fn(&Sample, &ImagePermits, OrderedSample, &mut [ImageTensor]) -> Outcomes + Send + Sync + 'static,
    ) -> Result<Self, LoaderError> {
        if options.batch_size == 0 {
            return Err(LoaderError::ZeroBatchSize);
        }
        let (total, pipelines) = (order.count, crops.len());
        check_memory("batch_size", options.batch_size, total, crops)?;
        check_memory("prefetch", options.prefetch, total, crops)?;
        let ahead = if options.workers == 0 { 0 } else { options.prefetch };
        let most = ahead.saturating_add(options.batch_size).min(total);
        let pools: Vec<_> = crops.iter().map(|&crop| TensorPool::new(3 * (crop as usize).pow(2), most)).collect();
        let permits = Arc::new(ImagePermits::new(options.cores.clone()));
        let order = Arc::new(order);
        let (all, shared, sample_order) = (Arc::clone(&samples), Arc::clone(&permits), Arc::clone(&order));
        let images = ParallelMap::new(options.workers, options.prefetch, total, move |position| {
            let ordered = sample_order.at(position);
            let sample = &all[ordered.index];
            let mut tensors: Vec<ImageTensor> = pools.iter().map(TensorPool::take).collect();
            let loaded = file::guarded(sample, pipelines, || load(sample, &shared, ordered, &mut tensors));
            let loaded = loaded.into_iter().zip(tensors);
            let loaded = loaded.map(|(loaded, tensor)| loaded.map(|((), info, warnings)| (tensor, info, warnings)));
            (ordered.index, loaded.collect())
        });
        let seconds = options.timeout.as_secs();
        let images = images.with_timeout(options.timeout, move |position| {
            permits.release(position);
            let index = order.at(position).index;
            let late = || Err(SampleError::TimedOut { path: samples[index].path().into_owned(), seconds });
            (index, (0..pipelines).map(|_| late()).collect())
        });
        Ok(Self { images, pipelines, batch_size: options.batch_size, total, next: 0 })
    }

    fn next(&mut self) -> Option<Vec<Batch>> {
        let range = self.next..self.total.min(self.next.saturating_add(self.batch_size));
        if range.is_empty() {
            return None;
        }
        self.next = range.end;
        let mut batches: Vec<Batch> = (0..self.pipelines).map(|_| Batch::of(range.clone())).collect();
        for (index, loaded) in self.images.by_ref().take(range.len()) {
            for (batch, loaded) in batches.iter_mut().zip(loaded) {
                batch.push(index, loaded);
            }
        }
        Some(batches)
    }

    fn left(&self) -> usize {
        (self.total - self.next).div_ceil(self.batch_size)
    }
}

/// Nothing here panics while it holds a lock, so what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether `value` of `total` images, each with a tensor for each of `crops`, fit in [`MAX_TENSOR_BYTES`].
fn check_memory(option: &'static str, value: usize, total: usize, crops: &[u32]) -> Result<(), LoaderError> {
    let image_bytes: u64 = crops.iter().map(|&crop| 3 * size_of::<f32>() as u64 * u64::from(crop).pow(2)).sum();
    let most = MAX_TENSOR_BYTES.checked_div(image_bytes).unwrap_or(u64::MAX);
    if value.min(total) as u64 > most {
        let crop = crops.iter().copied().max().unwrap_or(0);
        return Err(LoaderError::TooMuchMemory { option, value, crop, limit: MAX_TENSOR_BYTES, most });
    }
    Ok(())
}

impl Iterator for Loader {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.0.next().map(|mut batches| batches.swap_remove(0))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left(), Some(self.0.left()))
    }
}

impl Iterator for PipelinesLoader {
    type Item = Vec<Batch>;

    fn next(&mut self) -> Option<Vec<Batch>> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left(), Some(self.0.left()))
    }
}

impl ExactSizeIterator for Loader {}

impl FusedIterator for Loader {}

impl ExactSizeIterator for PipelinesLoader {}

impl FusedIterator for PipelinesLoader {}

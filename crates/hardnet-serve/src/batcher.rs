//! Images of many callers, computed together.
//!
//! An image passes through three places: a slot of the bounded queue, a thread that decodes it, and the thread of the
//! network, which takes what is ready when it is free, without waiting for more. A slot is held from the moment that an
//! image is accepted until it is answered. Before each step, images are dropped whose caller is gone or whose deadline
//! has passed. A file is decoded only while few prepared images wait, and take less memory than they may: they can be a
//! hundred times as large as their files.

mod decode;
mod measure;
mod queue;

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::measures::{Counter, Histogram};
use crate::network::{ComputeError, ImageNetwork, Prepared};
use crate::workers::Workers;
use decode::Decoder;
use queue::{Entry, Pending, Queue, Undecoded};

/// Options of a [`Batcher`].
///
/// ```
/// use hardnet_serve::BatcherOptions;
///
/// let options = BatcherOptions::default().capacity(32).batch_size(4);
/// assert_eq!((options.capacity, options.batch_size), (32, Some(4)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatcherOptions {
    /// Images that are accepted and not answered yet, at most; by default 128.
    pub capacity: usize,
    /// Images that are computed together, at most; by default the smallest number that reaches the network's
    /// throughput, of those that are measured within 150 ms at the start.
    pub batch_size: Option<usize>,
    /// The largest number that may be measured; by default 8.
    pub max_batch_size: usize,
    /// Pixels of an image file, at most; by default 50 million.
    pub max_pixels: u64,
    /// Memory of prepared images that wait, in bytes, from which on no file is decoded; by default 256 MiB. Those that
    /// are being decoded then add to it, one for each thread.
    pub prepared_memory: usize,
}

impl Default for BatcherOptions {
    fn default() -> Self {
        Self { capacity: 128, batch_size: None, max_batch_size: 8, max_pixels: 50_000_000, prepared_memory: 256 << 20 }
    }
}

impl BatcherOptions {
    /// Sets [`capacity`](Self::capacity), at least 1.
    pub fn capacity(mut self, images: usize) -> Self {
        self.capacity = images.max(1);
        self
    }

    /// Sets [`batch_size`](Self::batch_size), at least 1, so that it is not measured.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.batch_size = Some(images.max(1));
        self
    }

    /// Sets [`max_batch_size`](Self::max_batch_size), at least 1.
    pub fn max_batch_size(mut self, images: usize) -> Self {
        self.max_batch_size = images.max(1);
        self
    }

    /// Sets [`max_pixels`](Self::max_pixels).
    pub fn max_pixels(mut self, pixels: u64) -> Self {
        self.max_pixels = pixels;
        self
    }

    /// Sets [`prepared_memory`](Self::prepared_memory).
    pub fn prepared_memory(mut self, bytes: usize) -> Self {
        self.prepared_memory = bytes;
        self
    }
}

/// An image to compute.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// The content of an image file.
    File(Bytes),
    /// A prepared image, `[channels, side, side]`.
    Tensor(Vec<f32>),
}

/// The values of an image, and how they came about.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The network's row: logits or an embedding.
    pub values: Vec<f32>,
    /// Columns and rows of an image file; zero for a tensor.
    pub size: (usize, usize),
    /// Losses of decoding, in words.
    pub warnings: Vec<String>,
    /// Images that were computed together with it, and itself.
    pub batch: usize,
    /// Time to decode and prepare the image.
    pub decode: Duration,
    /// Time that the prepared image waited.
    pub wait: Duration,
    /// Time to compute the batch.
    pub compute: Duration,
}

/// An answer to come. Dropping it cancels the image.
#[derive(Debug)]
pub struct Reply(oneshot::Receiver<Result<Answer, Failure>>);

impl Reply {
    /// Waits for the answer; for threads that run no asynchronous tasks.
    ///
    /// # Errors
    ///
    /// [`Failure`], as the image's future has it.
    pub fn wait(self) -> Result<Answer, Failure> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(lost()))
    }
}

impl Future for Reply {
    type Output = Result<Answer, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|received| received.unwrap_or_else(|_| Err(lost())))
    }
}

/// The failure of an image whose sender is gone without an answer.
fn lost() -> Failure {
    Failure::Internal("a panic in the queue of images".into())
}

/// Counts of a batcher.
#[derive(Debug)]
#[non_exhaustive]
pub struct Statistics {
    /// Images of each batch.
    pub batch_images: Histogram,
    /// Seconds to decode and prepare each image file.
    pub decode_seconds: Histogram,
    /// Seconds that each prepared image waited.
    pub wait_seconds: Histogram,
    /// Seconds to compute each batch.
    pub compute_seconds: Histogram,
    /// Images with an answer.
    pub answered: Counter,
    /// Images that could not be decoded or computed.
    pub failed: Counter,
    /// Images refused because too many waited. A request that is refused before it is read counts as one.
    pub overloaded: Counter,
    /// Images dropped because their deadline had passed.
    pub expired: Counter,
    /// Images dropped because their caller was gone.
    pub cancelled: Counter,
}

impl Default for Statistics {
    fn default() -> Self {
        let seconds = || Histogram::new(Histogram::SECONDS);
        Self {
            batch_images: Histogram::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
            decode_seconds: seconds(),
            wait_seconds: seconds(),
            compute_seconds: seconds(),
            answered: Counter::default(),
            failed: Counter::default(),
            overloaded: Counter::default(),
            expired: Counter::default(),
            cancelled: Counter::default(),
        }
    }
}

/// A network with a bounded queue and a thread that computes it.
///
/// Dropping it answers what is accepted, then ends the thread.
pub struct Batcher {
    decoder: Arc<Decoder>,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why a batcher cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The network cannot compute an image of zeros.
    #[error("the network cannot compute its first image")]
    WarmUp(#[source] ComputeError),
    /// No thread can be had.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

impl Batcher {
    /// Computes images of zeros to warm up and to measure throughput, then takes images. `workers` decode files;
    /// several batchers may share them.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(
        network: Arc<dyn ImageNetwork>,
        workers: Arc<Workers>,
        options: &BatcherOptions,
    ) -> Result<Self, StartError> {
        let (smallest, largest) = match options.batch_size {
            Some(size) => (size, size),
            None => (1, options.max_batch_size),
        };
        // No batch is larger than the queue.
        let bounded = |size: usize| size.clamp(1, options.capacity.max(1));
        let measured =
            measure::throughput(&*network, bounded(smallest), bounded(largest)).map_err(StartError::WarmUp)?;
        let queue = Arc::new(Queue::new(options, measured, workers.threads()));
        let decoder = Decoder { network, workers, queue: Arc::clone(&queue), max_pixels: options.max_pixels };
        let decoder = Arc::new(decoder);
        let work = {
            let decoder = Arc::clone(&decoder);
            move || {
                while let Some((batch, released)) = decoder.queue.next_batch() {
                    (0..released).for_each(|_| decoder.decode_next());
                    compute(&*decoder.network, &decoder.queue, batch);
                }
            }
        };
        let thread = thread::Builder::new().name("network".into()).spawn(work).map_err(StartError::Thread)?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { decoder, queue, thread })
    }

    /// Takes the images of one request, all or none, to be answered until `deadline`. The order of the replies is that
    /// of the images.
    ///
    /// # Errors
    ///
    /// [`Failure::Overloaded`], [`Failure::TooManyImages`], [`Failure::Stopping`], [`Failure::Length`] and
    /// [`Failure::Value`], at once.
    pub fn submit(&self, images: Vec<Input>, deadline: Instant) -> Result<Vec<Reply>, Failure> {
        images.iter().try_for_each(|image| self.check(image))?;
        let slots = self.queue.reserve(images.len(), deadline)?;
        let start = |(image, slot)| {
            let (sender, receiver) = oneshot::channel();
            let pending = Pending::new(slot, deadline, sender);
            match image {
                Input::Tensor(tensor) => {
                    let prepared = Prepared { tensor, ..Prepared::default() };
                    self.queue.push(Entry::new(pending, prepared, Duration::ZERO));
                }
                Input::File(file) => self.decoder.decode(Undecoded { file, pending }),
            }
            Reply(receiver)
        };
        Ok(images.into_iter().zip(slots).map(start).collect())
    }

    /// Says before an image is there whether it would be refused, if it were to be answered until `deadline`.
    ///
    /// # Errors
    ///
    /// [`Failure::Overloaded`], which is counted, and [`Failure::Stopping`].
    pub fn check_room(&self, deadline: Instant) -> Result<(), Failure> {
        self.queue.check_room(deadline)
    }

    /// Checks a tensor. An activation may turn NaN into a number, and the answer would look right.
    fn check(&self, image: &Input) -> Result<(), Failure> {
        let Input::Tensor(tensor) = image else { return Ok(()) };
        let (expected, found) = (self.decoder.network.input_len(), tensor.len());
        if found != expected {
            return Err(Failure::Length { expected, found });
        }
        match tensor.iter().position(|value| !value.is_finite()) {
            Some(position) => Err(Failure::Value { position }),
            None => Ok(()),
        }
    }

    /// Returns the counts.
    pub fn statistics(&self) -> &Statistics {
        self.queue.statistics()
    }

    /// Returns the number of images that are accepted and not answered yet.
    pub fn images(&self) -> usize {
        self.queue.images()
    }

    /// Returns the most images that are accepted and not answered yet.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Returns the most images that are computed together.
    pub fn batch_size(&self) -> usize {
        self.queue.batch_size()
    }

    /// Returns the images that are computed in a second, if enough wait.
    pub fn images_per_second(&self) -> f64 {
        self.queue.seconds_per_image().recip()
    }

    /// Refuses new images from now on, with [`Failure::Stopping`]. Accepted ones are answered.
    pub fn stop(&self) {
        self.queue.stop();
    }

    /// Stops, and waits until all accepted images are answered.
    pub fn join(&self) {
        self.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let own = thread::current().id();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != own) {
            let _ = thread.join();
        }
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.join();
    }
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batcher with {} of {} images", self.images(), self.capacity())
    }
}

/// Computes `batch` and answers it. Images that cannot be computed together are computed alone, so that one image does
/// not fail the others.
fn compute(network: &dyn ImageNetwork, queue: &Queue, batch: Vec<Entry>) {
    if batch.is_empty() {
        return;
    }
    let images: Vec<&Prepared> = batch.iter().map(Entry::image).collect();
    let start = Instant::now();
    let computed = guarded(network, &images);
    let took = start.elapsed();
    queue.computed(images.len(), took);
    match computed {
        Ok(rows) => {
            let size = batch.len();
            batch.into_iter().zip(rows).for_each(|(entry, values)| entry.answer(values, size, start, took));
        }
        Err(_) if batch.len() > 1 => batch.into_iter().for_each(|entry| compute(network, queue, vec![entry])),
        Err(failure) => batch.into_iter().for_each(|entry| entry.fail(failure.clone())),
    }
}

/// A row for each image; a panic is a failure.
fn guarded(network: &dyn ImageNetwork, images: &[&Prepared]) -> Result<Vec<Vec<f32>>, Failure> {
    match catch_unwind(AssertUnwindSafe(|| network.compute(images))) {
        Ok(Ok(rows)) if rows.len() == images.len() => Ok(rows),
        Ok(Ok(rows)) => Err(Failure::Internal(format!("{} rows for {} images", rows.len(), images.len()))),
        Ok(Err(ComputeError::NotFinite)) => Err(Failure::NotFinite),
        Ok(Err(ComputeError::Image(reason))) => Err(Failure::Image(reason)),
        Ok(Err(error)) => Err(Failure::Internal(error.to_string())),
        Err(_) => Err(Failure::Internal("a panic in the network".into())),
    }
}

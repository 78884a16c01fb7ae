//! The bounded queue of a batcher.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::oneshot;

use super::measure::Measured;
use super::{Answer, BatcherOptions, Statistics};
use crate::failure::Failure;
use crate::network::Prepared;

/// Weight of the newest time in the running mean.
const NEWEST: f64 = 0.1;

/// Prepared images that wait at most, relative to what is computed or decoded at a time. More would only take memory,
/// and the time of decoding from images that come before them.
const AHEAD: usize = 2;

/// Share of the time until its deadline within which an image must be expected to be done. On a machine with other
/// work, speed falls by a third from one second to the next, and an answer that comes too late is computed for nothing.
const EXPECTED: f64 = 2.0 / 3.0;

/// Images that are accepted: as slots, and those that are prepared in their order.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    capacity: usize,
    prepared_memory: usize,
    batch: usize,
    decoders: usize,
    /// Prepared images that wait, from which on no file is decoded.
    ahead: usize,
    compute: RunningMean,
    decode: RunningMean,
    statistics: Statistics,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// Memory of their images, in bytes.
    bytes: usize,
    /// Files that are not decoded yet, in their order, and how many of them no worker was told of: they wait until
    /// there is room for their prepared images. There are some only while there are entries or a worker has a file,
    /// and each next batch releases some of them.
    files: VecDeque<Undecoded>,
    held: usize,
    /// Images that hold a slot.
    images: usize,
    stopping: bool,
}

/// Seconds per image.
struct RunningMean(AtomicU64);

impl RunningMean {
    fn new(seconds: f64) -> Self {
        Self(AtomicU64::new(seconds.to_bits()))
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Counts `seconds` in. The first time counts in full.
    fn observe(&self, seconds: f64) {
        let mean = |old: f64| if old > 0.0 { old + NEWEST * (seconds - old) } else { seconds };
        let update = |bits| Some(mean(f64::from_bits(bits)).to_bits());
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }
}

impl Queue {
    pub(super) fn new(options: &BatcherOptions, measured: Measured, decoders: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            capacity: options.capacity,
            prepared_memory: options.prepared_memory,
            batch: measured.batch,
            decoders,
            ahead: AHEAD * measured.batch.max(decoders),
            compute: RunningMean::new(measured.seconds_per_image),
            decode: RunningMean::new(0.0),
            statistics: Statistics::default(),
        }
    }

    pub(super) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn batch_size(&self) -> usize {
        self.batch
    }

    pub(super) fn images(&self) -> usize {
        self.lock().images
    }

    /// Time between two answers where images wait: of the slower of decoding and the network.
    pub(super) fn seconds_per_image(&self) -> f64 {
        self.compute.get().max(self.decode.get() / self.decoders as f64)
    }

    /// Counts the time of an image's decoding.
    pub(super) fn decoded(&self, took: Duration) {
        self.decode.observe(took.as_secs_f64());
        self.statistics.decode_seconds.observe(took.as_secs_f64());
    }

    /// Counts the time of a batch. A smaller one says what the network can do where it is faster than the mean: images
    /// of full batches take no longer, and while the mean is too long, few images are accepted at a time.
    pub(super) fn computed(&self, images: usize, took: Duration) {
        let per_image = took.as_secs_f64() / images as f64;
        if images == self.batch || per_image < self.compute.get() {
            self.compute.observe(per_image);
        }
        self.statistics.batch_images.observe(images as f64);
        self.statistics.compute_seconds.observe(took.as_secs_f64());
    }

    /// Takes slots for `count` images, unless the queue has no room or may not come to them before `deadline`.
    pub(super) fn reserve(self: &Arc<Self>, count: usize, deadline: Instant) -> Result<Vec<Slot>, Failure> {
        if count > self.capacity {
            return Err(Failure::TooManyImages { found: count, limit: self.capacity });
        }
        let mut state = self.lock();
        self.check(&state, count, deadline)?;
        state.images += count;
        Ok((0..count).map(|_| Slot(Arc::clone(self))).collect())
    }

    /// The failure of an image that came now, if it would be refused.
    pub(super) fn check_room(&self, deadline: Instant) -> Result<(), Failure> {
        self.check(&self.lock(), 1, deadline)
    }

    fn check(&self, state: &State, count: usize, deadline: Instant) -> Result<(), Failure> {
        if state.stopping {
            return Err(Failure::Stopping);
        }
        let per_image = self.seconds_per_image();
        let seconds = |images: usize| images as f64 * per_image;
        let time = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        // Seconds until there is room in the queue, and until the deadline is far enough.
        let room = seconds((state.images + count).saturating_sub(self.capacity));
        let late = if state.images > 0 { seconds(state.images + count) - EXPECTED * time } else { 0.0 };
        if room > 0.0 || late > 0.0 {
            self.statistics.overloaded.add(count);
            let retry_after = Duration::from_secs(room.max(late).ceil().clamp(1.0, 3600.0) as u64);
            return Err(Failure::Overloaded { retry_after });
        }
        Ok(())
    }

    /// Adds a file, for which a worker then asks for the [next](Self::next_file).
    pub(super) fn push_file(&self, file: Undecoded) {
        self.lock().files.push_back(file);
    }

    /// The file to decode now, none where enough prepared images wait: a worker is to ask again after a
    /// [next batch](Self::next_batch).
    pub(super) fn next_file(&self) -> Option<Undecoded> {
        let mut state = self.lock();
        let has_room = state.entries.len() < self.ahead && state.bytes < self.prepared_memory;
        if has_room || state.entries.is_empty() {
            return state.files.pop_front();
        }
        state.held += 1;
        None
    }

    /// Adds a prepared image.
    pub(super) fn push(&self, entry: Entry) {
        let mut state = self.lock();
        state.bytes += entry.prepared.bytes();
        state.entries.push_back(entry);
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for images, and takes as many as may be computed together; also the number of files for which there is
    /// room now, and workers are to ask. The batch may be empty, where all were dropped; `None` where there will be
    /// no more.
    pub(super) fn next_batch(&self) -> Option<(Vec<Entry>, usize)> {
        let mut state = self.lock();
        while state.entries.is_empty() {
            if state.stopping && state.images == 0 {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let (now, mut batch, mut dropped) = (Instant::now(), Vec::new(), Vec::new());
        while batch.len() < self.batch
            && let Some(entry) = state.entries.pop_front()
        {
            state.bytes -= entry.prepared.bytes();
            if entry.pending.is_live(now) { batch.push(entry) } else { dropped.push(entry) }
        }
        let released = state.held.min(self.ahead.saturating_sub(state.entries.len()));
        state.held -= released;
        // The slots of dropped entries take the lock.
        drop(state);
        dropped.into_iter().for_each(|entry| drop(entry.pending.live(now)));
        Some((batch, released))
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of an accepted image.
pub(super) struct Slot(Arc<Queue>);

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.images -= 1;
        if state.stopping && state.images == 0 {
            drop(state);
            self.0.wake.notify_all();
        }
    }
}

/// An accepted image that is not answered yet.
pub(super) struct Pending {
    slot: Slot,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answer, Failure>>,
}

impl Pending {
    pub(super) fn new(slot: Slot, deadline: Instant, reply: oneshot::Sender<Result<Answer, Failure>>) -> Self {
        Self { slot, deadline, reply }
    }

    fn is_live(&self, now: Instant) -> bool {
        now <= self.deadline && !self.reply.is_closed()
    }

    /// The image, unless its deadline has passed or its caller is gone. Callers leave at the deadline.
    pub(super) fn live(self, now: Instant) -> Option<Self> {
        let statistics = &self.slot.0.statistics;
        if now > self.deadline {
            statistics.expired.add(1);
            self.send(Err(Failure::Deadline));
            return None;
        }
        if self.reply.is_closed() {
            statistics.cancelled.add(1);
            return None;
        }
        Some(self)
    }

    pub(super) fn answer(self, answer: Result<Answer, Failure>) {
        let statistics = &self.slot.0.statistics;
        if answer.is_ok() { &statistics.answered } else { &statistics.failed }.add(1);
        self.send(answer);
    }

    /// Gives the slot back and answers, in this order: a caller may ask again at once.
    fn send(self, answer: Result<Answer, Failure>) {
        let Self { slot, reply, .. } = self;
        drop(slot);
        // The caller may be gone.
        let _ = reply.send(answer);
    }
}

/// An image file that is not decoded yet.
pub(super) struct Undecoded {
    pub(super) file: Bytes,
    pub(super) pending: Pending,
}

/// A prepared image.
pub(super) struct Entry {
    pending: Pending,
    prepared: Prepared,
    decode: Duration,
    ready: Instant,
}

impl Entry {
    pub(super) fn new(pending: Pending, prepared: Prepared, decode: Duration) -> Self {
        Self { pending, prepared, decode, ready: Instant::now() }
    }

    pub(super) fn image(&self) -> &Prepared {
        &self.prepared
    }

    /// Answers with `values`, computed in a batch of `batch` images from `start` on, for `compute`.
    pub(super) fn answer(self, values: Vec<f32>, batch: usize, start: Instant, compute: Duration) {
        let Self { pending, prepared: Prepared { size, warnings, .. }, decode, ready } = self;
        let wait = start.saturating_duration_since(ready);
        pending.slot.0.statistics.wait_seconds.observe(wait.as_secs_f64());
        pending.answer(Ok(Answer { values, size, warnings, batch, decode, wait, compute }));
    }

    pub(super) fn fail(self, failure: Failure) {
        self.pending.answer(Err(failure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_accepted_that_come_in_time_on_a_slower_machine_too() {
        let measured = Measured { batch: 1, seconds_per_image: 1.0 };
        let queue = Arc::new(Queue::new(&BatcherOptions::default().capacity(16), measured, 1));
        let deadline = Instant::now() + Duration::from_secs(10);
        let slots: Vec<Slot> = (0..).map_while(|_| queue.reserve(1, deadline).ok()?.pop()).collect();
        assert_eq!(slots.len(), 6);
    }

    #[test]
    fn a_queue_recovers_from_a_batch_that_took_long() {
        let queue =
            Queue::new(&BatcherOptions::default().capacity(16), Measured { batch: 8, seconds_per_image: 0.001 }, 1);
        let queue = Arc::new(queue);
        let accepted = || {
            let slots = queue.reserve(2, Instant::now() + Duration::from_secs(10));
            slots.and_then(|_slots| queue.reserve(1, Instant::now() + Duration::from_secs(10)).map(drop)).is_ok()
        };
        assert!(accepted());
        queue.computed(8, Duration::from_secs(600));
        assert!(!accepted());
        // Two images are not accepted together, so that no batch is full.
        let batches = (0..100).take_while(|_| !accepted());
        assert!(batches.inspect(|_| queue.computed(1, Duration::from_millis(2))).count() < 15);
        let before = queue.seconds_per_image();
        queue.computed(1, Duration::from_secs(5));
        assert_eq!(queue.seconds_per_image(), before, "a small batch may be slow for its size");
    }
}

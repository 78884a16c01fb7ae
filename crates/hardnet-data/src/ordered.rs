//! An ordered parallel map of bounded lookahead on plain threads.
//!
//! Decoding is slow and uneven, and results must come in list order whatever the number of workers. rayon's bridges
//! give up either the order or the bound; a pool that runs at most `window` items ahead of its consumer keeps both.
//! The invariant: with c items handed to the consumer, only the items c .. c + window are in work or finished.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// More threads than this are never started, whatever `workers` asks for.
const MAX_WORKERS: usize = 512;

type Function<T> = Arc<dyn Fn(usize) -> T + Send + Sync>;

/// An iterator over f(0), f(1), .. f(count - 1), in this order, computed ahead by worker threads.
///
/// Never more than `window` items are in work or finished and not yet taken. Dropping the iterator starts no further
/// item, waits for those in work and joins the threads.
///
/// A panic inside `f` is re-raised, with its payload, by the [`next`](Iterator::next) call whose turn that item is; if
/// the caller catches it, the iterator goes on with the following item.
pub struct OrderedMap<T> {
    shared: Arc<Shared<T>>,
    function: Function<T>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signalled when an item is taken, the last item is started, or the map is dropped: workers wait on it.
    room: Condvar,
    /// Signalled when an item is finished: the consumer waits on it.
    ready: Condvar,
    window: usize,
    count: usize,
}

struct State<T> {
    /// The next item to start.
    started: usize,
    /// The next item to hand to the consumer.
    taken: usize,
    /// Finished items: entry k is item `taken + k`, `None` while it is in work.
    finished: VecDeque<Option<thread::Result<T>>>,
    stopped: bool,
}

impl<T: Send + 'static> OrderedMap<T> {
    /// Starts up to `workers` threads on the items 0..`count`, at most `window` of them ahead of the consumer.
    ///
    /// With 0 workers each item is computed by the call that takes it, and nothing runs ahead. A window of 0 means 1.
    /// If the system refuses some of the threads the map runs on those it got, in the caller if there are none.
    pub fn new(workers: usize, window: usize, count: usize, f: impl Fn(usize) -> T + Send + Sync + 'static) -> Self {
        let window = window.max(1);
        let state = State { started: 0, taken: 0, finished: VecDeque::new(), stopped: false };
        let shared = Shared { state: Mutex::new(state), room: Condvar::new(), ready: Condvar::new(), window, count };
        let (shared, function): (_, Function<T>) = (Arc::new(shared), Arc::new(f));
        let mut threads = Vec::new();
        for index in 0..workers.min(window).min(count).min(MAX_WORKERS) {
            let (shared, function) = (Arc::clone(&shared), Arc::clone(&function));
            let thread = thread::Builder::new().name(format!("hardnet-data-{index}"));
            match thread.spawn(move || work(&shared, &*function)) {
                Ok(thread) => threads.push(thread),
                Err(_) => break,
            }
        }
        Self { shared, function, threads }
    }
}

/// The life of a worker: start the next item as soon as the window has room, until there is none.
fn work<T>(shared: &Shared<T>, function: &(dyn Fn(usize) -> T + Send + Sync)) {
    while let Some(index) = shared.start() {
        // Nothing of the map is borrowed during the call; what `function` shares is behind its own locks.
        let result = catch_unwind(AssertUnwindSafe(|| function(index)));
        shared.finish(index, result);
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The lock is never held while foreign code runs, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room in the window and claims an item; `None` when all are claimed or the map is dropped.
    fn start(&self) -> Option<usize> {
        let mut state = self.lock();
        while !state.stopped && state.started < self.count && state.started - state.taken >= self.window {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped || state.started == self.count {
            return None;
        }
        let index = state.started;
        state.started += 1;
        if state.started == self.count {
            self.room.notify_all();
        }
        Some(index)
    }

    fn finish(&self, index: usize, result: thread::Result<T>) {
        let mut state = self.lock();
        let slot = index - state.taken;
        if state.finished.len() <= slot {
            state.finished.resize_with(slot + 1, || None);
        }
        state.finished[slot] = Some(result);
        self.ready.notify_one();
    }

    /// Waits for the next item in order and takes it; `None` after the last.
    fn take(&self) -> Option<thread::Result<T>> {
        let mut state = self.lock();
        if state.taken == self.count {
            return None;
        }
        while !matches!(state.finished.front(), Some(Some(_))) {
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.taken += 1;
        self.room.notify_one();
        state.finished.pop_front().flatten()
    }
}

impl<T> Iterator for OrderedMap<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.threads.is_empty() {
            let index = {
                let mut state = self.shared.lock();
                let index = (state.taken < self.shared.count).then_some(state.taken)?;
                state.taken += 1;
                index
            };
            return Some((self.function)(index));
        }
        Some(self.shared.take()?.unwrap_or_else(|payload| resume_unwind(payload)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.shared.count - self.shared.lock().taken;
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for OrderedMap<T> {}

impl<T> FusedIterator for OrderedMap<T> {}

impl<T> Drop for OrderedMap<T> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches the panics of its items, so there is no result to look at.
            let _ = thread.join();
        }
    }
}

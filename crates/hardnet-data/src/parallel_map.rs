//! A parallel map that keeps the order of its items and bounds how far it runs ahead.
//!
//! Decoding is slow and uneven, and results must come in the order of the list for any number of workers. A queue of
//! finished items gives up the order; collecting everything first gives up the bound on memory. Here the items between
//! the consumer and the workers form a window of fixed size:
//!
//! ```text
//!   0 1 2 3 | 4 5 6 7 8 9 | 10 11 ..
//!   taken   | window of 6 | not started
//!             F W F F W W   F finished, W in work
//! ```
//!
//! A worker claims the next item that is not started, if the window has room, and leaves its result in the item's slot.
//! The consumer waits for the first slot, here 4, takes it, and the window moves by one. The invariant: with `c` items
//! taken, only the items `c .. c + window` are in work or finished.
//!
//! A thread cannot be stopped from outside. With a timeout, the consumer gives up an item that is not ready in time: it
//! uses a substitute, abandons the thread, and starts another in its place.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// More threads than this are never started, whatever `workers` asks for.
const MAX_WORKERS: usize = 512;

type Function<T> = Arc<dyn Fn(usize) -> T + Send + Sync>;

/// How long the consumer waits for an item, and the substitute for one that is late.
struct Fallback<T> {
    timeout: Duration,
    instead: Box<dyn Fn(usize) -> T + Send + Sync>,
}

/// An iterator over f(0), f(1), .. f(count - 1), in this order, computed ahead by worker threads.
///
/// Never more than `window` items are in work or finished and not yet taken. Dropping the iterator starts no further
/// item, waits for those in work, at most for the [timeout](Self::with_timeout), and joins the threads.
///
/// A panic inside `f` is re-raised, with its payload, by the [`next`](Iterator::next) call whose turn that item is; if
/// the caller catches it, the iterator goes on with the following item.
pub struct ParallelMap<T> {
    shared: Arc<Shared<T>>,
    function: Function<T>,
    threads: Vec<JoinHandle<()>>,
    fallback: Option<Fallback<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signaled when an item is taken, the last item is started, or the map is dropped: workers wait on it.
    room: Condvar,
    /// Signaled when an item is finished: the consumer waits on it.
    ready: Condvar,
    window: usize,
    count: usize,
}

struct State<T> {
    /// The next item to start.
    started: usize,
    /// The next item to hand to the consumer.
    taken: usize,
    /// The items that are started and not taken: entry k is item `taken + k`.
    items: VecDeque<Item<T>>,
    stopped: bool,
}

enum Item<T> {
    InWork(ThreadId),
    Finished(thread::Result<T>),
}

impl<T: Send + 'static> ParallelMap<T> {
    /// Starts up to `workers` threads on the items 0..`count`, at most `window` of them ahead of the consumer.
    ///
    /// With 0 workers each item is computed by the call that takes it, and nothing runs ahead. A window of 0 means 1.
    /// If the system refuses some of the threads the map runs on those it got, in the caller if there are none.
    pub fn new(workers: usize, window: usize, count: usize, f: impl Fn(usize) -> T + Send + Sync + 'static) -> Self {
        let window = window.max(1);
        let state = State { started: 0, taken: 0, items: VecDeque::new(), stopped: false };
        let shared = Shared { state: Mutex::new(state), room: Condvar::new(), ready: Condvar::new(), window, count };
        let mut map = Self { shared: Arc::new(shared), function: Arc::new(f), threads: Vec::new(), fallback: None };
        while map.threads.len() < workers.min(window).min(count).min(MAX_WORKERS) && map.spawn() {}
        map
    }

    /// Yields `instead(index)` in place of an item that a call has waited for longer than `timeout`.
    ///
    /// The thread that computes it is abandoned: it ends when the item does, if ever, and its result is dropped.
    /// Another thread is started in its place. With 0 workers every item is waited for.
    pub fn with_timeout(mut self, timeout: Duration, instead: impl Fn(usize) -> T + Send + Sync + 'static) -> Self {
        self.fallback = Some(Fallback { timeout, instead: Box::new(instead) });
        self
    }
}

impl<T: Send + 'static> ParallelMap<T> {
    /// Starts a worker, unless the system refuses.
    fn spawn(&mut self) -> bool {
        let (shared, function) = (Arc::clone(&self.shared), Arc::clone(&self.function));
        let thread = thread::Builder::new().name(format!("hardnet-data-{}", self.threads.len()));
        match thread.spawn(move || work(&shared, &*function)) {
            Ok(thread) => self.threads.push(thread),
            Err(_) => return false,
        }
        true
    }

    /// The next item by a worker, or what stands for it if it is late; `None` after the last.
    fn take(&mut self) -> Option<thread::Result<T>> {
        let timeout = self.fallback.as_ref().map(|fallback| fallback.timeout);
        let (index, taken) = self.shared.take(timeout)?;
        match (taken, &self.fallback) {
            (Item::Finished(result), _) => Some(result),
            (Item::InWork(thread), Some(fallback)) => {
                let instead = catch_unwind(AssertUnwindSafe(|| (fallback.instead)(index)));
                self.abandon(thread);
                // Without a thread left the consumer computes the rest.
                self.spawn();
                Some(instead)
            }
            (Item::InWork(_), None) => unreachable!("without a timeout an item is waited for"),
        }
    }
}

impl<T> ParallelMap<T> {
    /// Forgets a thread that does not come back.
    fn abandon(&mut self, id: ThreadId) {
        self.threads.retain(|thread| thread.thread().id() != id);
    }
}

/// The life of a worker: start the next item as soon as the window has room, until there is none.
fn work<T>(shared: &Shared<T>, function: &(dyn Fn(usize) -> T + Send + Sync)) {
    while let Some(index) = shared.start() {
        // Nothing of the map is borrowed during the call; what `function` shares is behind its own locks.
        let result = catch_unwind(AssertUnwindSafe(|| function(index)));
        if !shared.finish(index, result) {
            break;
        }
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
        state.items.push_back(Item::InWork(thread::current().id()));
        if state.started == self.count {
            self.room.notify_all();
        }
        Some(index)
    }

    /// Claims the next item for the consumer itself, if there is one and no worker has started it.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        let index = state.taken;
        if state.started > index || index == self.count {
            return None;
        }
        (state.started, state.taken) = (index + 1, index + 1);
        Some(index)
    }

    /// Hands in an item; false if it was given up, and the thread with it.
    fn finish(&self, index: usize, result: thread::Result<T>) -> bool {
        let mut state = self.lock();
        let Some(slot) = index.checked_sub(state.taken) else { return false };
        state.items[slot] = Item::Finished(result);
        self.ready.notify_one();
        true
    }

    /// Waits for the next item in order and takes it, with its number; in work if `timeout` ended before. `None` after
    /// the last.
    fn take(&self, timeout: Option<Duration>) -> Option<(usize, Item<T>)> {
        let since = Instant::now();
        let mut state = self.lock();
        if state.taken == self.count {
            return None;
        }
        loop {
            let late = timeout.is_some_and(|timeout| since.elapsed() >= timeout);
            match state.items.front() {
                Some(Item::Finished(_)) => break,
                Some(Item::InWork(_)) if late => break,
                _ => state = self.wait_ready(state, timeout),
            }
        }
        let index = state.taken;
        state.taken += 1;
        self.room.notify_one();
        state.items.pop_front().map(|item| (index, item))
    }

    fn wait_ready<'a>(&self, state: MutexGuard<'a, State<T>>, at_most: Option<Duration>) -> MutexGuard<'a, State<T>> {
        match at_most {
            None => self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(time) => self.ready.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    /// The threads that are at an item, after waiting for them for `timeout` at most.
    fn busy(&self, timeout: Option<Duration>) -> Vec<ThreadId> {
        let since = Instant::now();
        let mut state = self.lock();
        loop {
            let in_work = |item: &Item<T>| match item {
                Item::InWork(thread) => Some(*thread),
                Item::Finished(_) => None,
            };
            let busy: Vec<_> = state.items.iter().filter_map(in_work).collect();
            if busy.is_empty() || timeout.is_some_and(|timeout| since.elapsed() >= timeout) {
                return busy;
            }
            state = self.wait_ready(state, timeout);
        }
    }
}

impl<T: Send + 'static> Iterator for ParallelMap<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.threads.is_empty()
            && let Some(index) = self.shared.claim()
        {
            return Some((self.function)(index));
        }
        Some(self.take()?.unwrap_or_else(|payload| resume_unwind(payload)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.shared.count - self.shared.lock().taken;
        (left, Some(left))
    }
}

impl<T: Send + 'static> ExactSizeIterator for ParallelMap<T> {}

impl<T: Send + 'static> FusedIterator for ParallelMap<T> {}

impl<T> Drop for ParallelMap<T> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        let stuck = self.shared.busy(self.fallback.as_ref().map(|fallback| fallback.timeout));
        stuck.into_iter().for_each(|thread| self.abandon(thread));
        for thread in self.threads.drain(..) {
            // A worker catches the panics of its items, so there is no result to look at.
            let _ = thread.join();
        }
    }
}

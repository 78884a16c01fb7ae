//! A pool of threads that run one function together.
//!
//! A [`ThreadPool`] runs one function on all its workers at once. Inside, workers take tasks from a queue and
//! synchronize at [`Worker::barrier`]: a network is one such run with a barrier between layers, since waking a thread
//! costs more than a small layer. Between runs workers spin for the next one for a moment, then sleep.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

#[cfg(target_arch = "wasm32")]
use super::lent::{JoinHandle, spawn};

/// Turns of spinning for work before sleeping: some tens of microseconds.
const IDLE_SPINS: usize = 4_000;

/// Turns of spinning at a barrier before yielding the processor to other threads.
const BARRIER_SPINS: usize = 10_000;

/// A number of threads, the caller's among them.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle>,
}

/// One thread of a pool during a run.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    index: usize,
    shared: &'a Shared,
}

/// A function that lives until the run that it was made for is over.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(&Worker<'_>) + Sync));

// SAFETY: the function is `Sync`, and `ThreadPool::run` keeps it alive until every worker is done.
#[allow(unsafe_code)]
unsafe impl Send for Job {}

struct State {
    job: Option<Job>,
    stop: bool,
    /// The payload of the first worker that panicked.
    panic: Option<Box<dyn Any + Send>>,
}

struct Shared {
    size: usize,
    /// Number of runs that have begun, written under the lock of `state`.
    runs: CacheAligned<AtomicUsize>,
    /// Workers other than the caller that are not done yet.
    busy: CacheAligned<AtomicUsize>,
    /// Workers that have arrived at the present barrier, and barriers that all have passed.
    arrived: CacheAligned<AtomicUsize>,
    passed: CacheAligned<AtomicUsize>,
    failed: AtomicBool,
    state: Mutex<State>,
    wake: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("size", &self.size).finish_non_exhaustive()
    }
}

/// A value on cache lines of its own; two, since processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct CacheAligned<T>(pub(crate) T);

impl ThreadPool {
    /// A pool of `size` threads, at least the caller's.
    pub(crate) fn new(size: usize) -> std::io::Result<Self> {
        let size = size.max(1);
        let shared = Arc::new(Shared {
            size,
            runs: CacheAligned::default(),
            busy: CacheAligned::default(),
            arrived: CacheAligned::default(),
            passed: CacheAligned::default(),
            failed: AtomicBool::new(false),
            state: Mutex::new(State { job: None, stop: false, panic: None }),
            wake: Condvar::new(),
        });
        let mut pool = Self { shared, threads: Vec::with_capacity(size - 1) };
        for index in 1..size {
            let shared = Arc::clone(&pool.shared);
            pool.threads.push(spawn(index, move || work(&shared, index))?);
        }
        Ok(pool)
    }

    /// Number of threads.
    pub(crate) fn size(&self) -> usize {
        self.shared.size
    }

    /// Runs `job` on every worker and returns when all are done. A panic of a worker is resumed in the caller.
    pub(crate) fn run(&mut self, job: &(dyn Fn(&Worker<'_>) + Sync)) {
        let shared = &*self.shared;
        let caller = Worker { index: 0, shared };
        if shared.size == 1 {
            return job(&caller);
        }
        shared.busy.0.store(shared.size - 1, Ordering::Relaxed);
        shared.arrived.0.store(0, Ordering::Relaxed);
        {
            let mut state = shared.lock();
            state.job = Some(Job::new(job));
            shared.runs.0.fetch_add(1, Ordering::Release);
        }
        shared.wake.notify_all();
        shared.guarded(|| job(&caller));
        spin(|| shared.busy.0.load(Ordering::Acquire) == 0);
        let mut state = shared.lock();
        state.job = None;
        shared.failed.store(false, Ordering::Relaxed);
        if let Some(panic) = state.panic.take() {
            drop(state);
            resume_unwind(panic);
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
struct JoinHandle(std::thread::JoinHandle<()>);

#[cfg(not(target_arch = "wasm32"))]
impl JoinHandle {
    fn join(self) {
        // A worker's panic was passed on by `run`.
        let _ = self.0.join();
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn spawn(index: usize, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle> {
    std::thread::Builder::new().name(format!("hardnet-{index}")).spawn(work).map(JoinHandle)
}

impl Job {
    #[allow(unsafe_code)]
    fn new<'a>(job: &'a (dyn Fn(&Worker<'_>) + Sync + 'a)) -> Self {
        // SAFETY: only the lifetime changes; `ThreadPool::run`, the only caller, outlives every use.
        Self(unsafe {
            std::mem::transmute::<*const (dyn Fn(&Worker<'_>) + Sync + 'a), *const (dyn Fn(&Worker<'_>) + Sync)>(job)
        })
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stop = true;
            self.shared.runs.0.fetch_add(1, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            thread.join();
        }
    }
}

impl Worker<'_> {
    /// Its number: 0 for the caller, and up to the size of the pool.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Waits until every worker has arrived; what each did before is visible to all after.
    pub(crate) fn barrier(&self) {
        let shared = self.shared;
        if shared.size == 1 {
            return;
        }
        let passed = shared.passed.0.load(Ordering::Relaxed);
        if shared.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == shared.size {
            shared.arrived.0.store(0, Ordering::Relaxed);
            shared.passed.0.store(passed.wrapping_add(1), Ordering::Release);
            return;
        }
        spin(|| {
            assert!(!shared.failed.load(Ordering::Relaxed), "another thread of the pool panicked");
            shared.passed.0.load(Ordering::Acquire) != passed
        });
    }
}

impl Shared {
    /// The state; panics happen outside of the lock, so that it is sound even where a lock says otherwise.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `f` and keeps the first panic for the caller of the run.
    fn guarded(&self, f: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
            let mut state = self.lock();
            state.panic.get_or_insert(panic);
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

/// Waits for `done`, which another thread is about to bring on.
fn spin(mut done: impl FnMut() -> bool) {
    let mut turns = 0;
    while !done() {
        turns += 1;
        if turns < BARRIER_SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

/// The loop of a worker other than the caller.
fn work(shared: &Shared, index: usize) {
    let worker = Worker { index, shared };
    let mut seen = 0;
    loop {
        let mut spins = 0;
        while shared.runs.0.load(Ordering::Acquire) == seen && spins < IDLE_SPINS {
            spins += 1;
            std::hint::spin_loop();
        }
        let job = {
            let mut state = shared.lock();
            while shared.runs.0.load(Ordering::Relaxed) == seen {
                state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.stop {
                return;
            }
            state.job
        };
        seen = seen.wrapping_add(1);
        if let Some(job) = job {
            #[allow(unsafe_code)]
            // SAFETY: `ThreadPool::run` does not return, and the function lives, until `busy` is 0.
            let job = unsafe { &*job.0 };
            shared.guarded(|| job(&worker));
        }
        shared.busy.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_see_what_others_did_before_a_barrier() {
        for size in [1, 2, 3, 5] {
            let mut pool = ThreadPool::new(size).unwrap();
            for round in 0..50 {
                let written: Vec<AtomicUsize> = (0..size).map(|_| AtomicUsize::new(0)).collect();
                let sums: Vec<AtomicUsize> = (0..size).map(|_| AtomicUsize::new(0)).collect();
                pool.run(&|worker| {
                    for step in 1..=10 {
                        written[worker.index()].store(step * (round + 1), Ordering::Relaxed);
                        worker.barrier();
                        let sum = written.iter().map(|value| value.load(Ordering::Relaxed)).sum();
                        sums[worker.index()].store(sum, Ordering::Relaxed);
                        worker.barrier();
                    }
                });
                for sum in &sums {
                    assert_eq!(sum.load(Ordering::Relaxed), size * 10 * (round + 1));
                }
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_survives() {
        let mut pool = ThreadPool::new(3).unwrap();
        for culprit in 0..3 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(&|worker| {
                    assert!(worker.index() != culprit, "worker {culprit} failed");
                    worker.barrier();
                });
            }));
            assert!(result.is_err(), "{culprit}");
        }
        let runs = AtomicUsize::new(0);
        pool.run(&|worker| {
            worker.barrier();
            runs.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(runs.into_inner(), 3);
    }

    #[test]
    fn workers_that_sleep_are_woken() {
        let mut pool = ThreadPool::new(2).unwrap();
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let runs = AtomicUsize::new(0);
            pool.run(&|_| {
                runs.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(runs.into_inner(), 2);
        }
    }
}

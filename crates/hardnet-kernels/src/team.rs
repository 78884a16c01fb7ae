//! Threads that compute one thing together.
//!
//! A [`Team`] runs one function on all its members at once. Inside, members claim units of work from counters and meet at
//! [`Member::wait`]; a network is one such run with a meeting between layers, since waking a thread costs more than a small
//! layer. Between runs members look out for the next one for a moment, then sleep.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Turns of looking for work before sleeping: some tens of microseconds.
const LOOKS: usize = 4_000;

/// Turns of waiting for the other members before letting other threads have the processor.
const SPINS: usize = 10_000;

/// A number of threads, the caller's among them.
#[derive(Debug)]
pub(crate) struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// One thread of a team during a run.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    index: usize,
    shared: &'a Shared,
}

/// A function that lives until the run that it was made for is over.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(&Member<'_>) + Sync));

// SAFETY: the function is `Sync`, and `Team::run` keeps it alive until every member is done.
#[allow(unsafe_code)]
unsafe impl Send for Job {}

struct State {
    job: Option<Job>,
    stop: bool,
    /// What the first member that panicked threw.
    panic: Option<Box<dyn Any + Send>>,
}

struct Shared {
    size: usize,
    /// Number of runs that have begun, written under the lock of `state`.
    runs: Line<AtomicUsize>,
    /// Members other than the caller that are not done yet.
    busy: Line<AtomicUsize>,
    /// Members that have come to the present meeting, and meetings that are over.
    arrived: Line<AtomicUsize>,
    meetings: Line<AtomicUsize>,
    failed: AtomicBool,
    state: Mutex<State>,
    wake: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Keeps its value on cache lines of its own: processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Line<T>(pub(crate) T);

impl Team {
    /// A team of `size` threads, at least the caller's.
    pub(crate) fn new(size: usize) -> std::io::Result<Self> {
        let size = size.max(1);
        let shared = Arc::new(Shared {
            size,
            runs: Line::default(),
            busy: Line::default(),
            arrived: Line::default(),
            meetings: Line::default(),
            failed: AtomicBool::new(false),
            state: Mutex::new(State { job: None, stop: false, panic: None }),
            wake: Condvar::new(),
        });
        let mut team = Self { shared, threads: Vec::with_capacity(size - 1) };
        for index in 1..size {
            let shared = Arc::clone(&team.shared);
            let builder = std::thread::Builder::new().name(format!("hardnet-{index}"));
            team.threads.push(builder.spawn(move || work(&shared, index))?);
        }
        Ok(team)
    }

    /// Number of threads.
    pub(crate) fn size(&self) -> usize {
        self.shared.size
    }

    /// Runs `job` on every member and returns when all are done. A panic of a member goes on in the caller.
    pub(crate) fn run(&mut self, job: &(dyn Fn(&Member<'_>) + Sync)) {
        let shared = &*self.shared;
        let caller = Member { index: 0, shared };
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

impl Job {
    #[allow(unsafe_code)]
    fn new<'a>(job: &'a (dyn Fn(&Member<'_>) + Sync + 'a)) -> Self {
        // SAFETY: only the lifetime changes; `Team::run`, the only caller, outlives every use.
        Self(unsafe {
            std::mem::transmute::<*const (dyn Fn(&Member<'_>) + Sync + 'a), *const (dyn Fn(&Member<'_>) + Sync)>(job)
        })
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stop = true;
            self.shared.runs.0.fetch_add(1, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A member's panic was passed on by `run`.
            let _ = thread.join();
        }
    }
}

impl Member<'_> {
    /// Its number, from 0, the caller's, to the size of the team.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Waits until every member is here; what each did before is visible to all after.
    pub(crate) fn wait(&self) {
        let shared = self.shared;
        if shared.size == 1 {
            return;
        }
        let meeting = shared.meetings.0.load(Ordering::Relaxed);
        if shared.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == shared.size {
            shared.arrived.0.store(0, Ordering::Relaxed);
            shared.meetings.0.store(meeting.wrapping_add(1), Ordering::Release);
            return;
        }
        spin(|| {
            assert!(!shared.failed.load(Ordering::Relaxed), "another thread of the team panicked");
            shared.meetings.0.load(Ordering::Acquire) != meeting
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
        if turns < SPINS {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

/// The life of a member other than the caller.
fn work(shared: &Shared, index: usize) {
    let member = Member { index, shared };
    let mut seen = 0;
    loop {
        let mut looks = 0;
        while shared.runs.0.load(Ordering::Acquire) == seen && looks < LOOKS {
            looks += 1;
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
            // SAFETY: `Team::run` does not return, and the function lives, until `busy` is 0.
            let job = unsafe { &*job.0 };
            shared.guarded(|| job(&member));
        }
        shared.busy.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_see_what_others_did_before_a_meeting() {
        for size in [1, 2, 3, 5] {
            let mut team = Team::new(size).unwrap();
            for round in 0..50 {
                let written: Vec<AtomicUsize> = (0..size).map(|_| AtomicUsize::new(0)).collect();
                let sums: Vec<AtomicUsize> = (0..size).map(|_| AtomicUsize::new(0)).collect();
                team.run(&|member| {
                    for step in 1..=10 {
                        written[member.index()].store(step * (round + 1), Ordering::Relaxed);
                        member.wait();
                        let sum = written.iter().map(|value| value.load(Ordering::Relaxed)).sum();
                        sums[member.index()].store(sum, Ordering::Relaxed);
                        member.wait();
                    }
                });
                for sum in &sums {
                    assert_eq!(sum.load(Ordering::Relaxed), size * 10 * (round + 1));
                }
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_survives() {
        let mut team = Team::new(3).unwrap();
        for culprit in 0..3 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                team.run(&|member| {
                    assert!(member.index() != culprit, "member {culprit} failed");
                    member.wait();
                });
            }));
            assert!(result.is_err(), "{culprit}");
        }
        let runs = AtomicUsize::new(0);
        team.run(&|member| {
            member.wait();
            runs.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(runs.into_inner(), 3);
    }

    #[test]
    fn members_that_sleep_are_woken() {
        let mut team = Team::new(2).unwrap();
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let runs = AtomicUsize::new(0);
            team.run(&|_| {
                runs.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(runs.into_inner(), 2);
        }
    }
}

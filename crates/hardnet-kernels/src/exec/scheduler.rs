//! The work-stealing scheduler: which worker computes which task of a phase.
//!
//! The naive way shares out a layer's tasks by one counter:
//!
//! ```text
//! while (task = counter.fetch_add(1)) < tasks { run(task) }
//! ```
//!
//! It balances any load, but a worker gets other parts of every layer, whose inputs lie in another core's caches. Here
//! each worker has a range of its own, the same part of every phase, and takes from other ranges only when its own is
//! empty:
//!
//! ```text
//! tasks     0 . . . . . . . | 8 . . . . . . . | 16 . . . . . .
//! owner     worker 0        | worker 1        | worker 2
//! counter   taken: 8        | taken: 3        | taken: 5
//!
//! worker 0, done with its own, takes task 8 + 3 of worker 1
//! ```
//!
//! In the next layer, a worker mostly reads what it wrote itself, the rows of a map or the panel of channels, from its
//! own caches. A counter per range and phase, each on cache lines of its own, makes a claim one atomic addition that is
//! contended only at the end of a phase. Ranges are not split as by deques of tasks (Blumofe and Leiserson 1999), since
//! tasks spawn no others: a counter is enough.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::thread_pool::CacheAligned;

/// The tasks of every phase of a run, divided among the workers of a pool.
#[derive(Debug, Default)]
pub(crate) struct WorkQueue {
    workers: usize,
    /// Tasks taken from the range of each worker in each phase, `[phases, workers]`.
    taken: Vec<CacheAligned<AtomicUsize>>,
    /// Whether a run began and did not end.
    dirty: bool,
}

impl WorkQueue {
    /// Makes all tasks of `phases` phases available to `workers` workers.
    pub(crate) fn begin(&mut self, phases: usize, workers: usize) {
        if self.dirty || self.workers != workers || self.taken.len() < phases * workers {
            self.workers = workers;
            self.taken.clear();
            self.taken.resize_with(phases * workers, CacheAligned::default);
        }
        self.dirty = true;
    }

    /// Notes that every worker has passed all phases and [reset](Self::reset) its range of each.
    pub(crate) fn end(&mut self) {
        self.dirty = false;
    }

    /// The next task for `worker` in `phase` of `tasks` tasks: of its own range, or stolen from the range of the next
    /// worker that has one left.
    pub(crate) fn next_task(&self, phase: usize, tasks: usize, worker: usize) -> Option<usize> {
        (0..self.workers).find_map(|distance| self.steal(phase, tasks, (worker + distance) % self.workers))
    }

    /// A task of the range of worker `owner`.
    fn steal(&self, phase: usize, tasks: usize, owner: usize) -> Option<usize> {
        let bound = |part: usize| part * tasks / self.workers;
        let (start, end) = (bound(owner), bound(owner + 1));
        // A look before the claim leaves the cache line shared where nothing is left.
        let counter = &self.taken[phase * self.workers + owner].0;
        if start + counter.load(Ordering::Relaxed) >= end {
            return None;
        }
        let task = start + counter.fetch_add(1, Ordering::Relaxed);
        (task < end).then_some(task)
    }

    /// Makes the range of `worker` in `phase` ready for the next run, once no worker can take from it any more.
    pub(crate) fn reset(&self, phase: usize, worker: usize) {
        self.taken[phase * self.workers + worker].0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_taken_once_whoever_asks() {
        for workers in 1..5 {
            for tasks in 0..20 {
                let mut queue = WorkQueue::default();
                for phases in [3, 2] {
                    queue.begin(phases, workers);
                    for phase in 0..phases {
                        let mut taken = vec![];
                        // The last worker takes all but the first tasks of the others.
                        (0..workers).for_each(|worker| taken.extend(queue.next_task(phase, tasks, worker)));
                        taken.extend(std::iter::from_fn(|| queue.next_task(phase, tasks, workers - 1)));
                        taken.sort_unstable();
                        assert_eq!(taken, Vec::from_iter(0..tasks), "{workers} workers");
                        (0..workers).for_each(|worker| queue.reset(phase, worker));
                    }
                    queue.end();
                }
            }
        }
    }

    #[test]
    fn a_run_that_was_cut_off_leaves_nothing_behind() {
        let mut queue = WorkQueue::default();
        queue.begin(1, 2);
        assert_eq!(queue.next_task(0, 4, 0), Some(0));
        queue.begin(1, 2);
        assert_eq!(queue.next_task(0, 4, 0), Some(0));
        assert_eq!(queue.next_task(0, 4, 1), Some(2));
    }
}

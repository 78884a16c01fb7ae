//! A budget of cores, so that decoding and the network together never keep more threads busy than the machine has
//! cores.
//!
//! Two thread pools that do not know of each other, each as large as the machine, run twice as many threads as it has
//! cores. They then evict each other's caches, and barriers wait for threads that are not running: the sum is slower
//! than its parts one after the other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A counting semaphore over cores.
///
/// Requests are served in their order: one for many cores is not overtaken by later ones for a few, so no request
/// starves.
///
/// ```
/// use hardnet_data::CoreBudget;
///
/// let cores = CoreBudget::new(4);
/// let network = cores.acquire(3);
/// let decoder = cores.acquire(1);
/// drop((network, decoder));
/// assert_eq!(cores.acquire(9).count(), 4, "no more than there are");
/// ```
#[derive(Debug)]
pub struct CoreBudget {
    count: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    /// The ticket of the next request.
    next: u64,
    /// The ticket of the request that is served next.
    serving: u64,
}

/// Cores of a [`CoreBudget`], released when dropped.
#[derive(Debug)]
#[must_use = "dropping it releases the cores"]
pub struct Permit<'a> {
    cores: &'a CoreBudget,
    count: usize,
}

impl CoreBudget {
    /// A budget of `count` cores, at least 1.
    pub fn new(count: usize) -> Self {
        let count = count.max(1);
        let queue = Mutex::new(Queue { free: count, next: 0, serving: 0 });
        Self { count, queue, changed: Condvar::new() }
    }

    /// A budget of the cores that this process may use, by [`std::thread::available_parallelism`].
    pub fn detect() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// Cores of the budget, free or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Waits until `count` cores are free, or all if there are fewer, and acquires them.
    ///
    /// A thread that holds a permit must drop it before it acquires another, or it may wait for itself.
    pub fn acquire(&self, count: usize) -> Permit<'_> {
        let count = count.min(self.count);
        let mut queue = self.lock();
        let ticket = queue.next;
        queue.next += 1;
        while queue.serving != ticket || queue.free < count {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.free -= count;
        queue.serving += 1;
        self.changed.notify_all();
        Permit { cores: self, count }
    }

    /// Releases the cores of a [`Permit`] that will never be dropped.
    pub(crate) fn release(&self, count: usize) {
        self.lock().free += count;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No foreign code runs under the lock, so a poisoned queue is still consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Cores that the permit holds.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.cores.release(self.count);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn never_more_than_there_are() {
        let (cores, busy, most) = (CoreBudget::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for wanted in [1, 1, 2, 3, 1, 2, 7, 0] {
                let (cores, busy, most) = (&cores, &busy, &most);
                scope.spawn(move || {
                    for _ in 0..500 {
                        let permit = cores.acquire(wanted);
                        assert_eq!(permit.count(), wanted.min(3));
                        most.fetch_max(
                            busy.fetch_add(permit.count(), Ordering::SeqCst) + permit.count(),
                            Ordering::SeqCst,
                        );
                        thread::yield_now();
                        busy.fetch_sub(permit.count(), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 3);
        assert_eq!(cores.lock().free, 3);
    }

    #[test]
    fn a_large_request_is_not_overtaken() {
        let cores = CoreBudget::new(2);
        let (first, order) = (cores.acquire(1), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            let (cores, order) = (&cores, &order);
            let queued = |wanted: usize| {
                let before = cores.lock().next;
                scope.spawn(move || {
                    let _permit = cores.acquire(wanted);
                    order.lock().unwrap().push(wanted);
                });
                while cores.lock().next == before {
                    thread::yield_now();
                }
            };
            queued(2);
            queued(1);
            // One core is free all the while, yet the request for one waits for the request for two.
            assert!(order.lock().unwrap().is_empty());
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), [2, 1]);
    }
}

//! Turns on the cores of a machine, so that decoding and the network together never keep more threads busy than there are.
//!
//! Two thread pools that do not know of each other, each as large as the machine, run twice as many threads as it has
//! cores: caches are shared, barriers wait for threads that do not run, and the sum is slower than its parts in turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of cores, which are taken for a time and given back.
///
/// Requests are served in their order: one for many cores is not overtaken by later ones for a few, so nobody starves.
///
/// ```
/// use hardnet_data::Cores;
///
/// let cores = Cores::new(4);
/// let network = cores.take(3);
/// let decoder = cores.take(1);
/// drop((network, decoder));
/// assert_eq!(cores.take(9).count(), 4, "no more than there are");
/// ```
#[derive(Debug)]
pub struct Cores {
    count: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    /// The number that the next request gets.
    next: u64,
    /// The number of the request whose turn it is.
    serving: u64,
}

/// Some cores, until dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the cores back"]
pub struct Turn<'a> {
    cores: &'a Cores,
    count: usize,
}

impl Cores {
    /// `count` cores, at least 1.
    pub fn new(count: usize) -> Self {
        let count = count.max(1);
        let queue = Mutex::new(Queue { free: count, next: 0, serving: 0 });
        Self { count, queue, changed: Condvar::new() }
    }

    /// As many as the system says this process may use.
    pub fn of_this_machine() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes `count` cores, or all if there are fewer, as soon as they are free.
    ///
    /// A thread that holds some must give them back before it takes others, or it may wait for itself.
    pub fn take(&self, count: usize) -> Turn<'_> {
        let count = count.min(self.count);
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        while queue.serving != number || queue.free < count {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.free -= count;
        queue.serving += 1;
        self.changed.notify_all();
        Turn { cores: self, count }
    }

    /// Gives back what was taken by a [`Turn`] that will never be dropped.
    pub(crate) fn give(&self, count: usize) {
        self.lock().free += count;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No foreign code runs under the lock, so a poisoned queue is still a whole one.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// How many cores were taken.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.cores.give(self.count);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn never_more_than_there_are() {
        let (cores, busy, most) = (Cores::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for wanted in [1, 1, 2, 3, 1, 2, 7, 0] {
                let (cores, busy, most) = (&cores, &busy, &most);
                scope.spawn(move || {
                    for _ in 0..500 {
                        let turn = cores.take(wanted);
                        assert_eq!(turn.count(), wanted.min(3));
                        most.fetch_max(busy.fetch_add(turn.count(), Ordering::SeqCst) + turn.count(), Ordering::SeqCst);
                        thread::yield_now();
                        busy.fetch_sub(turn.count(), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 3);
        assert_eq!(cores.lock().free, 3);
    }

    #[test]
    fn a_large_request_is_not_overtaken() {
        let cores = Cores::new(2);
        let (first, order) = (cores.take(1), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            let (cores, order) = (&cores, &order);
            let queued = |wanted: usize| {
                let before = cores.lock().next;
                scope.spawn(move || {
                    let _turn = cores.take(wanted);
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

//! Threads that are lent: WebAssembly cannot start any, so that its host does, and each calls [`lend_thread`].

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Work = Box<dyn FnOnce() + Send>;

struct Lent {
    /// Threads that no pool has.
    free: usize,
    waiting: VecDeque<Work>,
}

static LENT: Mutex<Lent> = Mutex::new(Lent { free: 0, waiting: VecDeque::new() });
static ARRIVED: Condvar = Condvar::new();

/// A value behind a lock under which nothing panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lends the calling thread to the pools of all programs; does not return.
pub fn lend_thread() -> ! {
    lock(&LENT).free += 1;
    loop {
        let mut lent = lock(&LENT);
        let work = loop {
            match lent.waiting.pop_front() {
                Some(work) => break work,
                None => lent = ARRIVED.wait(lent).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(lent);
        work();
    }
}

/// Threads that were lent and that no program has.
pub fn lent_threads() -> usize {
    lock(&LENT).free
}

/// A lent thread's work.
#[derive(Debug)]
pub(super) struct JoinHandle(Arc<(Mutex<bool>, Condvar)>);

/// Runs `work`, which does not panic, on a lent thread.
///
/// # Errors
///
/// Of the kind [`WouldBlock`](std::io::ErrorKind::WouldBlock) where pools have all of them.
pub(super) fn spawn(_index: usize, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle> {
    let mut lent = lock(&LENT);
    if lent.free == 0 {
        return Err(std::io::Error::new(std::io::ErrorKind::WouldBlock, "no thread was lent that is free"));
    }
    lent.free -= 1;
    let done = Arc::new((Mutex::new(false), Condvar::new()));
    let handle = JoinHandle(Arc::clone(&done));
    lent.waiting.push_back(Box::new(move || {
        work();
        lock(&LENT).free += 1;
        *lock(&done.0) = true;
        done.1.notify_all();
    }));
    ARRIVED.notify_one();
    Ok(handle)
}

impl JoinHandle {
    /// Waits until the work is done.
    pub(super) fn join(self) {
        let mut done = lock(&self.0.0);
        while !*done {
            done = self.0.1.wait(done).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn lent_threads_work_one_after_the_other() {
        assert!(spawn(1, || ()).is_err());
        for _ in 0..2 {
            std::thread::spawn(|| lend_thread());
        }
        while lent_threads() < 2 {
            std::thread::yield_now();
        }
        for round in 1..=3 {
            // Both are needed: each waits for the other.
            let (met, counted) = (Arc::new(std::sync::Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
            let handles: Vec<_> = (0..2)
                .map(|_| {
                    let (met, counted) = (Arc::clone(&met), Arc::clone(&counted));
                    spawn(1, move || {
                        met.wait();
                        counted.fetch_add(round, Ordering::Relaxed);
                    })
                    .unwrap()
                })
                .collect();
            handles.into_iter().for_each(JoinHandle::join);
            assert_eq!((counted.load(Ordering::Relaxed), lent_threads()), (2 * round, 2));
        }
    }
}

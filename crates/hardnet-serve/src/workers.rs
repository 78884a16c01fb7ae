//! A pool of threads for decoding.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

type Task = Box<dyn FnOnce() + Send>;

/// A fixed number of threads that run tasks in their order.
///
/// It does not bound the tasks that wait: a [`Batcher`](crate::Batcher) bounds its images. Dropping it runs what waits,
/// then ends the threads.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    stopping: bool,
}

impl Workers {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// The operating system's, where a thread cannot start.
    pub fn new(threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Condvar::new() });
        let mut workers = Self { shared, threads: Vec::new() };
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&workers.shared);
            let builder = thread::Builder::new().name(format!("decode {number}"));
            workers.threads.push(builder.spawn(move || shared.work())?);
        }
        Ok(workers)
    }

    /// Returns the number of threads.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Runs `task` when a thread is free. A task that panics ends itself alone.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) {
        self.shared.lock().tasks.push_back(Box::new(task));
        self.shared.wake.notify_one();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.wake.notify_all();
        let own = thread::current().id();
        // A task may hold the last handle; its thread cannot wait for itself.
        for worker in self.threads.drain(..).filter(|worker| worker.thread().id() != own) {
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            // The task's own sender is dropped in the unwinding, which its receiver sees.
            let _ = catch_unwind(AssertUnwindSafe(task));
        }
    }

    fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            match state.tasks.pop_front() {
                Some(task) => return Some(task),
                None if state.stopping => return None,
                None => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} waiting", self.lock().tasks.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_task_that_panics_ends_itself_alone_and_what_waits_is_done_at_the_end() {
        let workers = Workers::new(1).unwrap();
        let (sender, receiver) = mpsc::channel();
        workers.run(|| panic!("on purpose"));
        for number in 0..3 {
            let sender = sender.clone();
            workers.run(move || sender.send(number).unwrap());
        }
        drop((workers, sender));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }
}

//! The calls of a connection.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

/// The times of silence after which a connection is closed that had calls before.
const PATIENCE: u32 = 10;

/// Counts the calls of a connection.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    begun: AtomicUsize,
    open: AtomicUsize,
    unread: Mutex<Numbers>,
}

/// Messages that are not sent yet, by their numbers, which count up.
#[derive(Debug, Default)]
struct Numbers {
    next: u64,
    unread: BTreeSet<u64>,
}

impl Calls {
    /// Begins a call.
    pub(crate) fn begin(self: &Arc<Self>) -> OpenCall {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        OpenCall(Arc::clone(self))
    }

    /// Whether there was any.
    pub(crate) fn any(&self) -> bool {
        self.begun.load(Ordering::SeqCst) > 0
    }

    fn unread(&self) -> MutexGuard<'_, Numbers> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when a message was not sent for `time`, twice that at most: the client does not read.
    pub(crate) async fn stalls(&self, time: Duration) {
        let mut seen = 0;
        loop {
            sleep(time).await;
            let numbers = self.unread();
            if numbers.unread.first().is_some_and(|oldest| *oldest < seen) {
                return;
            }
            seen = numbers.next;
        }
    }

    /// Ends when there was no call for a time, `time` before the first.
    pub(crate) async fn silence(&self, time: Duration) {
        let (mut begun, mut silent) = (0, 0);
        loop {
            sleep(time).await;
            let now = self.begun.load(Ordering::SeqCst);
            silent = if now == begun && self.open.load(Ordering::SeqCst) == 0 { silent + 1 } else { 0 };
            begun = now;
            if silent > 0 && (begun == 0 || silent == PATIENCE) {
                return;
            }
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<Calls>);

impl OpenCall {
    /// Counts a message as not sent until the result is dropped.
    pub(crate) fn unread(&self) -> Unread {
        let calls = Arc::clone(&self.0);
        let mut numbers = calls.unread();
        let number = numbers.next;
        numbers.next += 1;
        numbers.unread.insert(number);
        drop(numbers);
        Unread { calls, number }
    }
}

/// A message that is not sent yet.
#[derive(Debug)]
pub(crate) struct Unread {
    calls: Arc<Calls>,
    number: u64,
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.calls.unread().unread.remove(&self.number);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

//! Connections that are open, and which of them make room for others.
//!
//! Silence costs a client nothing, so that a bound on connections alone lets whoever opens many keep all others out
//! until they time out. Where as many are open as may be, a new connection takes the place of that which has been
//! silent longest and waits for no answer: it has sent no whole request, or does not read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::measures::Counter;

/// Time after which room is looked for again, where all connections waited for answers.
const PAUSE: Duration = Duration::from_millis(20);

/// Time in which connections that are told to make room do.
const CLOSING: Duration = Duration::from_secs(1);

/// Connections that are closed at once, at most: looking for the silent ones takes a look at all.
const MOST_CLOSED: usize = 32;

/// The open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    /// Connections that may be opened.
    slots: Arc<Semaphore>,
    limit: usize,
    open: Mutex<HashMap<u64, Arc<Activity>>>,
    /// Counts bytes that are moved and connections that are opened, in their order.
    clock: Arc<AtomicU64>,
    /// Connections that were closed for others.
    pub(crate) closed: Counter,
}

/// What a connection does.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Arc<AtomicU64>,
    /// The clock when it was opened, or a byte was received or sent.
    moved: AtomicU64,
    /// Requests that have come whole and are not answered.
    answering: AtomicUsize,
    /// Whether it is told to make room.
    told: AtomicBool,
    close: Notify,
}

impl Activity {
    /// Notes that bytes are received or sent.
    pub(crate) fn moves(&self) {
        self.moved.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Notes that a request has come whole.
    pub(crate) fn begin_answer(&self) {
        self.answering.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that its answer is about to be sent.
    pub(crate) fn end_answer(&self) {
        self.moves();
        self.answering.fetch_sub(1, Ordering::SeqCst);
    }

    fn is_answering(&self) -> bool {
        self.answering.load(Ordering::SeqCst) > 0
    }

    /// Ends when the connection is to make room.
    pub(crate) async fn makes_room(&self) {
        loop {
            self.close.notified().await;
            if !self.is_answering() {
                return;
            }
            self.told.store(false, Ordering::SeqCst);
        }
    }

    /// Ends when no byte was moved and no answer awaited for `time`, twice that at most.
    pub(crate) async fn stalls(&self, time: Duration) {
        let mut moved = self.moved.load(Ordering::Relaxed);
        loop {
            sleep(time).await;
            let now = self.moved.load(Ordering::Relaxed);
            if now == moved && !self.is_answering() {
                return;
            }
            moved = now;
        }
    }
}

impl Connections {
    /// At most `limit` connections are open.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(limit)),
            limit,
            open: Mutex::default(),
            clock: Arc::default(),
            closed: Counter::default(),
        }
    }

    /// The number of open connections.
    pub(crate) fn len(&self) -> usize {
        self.open().len()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Activity>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for a connection, which silent ones are told to make.
    pub(crate) async fn slot(&self) -> OwnedSemaphorePermit {
        loop {
            if let Some(slot) = self.try_slot() {
                return slot;
            }
            let time = if self.make_room() { CLOSING } else { PAUSE };
            // The semaphore is never closed.
            if let Ok(Ok(slot)) = timeout(time, Arc::clone(&self.slots).acquire_owned()).await {
                return slot;
            }
        }
    }

    /// Room for a connection, if there is any.
    pub(crate) fn try_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// Tells those that have been silent longest to close, and returns whether there are any.
    pub(crate) fn make_room(&self) -> bool {
        let open = self.open();
        let mut silent: Vec<(u64, &Activity)> = open
            .values()
            .filter(|activity| !activity.is_answering() && !activity.told.load(Ordering::SeqCst))
            .map(|activity| (activity.moved.load(Ordering::Relaxed), &**activity))
            .collect();
        if silent.is_empty() {
            return false;
        }
        let count = (silent.len() / 8).clamp(1, MOST_CLOSED);
        silent.select_nth_unstable_by_key(count - 1, |(moved, _)| *moved);
        for (_, activity) in &silent[..count] {
            activity.told.store(true, Ordering::SeqCst);
            activity.close.notify_one();
        }
        true
    }

    /// Counts a connection as open, in `slot`, until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>, slot: OwnedSemaphorePermit) -> OpenConnection {
        let number = self.clock.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity {
            clock: Arc::clone(&self.clock),
            moved: AtomicU64::new(number),
            answering: AtomicUsize::new(0),
            told: AtomicBool::new(false),
            close: Notify::new(),
        });
        self.open().insert(number, Arc::clone(&activity));
        OpenConnection { connections: Arc::clone(self), number, activity, _slot: slot }
    }

    /// Waits until all are closed.
    pub(crate) async fn all_closed(&self) {
        let _ = self.slots.acquire_many(self.limit as u32).await;
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) activity: Arc<Activity>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.open().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_silent_longest_make_room_and_those_that_wait_for_answers_stay() {
        let connections = Arc::new(Connections::new(20));
        let open: Vec<OpenConnection> =
            (0..20).map(|_| connections.enter(connections.try_slot().expect("room"))).collect();
        assert!(connections.try_slot().is_none());
        let told = || -> Vec<usize> {
            let told = |at: &usize| open[*at].activity.told.load(Ordering::SeqCst);
            (0..20).filter(told).collect()
        };
        open[0].activity.moves();
        open[1].activity.begin_answer();
        open[2].activity.begin_answer();
        open[2].activity.end_answer();
        connections.make_room();
        assert_eq!(told(), [3, 4], "an eighth of nineteen");
        connections.make_room();
        assert_eq!(told(), [3, 4, 5, 6], "who is told is not told again");
        (3..20).for_each(|at| open[at].activity.begin_answer());
        connections.make_room();
        connections.make_room();
        connections.make_room();
        assert_eq!(told(), [0, 2, 3, 4, 5, 6]);
        drop(open);
        assert_eq!(connections.len(), 0);
        assert!(connections.try_slot().is_some());
    }
}

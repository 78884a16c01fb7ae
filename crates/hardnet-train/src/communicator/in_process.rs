//! Ranks that are threads of one process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{CommunicationError, Communicator};

/// One of several ranks that are threads of one process.
#[derive(Clone, Debug)]
pub struct InProcess {
    rank: usize,
    size: usize,
    timeout: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Messages that were not received, by sender and receiver.
    messages: HashMap<(usize, usize), VecDeque<Arc<Vec<u8>>>>,
    /// The first rank that failed, and its reason.
    failed: Option<(usize, String)>,
}

/// Connects `size` ranks, each to be used by a thread of its own. A rank whose message does not come within `timeout`
/// counts as silent.
pub fn in_process(size: usize, timeout: Duration) -> Vec<InProcess> {
    let shared = Arc::new(Shared::default());
    (0..size).map(|rank| InProcess { rank, size, timeout, shared: Arc::clone(&shared) }).collect()
}

impl State {
    fn check(&self) -> Result<(), CommunicationError> {
        match &self.failed {
            Some((rank, reason)) => Err(CommunicationError::Failed { rank: *rank, reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

impl Communicator for InProcess {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&self, to: usize, message: Arc<Vec<u8>>) -> Result<(), CommunicationError> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.check()?;
        state.messages.entry((self.rank, to)).or_default().push_back(message);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>, CommunicationError> {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |state: &mut State| {
            state.failed.is_none() && state.messages.get(&(from, self.rank)).is_none_or(VecDeque::is_empty)
        };
        let waited = self.shared.changed.wait_timeout_while(state, self.timeout, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.check()?;
        let message = state.messages.get_mut(&(from, self.rank)).and_then(VecDeque::pop_front);
        let message = message.ok_or(CommunicationError::Silent { rank: from, seconds: self.timeout.as_secs() })?;
        Ok(Arc::unwrap_or_clone(message))
    }

    fn fail(&self, reason: &str) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed.get_or_insert_with(|| (self.rank, reason.to_owned()));
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_and_their_way() {
        let ranks = in_process(3, Duration::from_secs(5));
        std::thread::scope(|scope| {
            for from in [1, 2] {
                let rank = &ranks[from];
                scope.spawn(move || {
                    for number in 0..20 {
                        rank.send(0, Arc::new(vec![from as u8, number])).unwrap();
                    }
                });
            }
            for number in 0..20 {
                for from in [2, 1] {
                    assert_eq!(ranks[0].receive(from).unwrap(), [from as u8, number]);
                }
            }
        });
    }

    #[test]
    fn a_failure_ends_every_wait() {
        let ranks = in_process(3, Duration::from_secs(60));
        std::thread::scope(|scope| {
            let waiting = [0, 2].map(|rank| {
                scope.spawn({
                    let ranks = &ranks;
                    move || ranks[rank].receive(2 - rank)
                })
            });
            ranks[1].fail("the disk is full");
            for thread in waiting {
                let error = thread.join().unwrap().unwrap_err();
                assert_eq!(error.to_string(), "rank 1 failed: the disk is full");
            }
        });
        assert!(ranks[0].send(2, Arc::default()).is_err());
    }

    #[test]
    fn a_silent_rank_is_named() {
        let ranks = in_process(2, Duration::from_millis(1));
        assert_eq!(ranks[0].receive(1), Err(CommunicationError::Silent { rank: 1, seconds: 0 }));
    }
}

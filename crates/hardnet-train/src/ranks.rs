//! What ranks do together: broadcasts, gathers, and ending all when one fails.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::communicator::{CommunicationError, Communicator};
use crate::error::{Error, Result};

/// The rank that writes the files of the run.
pub(crate) const ROOT: usize = 0;

/// A rank of a run and its connection to the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranks(Option<Arc<dyn Communicator>>);

impl Ranks {
    pub(crate) fn new(communicator: Arc<dyn Communicator>) -> Self {
        Self(Some(communicator))
    }

    pub(crate) fn rank(&self) -> usize {
        self.0.as_ref().map_or(ROOT, |communicator| communicator.rank())
    }

    pub(crate) fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |communicator| communicator.size())
    }

    pub(crate) fn is_root(&self) -> bool {
        self.rank() == ROOT
    }

    /// The rank that computes a virtual shard of `shards`.
    pub(crate) fn owner(&self, shard: usize, shards: usize) -> usize {
        shard * self.size() / shards
    }

    /// The virtual shards of this rank.
    pub(crate) fn own(&self, shards: usize) -> Range<usize> {
        let first = |rank: usize| (rank * shards).div_ceil(self.size());
        first(self.rank())..first(self.rank() + 1)
    }

    pub(crate) fn send(&self, to: usize, message: Vec<u8>) -> Result<()> {
        match &self.0 {
            Some(communicator) => communicator.send(to, Arc::new(message)).map_err(lift),
            None => Ok(()),
        }
    }

    pub(crate) fn receive(&self, from: usize) -> Result<Vec<u8>> {
        match &self.0 {
            Some(communicator) => communicator.receive(from).map_err(lift),
            None => Err(CommunicationError::Message { rank: from }.into()),
        }
    }

    /// Sends a message of the root to all ranks, along a binomial tree, and returns it.
    pub(crate) fn broadcast(&self, message: Option<Vec<u8>>) -> Result<Vec<u8>> {
        self.broadcast_among(&(0..self.size()).collect::<Vec<_>>(), message)
    }

    /// Sends a message of the first of some ranks, of which this is one, to the others, along a binomial tree, and
    /// returns it.
    pub(crate) fn broadcast_among(&self, ranks: &[usize], message: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let Some(communicator) = &self.0 else { return Ok(message.unwrap_or_default()) };
        let (place, size) = (ranks.iter().position(|&rank| rank == self.rank()).unwrap_or(0), ranks.len());
        let message = if place == 0 { message.unwrap_or_default() } else { self.receive(ranks[place & (place - 1)])? };
        let message = Arc::new(message);
        let own = if place == 0 { size.next_power_of_two() } else { 1 << place.trailing_zeros() };
        let mut distance = own / 2;
        while distance > 0 {
            if let Some(&rank) = ranks.get(place + distance) {
                communicator.send(rank, Arc::clone(&message)).map_err(lift)?;
            }
            distance /= 2;
        }
        Ok(Arc::unwrap_or_clone(message))
    }

    /// The same for a value, which only the root has.
    pub(crate) fn share<T: Serialize + DeserializeOwned>(&self, value: Option<T>) -> Result<T> {
        let encoded = value.as_ref().map(|value| serde_json::to_vec(value).expect("messages are plain data"));
        match (value, self.broadcast(encoded)?) {
            (Some(value), _) => Ok(value),
            (None, message) => decode(ROOT, &message),
        }
    }

    /// Sends a value of every other rank to the root, along a binomial tree. The root gets them in the order of ranks.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<Vec<(usize, T)>> {
        let (rank, size) = (self.rank(), self.size());
        let mut found: Vec<(usize, T)> = Vec::new();
        let mut distance = 1;
        while distance < size && rank & distance == 0 {
            let from = rank + distance;
            if from < size {
                found.extend(decode::<Vec<(usize, T)>>(from, &self.receive(from)?)?);
            }
            distance *= 2;
        }
        if self.is_root() {
            return Ok(found);
        }
        let all: Vec<(usize, &T)> =
            [(rank, value)].into_iter().chain(found.iter().map(|(rank, value)| (*rank, value))).collect();
        self.send(rank - distance, serde_json::to_vec(&all).expect("messages are plain data"))?;
        Ok(Vec::new())
    }

    /// Ends the other ranks if this one failed by itself.
    pub(crate) fn end_all<T>(&self, result: Result<T>) -> Result<T> {
        if let (Some(communicator), Err(error)) = (&self.0, &result)
            && !matches!(error, Error::Communication(CommunicationError::Failed { .. }))
        {
            communicator.fail(&serde_json::to_string(&Reason::from(error)).expect("a reason is plain data"));
        }
        result
    }
}

/// Gives a value of rank 0, which alone passes one, to all ranks.
///
/// # Errors
///
/// [`Error::Communication`].
pub fn share<T: Serialize + DeserializeOwned>(communicator: Arc<dyn Communicator>, value: Option<T>) -> Result<T> {
    Ranks::new(communicator).share(value)
}

fn decode<T: DeserializeOwned>(rank: usize, message: &[u8]) -> Result<T> {
    serde_json::from_slice(message).map_err(|_| CommunicationError::Message { rank }.into())
}

/// Why a rank failed, as the others are told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// Training diverged, which is the same error on every rank.
    Diverged { epoch: u32, batch: usize, loss_bits: u32 },
    /// It is another rank that failed.
    Silent { rank: usize, seconds: u64 },
    /// Anything else.
    Other { message: String },
}

impl From<&Error> for Reason {
    fn from(error: &Error) -> Self {
        match error {
            Error::Diverged { epoch, batch, loss } => {
                Self::Diverged { epoch: *epoch, batch: *batch, loss_bits: loss.to_bits() }
            }
            Error::Communication(CommunicationError::Silent { rank, seconds }) => {
                Self::Silent { rank: *rank, seconds: *seconds }
            }
            _ => Self::Other { message: with_causes(error) },
        }
    }
}

/// An error as text, with its causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// The error of a rank that was told of another's.
fn lift(error: CommunicationError) -> Error {
    let CommunicationError::Failed { rank, reason } = error else { return error.into() };
    match serde_json::from_str(&reason) {
        Ok(Reason::Diverged { epoch, batch, loss_bits }) => {
            Error::Diverged { epoch, batch, loss: f32::from_bits(loss_bits) }
        }
        Ok(Reason::Silent { rank, seconds }) => CommunicationError::Silent { rank, seconds }.into(),
        Ok(Reason::Other { message }) => CommunicationError::Failed { rank, reason: message }.into(),
        // The program itself failed, not the training.
        Err(_) => CommunicationError::Failed { rank, reason }.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::communicator::in_process;

    fn on_each<T: Send>(size: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
        let ranks = in_process(size, Duration::from_secs(20));
        std::thread::scope(|scope| {
            let start = |rank| {
                scope.spawn({
                    let work = &work;
                    move || work(Ranks::new(Arc::new(rank)))
                })
            };
            let threads: Vec<_> = ranks.into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn a_broadcast_reaches_every_rank() {
        for size in 1..18 {
            let found = on_each(size, |ranks| ranks.share(ranks.is_root().then(|| "from rank 0".to_string())).unwrap());
            assert_eq!(found, vec!["from rank 0"; size]);
        }
    }

    #[test]
    fn the_root_gathers_in_the_order_of_ranks() {
        for size in 1..18 {
            let found = on_each(size, |ranks| ranks.gather(&(10 * ranks.rank())).unwrap());
            assert_eq!(found[0], (1..size).map(|rank| (rank, 10 * rank)).collect::<Vec<_>>());
            assert!(found[1..].iter().all(Vec::is_empty));
        }
    }

    /// Every shard has one owner, which says so itself.
    #[test]
    fn each_shard_has_one_rank_and_each_rank_a_shard() {
        for size in 1..10 {
            for shards in size..24 {
                let own =
                    on_each(size, |ranks| (ranks.own(shards), (0..shards).map(|at| ranks.owner(at, shards)).collect()));
                let owners: &Vec<usize> = &own[0].1;
                for (rank, (range, _)) in own.iter().enumerate() {
                    assert!(!range.is_empty() && range.clone().all(|shard| owners[shard] == rank));
                }
                assert_eq!(own.iter().map(|(range, _)| range.len()).sum::<usize>(), shards);
            }
        }
    }

    #[test]
    fn diverged_training_is_the_same_error_on_every_rank() {
        let errors = on_each(3, |ranks| {
            let own = match ranks.rank() {
                1 => Err(Error::Diverged { epoch: 2, batch: 7, loss: f32::INFINITY }),
                rank => ranks.receive((rank + 1) % 3),
            };
            ranks.end_all(own).unwrap_err().to_string()
        });
        assert_eq!(errors, vec!["the loss is inf in epoch 2, batch 7: training has diverged"; 3]);
    }
}

//! The parts of a batch that is normalized by the statistics of the whole: this rank's, and what they exchange.
//!
//! Each part of a rank has a thread, of which one computes at a time. A part that needs sums over the batch gives its
//! own and lets the next part compute; the last one of the rank exchanges those of all with the other ranks. The sums
//! are added up in one binary tree over the parts, whoever computed them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hardnet_model::{BatchPart, Stopped};

use super::tree::{self, Nodes, Terms};
use crate::communicator::CommunicationError;
use crate::error::{Error, Result};
use crate::ranks::Ranks;

/// The parts of a batch that this rank computes.
#[derive(Debug)]
pub(super) struct Parts {
    ranks: Ranks,
    /// The rank of each part of the batch, in the order of parts.
    owners: Vec<usize>,
    /// Position of the first part of this rank, and how many it has.
    first: usize,
    count: usize,
    /// Images of all parts of the batch.
    images: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The part of this rank whose turn it is, from 0.
    turn: usize,
    /// What each part of this rank gave.
    given: Vec<Vec<f64>>,
    /// The sums over the batch.
    sums: Vec<f64>,
    /// Whether a part has failed, and why.
    stopped: bool,
    failure: Option<Error>,
}

impl Parts {
    /// The parts of a batch of `images` images, of which each has a rank: ranks in their order.
    pub(super) fn new(ranks: Ranks, owners: Vec<usize>, images: usize) -> Arc<Self> {
        let first = owners.partition_point(|&owner| owner < ranks.rank());
        let count = owners[first..].partition_point(|&owner| owner == ranks.rank());
        let state = State { turn: 0, given: vec![Vec::new(); count], sums: Vec::new(), stopped: false, failure: None };
        Arc::new(Self { ranks, owners, first, count, images, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Computes each part of this rank on a thread of its own, and returns what they gave.
    ///
    /// # Errors
    ///
    /// The first error of a part, or of the exchange with other ranks.
    pub(super) fn compute<T: Send>(
        self: &Arc<Self>,
        compute: impl Fn(usize, Arc<Part>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let run = |number: usize| {
            let part = Arc::new(Part { parts: Arc::clone(self), number });
            let turn = Turn { parts: self, number, is_done: false };
            drop(self.wait(number).ok()?);
            match compute(number, part) {
                Ok(value) => {
                    turn.finish();
                    Some(value)
                }
                Err(error) => {
                    self.stop(Some(error));
                    None
                }
            }
        };
        let values: Vec<Option<T>> = std::thread::scope(|scope| {
            let run = &run;
            let threads: Vec<_> = (0..self.count).map(|number| scope.spawn(move || run(number))).collect();
            let values = threads.into_iter().map(|thread| thread.join());
            values.map(|value| value.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        match self.lock().failure.take() {
            Some(error) => Err(error),
            None => Ok(values.into_iter().flatten().collect()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of a part.
    fn wait(&self, number: usize) -> std::result::Result<MutexGuard<'_, State>, Stopped> {
        let waits = |state: &mut State| state.turn != number && !state.stopped;
        let state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.stopped { Err(Stopped) } else { Ok(state) }
    }

    /// Ends all parts of this rank. What failed because of that is not the reason.
    fn stop(&self, failure: Option<Error>) {
        let mut state = self.lock();
        if !state.stopped {
            (state.stopped, state.failure) = (true, failure);
        }
        self.changed.notify_all();
    }

    /// The sums over all ranks of what their parts gave.
    fn exchange(&self, given: Vec<Vec<f64>>) -> Result<Vec<f64>> {
        let length = given.first().map_or(0, Vec::len);
        let mut vectors = Vectors { parts: self, given, length };
        let sums = tree::sum_on_first(&mut vectors, 0..self.owners.len())?;
        let mut ranks = self.owners.clone();
        ranks.dedup();
        let message = self.ranks.broadcast_among(&ranks, sums.as_deref().map(encode))?;
        decode(&message, length).ok_or_else(|| CommunicationError::Message { rank: ranks[0] }.into())
    }
}

/// One part of a batch.
#[derive(Debug)]
pub(super) struct Part {
    parts: Arc<Parts>,
    /// Its position among the parts of this rank.
    number: usize,
}

impl BatchPart for Part {
    fn images(&self) -> usize {
        self.parts.images
    }

    fn all_reduce(&self, values: &mut [f64]) -> std::result::Result<(), Stopped> {
        let Self { parts, number } = self;
        let mut state = parts.lock();
        if state.stopped {
            return Err(Stopped);
        }
        state.given[*number] = values.to_vec();
        state.turn = number + 1;
        if state.turn == parts.count {
            let given = state.given.iter_mut().map(std::mem::take).collect();
            match parts.exchange(given) {
                Ok(sums) => (state.sums, state.turn) = (sums, 0),
                Err(error) => (state.stopped, state.failure) = (true, Some(error)),
            }
        }
        parts.changed.notify_all();
        drop(state);
        values.copy_from_slice(&parts.wait(*number)?.sums);
        Ok(())
    }

    /// The first part of a rank does so.
    fn updates_running_statistics(&self) -> bool {
        self.number == 0
    }
}

/// The turn of a part, which ends all if it panics.
struct Turn<'a> {
    parts: &'a Parts,
    number: usize,
    is_done: bool,
}

impl Turn<'_> {
    /// Lets the next part compute.
    fn finish(mut self) {
        self.is_done = true;
        self.parts.lock().turn = self.number + 1;
        self.parts.changed.notify_all();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.parts.stop(None);
        }
    }
}

/// The vectors of the parts in the tree.
struct Vectors<'a> {
    parts: &'a Parts,
    /// Those of this rank.
    given: Vec<Vec<f64>>,
    length: usize,
}

impl Terms for Vectors<'_> {
    type Value = Vec<f64>;

    fn term(&mut self, part: usize) -> Result<Vec<f64>> {
        Ok(std::mem::take(&mut self.given[part - self.parts.first]))
    }

    fn add(&mut self, mut left: Vec<f64>, right: Vec<f64>) -> Result<Vec<f64>> {
        left.iter_mut().zip(right).for_each(|(one, other)| *one += other);
        Ok(left)
    }
}

impl Nodes for Vectors<'_> {
    fn rank(&self) -> usize {
        self.parts.ranks.rank()
    }

    fn owner(&self, part: usize) -> usize {
        self.parts.owners[part]
    }

    fn send(&mut self, to: usize, value: Vec<f64>) -> Result<()> {
        self.parts.ranks.send(to, encode(&value))
    }

    fn receive(&mut self, from: usize) -> Result<Vec<f64>> {
        let message = self.parts.ranks.receive(from)?;
        decode(&message, self.length).ok_or_else(|| CommunicationError::Message { rank: from }.into())
    }
}

fn encode(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The `length` values of a message; none if it has another length.
fn decode(message: &[u8], length: usize) -> Option<Vec<f64>> {
    let (values, rest) = message.as_chunks();
    let values: Vec<f64> = values.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
    (rest.is_empty() && values.len() == length).then_some(values)
}

#[cfg(test)]
#[path = "parts/tests.rs"]
mod tests;

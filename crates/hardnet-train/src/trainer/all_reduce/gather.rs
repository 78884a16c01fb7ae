//! An all-gather of parts of one vector.

use std::ops::Range;

use super::message::{append, values_of};
use crate::communicator::CommunicationError;
use crate::error::Result;
use crate::ranks::Ranks;

/// Completes `values`, of which each rank has a part; those of some may be empty.
///
/// Each time a rank has the parts of twice as many ranks: its own and those of the ranks after it. This is Bruck's
/// algorithm, which needs as many messages as the number of ranks has binary digits, for any number.
pub(super) fn all_gather(ranks: &Ranks, parts: &[Range<usize>], values: &mut [f32]) -> Result<()> {
    let (rank, size) = (ranks.rank(), ranks.size());
    let from = |first: usize, count: usize| (first..first + count).map(|rank| parts[rank % size].clone());
    let mut known = 1;
    while known < size {
        let count = known.min(size - known);
        let mut message = Vec::with_capacity(4 * from(rank, count).map(|part| part.len()).sum::<usize>());
        from(rank, count).for_each(|part| append(&mut message, &values[part]));
        ranks.send((rank + size - known) % size, message)?;
        let sender = (rank + known) % size;
        let message = ranks.receive(sender)?;
        let mut rest = &message[..];
        for part in from(rank + known, count) {
            let split = rest.split_at_checked(4 * part.len());
            let (bytes, left) = split.ok_or(CommunicationError::Message { rank: sender })?;
            values[part].iter_mut().zip(values_of(bytes)).for_each(|(value, new)| *value = new);
            rest = left;
        }
        if !rest.is_empty() {
            return Err(CommunicationError::Message { rank: sender }.into());
        }
        known += count;
    }
    Ok(())
}

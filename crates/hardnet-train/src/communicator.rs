//! Messages between the processes, or threads, that train a network together.

mod in_process;

use std::fmt::Debug;
use std::sync::Arc;

pub use in_process::{InProcess, in_process};

/// Connects one rank of a run with the others.
///
/// Messages between two ranks arrive in the order in which they were sent. Their content is never interpreted.
pub trait Communicator: Debug + Send + Sync {
    /// Position of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// Sends a message. Does not wait until it is received.
    ///
    /// # Errors
    ///
    /// A [`CommunicationError`] if a rank has failed.
    fn send(&self, to: usize, message: Arc<Vec<u8>>) -> Result<(), CommunicationError>;

    /// Waits for the next message of rank `from`.
    ///
    /// # Errors
    ///
    /// A [`CommunicationError`] as soon as any rank has failed, whether or not it is `from`.
    fn receive(&self, from: usize) -> Result<Vec<u8>, CommunicationError>;

    /// Tells all other ranks that this one cannot go on. Each of them gets [`CommunicationError::Failed`] from its next
    /// call, or from the one it waits in.
    fn fail(&self, reason: &str);
}

/// Why ranks cannot go on together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommunicationError {
    /// A rank has called [`Communicator::fail`].
    #[error("rank {rank} failed: {reason}")]
    Failed {
        /// The rank.
        rank: usize,
        /// The reason that it gave.
        reason: String,
    },
    /// Nothing was heard of a rank for too long.
    #[error("rank {rank} has been silent for {seconds} s")]
    Silent {
        /// The rank.
        rank: usize,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The library that carries the messages failed.
    #[error("cannot communicate with the other ranks: {0}")]
    Transport(String),
    /// A message of a rank has another form than expected.
    #[error("cannot read a message of rank {rank}; do all ranks run the same version?")]
    Message {
        /// The rank.
        rank: usize,
    },
}

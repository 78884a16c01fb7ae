//! Batches that several programs compute together.

use std::fmt::Debug;

/// A part of a batch whose parts are computed by programs of their own, and normalized by the statistics of the whole.
///
/// Each program hands in its part with [`Program::set_part`](super::Program::set_part).
pub trait BatchPart: Debug + Send + Sync {
    /// Images of all parts together.
    fn images(&self) -> usize;

    /// Replaces `values` by their sums over all parts. Waits for the other parts, all of which call this equally often
    /// and with as many values.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if another part cannot be computed.
    fn all_reduce(&self, values: &mut [f64]) -> Result<(), Stopped>;

    /// Whether the pass over this part moves the running statistics. One of the parts that share them does: the
    /// statistics of the batch are the same for all.
    fn updates_running_statistics(&self) -> bool;
}

/// Another part of a batch cannot be computed, so that there are no statistics of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another part of the batch has failed")]
pub struct Stopped;

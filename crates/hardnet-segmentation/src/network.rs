//! The interface between a [`Segmenter`](crate::Segmenter) and its network.

use std::error::Error;

use hardnet_graph::Alignment;

use crate::protocol::InputTensor;
use crate::scores::Scores;

/// A network that gives each pixel of its input a logit for each class.
///
/// Threads may call it at the same time; it may let them take turns.
pub trait ComputeScores: Send + Sync {
    /// The number of classes.
    fn classes(&self) -> usize;

    /// How its logits are interpolated to the size of the input.
    fn alignment(&self) -> Alignment;

    /// The logits of an input of any size, at a fraction of it.
    ///
    /// # Errors
    ///
    /// The reason why the network cannot compute, such as an input that is too small for it.
    fn scores(&self, input: &InputTensor) -> Result<Scores, Box<dyn Error + Send + Sync>>;

    /// The engine that computes, for results that depend on it.
    fn engine(&self) -> &'static str {
        "native"
    }
}

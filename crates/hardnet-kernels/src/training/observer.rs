//! Gradients while a backward pass goes on.

use std::fmt::Debug;
use std::ops::Range;

/// Takes the gradients of parameters as soon as they are final, which is from the last layers to the first.
///
/// A program gives them to it in [`Program::backward_observed`](super::Program::backward_observed).
pub trait GradientObserver: Debug + Send + Sync {
    /// Takes the final gradients of a range of the parameters, in the order of the program's list. The first range ends
    /// at the end of the list, and each other one where the one before it began.
    fn take(&self, range: Range<usize>, gradients: &[f32]);
}

//! The gradient of a convolution's input.
//!
//! The naive way is to scatter: each output pixel adds its gradient times the filter to the pixels of its window.
//! Threads would add to the same pixels, and maps with several readers would be summed in memory. Here each map
//! *gathers*: its gradient is one convolution, by filters rotated by 180 degrees, of the gradients of the outputs of
//! all convolutions that read it.
//!
//! ```text
//! forward    y1 = conv(w1, [a, x]), y2 = conv(w2, [x])
//! backward   dx = conv(rotated(w1 of x), dy1) + conv(rotated(w2), dy2)   one sum: convolution, tap, output channel
//! ```
//!
//! Each gradient is thus written once, with no sums in memory and no concatenation to take apart.

use hardnet_graph::Padding;

use super::direct::ConvInput;
use super::pack::{RotatedFilter, Rows, Source};
use crate::map::Layout;

/// A convolution that reads a map; of a stride, its gradient is [spread out](super::spread).
pub(crate) struct Reader {
    /// The gradient of the convolution's output.
    pub(crate) gradient: Layout,
    pub(crate) kernel: usize,
    pub(crate) padding: Padding,
    pub(crate) source: Source,
    /// The first of the map's channels among the convolution's inputs.
    pub(crate) first: usize,
}

/// The convolution that gives the gradient of a map from those of its readers: its weights and its inputs, in the
/// [order of inputs](super::direct::RowOrder::Inputs).
pub(crate) fn input_gradient(readers: &[Reader]) -> (Rows, Vec<ConvInput>) {
    let filters = readers.iter().map(|reader| RotatedFilter { source: reader.source, first: reader.first });
    let inputs = readers.iter().map(|reader| ConvInput {
        layout: reader.gradient,
        kernel: reader.kernel,
        padding: rotated_padding(reader.padding, reader.kernel),
    });
    (Rows::Rotated(filters.collect()), inputs.collect())
}

/// The padding of the convolution by the rotated filter.
pub(crate) fn rotated_padding(padding: Padding, kernel: usize) -> Padding {
    Padding {
        top: kernel - 1 - padding.top,
        bottom: kernel - 1 - padding.bottom,
        left: kernel - 1 - padding.left,
        right: kernel - 1 - padding.right,
    }
}

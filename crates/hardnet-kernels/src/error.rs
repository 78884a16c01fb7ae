//! The error type of this crate.

use hardnet_graph::{Conv, Op, Padding};

use crate::algorithm::Algorithm;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A step without inputs.
    #[error("no maps to read")]
    NoInputs,
    /// A map of another builder.
    #[error("map {0} is not of this program")]
    UnknownMap(usize),
    /// A size of 0, or more values than can be addressed.
    #[error("cannot make a map of {channels} channels and {height}x{width} pixels")]
    Size {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// Maps that cannot be concatenated.
    #[error("maps of {first:?} and {other:?} rows and columns are not one input")]
    SizesDiffer {
        /// Rows and columns of the first map.
        first: (usize, usize),
        /// Rows and columns of another.
        other: (usize, usize),
    },
    /// A filter of another size than the step needs.
    #[error("{what} has {found} values, expected {expected}")]
    Filter {
        /// Which part of the filter.
        what: &'static str,
        /// Values that it needs.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
    /// A window that does not fit into its map, or a kernel or stride of 0.
    #[error("no window of {kernel}x{kernel} with stride {stride} in a padded map of {height}x{width}")]
    Window {
        /// Side of the window.
        kernel: usize,
        /// Its step.
        stride: usize,
        /// Rows of the padded map.
        height: usize,
        /// Columns of the padded map.
        width: usize,
    },
    /// No algorithm of that name.
    #[error("unknown algorithm `{name}`: there are {}", Algorithm::ALL.map(Algorithm::name).join(", "))]
    UnknownAlgorithm {
        /// The name.
        name: String,
    },
    /// A layer that no kernel computes.
    #[error("no kernel for {0}")]
    Unsupported(#[from] Unsupported),
    /// The scale of a quantized map is not a positive number.
    #[error("{scale} is not the scale of a map")]
    Scale {
        /// The scale.
        scale: f32,
    },
    /// A quantized filter whose scale or bias, in the unit of the written map, is infinite or not a number.
    #[error("a quantized filter has a scale or bias that is not finite")]
    NotFinite,
    /// A quantized convolution whose sums may exceed 32 bits.
    #[error("the sums of channel {channel} may not fit 32 bits")]
    SumOverflow {
        /// The output channel.
        channel: usize,
    },
    /// Maps of bytes that a quantized convolution reads as one input, but whose scales differ.
    #[error("maps of the scales {first} and {other} are not one input")]
    ScalesDiffer {
        /// Scale of the first map.
        first: f32,
        /// Scale of another.
        other: f32,
    },
    /// A probability outside of [0, 1).
    #[error("{0} is not a probability in [0, 1)")]
    Probability(f64),
    /// Images or outputs of another size than the program's.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// The values.
        what: &'static str,
        /// Values that it needs.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
    /// A backward pass without a forward pass before it, or a second one.
    #[error("no forward pass whose gradients are to be computed")]
    NotForwarded,
    /// Another part of the batch failed.
    #[error(transparent)]
    Stopped(#[from] crate::training::Stopped),
    /// Threads could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// A layer that no kernel computes.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A convolution of a kernel, stride or grouping that is not supported.
    #[error(
        "a convolution of {}x{} by stride {}, dilation {}, {:?}",
        .0.kernel.0, .0.kernel.1, .0.stride, .0.dilation, .0.grouping
    )]
    Conv(Conv),
    /// An operation that no kernel computes.
    #[error("{0}")]
    Op(Op),
    /// A Winograd algorithm for another kernel than 3x3, another stride or padding than 1, or for the image.
    #[error("`{algorithm}` for another convolution of maps than 3x3, stride 1, padding 1")]
    Algorithm {
        /// The algorithm.
        algorithm: Algorithm,
        /// Side of the kernel.
        kernel: usize,
        /// Step in rows and columns.
        stride: usize,
        /// Zeros around the input.
        padding: Padding,
    },
    /// The image and a map as one input.
    #[error("the image and a map as one input")]
    ImageBesideMaps,
    /// The image as the input of an operation other than a convolution.
    #[error("the image as the input of an operation other than a convolution")]
    ImageInput,
    /// Several maps as the input of an operation other than a convolution.
    #[error("several maps as the input of an operation other than a convolution")]
    SeveralInputs,
    /// A pool whose windows reach beyond the padding.
    #[error("a pool whose windows reach beyond the padding")]
    CeilPool,
    /// A map of f32 as the input of an operation on bytes.
    #[error("a map of f32 as the input of an operation on bytes")]
    FloatInput,
    /// A map of bytes as the input of an operation on f32.
    #[error("a map of bytes as the input of an operation on f32")]
    ByteInput,
    /// A linear layer on a map of more than one pixel.
    #[error("a linear layer on a map of {height}x{width}")]
    LinearOfPixels {
        /// Rows of the map.
        height: usize,
        /// Columns of the map.
        width: usize,
    },
    /// The gradient of a map that a linear layer and another layer read.
    #[error("the gradient of a map that a linear layer and another read")]
    LinearBesideReaders,
    /// The gradient of a map that is neither read nor an output.
    #[error("the gradient of a map that is neither read nor an output")]
    Unread,
}

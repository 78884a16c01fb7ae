//! Error type of this crate.

use crate::config::{SegmentationVariant, Variant};
use crate::graph::Shape;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a description is not a network, or not a network for images of one size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of a [`Config`](crate::Config) or [`BlockSpec`](crate::BlockSpec) that does not describe a network.
    #[error("{field} is {found}, expected {expected}")]
    Config {
        /// The field, as in `blocks[2].growth`.
        field: String,
        /// Its value.
        found: String,
        /// Which values are valid.
        expected: &'static str,
    },
    /// Text that is not the TOML of a [`Config`](crate::Config).
    #[error("{}{reason}", .line.map_or(String::new(), |line| format!("line {line}: ")))]
    Toml {
        /// The line, from 1, if one is to blame.
        line: Option<usize>,
        /// The expected and the found value, in words.
        reason: String,
    },
    /// A name that is not that of a published network.
    #[error("unknown model `{0}`, expected one of {names}", names = Variant::names())]
    UnknownVariant(String),
    /// A name that is not that of a published segmentation network.
    #[error("unknown segmentation model `{0}`, expected one of {names}", names = SegmentationVariant::names())]
    UnknownSegmentationVariant(String),
    /// A layer without an input, or a network without an output.
    #[error("`{layer}` reads nothing, expected at least one layer")]
    NoInputs {
        /// The layer's name, or the network's.
        layer: String,
    },
    /// A layer that reads itself, a later layer, or one of another network.
    #[error("`{layer}` reads layer {input}, expected one of the {earlier} before it")]
    UnknownLayer {
        /// The layer's name, or the network's.
        layer: String,
        /// The position that it names.
        input: usize,
        /// Layers that it may read.
        earlier: usize,
    },
    /// A number that does not describe a layer.
    #[error("`{layer}` has {field} {found}, expected {expected}")]
    Field {
        /// The layer's name.
        layer: String,
        /// Which number.
        field: &'static str,
        /// Its value.
        found: usize,
        /// Which values are valid.
        expected: &'static str,
    },
    /// A block whose layers are not in the network, or not in order.
    #[error("block `{block}` names layer {layer}, expected layers of the network in order")]
    Block {
        /// The block's name.
        block: String,
        /// The position that it names.
        layer: usize,
    },
    /// Channels that do not divide into the groups of a convolution.
    #[error("`{layer}` has {groups} groups, expected a divisor of its {channels} channels")]
    Groups {
        /// The layer's name.
        layer: String,
        /// Its groups.
        groups: usize,
        /// Its input's channels, or its own.
        channels: usize,
    },
    /// A linear layer on a map whose number of elements depends on the size of the image.
    #[error("`{layer}` is a linear layer on a map without a fixed size, expected one after adaptive pooling")]
    NoFixedSize {
        /// The layer's name.
        layer: String,
    },
    /// Inputs that cannot be concatenated, or added.
    #[error("`{layer}` reads maps of {first} and {other}, expected one size")]
    SizesDiffer {
        /// The layer's name.
        layer: String,
        /// The first of its inputs.
        first: Shape,
        /// One that differs.
        other: Shape,
    },
    /// A tap at a stride or index that the network does not have.
    #[error("no feature map at {wanted} in this network, which has {available}")]
    NoSuchTap {
        /// The requested stride or index.
        wanted: String,
        /// The strides or indices of the network.
        available: String,
    },
    /// The input does not survive the strides of the network.
    #[error(
        "input of {height}x{width} pixels is too small: `{module}` would have no output; \
         the shorter side needs at least {minimum}"
    )]
    InputTooSmall {
        /// Rows of the input.
        height: usize,
        /// Columns of the input.
        width: usize,
        /// The first module without an output.
        module: String,
        /// The smallest side of a square input that works.
        minimum: usize,
    },
    /// The input is larger than any map the crates compute with.
    #[error("input of {height}x{width} pixels is too large, at most {maximum} a side")]
    InputTooLarge {
        /// Rows of the input.
        height: usize,
        /// Columns of the input.
        width: usize,
        /// The largest side.
        maximum: usize,
    },
}

//! What can be wrong with a description.

use crate::network::Shape;

/// Why a description is no network, or no network for one size of image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// A number that makes no layer.
    #[error("`{layer}` has {field} {found}, expected {expected}")]
    Field {
        /// The layer's name.
        layer: String,
        /// Which number.
        field: &'static str,
        /// Its value.
        found: usize,
        /// What it may be.
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
    /// An image whose maps are smaller than a window.
    #[error("`{layer}` has no output for a map of {input}")]
    TooSmall {
        /// The layer's name.
        layer: String,
        /// The map that it reads.
        input: Shape,
    },
    /// Counts beyond 64 bits.
    #[error("the counts of `{layer}` do not fit into 64 bits")]
    TooLarge {
        /// The layer's name, or the network's.
        layer: String,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

//! Error type of this crate.

use std::fmt;

use crate::precision::Precision;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a network cannot be written, or a file not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size of image that does not fit the network.
    #[cfg(feature = "graph")]
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// A version of ONNX's operators that is not written.
    #[error("opset {0} is not supported, expected 13 to 21")]
    Opset(String),
    /// A batch that is not a number of images.
    #[error("batch `{0}` is not a number of images, expected a whole number from 1, or dynamic")]
    Batch(String),
    /// A type that values are not written in.
    #[error("unknown type `{0}`, expected f32 or f16")]
    Precision(String),
    /// A layer that ONNX files of this crate do not contain.
    #[error("`{layer}` cannot be exported: {reason}")]
    Unsupported {
        /// The layer.
        layer: String,
        /// Why, in words.
        reason: &'static str,
    },
    /// Constants of a normalization that are not as many as the channels of the image.
    #[error("{found} means and deviations for images of {expected} channels")]
    Channels {
        /// Channels of the image.
        expected: usize,
        /// Means or deviations.
        found: usize,
    },
    /// A softmax where no classifier is exported.
    #[error("the exported part of the network has no logits for a softmax")]
    NoLogits,
    /// A feature map that the network does not have.
    #[error("no module at position {position} in a network of {modules}")]
    NoModule {
        /// The position that was asked for.
        position: usize,
        /// Modules of the network.
        modules: usize,
    },
    /// A parameter that could not be read.
    #[error("cannot read the parameter `{name}`")]
    Values {
        /// Its name.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A parameter with more or fewer values than its shape has.
    #[error("`{name}` has {found} values, expected {expected}")]
    Count {
        /// Its name.
        name: String,
        /// Values of its shape.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// Values that are not finite in the requested type.
    #[error("values of {first} overflow {precision}", first = First(.tensors))]
    Overflow {
        /// The requested type.
        precision: Precision,
        /// The tensors, by their names in the file.
        tensors: Vec<String>,
    },
    /// A file beyond the limit of the format.
    #[error("the file would have {bytes} bytes, more than the 2 GiB of a protobuf message")]
    TooLarge {
        /// Its length.
        bytes: u64,
    },
    /// A file could not be written.
    #[error("cannot write the ONNX file")]
    Write(#[source] std::io::Error),
    /// A node of a model that a HarDNet does not have, or that is not in order.
    #[error("node `{node}`: {reason}")]
    Node {
        /// Its operator and its name.
        node: String,
        /// Why, in words.
        reason: String,
    },
    /// A layer of a model that is not that of a network.
    #[error("`{layer}`: {reason}")]
    Layer {
        /// The network's name of the layer.
        layer: String,
        /// The expected and the found value, in words.
        reason: String,
    },
    /// A model that has only a part of a network.
    #[error("{reason}, expected a whole network")]
    Part {
        /// Where it ends, in words.
        reason: String,
    },
    /// Bytes that are not an ONNX model, or not one that is read.
    #[error("at byte {offset}: {reason}")]
    Malformed {
        /// Where, from the start of the file.
        offset: usize,
        /// The expected and the found value, in words.
        reason: String,
    },
}

/// The first few names.
struct First<'a>(&'a [String]);

impl fmt::Display for First<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let names: Vec<_> = self.0.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
        let more = if self.0.len() > SHOWN { ", ..." } else { "" };
        write!(f, "{}{more}", names.join(", "))
    }
}

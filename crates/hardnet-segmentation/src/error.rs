//! Errors of the segmenter.

use crate::mask::MaskError;
use crate::protocol::ProtocolError;
use crate::views::ScaleError;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of a [`Segmenter`](crate::Segmenter) or its builder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There are more or fewer names or colors than classes.
    #[error("`{weights}` has {expected} classes, found names or colors of {found}")]
    ClassCount {
        /// The weights.
        weights: String,
        /// Classes of the network.
        expected: usize,
        /// Names or colors.
        found: usize,
    },
    /// The weights are those of a network that does not segment.
    #[error("`{weights}` is not a segmentation network")]
    NoDecoder {
        /// The weights.
        weights: String,
    },
    /// Weights cannot be opened by their name.
    #[error(transparent)]
    Weights(Box<hardnet_classifier::Error>),
    /// A weights file cannot be read or does not fit its network.
    #[error(transparent)]
    Params(#[from] hardnet_params::Error),
    /// The network cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] hardnet_quantize::Error),
    /// The network's description makes no sense.
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// The preprocessing in a weights file cannot be understood.
    #[error("the weights file's preprocessing cannot be understood")]
    Pipeline(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] hardnet_classifier::Error),
    /// An image cannot be prepared.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A scale makes no sense.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// A training image cannot be changed.
    #[error(transparent)]
    Augment(#[from] crate::training::AugmentError),
    /// A mask does not fit.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The network cannot compute the input.
    #[error(transparent)]
    Network(Box<dyn std::error::Error + Send + Sync>),
    /// Logits are infinite or NaN.
    #[error("the network's output is not finite: `{weights}` is damaged")]
    NotFinite {
        /// The weights.
        weights: String,
    },
}

impl Error {
    /// The least height and width of a square input that the native engine computes, if this is the error of an input
    /// that is too small.
    pub fn least_side(&self) -> Option<usize> {
        let Self::Network(error) = self else { return None };
        match error.downcast_ref()? {
            hardnet_engine::Error::Graph(hardnet_graph::Error::InputTooSmall { minimum, .. }) => Some(*minimum),
            _ => None,
        }
    }
}

//! Error type of this crate.

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a network cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that does not describe a network.
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// Parameters that cannot be read or do not fit.
    #[error(transparent)]
    Params(#[from] hardnet_params::Error),
    /// A network that the engine does not compute.
    #[error(transparent)]
    Engine(#[from] hardnet_engine::Error),
    /// A layer that has no form in integers.
    #[error("`{node}` cannot be quantized: {reason}")]
    Layer {
        /// Name of the node.
        node: String,
        /// Why, in words.
        reason: &'static str,
    },
    /// A map without bounds, after a normalization without statistics.
    #[error(
        "the range of `{node}` is not known: its batch normalization is folded into the weights, so that nothing tells \
         mean and deviation of its channels"
    )]
    NoStatistics {
        /// Name of the node.
        node: String,
    },
    /// A measured map has a value that is infinite or NaN.
    #[error("the map of `{node}` has values that are not finite")]
    NotFinite {
        /// Name of the node.
        node: String,
    },
    /// A calibration without images.
    #[error("no images were measured, expected at least one")]
    NoImages,
    /// A calibration of another network.
    #[error("`{node}` was measured in another network")]
    OtherNetwork {
        /// The first node that differs.
        node: String,
    },
    /// An unknown name of a [`RangeMethod`](crate::RangeMethod).
    #[error("unknown method `{0}`, expected min-max, percentile, percentile=P with P above 50 and at most 100, or mse")]
    UnknownMethod(String),
}

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
}

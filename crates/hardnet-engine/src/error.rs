//! Error type of this crate.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a plan cannot be made or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that does not describe a network, or a size of image that does not fit it.
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// Parameters that cannot be read, or do not fit the network.
    #[error(transparent)]
    Params(#[from] hardnet_params::Error),
    /// A layer that no kernel computes.
    #[error("no kernel computes `{node}`")]
    NoKernel {
        /// Name of the node.
        node: String,
    },
    /// An error of the kernels.
    #[error(transparent)]
    Kernels(#[from] hardnet_kernels::Error),
}

//! Error type of this crate.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a network cannot be built or computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that does not describe a network, a size of image that does not fit it, or an unknown name.
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// Parameters that cannot be read.
    #[error(transparent)]
    Params(#[from] hardnet_params::Error),
    /// An error of the CPU engine.
    #[error(transparent)]
    Engine(#[from] hardnet_engine::Error),
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

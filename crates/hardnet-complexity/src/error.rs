//! Error type of this crate.

/// Why a network cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An image that does not fit the network.
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// A name that is not that of a [`Reference`](crate::Reference).
    #[error("unknown network `{0}`")]
    UnknownReference(String),
    /// Counts beyond 64 bits.
    #[error("the counts of `{layer}` do not fit into 64 bits")]
    TooLarge {
        /// The layer's name, or the network's.
        layer: String,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

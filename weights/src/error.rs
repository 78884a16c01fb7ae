//! What can go wrong on the way to a weights file.

use std::path::PathBuf;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An `hf://` address without a repository or a file.
    #[error("`{0}` is no address on the Hub, expected hf://owner/name[@revision][/file]")]
    Address(String),
    /// The crate was built without the feature `hub`.
    #[error("cannot fetch `{0}`: this build has no feature `hub`; download the file and pass its path")]
    NoHub(String),
    /// Neither a cache folder nor a home folder is known.
    #[error("no folder for the Hub's cache: set HF_HOME or HOME")]
    NoCache,
    /// The file is not in the cache and the network may not be used.
    #[error("`{address}` is not in the cache `{cache}` and HF_HUB_OFFLINE is set", cache = .cache.display())]
    Offline {
        /// The address.
        address: String,
        /// The folder looked in.
        cache: PathBuf,
    },
    /// The Hub did not give the file.
    #[error("cannot fetch `{address}` into `{cache}`: {reason}", cache = .cache.display())]
    Fetch {
        /// The address.
        address: String,
        /// The cache folder.
        cache: PathBuf,
        /// What the Hub or the network said.
        reason: String,
    },
}

//! From a [`WeightsSource`] to a file on this machine.

use std::path::PathBuf;

use super::event::Observer;
use super::options::FetchOptions;
use super::repository;
use super::tagged::{self, Provenance};
use crate::error::Result;
use crate::source::WeightsSource;

/// A file on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// Path of the file.
    pub path: PathBuf,
    /// Where weights of the registry came from; `None` for a path or an `hf://` address.
    pub provenance: Option<Provenance>,
}

impl WeightsSource {
    /// Returns the file on this machine, and downloads it first if it is not cached.
    ///
    /// * A path is returned as it is, whether or not it exists.
    /// * A file of the Hub stays in the Hub's cache, unchanged.
    /// * Weights of the registry are requested from their repository on the Hub, if there is one, then from their
    ///   sources in order. The file is verified against its hash, converted to safetensors and cached.
    /// * Bundled weights are written to the cache without a request; [`open`](Self::open) reads them without a file.
    ///
    /// `observer` is told of every step, before the first byte is requested.
    ///
    /// # Errors
    ///
    /// [`Error::Offline`](crate::Error::Offline) and [`Error::Download`](crate::Error::Download) if the file cannot be
    /// had, [`Error::Quarantined`](crate::Error::Quarantined) if its hash differs from the one in its name,
    /// [`Error::AllSourcesFailed`](crate::Error::AllSourcesFailed) if there were several sources,
    /// [`Error::NoKnownSource`](crate::Error::NoKnownSource) if there was none, and
    /// [`Error::NoCacheDir`](crate::Error::NoCacheDir) and [`Error::Io`](crate::Error::Io) if it cannot be stored.
    pub fn fetch(&self, options: &FetchOptions, observer: &mut Observer) -> Result<Fetched> {
        match self {
            Self::Path(path) => Ok(Fetched { path: path.clone(), provenance: None }),
            Self::Tag(entry) => tagged::fetch(entry, options, observer),
            Self::Hub(file) => Ok(Fetched { path: repository::fetch(file, options, observer)?, provenance: None }),
        }
    }

    /// Returns the file on this machine if no request is needed.
    pub fn cached(&self, options: &FetchOptions) -> Option<Fetched> {
        match self {
            Self::Path(path) => path.exists().then(|| Fetched { path: path.clone(), provenance: None }),
            Self::Tag(entry) => tagged::cached(entry, options),
            Self::Hub(file) => Some(Fetched { path: repository::cached(file, options)?, provenance: None }),
        }
    }
}

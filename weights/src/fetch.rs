//! From a source to a file on this machine.

use std::path::PathBuf;

use crate::error::Result;
use crate::event::Watch;
use crate::hub;
use crate::options::FetchOptions;
use crate::source::Source;
use crate::store::Origin;
use crate::tag;

/// A file on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Where weights of the registry came from; `None` for what its user named, a path or an address.
    pub origin: Option<Origin>,
}

impl Source {
    /// The file on this machine; what is not in its cache is fetched, checked and kept there.
    ///
    /// Bundled weights are written to the cache without any request; [`Source::open`] needs no file of them.
    ///
    /// A file of the Hub stays as it is in the Hub's cache. Weights of the registry are asked of their repository on the
    /// Hub, if there is one, then of their sources in order; what arrives is held against its hash, turned into
    /// safetensors and kept. `watch` is told what happens, before the first byte is asked for. That a path exists is not
    /// checked.
    ///
    /// # Errors
    ///
    /// [`Error::Offline`](crate::Error::Offline) and [`Error::Fetch`](crate::Error::Fetch) where the file cannot be had,
    /// [`Error::Unaccepted`](crate::Error::Unaccepted) where it is not what its name promised,
    /// [`Error::NoSource`](crate::Error::NoSource) where several places failed,
    /// [`Error::NowhereKnown`](crate::Error::NowhereKnown) where there is none to ask, and
    /// [`Error::NoCache`](crate::Error::NoCache) and [`Error::Disk`](crate::Error::Disk) where it cannot be kept.
    pub fn fetch(&self, options: &FetchOptions, watch: &mut Watch) -> Result<Fetched> {
        match self {
            Self::Path(path) => Ok(Fetched { path: path.clone(), origin: None }),
            Self::Tag(entry) => tag::fetch(entry, options, watch),
            Self::Hub(file) => Ok(Fetched { path: hub::fetch(file, options, watch)?, origin: None }),
        }
    }

    /// The file on this machine, if no request is needed to have it.
    pub fn cached(&self, options: &FetchOptions) -> Option<Fetched> {
        match self {
            Self::Path(path) => path.exists().then(|| Fetched { path: path.clone(), origin: None }),
            Self::Tag(entry) => tag::cached(entry, options),
            Self::Hub(file) => Some(Fetched { path: hub::cached(file, options)?, origin: None }),
        }
    }
}

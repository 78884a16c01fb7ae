//! The outcome of a fetch, without fetching.

use super::event::Observer;
use super::fetch::Fetched;
use super::options::FetchOptions;
use super::{repository, tagged};
use crate::error::Result;
use crate::registry::HashKind;
use crate::source::WeightsSource;

/// The outcome that [`WeightsSource::fetch`] would have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// The cached file, unless [`FetchOptions::force`](field@FetchOptions::force) asks for a new download.
    pub cached: Option<Fetched>,
    /// The sources that would be tried, in order, until one delivers the file. Empty if the file is cached.
    pub candidates: Vec<Candidate>,
}

/// A source that would be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// URL, without its query.
    pub address: String,
    /// Size of the download in bytes: exact for an `hf://` address, approximate for weights of the registry.
    pub size: Option<u64>,
    /// Where the expected hash comes from.
    pub hash_kind: HashKind,
    /// A remark for users of this source.
    pub note: Option<String>,
}

impl WeightsSource {
    /// Returns what [`fetch`](Self::fetch) would do. Nothing is written. The only request is the Hub's for the length
    /// of an `hf://` file that is not cached.
    ///
    /// # Errors
    ///
    /// The errors of [`fetch`](Self::fetch) that can be foreseen.
    pub fn preview(&self, options: &FetchOptions, observer: &mut Observer) -> Result<Preview> {
        let cached = self.cached(options).filter(|_| !options.force || options.offline.is_some());
        let candidates = match self {
            _ if cached.is_some() => Vec::new(),
            Self::Path(_) => Vec::new(),
            Self::Tag(entry) => tagged::candidates(entry, options)?,
            Self::Hub(file) => {
                let (address, size) = repository::describe(file, options, observer)?;
                vec![Candidate { address, size, hash_kind: HashKind::Verified, note: None }]
            }
        };
        Ok(Preview { cached, candidates })
    }
}

//! What fetching would do.

use crate::error::Result;
use crate::event::Watch;
use crate::fetch::Fetched;
use crate::options::FetchOptions;
use crate::registry::HashKind;
use crate::source::Source;
use crate::{hub, tag};

/// What [`Source::fetch`] would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// The file, if a cache has it and it is not to be asked for all the same.
    pub cached: Option<Fetched>,
    /// The places in the order in which they would be asked, until one gives the file; none where a cache has it.
    pub places: Vec<Place>,
}

/// A place that would be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The address, without its query.
    pub address: String,
    /// Bytes to come: as the Hub says for an `hf://` address, about as many for weights of the registry.
    pub size: Option<u64>,
    /// How well the hash is known that the file would be held against.
    pub hash_kind: HashKind,
    /// What a user of this place should know.
    pub note: Option<String>,
}

impl Source {
    /// What [`Source::fetch`] would do. Nothing is written; the Hub is asked for the length of an `hf://` file that no cache
    /// has, and no other host for anything.
    ///
    /// # Errors
    ///
    /// As [`Source::fetch`], as far as they can be foreseen.
    pub fn preview(&self, options: &FetchOptions, watch: &mut Watch) -> Result<Preview> {
        let cached = self.cached(options).filter(|_| !options.force || options.offline.is_some());
        let places = match self {
            _ if cached.is_some() => Vec::new(),
            Self::Path(_) => Vec::new(),
            Self::Tag(entry) => tag::places(entry, options)?,
            Self::Hub(file) => {
                let (address, size) = hub::describe(file, options, watch)?;
                vec![Place { address, size, hash_kind: HashKind::Verified, note: None }]
            }
        };
        Ok(Preview { cached, places })
    }
}

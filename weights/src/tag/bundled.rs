//! Weights that come with the program, as a file for whoever needs one.

use std::fs;
use std::path::PathBuf;

use crate::digest::sha256;
use crate::error::{Error, Result};
use crate::fetch::Fetched;
use crate::hub_cache::replace;
use crate::options::FetchOptions;
use crate::registry::Entry;
use crate::store::{Check, Origin, Shelf};

/// The file, if it is there and has the content that this program carries.
pub(super) fn cached(entry: &Entry, options: &FetchOptions) -> Option<Fetched> {
    let content = entry.content().ok()?;
    let (path, origin) = Shelf::new(options.store.as_deref()?, entry).find()?;
    (fs::read(&path).ok()? == content).then_some(Fetched { path, origin: Some(origin) })
}

/// The file, written where it is not there.
pub(super) fn unpack(entry: &Entry, options: &FetchOptions) -> Result<Fetched> {
    let content = entry.content()?;
    if let Some(fetched) = cached(entry, options) {
        return Ok(fetched);
    }
    let no_cache = || Error::NoCache { address: entry.tag.clone(), variable: "HARDNET_CACHE" };
    let shelf = Shelf::new(options.store.as_deref().ok_or_else(no_cache)?, entry);
    let path: PathBuf = shelf.weights();
    let origin = Origin { address: entry.tag.clone(), sha256: sha256(content), check: Check::Verified };
    let kept = replace(&path, content).and_then(|()| shelf.record(&origin));
    kept.map_err(|source| Error::Disk { path: path.clone(), source })?;
    Ok(Fetched { path, origin: Some(origin) })
}

//! Embedded weights as a file of the cache.

use std::fs;

use hardnet_base::{AtomicFile, sha256};

use super::cache_entry::{CacheEntry, Provenance, Verification};
use crate::error::{Error, Result};
use crate::hub::fetch::Fetched;
use crate::hub::options::FetchOptions;
use crate::registry::RegistryEntry;

/// The cached file, if it has the embedded content.
pub(super) fn cached(entry: &RegistryEntry, options: &FetchOptions) -> Option<Fetched> {
    let content = entry.content().ok()?;
    let (path, provenance) = CacheEntry::new(options.weights_cache.as_deref()?, entry).find()?;
    (fs::read(&path).ok()? == content).then_some(Fetched { path, provenance: Some(provenance) })
}

/// The cached file, written first if it is missing.
pub(super) fn unpack(entry: &RegistryEntry, options: &FetchOptions) -> Result<Fetched> {
    let content = entry.content()?;
    if let Some(fetched) = cached(entry, options) {
        return Ok(fetched);
    }
    let no_cache = || Error::NoCacheDir { address: entry.tag.clone(), variable: "HARDNET_CACHE" };
    let cache = CacheEntry::new(options.weights_cache.as_deref().ok_or_else(no_cache)?, entry);
    let path = cache.weights();
    let provenance =
        Provenance { address: entry.tag.clone(), sha256: sha256(content), verification: Verification::Verified };
    let written = AtomicFile::replace(&path, content).and_then(|()| cache.complete(&provenance));
    written.map_err(|source| Error::Io { path: path.clone(), source })?;
    Ok(Fetched { path, provenance: Some(provenance) })
}

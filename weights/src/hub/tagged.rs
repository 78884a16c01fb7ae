//! Weights of the registry: their sources in order, until one delivers the file.

mod bundled;
mod cache_entry;
mod download;

use std::path::{Path, PathBuf};

use super::convert;
use super::event::{Event, Observer};
use super::fetch::Fetched;
use super::http::{HttpClient, redact};
use super::lock::Lock;
use super::options::FetchOptions;
use super::preview::Candidate;
use super::repository;
use crate::error::{DownloadError, Error, Result};
use crate::registry::{HashKind, RegistryEntry};
use crate::source::{HubFile, WeightsSource};
use cache_entry::CacheEntry;
use download::Download;

pub use cache_entry::{Provenance, Verification};

/// Returns the cached weights, without a request.
pub(super) fn cached(entry: &RegistryEntry, options: &FetchOptions) -> Option<Fetched> {
    if entry.bundled {
        return bundled::cached(entry, options);
    }
    let from_hub = || {
        let file = hub_file(entry, options).ok()??;
        let path = repository::cached(&file, options)?;
        convert::check(&path, entry).ok()?;
        Some(fetched_from_hub(&file, path))
    };
    let from_sources = || {
        let (path, provenance) = CacheEntry::new(options.weights_cache.as_deref()?, entry).find()?;
        Some(Fetched { path, provenance: Some(provenance) })
    };
    from_hub().or_else(from_sources)
}

/// Returns the weights, and downloads them first if they are not cached.
pub(super) fn fetch(entry: &RegistryEntry, options: &FetchOptions, observer: &mut Observer) -> Result<Fetched> {
    if entry.bundled {
        return bundled::unpack(entry, options);
    }
    let accepted = options.accept_sha256.as_deref().map(normalize_sha256).transpose()?;
    if let Some(fetched) = cached(entry, options).filter(|_| !options.force || options.offline.is_some()) {
        return Ok(fetched);
    }
    let cache_dir = online_cache_dir(entry, options)?;
    let mut failures = Vec::new();
    if let Some(file) = hub_file(entry, options)? {
        match repository::fetch(&file, options, observer).and_then(|path| check_hub_file(entry, &file, path, options)) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => next_source(error, &mut failures, observer)?,
        }
    }
    let cache = CacheEntry::new(cache_dir, entry);
    let lock = cache.lock();
    let _held = Lock::hold(lock, observer).map_err(|source| Error::Io { path: lock.into(), source })?;
    // Another process may have downloaded them while this one waited.
    if let Some((path, provenance)) = cache.find().filter(|_| !options.force) {
        return Ok(Fetched { path, provenance: Some(provenance) });
    }
    let download = Download { entry, cache, cache_dir, accepted, http: HttpClient::new(options) };
    for source in &entry.sources {
        let is_quarantined = failures.iter().any(|failure| matches!(failure, Error::Quarantined { .. }));
        match download.run(source, is_quarantined, observer) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => next_source(error, &mut failures, observer)?,
        }
    }
    Err(match failures.len() {
        0 => Error::NoKnownSource { tag: entry.tag.clone() },
        1 => failures.remove(0),
        _ => Error::AllSourcesFailed { tag: entry.tag.clone(), failures },
    })
}

/// Returns the sources that would be tried, in order.
pub(super) fn candidates(entry: &RegistryEntry, options: &FetchOptions) -> Result<Vec<Candidate>> {
    if entry.bundled {
        return Ok(Vec::new());
    }
    online_cache_dir(entry, options)?;
    let size = Some(entry.size);
    let on_hub = hub_file(entry, options)?.map(|file| Candidate {
        address: file.to_string(),
        size,
        hash_kind: HashKind::Verified,
        note: None,
    });
    let elsewhere = entry.sources.iter().map(|source| Candidate {
        address: redact(&source.url),
        size,
        hash_kind: source.hash_kind,
        note: source.note.clone(),
    });
    let candidates: Vec<Candidate> = on_hub.into_iter().chain(elsewhere).collect();
    if candidates.is_empty() { Err(Error::NoKnownSource { tag: entry.tag.clone() }) } else { Ok(candidates) }
}

/// Returns the cache folder, or an error if requests are forbidden.
fn online_cache_dir<'a>(entry: &RegistryEntry, options: &'a FetchOptions) -> Result<&'a Path> {
    let no_cache = || Error::NoCacheDir { address: entry.tag.clone(), variable: "HARDNET_CACHE" };
    let cache_dir = options.weights_cache.as_deref().ok_or_else(no_cache)?;
    match &options.offline {
        Some(why) => Err(Error::Offline { address: entry.tag.clone(), cache: cache_dir.into(), why: why.clone() }),
        None => Ok(cache_dir),
    }
}

/// Records the failure of a source, so that the next one is tried. A failure of this machine ends the fetch instead.
fn next_source(error: Error, failures: &mut Vec<Error>, observer: &mut Observer) -> Result<()> {
    if matches!(
        error,
        Error::Io { .. } | Error::NoCacheDir { .. } | Error::Download { reason: DownloadError::Io { .. }, .. }
    ) {
        return Err(error);
    }
    observer(Event::SourceFailed(&error));
    failures.push(error);
    Ok(())
}

/// The file of these weights on the Hub, if a repository is named.
fn hub_file(entry: &RegistryEntry, options: &FetchOptions) -> Result<Option<HubFile>> {
    let owned = options.hub_owner.as_ref().map(|owner| format!("{owner}/{}", entry.tag));
    let Some(repository) = owned.or_else(|| entry.hub.clone()) else { return Ok(None) };
    match format!("hf://{repository}").parse()? {
        WeightsSource::Hub(file) if file.repository == repository => Ok(Some(file)),
        _ => {
            let reason = format!("`{repository}` is not the name of a repository");
            Err(Error::InvalidUri { address: format!("hf://{repository}"), reason })
        }
    }
}

/// Checks a file of the Hub, whose repository may hold anything.
fn check_hub_file(entry: &RegistryEntry, file: &HubFile, path: PathBuf, options: &FetchOptions) -> Result<Fetched> {
    match convert::check(&path, entry) {
        Ok(()) => Ok(fetched_from_hub(file, path)),
        Err(error) => {
            let cache = options.hub_cache.clone().unwrap_or_default();
            let reason = DownloadError::WrongContent(error.to_string());
            Err(Error::Download { address: file.to_string(), cache, reason })
        }
    }
}

/// Weights in the Hub's cache, which names files by the hash that the Hub states.
fn fetched_from_hub(file: &HubFile, path: PathBuf) -> Fetched {
    let provenance =
        Provenance { address: file.to_string(), sha256: String::new(), verification: Verification::Verified };
    Fetched { path, provenance: Some(provenance) }
}

/// A SHA-256 in lower case without white space.
fn normalize_sha256(text: &str) -> Result<String> {
    let digest = text.trim().to_ascii_lowercase();
    let is_complete = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_complete { Ok(digest) } else { Err(Error::InvalidSha256(text.into())) }
}

#[cfg(test)]
mod tests;

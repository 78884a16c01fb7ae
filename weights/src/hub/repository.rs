//! Files of the Hugging Face Hub, in the cache that its Python library shares.

mod cache;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::digests::Digests;
use super::event::{Event, Observer};
use super::http::{DownloadRequest, HttpClient, RemoteInfo, discard, escape, redact};
use super::lock::Lock;
use super::options::FetchOptions;
use crate::error::{DownloadError, Error, Result};
use crate::source::HubFile;
use cache::{CachedFile, hub_repo};

/// Largest file that is accepted, in bytes. No longer file can be read as weights.
const MAX_LENGTH: u64 = 4 << 30;

/// Returns the cached file, without a request.
pub(crate) fn cached(file: &HubFile, options: &FetchOptions) -> Option<PathBuf> {
    CachedFile::new(options.hub_cache.as_deref()?, file).find()
}

/// Returns the cached file, and downloads it first if it is missing.
pub(crate) fn fetch(file: &HubFile, options: &FetchOptions, observer: &mut Observer) -> Result<PathBuf> {
    let wanted = file.to_string();
    let cache = cache_dir(file, options)?;
    let cached = CachedFile::new(cache, file);
    if let Some(path) = cached.find().filter(|_| !options.force || options.offline.is_some()) {
        return Ok(path);
    }
    check_online(file, options)?;
    let url = file_url(&options.endpoint, file, &hub_repo(file).url_revision());
    observer(Event::Requesting { wanted: &wanted, address: &redact(&url), size: None, note: None });
    let http = HttpClient::new(options);
    let downloaded = http.describe(&url, observer).and_then(|info| {
        check_names(&info)?;
        download(&http, file, &cached, &info, options, observer)
    });
    downloaded.map_err(|reason| Error::Download { address: wanted, cache: cache.into(), reason })
}

/// Returns the URL of the file and its length, if the Hub states it, with one request.
pub(crate) fn describe(
    file: &HubFile,
    options: &FetchOptions,
    observer: &mut Observer,
) -> Result<(String, Option<u64>)> {
    let cache = cache_dir(file, options)?;
    check_online(file, options)?;
    let url = file_url(&options.endpoint, file, &hub_repo(file).url_revision());
    match HttpClient::new(options).describe(&url, observer) {
        Ok(info) => Ok((redact(&url), info.length)),
        Err(reason) => Err(Error::Download { address: file.to_string(), cache: cache.into(), reason }),
    }
}

/// Folder of the cache.
fn cache_dir<'a>(file: &HubFile, options: &'a FetchOptions) -> Result<&'a Path> {
    let no_cache = || Error::NoCacheDir { address: file.to_string(), variable: "HF_HOME" };
    options.hub_cache.as_deref().ok_or_else(no_cache)
}

/// Returns an error if requests are forbidden.
fn check_online(file: &HubFile, options: &FetchOptions) -> Result<()> {
    match &options.offline {
        Some(why) => {
            let (address, cache) = (file.to_string(), cache_dir(file, options)?.into());
            Err(Error::Offline { address, cache, why: why.clone() })
        }
        None => Ok(()),
    }
}

/// URL of a file at a revision.
fn file_url(endpoint: &str, file: &HubFile, revision: &str) -> String {
    format!("{endpoint}/{}/resolve/{revision}/{}", hub_repo(file).url(), escape(&file.file))
}

/// Checks that commit and ETag, which become names of files, are safe as such.
fn check_names(info: &RemoteInfo) -> Result<(), DownloadError> {
    let is_safe = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(plain)
    };
    if !is_safe(&info.commit) {
        return Err(DownloadError::NotAHub("X-Repo-Commit that can be a commit"));
    }
    if !is_safe(&info.etag) {
        return Err(DownloadError::NotAHub("ETag that can be a hash"));
    }
    Ok(())
}

/// Downloads the content unless the cache has it under another name, and links the file to it.
fn download(
    http: &HttpClient,
    file: &HubFile,
    cached: &CachedFile,
    info: &RemoteInfo,
    options: &FetchOptions,
    observer: &mut Observer,
) -> Result<PathBuf, DownloadError> {
    let RemoteInfo { commit, etag, length } = info;
    let blob = cached.blob(etag);
    let io_error = |path: &Path| {
        let path = path.to_path_buf();
        move |source: io::Error| DownloadError::Io { path, source }
    };
    let folder = blob.parent().expect("a blob is in a folder");
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let lock = cached.lock(etag);
    let _held = Lock::hold(&lock, observer).map_err(io_error(&lock))?;
    // Another process may have downloaded it while this one waited.
    if !blob.exists() {
        let part = cached.part(etag);
        let url = file_url(&options.endpoint, file, commit);
        let request =
            DownloadRequest { url: &url, part: &part, length: *length, max_length: MAX_LENGTH, named_by_content: true };
        let resumes = part.exists();
        http.download(&request, observer)?;
        match verify(&part, etag) {
            // The part of an earlier run may be damaged: start over.
            Err(DownloadError::HashMismatch { .. }) if resumes => {
                http.download(&request, observer)?;
                verify(&part, etag)?;
            }
            verified => verified?,
        }
        fs::rename(&part, &blob).map_err(io_error(&blob))?;
    }
    cached.link(etag, commit).map_err(io_error(&cached.pointer(commit)))
}

/// Compares the hash of a file with its ETag, and removes the file if they differ.
fn verify(part: &Path, etag: &str) -> Result<(), DownloadError> {
    let io_error = |source| DownloadError::Io { path: part.into(), source };
    let digests = Digests::from_file(part).map_err(io_error)?;
    let found = match etag.len() {
        64 => digests.sha256,
        40 => digests.git_blob,
        // A mirror's own ETag, which is not a hash of the content.
        _ => return Ok(()),
    };
    if found != etag {
        discard(part).map_err(io_error)?;
        return Err(DownloadError::HashMismatch { expected: etag.into(), found });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Files of the Hugging Face Hub, by way of the cache that its Python library shares.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::address::{escape, shown};
use crate::digest::Digests;
use crate::error::{Error, Reason, Result};
use crate::event::{Event, Watch};
use crate::hub_cache::{CachedFile, repository};
use crate::lock::Lock;
use crate::options::FetchOptions;
use crate::source::HubFile;
use crate::transfer::{Description, Order, Transfer, discard};

/// The longest file that is taken, in bytes: none that is longer can be read as weights.
const LONGEST: u64 = 4 << 30;

/// The file in the cache, without any request.
pub(crate) fn cached(file: &HubFile, options: &FetchOptions) -> Option<PathBuf> {
    CachedFile::new(options.hub_cache.as_deref()?, file).find()
}

/// The file in the cache, fetched first where it is not there.
pub(crate) fn fetch(file: &HubFile, options: &FetchOptions, watch: &mut Watch) -> Result<PathBuf> {
    let wanted = file.to_string();
    let cache = folder(file, options)?;
    let cached = CachedFile::new(cache, file);
    if let Some(path) = cached.find().filter(|_| !options.force || options.offline.is_some()) {
        return Ok(path);
    }
    check_online(file, options)?;
    let address = address(&options.endpoint, file, &repository(file).url_revision());
    watch(Event::Asking { wanted: &wanted, address: &shown(&address), size: None, note: None });
    let transfer = Transfer::new(options);
    let arrived = transfer.describe(&address, watch).and_then(|description| {
        check_names(&description)?;
        bring(&transfer, file, &cached, &description, options, watch)
    });
    arrived.map_err(|reason| Error::Fetch { address: wanted, cache: cache.into(), reason })
}

/// The address of the file and its length, if the Hub says it; nothing but that is asked for.
pub(crate) fn describe(file: &HubFile, options: &FetchOptions, watch: &mut Watch) -> Result<(String, Option<u64>)> {
    let cache = folder(file, options)?;
    check_online(file, options)?;
    let address = address(&options.endpoint, file, &repository(file).url_revision());
    match Transfer::new(options).describe(&address, watch) {
        Ok(description) => Ok((shown(&address), description.length)),
        Err(reason) => Err(Error::Fetch { address: file.to_string(), cache: cache.into(), reason }),
    }
}

/// The folder of the cache.
fn folder<'a>(file: &HubFile, options: &'a FetchOptions) -> Result<&'a Path> {
    let no_cache = || Error::NoCache { address: file.to_string(), variable: "HF_HOME" };
    options.hub_cache.as_deref().ok_or_else(no_cache)
}

/// Refuses where no request may be made.
fn check_online(file: &HubFile, options: &FetchOptions) -> Result<()> {
    match &options.offline {
        Some(why) => {
            let (address, cache) = (file.to_string(), folder(file, options)?.into());
            Err(Error::Offline { address, cache, why: why.clone() })
        }
        None => Ok(()),
    }
}

/// The address of a file.
fn address(endpoint: &str, file: &HubFile, revision: &str) -> String {
    format!("{endpoint}/{}/resolve/{revision}/{}", repository(file).url(), escape(&file.file))
}

/// What the Hub says becomes names of files: they must be names.
fn check_names(description: &Description) -> Result<(), Reason> {
    let sound = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(plain)
    };
    if !sound(&description.commit) {
        return Err(Reason::NoHub("X-Repo-Commit that could be a commit"));
    }
    if !sound(&description.etag) {
        return Err(Reason::NoHub("ETag that could be a hash"));
    }
    Ok(())
}

/// Brings the content into the cache, unless it is there under another name, and links the file to it.
fn bring(
    transfer: &Transfer,
    file: &HubFile,
    cached: &CachedFile,
    description: &Description,
    options: &FetchOptions,
    watch: &mut Watch,
) -> Result<PathBuf, Reason> {
    let Description { commit, etag, length } = description;
    let blob = cached.blob(etag);
    let disk = |path: &Path| {
        let path = path.to_path_buf();
        move |source: io::Error| Reason::Disk { path, source }
    };
    let folder = blob.parent().expect("a blob is in a folder");
    fs::create_dir_all(folder).map_err(disk(folder))?;
    let lock = cached.lock(etag);
    let _held = Lock::hold(&lock, watch).map_err(disk(&lock))?;
    // Another process may have brought it while this one waited.
    if !blob.exists() {
        let part = cached.part(etag);
        let address = address(&options.endpoint, file, commit);
        let order = Order { address: &address, part: &part, length: *length, longest: LONGEST, named_by_content: true };
        let kept = part.exists();
        transfer.download(&order, watch)?;
        match check(&part, etag) {
            // What an earlier run had left may have been damaged.
            Err(Reason::Digest { .. }) if kept => {
                transfer.download(&order, watch)?;
                check(&part, etag)?;
            }
            checked => checked?,
        }
        fs::rename(&part, &blob).map_err(disk(&blob))?;
    }
    cached.link(etag, commit).map_err(disk(&cached.pointer(commit)))
}

/// Holds the content against its name; what differs is removed.
fn check(part: &Path, etag: &str) -> Result<(), Reason> {
    let disk = |source| Reason::Disk { path: part.into(), source };
    let digests = Digests::of(part).map_err(disk)?;
    let found = match etag.len() {
        64 => digests.sha256,
        40 => digests.git_blob,
        // A mirror's own name for it, which says nothing of the content.
        _ => return Ok(()),
    };
    if found != etag {
        discard(part).map_err(disk)?;
        return Err(Reason::Digest { expected: etag.into(), found });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

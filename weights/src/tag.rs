//! Weights of the registry: which place is asked, and what becomes of what arrives.

mod bundled;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::address::shown;
use crate::digest::Digests;
use crate::error::{Error, Reason, Result};
use crate::event::{Event, Watch};
use crate::fetch::Fetched;
use crate::hub;
use crate::hub_cache::publish;
use crate::keep::{self, NotKept};
use crate::lock::Lock;
use crate::options::FetchOptions;
use crate::preview::Place;
use crate::registry::{Entry, Hash, HashKind, RemoteFile};
use crate::source::{HubFile, Source};
use crate::store::{Check, Origin, Shelf};
use crate::transfer::{Order, Transfer, discard};

/// The weights without any request.
pub(crate) fn cached(entry: &Entry, options: &FetchOptions) -> Option<Fetched> {
    if entry.bundled {
        return bundled::cached(entry, options);
    }
    let of_hub = || {
        let file = hub_file(entry, options).ok()??;
        let path = hub::cached(&file, options)?;
        keep::check(&path, entry).ok()?;
        Some(of_hub(&file, path))
    };
    let of_store = || {
        let (path, origin) = Shelf::new(options.store.as_deref()?, entry).find()?;
        Some(Fetched { path, origin: Some(origin) })
    };
    of_hub().or_else(of_store)
}

/// The weights, fetched first where they are not in a cache.
pub(crate) fn fetch(entry: &Entry, options: &FetchOptions, watch: &mut Watch) -> Result<Fetched> {
    if entry.bundled {
        return bundled::unpack(entry, options);
    }
    let accepted = options.accept_sha256.as_deref().map(digest).transpose()?;
    if let Some(fetched) = cached(entry, options).filter(|_| !options.force || options.offline.is_some()) {
        return Ok(fetched);
    }
    let store = online_store(entry, options)?;
    let mut failures = Vec::new();
    if let Some(file) = hub_file(entry, options)? {
        match hub::fetch(&file, options, watch).and_then(|path| mirrored(entry, &file, path, options)) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => set_back(error, &mut failures, watch)?,
        }
    }
    let shelf = Shelf::new(store, entry);
    let lock = shelf.lock();
    let _held = Lock::hold(lock, watch).map_err(|source| Error::Disk { path: lock.into(), source })?;
    // Another process may have fetched them while this one waited.
    if let Some((path, origin)) = shelf.find().filter(|_| !options.force) {
        return Ok(Fetched { path, origin: Some(origin) });
    }
    let errand = Errand { entry, shelf, store, accepted, transfer: Transfer::new(options) };
    for file in &entry.sources {
        let in_doubt = failures.iter().any(|failure| matches!(failure, Error::Unaccepted { .. }));
        match errand.ask(file, in_doubt, watch) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => set_back(error, &mut failures, watch)?,
        }
    }
    Err(match failures.len() {
        0 => Error::NowhereKnown { tag: entry.tag.clone() },
        1 => failures.remove(0),
        _ => Error::NoSource { tag: entry.tag.clone(), failures },
    })
}

/// The places that would be asked, in that order.
pub(crate) fn places(entry: &Entry, options: &FetchOptions) -> Result<Vec<Place>> {
    if entry.bundled {
        return Ok(Vec::new());
    }
    online_store(entry, options)?;
    let size = Some(entry.size);
    let on_hub = hub_file(entry, options)?.map(|file| Place {
        address: file.to_string(),
        size,
        hash_kind: HashKind::Verified,
        note: None,
    });
    let elsewhere = entry.sources.iter().map(|source| Place {
        address: shown(&source.address),
        size,
        hash_kind: source.hash_kind,
        note: source.note.clone(),
    });
    let places: Vec<Place> = on_hub.into_iter().chain(elsewhere).collect();
    if places.is_empty() { Err(Error::NowhereKnown { tag: entry.tag.clone() }) } else { Ok(places) }
}

/// The folder of the weights, where requests may be made.
fn online_store<'a>(entry: &Entry, options: &'a FetchOptions) -> Result<&'a Path> {
    let no_cache = || Error::NoCache { address: entry.tag.clone(), variable: "HARDNET_CACHE" };
    let store = options.store.as_deref().ok_or_else(no_cache)?;
    match &options.offline {
        Some(why) => Err(Error::Offline { address: entry.tag.clone(), cache: store.into(), why: why.clone() }),
        None => Ok(store),
    }
}

/// Goes on to the next place, unless the failure is of this machine and not of the place.
fn set_back(error: Error, failures: &mut Vec<Error>, watch: &mut Watch) -> Result<()> {
    if matches!(error, Error::Disk { .. } | Error::NoCache { .. } | Error::Fetch { reason: Reason::Disk { .. }, .. }) {
        return Err(error);
    }
    watch(Event::Failed(&error));
    failures.push(error);
    Ok(())
}

/// The repository of these weights on the Hub, if there is one.
fn hub_file(entry: &Entry, options: &FetchOptions) -> Result<Option<HubFile>> {
    let owned = options.hub_owner.as_ref().map(|owner| format!("{owner}/{}", entry.tag));
    let Some(repository) = owned.or_else(|| entry.hub.clone()) else { return Ok(None) };
    match format!("hf://{repository}").parse()? {
        Source::Hub(file) if file.repository == repository => Ok(Some(file)),
        _ => Err(Error::Address(format!("hf://{repository}"))),
    }
}

/// Weights from a repository on the Hub, which anyone may have filled with anything.
fn mirrored(entry: &Entry, file: &HubFile, path: PathBuf, options: &FetchOptions) -> Result<Fetched> {
    match keep::check(&path, entry) {
        Ok(()) => Ok(of_hub(file, path)),
        Err(error) => {
            let cache = options.hub_cache.clone().unwrap_or_default();
            Err(Error::Fetch { address: file.to_string(), cache, reason: Reason::Content(error.to_string()) })
        }
    }
}

/// Weights in the Hub's cache, where they lie under the hash that the Hub gave them.
fn of_hub(file: &HubFile, path: PathBuf) -> Fetched {
    let origin = Origin { address: file.to_string(), sha256: String::new(), check: Check::Verified };
    Fetched { path, origin: Some(origin) }
}

/// A SHA-256 as someone may write it.
fn digest(text: &str) -> Result<String> {
    let digest = text.trim().to_ascii_lowercase();
    let whole = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if whole { Ok(digest) } else { Err(Error::NoDigest(text.into())) }
}

/// What a file turns out to be.
enum Verdict {
    /// It may be used.
    Good(Check),
    /// It is not what its name promised, which may be the name's fault.
    Doubtful(String),
    /// It is another file.
    Wrong(String),
}

/// Weights on their way into the store.
struct Errand<'a> {
    entry: &'a Entry,
    shelf: Shelf,
    store: &'a Path,
    accepted: Option<String>,
    transfer: Transfer<'a>,
}

impl Errand<'_> {
    /// Asks one place; `in_doubt` if the file of an earlier one is kept aside.
    fn ask(&self, file: &RemoteFile, in_doubt: bool, watch: &mut Watch) -> Result<Fetched> {
        let address = shown(&file.address);
        let failed = |reason| Error::Fetch { address: address.clone(), cache: self.store.into(), reason };
        // A doubt is not settled by what can be checked even less.
        if in_doubt && file.hash_kind != HashKind::Verified {
            return Err(failed(Reason::Skipped));
        }
        let name = address.rsplit('/').next().unwrap_or_default();
        let (part, aside) = (self.shelf.part(name), self.shelf.aside(name));
        let (arrived, check, sha256) = match self.accepted_before(&aside) {
            Some(sha256) => (aside, Check::Accepted, sha256),
            None => {
                let (size, note) = (Some(self.entry.size), file.note.as_deref());
                watch(Event::Asking { wanted: &self.entry.tag, address: &address, size, note });
                let (verdict, sha256) = self.bring(file, &part, watch).map_err(failed)?;
                let disk = |source| Error::Disk { path: part.clone(), source };
                match verdict {
                    Verdict::Good(check) => (part, check, sha256),
                    Verdict::Wrong(expected) => {
                        discard(&part).map_err(disk)?;
                        return Err(failed(Reason::Digest { expected, found: sha256 }));
                    }
                    Verdict::Doubtful(expected) => {
                        put_aside(&part, &aside).map_err(disk)?;
                        return Err(Error::Unaccepted { address, expected, found: sha256, kept: aside });
                    }
                }
            }
        };
        watch(Event::Converting);
        self.keep(&arrived, Origin { address: address.clone(), sha256, check }).map_err(failed)
    }

    /// The SHA-256 of a file that is kept aside, if it is the accepted one.
    fn accepted_before(&self, aside: &Path) -> Option<String> {
        let accepted = self.accepted.as_ref()?;
        Digests::of(aside).ok().map(|digests| digests.sha256).filter(|sha256| sha256 == accepted)
    }

    /// Brings a file and judges it.
    fn bring(&self, file: &RemoteFile, part: &Path, watch: &mut Watch) -> Result<(Verdict, String), Reason> {
        let disk = |source| Reason::Disk { path: part.into(), source };
        fs::create_dir_all(part.parent().expect("a part is in a folder")).map_err(disk)?;
        let order = Order {
            address: &file.address,
            part,
            length: None,
            // Room for f64, and for what an optimiser keeps beside the weights.
            longest: self.entry.size.saturating_mul(4).saturating_add(1 << 20),
            named_by_content: false,
        };
        let kept = part.exists();
        let mut judge = || {
            self.transfer.download(&order, watch)?;
            let digests = Digests::of(part).map_err(disk)?;
            Ok((self.judge(file, &digests), digests.sha256))
        };
        match judge()? {
            (Verdict::Good(check), sha256) => Ok((Verdict::Good(check), sha256)),
            // What an earlier run had left may have been damaged.
            _ if kept => {
                discard(part).map_err(disk)?;
                judge()
            }
            other => Ok(other),
        }
    }

    fn judge(&self, file: &RemoteFile, digests: &Digests) -> Verdict {
        let is_accepted = self.accepted.as_ref() == Some(&digests.sha256);
        match (&file.hash, file.hash_kind) {
            (Some(hash), HashKind::Verified) if has(digests, hash) => Verdict::Good(Check::Verified),
            (Some(hash), HashKind::Inferred) if has(digests, hash) => Verdict::Good(Check::Inferred),
            (Some(hash), HashKind::Verified) => Verdict::Wrong(hash.to_string()),
            _ if is_accepted => Verdict::Good(Check::Accepted),
            (Some(hash), HashKind::Inferred) => Verdict::Doubtful(hash.to_string()),
            (None, _) | (_, HashKind::None) => match &self.accepted {
                Some(accepted) => Verdict::Wrong(format!("sha256:{accepted}")),
                None => Verdict::Good(Check::Unverified),
            },
        }
    }

    /// Turns what arrived into the weights of the tag.
    fn keep(&self, arrived: &Path, origin: Origin) -> Result<Fetched, Reason> {
        let disk = |source| Reason::Disk { path: self.shelf.weights(), source };
        let weights = match keep::as_safetensors(arrived, self.entry, &self.shelf.weights()) {
            Ok(weights) => weights,
            Err(NotKept::Disk(source)) => return Err(disk(source)),
            Err(NotKept::Content(why)) => {
                discard(arrived).map_err(disk)?;
                return Err(Reason::Content(why));
            }
        };
        // What was here before stays until there is better, and its origin is not taken for that of the new file.
        let kept = self.shelf.clear().and_then(|()| publish(weights, &self.shelf.weights()));
        kept.and_then(|()| discard(arrived)).and_then(|()| self.shelf.record(&origin)).map_err(disk)?;
        Ok(Fetched { path: self.shelf.weights(), origin: Some(origin) })
    }
}

/// Whether a file of these digests has that hash.
fn has(digests: &Digests, hash: &Hash) -> bool {
    match hash {
        Hash::Sha256(digits) => digests.sha256.starts_with(digits),
        Hash::GitBlob(digits) => digests.git_blob == *digits,
    }
}

fn put_aside(part: &Path, aside: &Path) -> io::Result<()> {
    fs::create_dir_all(aside.parent().expect("a file is in a folder"))?;
    fs::rename(part, aside)?;
    discard(part)
}

#[cfg(test)]
mod tests;

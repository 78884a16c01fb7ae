//! One source of registry weights: download, verify, convert, cache.

use std::fs;
use std::io;
use std::path::Path;

use super::cache_entry::{CacheEntry, Provenance, Verification};
use crate::error::{DownloadError, Error, Result};
use crate::hub::convert::{self, ConvertError};
use crate::hub::digests::Digests;
use crate::hub::event::{Event, Observer};
use crate::hub::fetch::Fetched;
use crate::hub::http::{DownloadRequest, HttpClient, discard, redact};
use crate::registry::{Hash, HashKind, RegistryEntry, RemoteFile};

/// The result of comparing a file with its expected hash.
enum Verdict {
    /// The file may be used.
    Accepted(Verification),
    /// The file does not have the hash in its name, which is the string. The name may be wrong.
    Suspect(String),
    /// The file is a different one; the string is the expected hash.
    Mismatch(String),
}

/// Download of registry weights into their cache entry.
pub(super) struct Download<'a> {
    pub(super) entry: &'a RegistryEntry,
    pub(super) cache: CacheEntry,
    pub(super) cache_dir: &'a Path,
    /// SHA-256 that the user trusts.
    pub(super) accepted: Option<String>,
    pub(super) http: HttpClient<'a>,
}

impl Download<'_> {
    /// Tries one source. With `is_quarantined`, the file of an earlier source is quarantined.
    pub(super) fn run(&self, source: &RemoteFile, is_quarantined: bool, observer: &mut Observer) -> Result<Fetched> {
        let address = redact(&source.url);
        let failed = |reason| Error::Download { address: address.clone(), cache: self.cache_dir.into(), reason };
        // A file without a stated hash cannot replace one whose hash is in doubt.
        if is_quarantined && source.hash_kind != HashKind::Verified {
            return Err(failed(DownloadError::Skipped));
        }
        let name = address.rsplit('/').next().unwrap_or_default();
        let (part, quarantined) = (self.cache.part(name), self.cache.quarantined(name));
        let (file, verification, sha256) = match self.accepted_from_quarantine(&quarantined) {
            Some(sha256) => (quarantined, Verification::Accepted, sha256),
            None => {
                let (size, note) = (Some(self.entry.size), source.note.as_deref());
                observer(Event::Requesting { wanted: &self.entry.tag, address: &address, size, note });
                let (verdict, sha256) = self.download(source, &part, observer).map_err(failed)?;
                let io_error = |source| Error::Io { path: part.clone(), source };
                match verdict {
                    Verdict::Accepted(verification) => (part, verification, sha256),
                    Verdict::Mismatch(expected) => {
                        discard(&part).map_err(io_error)?;
                        return Err(failed(DownloadError::HashMismatch { expected, found: sha256 }));
                    }
                    Verdict::Suspect(expected) => {
                        quarantine(&part, &quarantined).map_err(io_error)?;
                        return Err(Error::Quarantined { address, expected, found: sha256, kept: quarantined });
                    }
                }
            }
        };
        observer(Event::Converting);
        self.convert(&file, Provenance { address: address.clone(), sha256, verification }).map_err(failed)
    }

    /// SHA-256 of a quarantined file, if the user has accepted it.
    fn accepted_from_quarantine(&self, quarantined: &Path) -> Option<String> {
        let accepted = self.accepted.as_ref()?;
        Digests::from_file(quarantined).ok().map(|digests| digests.sha256).filter(|sha256| sha256 == accepted)
    }

    /// Downloads a file and verifies it. Returns the verdict and the file's SHA-256.
    fn download(
        &self,
        source: &RemoteFile,
        part: &Path,
        observer: &mut Observer,
    ) -> Result<(Verdict, String), DownloadError> {
        let io_error = |source| DownloadError::Io { path: part.into(), source };
        fs::create_dir_all(part.parent().expect("a part is in a folder")).map_err(io_error)?;
        let request = DownloadRequest {
            url: &source.url,
            part,
            length: None,
            // Room for f64, and for the optimizer state of a training checkpoint.
            max_length: self.entry.size.saturating_mul(4).saturating_add(1 << 20),
            named_by_content: false,
        };
        let resumes = part.exists();
        let mut attempt = || {
            self.http.download(&request, observer)?;
            let digests = Digests::from_file(part).map_err(io_error)?;
            Ok((self.verify(source, &digests), digests.sha256))
        };
        match attempt()? {
            (Verdict::Accepted(verification), sha256) => Ok((Verdict::Accepted(verification), sha256)),
            // The part of an earlier run may be damaged: start over.
            _ if resumes => {
                discard(part).map_err(io_error)?;
                attempt()
            }
            other => Ok(other),
        }
    }

    /// Compares the hashes of a file with what is expected of it.
    fn verify(&self, source: &RemoteFile, digests: &Digests) -> Verdict {
        let is_accepted = self.accepted.as_ref() == Some(&digests.sha256);
        match (&source.hash, source.hash_kind) {
            (Some(hash), HashKind::Verified) if has(digests, hash) => Verdict::Accepted(Verification::Verified),
            (Some(hash), HashKind::Inferred) if has(digests, hash) => Verdict::Accepted(Verification::Inferred),
            (Some(hash), HashKind::Verified) => Verdict::Mismatch(hash.to_string()),
            _ if is_accepted => Verdict::Accepted(Verification::Accepted),
            (Some(hash), HashKind::Inferred) => Verdict::Suspect(hash.to_string()),
            (None, _) | (_, HashKind::None) => match &self.accepted {
                Some(accepted) => Verdict::Mismatch(format!("sha256:{accepted}")),
                None => Verdict::Accepted(Verification::Unverified),
            },
        }
    }

    /// Converts a downloaded file to the safetensors file of the cache entry.
    fn convert(&self, file: &Path, provenance: Provenance) -> Result<Fetched, DownloadError> {
        let io_error = |source| DownloadError::Io { path: self.cache.weights(), source };
        let weights = match convert::to_safetensors(file, self.entry, &self.cache.weights()) {
            Ok(weights) => weights,
            Err(ConvertError::Io(source)) => return Err(io_error(source)),
            Err(ConvertError::Content(why)) => {
                discard(file).map_err(io_error)?;
                return Err(DownloadError::WrongContent(why));
            }
        };
        // Earlier weights stay until the new file is complete; without their provenance they are not mistaken for it.
        let replaced = self.cache.invalidate().and_then(|()| weights.sync()).and_then(|()| weights.commit());
        replaced.and_then(|()| discard(file)).and_then(|()| self.cache.complete(&provenance)).map_err(io_error)?;
        Ok(Fetched { path: self.cache.weights(), provenance: Some(provenance) })
    }
}

/// Whether a file with these digests has that hash.
fn has(digests: &Digests, hash: &Hash) -> bool {
    match hash {
        Hash::Sha256(digits) => digests.sha256.starts_with(digits),
        Hash::GitBlob(digits) => digests.git_blob == *digits,
    }
}

/// Moves a file out of use, for the user to accept.
fn quarantine(part: &Path, quarantined: &Path) -> io::Result<()> {
    fs::create_dir_all(quarantined.parent().expect("a file is in a folder"))?;
    fs::rename(part, quarantined)?;
    discard(part)
}

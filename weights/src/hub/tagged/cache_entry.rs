//! Cached weights of one tag.
//!
//! ```text
//! TAG/model.safetensors      the weights
//! TAG/origin.json            their provenance; written last, so that it marks the entry as complete
//! TAG/arriving/FILE.part     a partial download
//! TAG/unaccepted/FILE        a quarantined file, which does not have the hash in its name
//! .locks/TAG.lock            held during a download
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hardnet_base::AtomicFile;
use serde::{Deserialize, Serialize};

use crate::registry::RegistryEntry;

/// How a downloaded file was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verification {
    /// It has the hash that its host states.
    Verified,
    /// It has the hash in its file name.
    Inferred,
    /// The user accepted its SHA-256.
    Accepted,
    /// Its hash is unknown; its SHA-256 was recorded.
    Unverified,
}

impl Verification {
    /// Name, as commands print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Inferred => "as named",
            Self::Accepted => "accepted",
            Self::Unverified => "unverified",
        }
    }
}

/// Where weights came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Provenance {
    /// URL of the downloaded file, without its query.
    pub address: String,
    /// SHA-256 of the downloaded file; empty for a file of the Hub, whose cache holds it unchanged.
    pub sha256: String,
    /// How it was verified.
    #[serde(rename = "check")]
    pub verification: Verification,
}

/// Paths of the cached weights of one tag.
pub(super) struct CacheEntry {
    folder: PathBuf,
    lock: PathBuf,
}

impl CacheEntry {
    pub(super) fn new(cache_dir: &Path, entry: &RegistryEntry) -> Self {
        let lock = cache_dir.join(".locks").join(format!("{}.lock", entry.tag));
        Self { folder: cache_dir.join(&entry.tag), lock }
    }

    /// The weights and their provenance, if the entry is complete.
    pub(super) fn find(&self) -> Option<(PathBuf, Provenance)> {
        let provenance = serde_json::from_slice(&fs::read(self.provenance()).ok()?).ok()?;
        let weights = self.weights();
        weights.is_file().then_some((weights, provenance))
    }

    pub(super) fn weights(&self) -> PathBuf {
        self.folder.join("model.safetensors")
    }

    pub(super) fn lock(&self) -> &Path {
        &self.lock
    }

    /// Partial download of a file of that name.
    pub(super) fn part(&self, name: &str) -> PathBuf {
        self.folder.join("arriving").join(format!("{name}.part"))
    }

    /// Quarantined file of that name.
    pub(super) fn quarantined(&self, name: &str) -> PathBuf {
        self.folder.join("unaccepted").join(name)
    }

    /// Marks the entry as incomplete.
    pub(super) fn invalidate(&self) -> io::Result<()> {
        match fs::remove_file(self.provenance()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Records the provenance, which marks the entry as complete.
    pub(super) fn complete(&self, provenance: &Provenance) -> io::Result<()> {
        AtomicFile::replace(&self.provenance(), &serde_json::to_vec_pretty(provenance)?)?;
        // Not empty if another source's part is kept for a later run.
        let _ = fs::remove_dir(self.folder.join("arriving"));
        Ok(())
    }

    fn provenance(&self) -> PathBuf {
        self.folder.join("origin.json")
    }
}

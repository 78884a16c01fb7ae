//! Weights that were fetched by tag, as they are kept.
//!
//! ```text
//! TAG/model.safetensors      the weights
//! TAG/origin.json            where they came from and how far that was checked; written last
//! TAG/arriving/FILE.part     a file on its way
//! TAG/unaccepted/FILE        a file that is not what its name promised
//! .locks/TAG.lock            held while TAG is fetched
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hub_cache::replace;
use crate::registry::Entry;

/// How far what arrived was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Check {
    /// It has the hash that is known to be the file's.
    Verified,
    /// It has the hash that its name promised.
    Inferred,
    /// Its user vouched for its SHA-256.
    Accepted,
    /// Nobody vouches for it; its SHA-256 was recorded.
    Unverified,
}

impl Check {
    /// The word for it.
    pub fn name(self) -> &'static str {
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
pub struct Origin {
    /// Address of the file that arrived.
    pub address: String,
    /// SHA-256 of the file that arrived; empty for a file of the Hub, whose cache holds it as it arrived.
    pub sha256: String,
    /// How far it was checked.
    pub check: Check,
}

/// The place of one tag's weights.
pub(crate) struct Shelf {
    folder: PathBuf,
    lock: PathBuf,
}

impl Shelf {
    pub(crate) fn new(store: &Path, entry: &Entry) -> Self {
        Self { folder: store.join(&entry.tag), lock: store.join(".locks").join(format!("{}.lock", entry.tag)) }
    }

    /// The weights and their origin, if they are here.
    pub(crate) fn find(&self) -> Option<(PathBuf, Origin)> {
        let origin = serde_json::from_slice(&fs::read(self.origin()).ok()?).ok()?;
        let weights = self.weights();
        weights.is_file().then_some((weights, origin))
    }

    pub(crate) fn weights(&self) -> PathBuf {
        self.folder.join("model.safetensors")
    }

    pub(crate) fn lock(&self) -> &Path {
        &self.lock
    }

    /// A file of that name on its way.
    pub(crate) fn part(&self, name: &str) -> PathBuf {
        self.folder.join("arriving").join(format!("{name}.part"))
    }

    /// A file of that name that is not what its name promised.
    pub(crate) fn aside(&self, name: &str) -> PathBuf {
        self.folder.join("unaccepted").join(name)
    }

    /// Takes what was here before out of use.
    pub(crate) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(self.origin()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Says where the weights came from, whereby they are here.
    pub(crate) fn record(&self, origin: &Origin) -> io::Result<()> {
        replace(&self.origin(), &serde_json::to_vec_pretty(origin)?)?;
        // Empty by now, unless another source's part is left for a later run.
        let _ = fs::remove_dir(self.folder.join("arriving"));
        Ok(())
    }

    fn origin(&self) -> PathBuf {
        self.folder.join("origin.json")
    }
}

//! Weights as the user names them: a path, a tag or an `hf://` address.

#[cfg(feature = "hub")]
mod hub;
#[cfg(not(feature = "hub"))]
#[path = "weights/no_hub.rs"]
mod hub;

use std::path::{Path, PathBuf};

use clap::Args;
use hardnet_model::{Variant, WeightsFile};
use hardnet_weights::{RegistryEntry, WeightsSource};

use crate::failure::{Hinted, Result};
use crate::printer::Printer;

pub(crate) use hub::*;

/// Options of downloads.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Download")]
pub(crate) struct FetchArgs {
    /// Make no network requests; use cached weights only
    #[arg(long)]
    pub(crate) offline: bool,
    /// Accept a download with this SHA-256, even if no hash is published for it or the file's name states another
    #[arg(long, value_name = "DIGEST")]
    pub(crate) accept_sha256: Option<String>,
}

/// Weights on this machine.
pub(crate) struct Located {
    location: Location,
    /// How the file was verified when it was downloaded, for a tag.
    pub(crate) verification: Option<&'static str>,
}

enum Location {
    File(PathBuf),
    /// Embedded in the program.
    Bundled(&'static RegistryEntry),
}

impl Located {
    /// Opens the weights, which must be those of `variant` if it is given.
    pub(crate) fn open(&self, variant: Option<Variant>) -> Result<WeightsFile> {
        let entry = match &self.location {
            Location::File(path) => return open_weights(path, variant),
            Location::Bundled(entry) => entry,
        };
        let content = entry.content()?.to_vec();
        let file = match variant {
            None => WeightsFile::from_bytes(&entry.tag, content),
            Some(variant) => WeightsFile::from_bytes_as(&entry.tag, content, variant),
        };
        add_hint(file, Path::new(&entry.tag))
    }
}

/// Opens a weights file, which must hold `variant` if it is given.
pub(crate) fn open_weights(path: &Path, variant: Option<Variant>) -> Result<WeightsFile> {
    let file = match variant {
        None => WeightsFile::open(path),
        Some(variant) => WeightsFile::open_as(path, variant),
    };
    add_hint(file, path)
}

/// Adds a hint to the errors of opening a weights file.
fn add_hint(file: hardnet_params::Result<WeightsFile>, path: &Path) -> Result<WeightsFile> {
    match file {
        Err(error @ hardnet_params::Error::OtherNetwork { .. }) => {
            Err(error).hint(|| "drop --model: the file determines the network".into())
        }
        Err(error @ hardnet_params::Error::Mismatch { .. }) => {
            Err(error).hint(|| format!("`hardnet inspect --tensors {}` lists its tensors", path.display()))
        }
        // A bare name may have been meant for a tag.
        Err(error) if path.parent() == Some(Path::new("")) && !path.exists() => {
            Err(error).hint(|| "no such file, and not a known tag; see `hardnet list --weights`".into())
        }
        other => Ok(other?),
    }
}

/// Returns the weights at `source`, and downloads them first if they are not cached.
pub(crate) fn locate(source: &WeightsSource, args: &FetchArgs, printer: &Printer) -> Result<Located> {
    if let WeightsSource::Tag(entry) = source
        && entry.bundled
    {
        return Ok(Located { location: Location::Bundled(entry), verification: None });
    }
    let (path, verification) = fetch(source, args, false, printer)?;
    Ok(Located { location: Location::File(path), verification })
}

//! What arrived, as safetensors.

use std::fs;
use std::io::{self, BufWriter};
use std::path::Path;

use hardnet_graph::Variant;
use hardnet_params::{Conversion, Error as ParamsError, Precision, WeightsFile};
use tempfile::NamedTempFile;

use crate::registry::Entry;

/// Why a file cannot be kept.
pub(crate) enum NotKept {
    /// It holds no such weights.
    Content(String),
    /// It cannot be written.
    Disk(io::Error),
}

impl From<ParamsError> for NotKept {
    fn from(error: ParamsError) -> Self {
        match error {
            ParamsError::Write(error) => Self::Disk(error),
            error => Self::Content(error.to_string()),
        }
    }
}

/// Reads the file at `path`, which must hold the weights of `entry`.
pub(crate) fn check(path: &Path, entry: &Entry) -> Result<(), ParamsError> {
    let variant: Variant = entry.config.parse().map_err(hardnet_params::Error::from)?;
    WeightsFile::open_as(path, variant).map(drop)
}

/// Writes the weights in `arrived`, of any format, which must be those of `entry`, into a temporary file beside `weights`.
pub(crate) fn as_safetensors(arrived: &Path, entry: &Entry, weights: &Path) -> Result<NamedTempFile, NotKept> {
    let variant: Variant = entry.config.parse().map_err(hardnet_params::Error::from)?;
    let file = WeightsFile::open_as(arrived, variant)?;
    let conversion = Conversion::new(&file, Precision::F32, None, Some(entry.pipeline.as_str().into()))?;
    let folder = weights.parent().expect("the weights are in a folder");
    fs::create_dir_all(folder).map_err(NotKept::Disk)?;
    let mut temporary = NamedTempFile::new_in(folder).map_err(NotKept::Disk)?;
    conversion.write(BufWriter::new(&mut temporary))?;
    Ok(temporary)
}

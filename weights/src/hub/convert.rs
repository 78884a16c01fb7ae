//! Downloaded weights as safetensors.

use std::fs;
use std::io::{self, BufWriter};
use std::path::Path;

use hardnet_base::AtomicFile;
use hardnet_graph::{SegmentationVariant, Variant};
use hardnet_params::{Conversion, ConversionOptions, Error as ParamsError, WeightsFile, WeightsOptions};

use crate::registry::RegistryEntry;

/// Why a file was not converted.
pub(crate) enum ConvertError {
    /// It does not hold the weights of the entry.
    Content(String),
    /// The result cannot be written.
    Io(io::Error),
}

impl From<ParamsError> for ConvertError {
    fn from(error: ParamsError) -> Self {
        match error {
            ParamsError::Write(error) => Self::Io(error),
            error => Self::Content(error.to_string()),
        }
    }
}

/// The network that the file of `entry` must hold.
pub(crate) fn expected(entry: &RegistryEntry) -> Result<WeightsOptions, ParamsError> {
    let options = WeightsOptions::default();
    match entry.config.parse::<SegmentationVariant>() {
        Ok(variant) => Ok(options.config(variant.into())),
        Err(_) => Ok(options.variant(entry.config.parse::<Variant>()?)),
    }
}

/// Checks that the file at `path` holds the weights of `entry`.
pub(crate) fn check(path: &Path, entry: &RegistryEntry) -> Result<(), ParamsError> {
    WeightsFile::open_with(path, &expected(entry)?).map(drop)
}

/// Converts the file `downloaded`, of any format, which must hold the weights of `entry`. The result becomes the file
/// `weights` when it is committed.
pub(crate) fn to_safetensors(
    downloaded: &Path,
    entry: &RegistryEntry,
    weights: &Path,
) -> Result<AtomicFile, ConvertError> {
    let source = WeightsFile::open_with(downloaded, &expected(entry)?)?;
    let options = ConversionOptions::default().pipeline(entry.pipeline.as_str());
    let conversion = Conversion::new(&source, &options)?;
    let folder = weights.parent().expect("the weights are in a folder");
    fs::create_dir_all(folder).map_err(ConvertError::Io)?;
    let mut file = AtomicFile::create(weights).map_err(ConvertError::Io)?;
    conversion.write(BufWriter::new(&mut file))?;
    Ok(file)
}

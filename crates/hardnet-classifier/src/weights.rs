//! From the name of weights to an open file.

use hardnet_params::{WeightsFile, WeightsOptions};

use crate::error::Result;

/// Opens the weights called `name`: a tag, an address `hf://owner/name[@revision][/file]`, or the path of a file. They
/// are downloaded first if no cache has them.
///
/// Without the feature `hub`, `name` must be a path or a tag of weights that are part of the program.
///
/// # Errors
///
/// [`Error::Source`](crate::Error::Source) and [`Error::Params`](crate::Error::Params).
#[cfg(feature = "hub")]
pub fn open_weights(name: &str, options: &WeightsOptions) -> Result<WeightsFile> {
    Ok(hardnet_weights::open_with(name, options)?)
}

/// Opens the weights called `name`: the path of a file, or a tag of weights that are part of the program.
///
/// With the feature `hub`, other tags and addresses are downloaded.
///
/// # Errors
///
/// [`Error::Source`](crate::Error::Source) and [`Error::Params`](crate::Error::Params).
#[cfg(not(feature = "hub"))]
pub fn open_weights(name: &str, options: &WeightsOptions) -> Result<WeightsFile> {
    use hardnet_weights::WeightsSource;

    match name.parse()? {
        WeightsSource::Path(path) => Ok(WeightsFile::open_with(path, options)?),
        WeightsSource::Tag(entry) if entry.bundled => {
            Ok(WeightsFile::from_bytes_with(&entry.tag, entry.content()?.to_vec(), options)?)
        }
        source => Err(hardnet_weights::Error::HubDisabled(source.to_string()).into()),
    }
}

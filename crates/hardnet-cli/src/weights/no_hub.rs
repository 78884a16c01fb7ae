//! Stands in for `hub.rs` in a build without the feature `hub`: paths only.

use std::path::PathBuf;

use hardnet_weights::{Error, RegistryEntry, WeightsSource};

use super::FetchArgs;
use crate::failure::Result;
use crate::printer::Printer;

/// Returns the path of the file at `source`, which must be a path.
pub(crate) fn fetch(
    source: &WeightsSource,
    _: &FetchArgs,
    _: bool,
    _: &Printer,
) -> Result<(PathBuf, Option<&'static str>)> {
    match source {
        WeightsSource::Path(path) => Ok((path.clone(), None)),
        other => Err(Error::HubDisabled(other.to_string()).into()),
    }
}

/// Nothing is cached.
pub(crate) fn cached(_: &'static RegistryEntry) -> Option<(PathBuf, Option<&'static str>)> {
    None
}

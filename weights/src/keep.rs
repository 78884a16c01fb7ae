//! What arrived, as safetensors.

use std::io;
use std::path::Path;

use crate::hub_cache::replace;
use crate::registry::Entry;

/// Why a file cannot be kept.
pub(crate) enum NotKept {
    /// It holds no such weights.
    Content(String),
    /// It cannot be written.
    Disk(io::Error),
}

/// Writes the weights in `arrived`, which must be those of `entry`, to `weights`.
pub(crate) fn as_safetensors(arrived: &Path, entry: &Entry, weights: &Path) -> Result<(), NotKept> {
    let bytes = std::fs::read(arrived).map_err(NotKept::Disk)?;
    if bytes.get(8) != Some(&b'{') {
        return Err(NotKept::Content(format!("no safetensors of {}", entry.config)));
    }
    replace(weights, &bytes).map_err(NotKept::Disk)
}

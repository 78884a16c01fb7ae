//! One image, from its path to its tensor.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::{LoadError, MAX_FILE_BYTES};
use crate::excerpt::excerpt;
use crate::regular_file::{ReadError, read_regular_file};
use crate::{DecodeWarning, Limits, Pipeline, decode};

/// Reads, decodes and preprocesses the file into `out`, `[3, crop, crop]`.
pub(super) fn load(
    path: &Path,
    limits: &Limits,
    pipeline: &Pipeline,
    out: &mut [f32],
) -> Result<Vec<DecodeWarning>, LoadError> {
    let bytes = read_regular_file(path, MAX_FILE_BYTES).map_err(|error| match error {
        ReadError::Io(source) => LoadError::Io { path: path.into(), source },
        ReadError::NotAFile(kind) => LoadError::NotAFile { path: path.into(), kind },
        ReadError::TooLarge { bytes } => LoadError::TooLarge { path: path.into(), bytes, limit: MAX_FILE_BYTES },
    })?;
    let image_error = |source| LoadError::Image { path: path.into(), source };
    let decoded = decode(&bytes, limits).map_err(image_error)?;
    drop(bytes);
    pipeline.tensor_into(&decoded.image, out).map_err(image_error)?;
    Ok(decoded.warnings)
}

/// What `load` gives, its panic as an error.
///
/// `load` may leave any values in a buffer it was filling, and nothing else: the caller does not look at that buffer.
pub(super) fn guarded<T>(path: &Path, load: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
    catch_unwind(AssertUnwindSafe(load))
        .unwrap_or_else(|payload| Err(LoadError::Panicked { path: path.into(), message: excerpt(message(&*payload)) }))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

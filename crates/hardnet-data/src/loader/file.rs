//! One image, from its path to its tensor.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{LoadError, MAX_FILE_BYTES};
use crate::excerpt::excerpt;
use crate::regular_file::{ReadError, read_regular_file};
use crate::{Cores, DecodeWarning, Limits, Pipeline, Resizer, Sample, decode};

/// Reads, decodes and preprocesses the file into `out`, `[3, crop, crop]`; after the reading, on one of `cores`.
pub(super) fn load(
    sample: &Sample,
    limits: &Limits,
    cores: Option<&Cores>,
    pipeline: &Pipeline,
    resizer: &mut Resizer,
    out: &mut [f32],
) -> Result<Vec<DecodeWarning>, LoadError> {
    let path = || sample.path().into_owned();
    let bytes = content(sample).map_err(|error| match error {
        ReadError::Io(source) => LoadError::Io { path: path(), source },
        ReadError::NotAFile(kind) => LoadError::NotAFile { path: path(), kind },
        ReadError::TooLarge { bytes } => LoadError::TooLarge { path: path(), bytes, limit: MAX_FILE_BYTES },
    })?;
    let _turn = cores.map(|cores| cores.take(1));
    let image_error = |source| LoadError::Image { path: path(), source };
    let decoded = decode(&bytes, limits).map_err(image_error)?;
    drop(bytes);
    pipeline.tensor_with(resizer, &decoded.image, out).map_err(image_error)?;
    Ok(decoded.warnings)
}

/// The bytes of the file, or of its range of an archive.
fn content(sample: &Sample) -> Result<Vec<u8>, ReadError> {
    match sample.archived() {
        None => read_regular_file(&sample.path(), MAX_FILE_BYTES),
        Some(archived) if archived.bytes() > MAX_FILE_BYTES => Err(ReadError::TooLarge { bytes: archived.bytes() }),
        Some(archived) => archived.read().map_err(ReadError::Io),
    }
}

/// What `load` gives, its panic as an error.
///
/// `load` may leave any values in a buffer it was filling, and nothing else: the caller does not look at that buffer.
pub(super) fn guarded<T>(sample: &Sample, load: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|payload| {
        Err(LoadError::Panicked { path: sample.path().into_owned(), message: excerpt(message(&*payload)) })
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

//! One image, from its path to its tensor.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hardnet_base::excerpt;
use hardnet_base::{ReadError, read_regular_file_into};
use hardnet_simd::Isa;

use super::permits::ImagePermit;
use super::{MAX_FILE_BYTES, SampleError};
use crate::decode::{DecodeScratch, decode_with};
use crate::{DecodeOptions, DecodeWarning, Image, PipelineError, Resizer, Sample};

/// Buffers of one thread, which the next image uses again.
#[derive(Debug)]
pub(super) struct Workspace {
    resizer: Resizer,
    scratch: DecodeScratch,
}

impl Workspace {
    pub(super) fn new(isa: Isa) -> Self {
        Self { resizer: Resizer::with_isa(isa), scratch: DecodeScratch::default() }
    }
}

/// Reads and decodes the file, unless it is in memory, and prepares it into `out`, `[3, crop, crop]`; after the
/// reading, on the core that `acquire` waits for.
pub(super) fn load<'a>(
    sample: &Sample,
    options: &DecodeOptions,
    acquire: impl FnOnce() -> ImagePermit<'a>,
    prepare: impl FnOnce(&mut Resizer, &Image, &mut [f32]) -> Result<(), PipelineError>,
    workspace: &mut Workspace,
    out: &mut [f32],
) -> Result<Vec<DecodeWarning>, SampleError> {
    let path = || sample.path().into_owned();
    let preprocess = |source| SampleError::Preprocess { path: path(), source };
    let Workspace { resizer, scratch } = workspace;
    if let Some(stored) = sample.in_memory() {
        let _permit = acquire();
        return prepare(resizer, &stored.image(), out).map(|()| Vec::new()).map_err(preprocess);
    }
    let mut bytes = std::mem::take(&mut scratch.file);
    content(sample, &mut bytes).map_err(|error| match error {
        ReadError::Io(source) => SampleError::Io { path: path(), source },
        ReadError::NotAFile(kind) => SampleError::NotAFile { path: path(), kind },
        ReadError::TooLarge { bytes } => SampleError::TooLarge { path: path(), bytes, limit: MAX_FILE_BYTES },
    })?;
    let _permit = acquire();
    let decoded =
        decode_with(scratch, &bytes, options).map_err(|source| SampleError::Decode { path: path(), source })?;
    scratch.file = bytes;
    prepare(resizer, &decoded.image, out).map_err(preprocess)?;
    scratch.reclaim(decoded.image);
    Ok(decoded.warnings)
}

/// Reads the file, or its range of an archive, in place of what `bytes` holds.
fn content(sample: &Sample, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    match sample.archived() {
        None => read_regular_file_into(bytes, &sample.path(), MAX_FILE_BYTES),
        Some(archived) if archived.bytes() > MAX_FILE_BYTES => Err(ReadError::TooLarge { bytes: archived.bytes() }),
        Some(archived) => archived.read_into(bytes).map_err(ReadError::Io),
    }
}

/// Calls `load` and turns its panic into an error.
///
/// `load` may leave any values in a buffer it was filling, and nothing else: the caller does not look at that buffer.
pub(super) fn guarded<T>(sample: &Sample, load: impl FnOnce() -> Result<T, SampleError>) -> Result<T, SampleError> {
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|payload| {
        Err(SampleError::Panicked { path: sample.path().into_owned(), message: excerpt(message(&*payload)) })
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

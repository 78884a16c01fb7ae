//! One image, from its path to its tensors.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use hardnet_base::excerpt;
use hardnet_base::{ReadError, read_regular_file_into};
use hardnet_simd::Isa;

use super::permits::ImagePermit;
use super::{ImageInfo, ImageTensor, Loaded, MAX_FILE_BYTES, Outcomes, SampleError};
use crate::decode::{DecodeScratch, decode_with, serves};
use crate::{DecodeOptions, DecodeWarning, Decoded, Image, Orientation, Pipeline, PipelineError, Resizer, Sample};

/// Buffers of one thread, which the next image uses again.
#[derive(Debug)]
pub(super) struct Workspace {
    /// One for each pipeline: a resizer keeps the weights of its last size.
    resizers: Vec<Resizer>,
    scratch: DecodeScratch,
    #[cfg(test)]
    pub(super) counts: Counts,
}

/// From a file to a tensor.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    pub(super) decode: DecodeOptions,
    pub(super) pipeline: Pipeline,
}

/// How often files were read and images decoded.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) reads: usize,
    pub(super) decodes: usize,
}

impl Workspace {
    pub(super) fn new(isa: Isa, pipelines: usize) -> Self {
        Self {
            resizers: (0..pipelines).map(|_| Resizer::with_isa(isa)).collect(),
            scratch: DecodeScratch::default(),
            #[cfg(test)]
            counts: Counts::default(),
        }
    }
}

/// Reads the file, unless it is in memory, decodes it once for all pipelines for which it is the
/// same, and prepares it into
/// `outs`, a tensor `[3, crop, crop]` for each pipeline; after the reading, on the core that `acquire` waits for.
pub(super) fn load<'a>(
    sample: &Sample,
    steps: &[Steps],
    acquire: impl FnOnce() -> ImagePermit<'a>,
    prepare: impl Fn(&Pipeline, &mut Resizer, &Image, &mut [f32]) -> Result<(), PipelineError>,
    workspace: &mut Workspace,
    outs: &mut [ImageTensor],
) -> Outcomes {
    let path = || sample.path().into_owned();
    let Workspace { resizers, scratch, .. } = workspace;
    let mut prepare = |index: usize, image: &Image, orientation: Orientation, warnings: &[DecodeWarning]| match prepare(
        &steps[index].pipeline,
        &mut resizers[index],
        image,
        &mut outs[index],
    ) {
        Ok(()) => Ok(((), ImageInfo::from(image).with_orientation(orientation), warnings.to_vec())),
        Err(source) => Err(SampleError::Preprocess { path: path(), source }),
    };
    if let Some(stored) = sample.in_memory() {
        let _permit = acquire();
        let image = stored.image();
        return (0..steps.len()).map(|index| prepare(index, &image, Orientation::Upright, &[])).collect();
    }
    #[cfg(test)]
    {
        workspace.counts.reads += 1;
    }
    let mut bytes = std::mem::take(&mut scratch.file);
    if let Err(error) = content(sample, &mut bytes) {
        return steps.iter().map(|_| Err(unreadable(path(), &error))).collect();
    }
    let _permit = acquire();
    let mut loaded: Vec<Option<Loaded<()>>> = steps.iter().map(|_| None).collect();
    for first in 0..steps.len() {
        if loaded[first].is_some() {
            continue;
        }
        #[cfg(test)]
        {
            workspace.counts.decodes += 1;
        }
        let decoded = decode_with(scratch, &bytes, &steps[first].decode);
        let serves = |index: &usize| match &decoded {
            _ if steps[*index].decode == steps[first].decode => true,
            Ok(decoded) => serves(decoded, &bytes, &steps[*index].decode),
            Err(_) => false,
        };
        for index in (first..steps.len()).filter(serves) {
            loaded[index].get_or_insert_with(|| match &decoded {
                Ok(Decoded { image, warnings, orientation }) => prepare(index, image, *orientation, warnings),
                Err(source) => Err(SampleError::Decode { path: path(), source: source.clone() }),
            });
        }
        if let Ok(decoded) = decoded {
            scratch.reclaim(decoded.image);
        }
    }
    scratch.file = bytes;
    loaded.into_iter().flatten().collect()
}

/// The error of a file that cannot be read; each pipeline has its own.
fn unreadable(path: PathBuf, error: &ReadError) -> SampleError {
    match error {
        ReadError::Io(source) => {
            // An `io::Error` cannot be cloned.
            let copy = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
            let source = source.raw_os_error().map_or_else(|| copy(source), io::Error::from_raw_os_error);
            SampleError::Io { path, source }
        }
        ReadError::NotAFile(kind) => SampleError::NotAFile { path, kind: *kind },
        ReadError::TooLarge { bytes } => SampleError::TooLarge { path, bytes: *bytes, limit: MAX_FILE_BYTES },
    }
}

/// Reads the file, or its range of an archive, in place of what `bytes` holds.
fn content(sample: &Sample, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    match sample.archived() {
        None => read_regular_file_into(bytes, &sample.path(), MAX_FILE_BYTES),
        Some(archived) if archived.bytes() > MAX_FILE_BYTES => Err(ReadError::TooLarge { bytes: archived.bytes() }),
        Some(archived) => archived.read_into(bytes).map_err(ReadError::Io),
    }
}

/// Calls `load` and turns its panic into the error of each of `pipelines` images.
///
/// `load` may leave any values in the buffers it was filling, and nothing else: the caller does not look at them.
pub(super) fn guarded<T>(
    sample: &Sample,
    pipelines: usize,
    load: impl FnOnce() -> Vec<Result<T, SampleError>>,
) -> Vec<Result<T, SampleError>> {
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|payload| {
        let (path, message) = (sample.path().into_owned(), excerpt(message(&*payload)));
        let error = || Err(SampleError::Panicked { path: path.clone(), message: message.clone() });
        (0..pipelines).map(|_| error()).collect()
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

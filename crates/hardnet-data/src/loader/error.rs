//! Errors of a loader: of one sample, and of the whole.

use std::io;
use std::path::PathBuf;

use crate::{DecodeError, FileKind, PipelineError};

/// Error of loading one sample. The others are not affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The operating system refuses to read the file.
    #[error("cannot read `{}`", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The path is not a regular file.
    #[error("`{}` is {kind}, expected an image file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// The kind of file found.
        kind: FileKind,
    },
    /// The file is longer than [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES).
    #[error("`{}` has {bytes} bytes, expected at most {limit}; is it an image?", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size, or a lower bound of it.
        bytes: u64,
        /// The largest size accepted.
        limit: u64,
    },
    /// The content is not an image that can be read.
    #[error("`{}`", .path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: DecodeError,
    },
    /// The image cannot be preprocessed.
    #[error("`{}`", .path.display())]
    Preprocess {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: PipelineError,
    },
    /// Decoding panicked, which is a bug of the decoder or of this crate.
    ///
    /// The program's panic hook has run by then; the standard one writes to stderr.
    #[error("decoding `{}` panicked: {message}; please report the file as a bug", .path.display())]
    Panicked {
        /// The file.
        path: PathBuf,
        /// The message of the panic, shortened to 80 characters and with control characters escaped.
        message: String,
    },
    /// Reading or decoding did not end within [`LoaderOptions::timeout`](super::LoaderOptions::timeout).
    #[error("`{}` was not ready within {seconds} s and is left out", .path.display())]
    TimedOut {
        /// The file.
        path: PathBuf,
        /// How long it was waited for, in whole seconds.
        seconds: u64,
    },
}

/// Error of starting a loader.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoaderError {
    /// The batch size is 0.
    #[error("`batch_size` is 0, expected at least 1")]
    ZeroBatchSize,
    /// The tensors held at once would take too much memory.
    #[error(
        "`{option}` of {value} images of {crop}x{crop} pixels takes more than {limit} bytes; expected at most {most}"
    )]
    TooMuchMemory {
        /// The field of [`LoaderOptions`](super::LoaderOptions).
        option: &'static str,
        /// Its value.
        value: usize,
        /// The side of the images in pixels.
        crop: u32,
        /// The most bytes accepted, [`MAX_TENSOR_BYTES`](super::MAX_TENSOR_BYTES).
        limit: u64,
        /// The largest value accepted with this crop.
        most: u64,
    },
    /// The order of an epoch names a sample that does not exist.
    #[error("the order has sample {index}, expected one below {samples}")]
    Order {
        /// The index.
        index: u32,
        /// How many samples there are.
        samples: usize,
    },
    /// The pipeline or the augmentation is invalid.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

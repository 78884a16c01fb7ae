//! Errors of this crate.

use std::io;
use std::path::PathBuf;

use hardnet_data::{DecodeError, FileKind, PipelineError};

use crate::engine::Engine;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of a [`Classifier`](crate::Classifier) or its builder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Weights cannot be found or fetched by their name.
    #[error(transparent)]
    Source(#[from] hardnet_weights::Error),
    /// A weights file cannot be read or does not fit its network.
    #[error(transparent)]
    Params(#[from] hardnet_params::Error),
    /// The network does not fit the image size.
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// Error of the native engine.
    #[error(transparent)]
    Native(#[from] hardnet_engine::Error),
    /// The network cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] hardnet_quantize::Error),
    /// The weights are those of a backbone, which has no classes.
    #[error("`{weights}` is a backbone without a classifier")]
    NoHead {
        /// The weights file.
        weights: String,
    },
    /// The weights are those of a segmentation network, which has classes for each pixel.
    #[error("`{weights}` segments images, expected a classifier")]
    Segmentation {
        /// The weights file.
        weights: String,
    },
    /// There are more or fewer names than classes.
    #[error("`{weights}` names {found} classes, its network has {expected}")]
    LabelCount {
        /// The weights file.
        weights: String,
        /// Classes of the network.
        expected: usize,
        /// Names.
        found: usize,
    },
    /// A weights file names a pipeline that this version does not know.
    #[error(transparent)]
    UnknownPipeline(#[from] hardnet_data::UnknownPipeline),
    /// The pipeline in a weights file cannot be read.
    #[error("the weights file's pipeline cannot be read")]
    PipelineMetadata(#[source] serde_json::Error),
    /// Features of a classifier that was built without taps.
    #[error("the classifier was built without feature maps")]
    NoTaps,
    /// Activation maps of a classifier that was built without them.
    #[error("the classifier was built without activation maps")]
    NoActivationMaps,
    /// The network does not have the class.
    #[error("no class {class}, the network has 0 to {}", .classes - 1)]
    NoClass {
        /// Index of the class.
        class: usize,
        /// Classes of the network.
        classes: usize,
    },
    /// The pipeline makes no sense.
    #[error(transparent)]
    Pipeline(PipelineError),
    /// The engine does not compute on the device, or is not part of this build.
    #[error("the {engine} engine {reason}")]
    Engine {
        /// The requested engine.
        engine: Engine,
        /// Why it cannot be had.
        reason: &'static str,
    },
    /// An image file cannot be read.
    #[error("cannot read `{}`", .path.display())]
    ReadImage {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The path of an image is not a regular file.
    #[error("`{}` is {kind}, expected an image file", .path.display())]
    NotAnImageFile {
        /// The path.
        path: PathBuf,
        /// The kind of file found.
        kind: FileKind,
    },
    /// An image file is longer than any that is read.
    #[error("`{}` has more than {limit} bytes", .path.display())]
    ImageTooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size accepted.
        limit: u64,
    },
    /// An image file cannot be decoded.
    #[error("`{}`", .path.display())]
    ImageFile {
        /// The file.
        path: PathBuf,
        /// The problem.
        source: DecodeError,
    },
    /// An image in memory cannot be decoded.
    #[error(transparent)]
    Decode(DecodeError),
    /// An image cannot be preprocessed.
    #[error(transparent)]
    Preprocess(PipelineError),
    /// A tensor has another length than the network's input.
    #[error("image {index} has {found} values, expected {expected}")]
    ImageLength {
        /// Its position among the images.
        index: usize,
        /// Values of the network's input.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// Logits are infinite or NaN.
    #[error("the network's output is not finite: `{weights}` is damaged")]
    NotFinite {
        /// The weights file.
        weights: String,
    },
    /// Error of the network on Candle.
    #[cfg(feature = "candle")]
    #[error(transparent)]
    Candle(#[from] hardnet_model::Error),
}

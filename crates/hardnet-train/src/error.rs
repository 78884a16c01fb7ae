//! Why training cannot begin or go on.

use std::io;
use std::path::PathBuf;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number of a [`Recipe`](crate::Recipe) makes no sense.
    #[error("`{field}` is {found}, expected {expected}")]
    Recipe {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// The loss became infinite or no number; what was saved before stays.
    #[error("the loss is {loss} in epoch {epoch}, batch {batch}: training has diverged")]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// The batch, from 1.
        batch: usize,
        /// The loss.
        loss: f32,
    },
    /// There are no images to train with.
    #[error("no images to train with")]
    NoImages,
    /// No image of an epoch could be read.
    #[error("none of the {failures} images of epoch {epoch} could be read")]
    NothingReadable {
        /// The epoch, from 1.
        epoch: u32,
        /// Images that failed.
        failures: usize,
    },
    /// A sample without a label.
    #[error("`{name}` has no label")]
    NoLabel {
        /// The sample's name.
        name: String,
    },
    /// A file of the run cannot be read or written.
    #[error("cannot {action} `{}`", .path.display())]
    File {
        /// What was tried: `write`, `read`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Another process trains in the folder.
    #[error("another process is training in `{}`", .path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The folder has a run already.
    #[error("`{}` holds a run already", .path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The folder has no run to go on with.
    #[error("`{}` holds no run to resume", .path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// The saved state of a run cannot be used.
    #[error("`{}` is no state of this run: {reason}", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// A configuration that does not describe a network, or a size of image that does not fit it.
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// Parameters that cannot be read or written.
    #[error(transparent)]
    Params(#[from] hardnet_params::Error),
    /// An error of the evaluation.
    #[error(transparent)]
    Classifier(#[from] hardnet_classifier::Error),
    /// An error of the network.
    #[error(transparent)]
    Model(#[from] hardnet_model::Error),
    /// An error of the images.
    #[error(transparent)]
    Loader(#[from] hardnet_data::LoaderError),
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

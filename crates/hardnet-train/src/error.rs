//! Errors of training.

use std::io;
use std::path::PathBuf;

use crate::communicator::CommunicationError;

/// Result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Error type of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of a [`Recipe`](crate::Recipe) is out of range.
    #[error("`{field}` is {found}, expected {expected}")]
    Recipe {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// The valid values.
        expected: &'static str,
    },
    /// No published recipe has this name.
    #[error("unknown recipe `{0}`, expected one of {names}", names = crate::Recipe::NAMES.join(", "))]
    UnknownRecipe(String),
    /// The loss became infinite or NaN. The saved state is unchanged.
    #[error("the loss is {loss} in epoch {epoch}, batch {batch}: training has diverged")]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
        /// The batch, from 1.
        batch: usize,
        /// The loss.
        loss: f32,
    },
    /// There are fewer than two training images.
    #[error("no training images, expected at least two")]
    NoImages,
    /// All images of an epoch are unreadable.
    #[error("cannot read any of the {failures} images of epoch {epoch}")]
    NoReadableImages {
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
    /// The label of a sample is not a class of the network.
    #[error("the label of `{name}` is outside 0..{classes}")]
    LabelOutOfRange {
        /// The sample's name.
        name: String,
        /// Number of classes.
        classes: usize,
    },
    /// Another number of class weights than classes.
    #[error("{found} class weights, expected one for each of {classes} classes")]
    ClassWeights {
        /// Number of weights.
        found: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The images are not those that the run was started with.
    #[error("the {set} images are not those of the run: {}", other_images(*.expected, *.found, .difference.as_deref()))]
    OtherImages {
        /// `training` or `validation`.
        set: &'static str,
        /// Images of the run.
        expected: usize,
        /// Images of the job.
        found: usize,
        /// The first difference, if the run stored its list of images.
        difference: Option<String>,
    },
    /// A file of the run cannot be read or written.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// The failed action: `write`, `read`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process is training in the folder.
    #[error("another process is training in `{}`", .path.display())]
    FolderLocked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder already has a run.
    #[error("`{}` already holds a run", .path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder has no run to resume.
    #[error("`{}` has no state.safetensors, expected the folder of a run", .path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// The saved state is damaged, or that of another run.
    #[error("`{}` is not a state of this run: {reason}", .path.display())]
    InvalidState {
        /// The file.
        path: PathBuf,
        /// The expected and the found value, in words.
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
    Classifier(Box<hardnet_classifier::Error>),
    /// An error of a plan.
    #[error(transparent)]
    Engine(#[from] hardnet_engine::Error),
    /// An error of the network.
    #[error(transparent)]
    Model(#[from] hardnet_model::Error),
    /// An error of the images.
    #[error(transparent)]
    Loader(#[from] hardnet_data::LoaderError),
    /// An error of a segmentation network or its preprocessing.
    #[error(transparent)]
    Segmentation(Box<hardnet_segmentation::Error>),
    /// An augmentation of images and masks that makes no sense.
    #[error(transparent)]
    Augment(#[from] hardnet_segmentation::training::AugmentError),
    /// Logits and masks that do not fit each other.
    #[error(transparent)]
    Loss(#[from] hardnet_segmentation::training::LossError),
    /// A network that is not of the job's kind.
    #[error("the network {found}, expected one that {expected}")]
    Task {
        /// The network's task, as a verb.
        found: &'static str,
        /// The job's task, as a verb.
        expected: &'static str,
    },
    /// Weights of which no parameter fits the network.
    #[error("none of the parameters of `{}` has the name and shape of one of the network", .path.display())]
    NoSharedParameters {
        /// The weights file.
        path: PathBuf,
    },
    /// Another rank of the run failed, or cannot be reached.
    #[error(transparent)]
    Communication(#[from] CommunicationError),
    /// A rank would not train the same network on the same images in the same way.
    #[error("this rank and rank 0 have different {what}")]
    OtherRun {
        /// What differs.
        what: &'static str,
    },
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl From<hardnet_classifier::Error> for Error {
    fn from(error: hardnet_classifier::Error) -> Self {
        Self::Classifier(Box::new(error))
    }
}

impl From<hardnet_segmentation::Error> for Error {
    fn from(error: hardnet_segmentation::Error) -> Self {
        Self::Segmentation(Box::new(error))
    }
}

fn other_images(expected: usize, found: usize, difference: Option<&str>) -> String {
    match difference {
        Some(difference) if expected == found => difference.into(),
        Some(difference) => format!("{difference} ({found} images, expected {expected})"),
        None if expected == found => "their names or labels differ".into(),
        None => format!("{found} images, expected {expected}"),
    }
}

//! Events that a run reports.

use hardnet_data::{DecodeWarning, Sample, SampleError};
use hardnet_segmentation::LoadError;
use serde::{Deserialize, Serialize};

use crate::metrics::{BatchMetrics, EpochMetrics};
use crate::stall::Stall;

/// An event of a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step is done.
    Batch(&'a BatchMetrics),
    /// An image could not be read and is left out.
    Failure(&'a SampleError),
    /// An image or its mask could not be used and is left out.
    Unusable(&'a LoadError),
    /// An image was decoded with a loss.
    Warning(&'a Sample, &'a DecodeWarning),
    /// An image that another rank reads could not be read and is left out, or was decoded with a loss.
    Elsewhere(&'a RemoteReport),
    /// Number of validated images, and number of validation images.
    Validated(usize, usize),
    /// An epoch is finished and saved.
    Epoch(&'a EpochMetrics),
    /// The loss did not move in the epoch that was just finished.
    Stalled(&'a Stall),
}

/// What another rank says of one of its images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RemoteReport {
    /// What was wrong with the image, with its causes.
    pub message: String,
    /// Whether the image is left out.
    pub is_failure: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// The observer stopped it; [`Trainer::resume`](crate::Trainer::resume) continues.
    Stopped,
}

//! What is measured while a network is trained.

use serde::{Deserialize, Serialize};

/// What a finished epoch came to: a line of `metrics.jsonl`. Field names are API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EpochMetrics {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Steps since the run began.
    pub steps: u64,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean loss over the images trained with, each at its own step, in nats.
    pub train_loss: f64,
    /// Percent of them that were right at their step.
    pub train_top1: f64,
    /// Images trained with.
    pub train_images: usize,
    /// Images of the training set that could not be read.
    pub train_errors: usize,
    /// What the weights came to on the validation set, if there is one.
    pub validation: Option<ValidationMetrics>,
    /// Whether no epoch before had as many right answers on the validation set.
    pub best: bool,
    /// Images trained with in a second, without validation.
    pub images_per_second: f64,
    /// Seconds that the epoch took, with validation and files, as far as this process worked on it.
    pub seconds: f64,
}

/// How good weights are on the validation set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValidationMetrics {
    /// Mean cross entropy in nats.
    pub loss: f64,
    /// Percent whose most probable class is right.
    pub top1: f64,
    /// Percent whose class is among the five most probable.
    pub top5: f64,
    /// Images whose most probable class is right.
    pub correct: usize,
    /// Images evaluated.
    pub images: usize,
    /// Images that could not be read.
    pub errors: usize,
}

/// How far an epoch is, after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchReport {
    /// The epoch, from 1, and how many there are.
    pub epoch: (u32, u32),
    /// The step in the epoch, from 1, and how many there are.
    pub batch: (usize, usize),
    /// Images of the epoch that are behind us, read or not, and how many there are.
    pub images: (usize, usize),
    /// Mean loss of the epoch so far, in nats.
    pub loss: f64,
    /// Percent right in the epoch so far.
    pub top1: f64,
    /// Loss of the step, in nats.
    pub batch_loss: f32,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Images trained with in a second, of the epoch as far as this process worked on it.
    pub images_per_second: f64,
}

/// To six decimals, so that a number is the same after it was written and read.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

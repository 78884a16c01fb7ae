//! Metrics of training.

use hardnet_segmentation::Figures;
use serde::{Deserialize, Serialize};

/// Metrics of a finished epoch: a line of `metrics.jsonl`. Field names are API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EpochMetrics {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Steps since the start of the run.
    pub steps: u64,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean loss of the training images, each at its own step, in nats. With weights of classes, a step has the mean by
    /// these weights.
    pub train_loss: f64,
    /// Top-1 accuracy of the training images, each at its own step, in percent; of a segmentation network, that of
    /// their pixels.
    pub train_top1: f64,
    /// Mean IoU of a segmentation network on the crops of the training images, each at its own step, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_mean_iou: Option<f64>,
    /// Training images that could be read.
    pub train_images: usize,
    /// Training images that could not be read.
    pub train_errors: usize,
    /// Metrics on the validation set, if there is one.
    pub validation: Option<ValidationMetrics>,
    /// The same of a segmentation network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<SegmentationMetrics>,
    /// Whether the validation accuracy or mean IoU is higher than that of all earlier epochs.
    pub best: bool,
    /// Training speed in images per second, without validation.
    pub images_per_second: f64,
    /// Duration in seconds with validation and files, as far as this process worked on the epoch.
    pub seconds: f64,
}

impl EpochMetrics {
    /// The score on the training images in percent: top-1 accuracy, or mean IoU of a segmentation network.
    pub(crate) fn train_score(&self) -> Option<f64> {
        Some(self.train_mean_iou.unwrap_or(self.train_top1))
    }

    /// The same on the validation set, if there is one.
    pub(crate) fn score(&self) -> Option<f64> {
        match (&self.segmentation, &self.validation) {
            (Some(segmentation), _) => Some(segmentation.mean_iou),
            (None, validation) => validation.map(|validation| validation.top1),
        }
    }
}

/// Metrics on the validation set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValidationMetrics {
    /// Mean cross entropy in nats.
    pub loss: f64,
    /// Top-1 accuracy in percent.
    pub top1: f64,
    /// Top-5 accuracy in percent.
    pub top5: f64,
    /// Number of correct predictions.
    pub correct: usize,
    /// Images evaluated.
    pub images: usize,
    /// Images that could not be read.
    pub errors: usize,
}

/// Metrics of a segmentation network on the validation set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SegmentationMetrics {
    /// Mean IoU in percent.
    pub mean_iou: f64,
    /// Pixel accuracy in percent.
    pub pixel_accuracy: f64,
    /// IoU of each class in percent; none for a class that neither occurs nor was predicted.
    pub iou: Vec<Option<f64>>,
    /// Images evaluated.
    pub images: usize,
    /// Images that could not be used.
    pub errors: usize,
}

impl SegmentationMetrics {
    pub(crate) fn new(figures: &Figures, images: usize, errors: usize) -> Self {
        let percent = |share: f64| rounded(100.0 * share);
        Self {
            mean_iou: number(percent(figures.mean_iou)).unwrap_or(0.0),
            pixel_accuracy: number(percent(figures.pixel_accuracy)).unwrap_or(0.0),
            iou: figures.iou.iter().map(|&share| number(percent(share))).collect(),
            images,
            errors,
        }
    }
}

/// The value, unless it is NaN.
pub(crate) fn number(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// Progress of an epoch after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchMetrics {
    /// Epoch, from 1, and number of epochs.
    pub epoch: (u32, u32),
    /// Step in the epoch, from 1, and number of steps.
    pub batch: (usize, usize),
    /// Images of the epoch that are done, readable or not, and number of images.
    pub images: (usize, usize),
    /// Mean loss of the epoch so far, in nats.
    pub loss: f64,
    /// Top-1 accuracy of the epoch so far, in percent; of a segmentation network, that of pixels.
    pub top1: f64,
    /// Mean IoU of a segmentation network in the epoch so far, in percent.
    pub mean_iou: Option<f64>,
    /// Loss of the step, in nats.
    pub batch_loss: f32,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Training speed in images per second, as far as this process worked on the epoch.
    pub images_per_second: f64,
}

/// Rounds to six decimals, so that a number survives being written and read.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

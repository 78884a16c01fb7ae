//! Training recipes, as data.

mod validate;

use std::str::FromStr;

use hardnet_data::Augmentation;
use hardnet_segmentation::training::{Augmentation as MaskedAugmentation, Loss};
use serde::{Deserialize, Serialize};

use crate::balance::{ClassWeights, Sampler};
use crate::error::{Error, Result};
use crate::schedule::{LrDecay, LrInterval, Schedule};

/// A training recipe: stochastic gradient descent on the cross entropy, or on another loss of a segmentation network.
///
/// The published recipes can be parsed by name and changed by chained setters:
///
/// ```
/// let recipe: hardnet_train::Recipe = "upstream".parse()?;
/// let recipe = recipe.epochs(30).batch_size(64).learning_rate(0.01);
/// # Ok::<(), hardnet_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Recipe {
    /// Number of epochs.
    pub epochs: u32,
    /// Batch size.
    pub batch_size: usize,
    /// Base learning rate of the schedule.
    pub learning_rate: f64,
    /// Learning rate schedule.
    pub schedule: Schedule,
    /// Momentum; 0 disables it.
    pub momentum: f64,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
    /// Weight decay (L2 penalty).
    pub weight_decay: f64,
    /// Parameters that decay.
    pub decayed: DecayedParams,
    /// Label smoothing: fraction of the target that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// Largest Euclidean norm of all gradients; longer gradients are scaled down to it.
    pub clip_norm: Option<f64>,
    /// Decay of the exponential moving average of the weights. If set, the average is evaluated and saved.
    pub average_decay: Option<f64>,
    /// Augmentation of the training images.
    pub augmentation: Augmentation,
    /// Weights of the classes in the loss; `None` gives all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// How the images of an epoch are drawn.
    #[serde(default)]
    pub sampler: Sampler,
    /// Number of equal parts of a batch that are computed one by one. Their gradients, weighted by images, are added up
    /// in a fixed order; running statistics move by the mean of the parts.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub virtual_shards: usize,
    /// Whose statistics batch normalization uses, where there are several virtual shards.
    #[serde(default, skip_serializing_if = "is_default")]
    pub batch_norm: BatchNormStatistics,
    /// Loss and augmentation of a segmentation network, in place of those above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<SegmentationRecipe>,
}

/// The parts of a [`Recipe`] that segmentation networks have of their own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SegmentationRecipe {
    /// The loss.
    pub loss: Loss,
    /// Random changes to an image and its mask.
    pub augmentation: MaskedAugmentation,
}

impl SegmentationRecipe {
    /// A loss and an augmentation.
    pub fn new(loss: Loss, augmentation: MaskedAugmentation) -> Self {
        Self { loss, augmentation }
    }
}

/// Parameters that weight decay applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DecayedParams {
    /// All parameters, the default of PyTorch's optimizers.
    All,
    /// Weights of convolutions and linear layers, but not biases or batch norms.
    Weights,
}

/// The images over which batch normalization takes mean and variance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchNormStatistics {
    /// Those of a virtual shard, as in PyTorch's `DistributedDataParallel`.
    #[default]
    Shard,
    /// Those of the whole batch, over all virtual shards, as in PyTorch's `SyncBatchNorm`. All virtual shards of a
    /// process are then held in memory at once.
    Synchronized,
}

impl Recipe {
    /// Names of the published recipes, for [`FromStr`].
    pub const NAMES: &[&str] = &["upstream", "notebook", "fchardnet"];

    /// The authors' recipe for ImageNet: 150 epochs of 256 images, Nesterov momentum 0.9, learning rate 0.05 with a
    /// cosine schedule, weight decay 6e-5 on all parameters, random resized crops and horizontal flips.
    pub fn upstream() -> Self {
        Self {
            epochs: 150,
            batch_size: 256,
            learning_rate: 0.05,
            schedule: Schedule { decay: LrDecay::Cosine { min_rate: 0.0 }, warmup: None, interval: LrInterval::Epoch },
            momentum: 0.9,
            nesterov: true,
            weight_decay: 6e-5,
            decayed: DecayedParams::All,
            label_smoothing: 0.0,
            clip_norm: None,
            average_decay: None,
            augmentation: Augmentation::imagenet(),
            class_weights: None,
            sampler: Sampler::Shuffled,
            virtual_shards: 1,
            batch_norm: BatchNormStatistics::Shard,
            segmentation: None,
        }
    }

    /// FC-HarDNet's recipe for Cityscapes (its `configs/hardnet.yml`): 484 epochs of 16 crops of 1024x1024 pixels,
    /// which are its 90,000 steps, momentum 0.9, learning rate 0.02 that falls as a polynomial with each step, weight
    /// decay 5e-4, the bootstrapped loss, random scale and mirroring.
    pub fn fchardnet() -> Self {
        let poly = Schedule { decay: LrDecay::Poly { power: 0.9 }, warmup: None, interval: LrInterval::Batch };
        let (loss, augmentation) = (Loss::fchardnet(), MaskedAugmentation::fchardnet(1024, 1024));
        Self {
            epochs: 484,
            batch_size: 16,
            learning_rate: 0.02,
            schedule: poly,
            nesterov: false,
            weight_decay: 5e-4,
            augmentation: Augmentation::none(),
            segmentation: Some(SegmentationRecipe { loss, augmentation }),
            ..Self::upstream()
        }
    }

    /// The recipe of the Paddle notebook: two epochs of 256 images by plain gradient descent at a learning rate of
    /// 1e-4, weight decay 6e-5, images as in evaluation.
    pub fn notebook() -> Self {
        Self {
            epochs: 2,
            learning_rate: 1e-4,
            schedule: Schedule { decay: LrDecay::Constant, warmup: None, interval: LrInterval::Epoch },
            momentum: 0.0,
            nesterov: false,
            augmentation: Augmentation::none(),
            ..Self::upstream()
        }
    }

    /// Sets the number of epochs.
    pub fn epochs(mut self, epochs: u32) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the batch size.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Sets the base learning rate.
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = learning_rate;
        self
    }

    /// Sets the learning rate schedule.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets the momentum.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets whether to use Nesterov momentum.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    /// Sets the weight decay.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Sets the parameters that decay.
    pub fn decayed(mut self, decayed: DecayedParams) -> Self {
        self.decayed = decayed;
        self
    }

    /// Sets the label smoothing.
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }

    /// Sets the largest norm of the gradients.
    pub fn clip_norm(mut self, clip_norm: Option<f64>) -> Self {
        self.clip_norm = clip_norm;
        self
    }

    /// Sets the decay of the moving average of the weights.
    pub fn average_decay(mut self, average_decay: Option<f64>) -> Self {
        self.average_decay = average_decay;
        self
    }

    /// Sets the augmentation of the training images.
    pub fn augmentation(mut self, augmentation: Augmentation) -> Self {
        self.augmentation = augmentation;
        self
    }

    /// Sets the weights of the classes.
    pub fn class_weights(mut self, class_weights: Option<ClassWeights>) -> Self {
        self.class_weights = class_weights;
        self
    }

    /// Sets how the images of an epoch are drawn.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = sampler;
        self
    }

    /// Sets the number of virtual shards of a batch.
    pub fn virtual_shards(mut self, virtual_shards: usize) -> Self {
        self.virtual_shards = virtual_shards;
        self
    }

    /// Sets whose statistics batch normalization uses.
    pub fn batch_norm(mut self, batch_norm: BatchNormStatistics) -> Self {
        self.batch_norm = batch_norm;
        self
    }

    /// Sets loss and augmentation of a segmentation network.
    pub fn segmentation(mut self, segmentation: Option<SegmentationRecipe>) -> Self {
        self.segmentation = segmentation;
        self
    }

    /// Images of a full step over which batch normalization takes its statistics.
    pub(crate) fn images_of_statistics(&self) -> usize {
        match self.batch_norm {
            BatchNormStatistics::Shard => self.batch_size / self.virtual_shards,
            BatchNormStatistics::Synchronized => self.batch_size,
        }
    }
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "upstream" => Ok(Self::upstream()),
            "notebook" => Ok(Self::notebook()),
            "fchardnet" => Ok(Self::fchardnet()),
            _ => Err(Error::UnknownRecipe(name.into())),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_recipes_are_valid_and_survive_json() {
        for name in Recipe::NAMES {
            let recipe: Recipe = name.parse().unwrap();
            recipe.validate().unwrap();
            let json = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe, "{json}");
            let is_new = json.contains("virtual_shards") || json.contains("batch_norm");
            assert!(!is_new, "an earlier version cannot read {json}");
        }
        assert!(matches!("other".parse::<Recipe>(), Err(Error::UnknownRecipe(_))));
    }
}

//! Training recipes, as data.

use std::str::FromStr;

use hardnet_data::Augmentation;
use hardnet_segmentation::training::{Augmentation as MaskedAugmentation, Loss};
use serde::{Deserialize, Serialize};

use crate::balance::{ClassWeights, Sampler};
use crate::error::{Error, Result};
use crate::schedule::{LrDecay, LrInterval, Schedule, Warmup};

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
    /// Number of equal parts of a batch that are computed one by one, each with batch statistics of its own. Their
    /// gradients, weighted by images, are added up in a fixed order; running statistics move by the mean of the parts.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub virtual_shards: usize,
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

    /// Sets loss and augmentation of a segmentation network.
    pub fn segmentation(mut self, segmentation: Option<SegmentationRecipe>) -> Self {
        self.segmentation = segmentation;
        self
    }

    /// Checks the range of every value.
    ///
    /// # Errors
    ///
    /// [`Error::Recipe`] for the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        let is_fraction = |value: f64| (0.0..1.0).contains(&value);
        check("epochs", self.epochs, self.epochs > 0, "a whole number from 1")?;
        check(
            "batch_size",
            self.batch_size,
            self.batch_size > 1,
            "a whole number from 2, as batch statistics need two images",
        )?;
        let shards = self.virtual_shards;
        check("virtual_shards", shards, shards > 0, "a whole number from 1")?;
        let is_even = self.batch_size.is_multiple_of(shards) && self.batch_size / shards > 1;
        check("virtual_shards", shards, is_even, "a divisor of the batch size that leaves two images or more to each")?;
        check("learning_rate", self.learning_rate, is_positive(self.learning_rate), "a number above 0")?;
        check("momentum", self.momentum, is_fraction(self.momentum), "0 or more and less than 1")?;
        check("nesterov", self.nesterov, !self.nesterov || self.momentum > 0.0, "false without momentum")?;
        check(
            "weight_decay",
            self.weight_decay,
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            "0 or more",
        )?;
        check("label_smoothing", self.label_smoothing, is_fraction(self.label_smoothing), "0 or more and less than 1")?;
        if let Some(norm) = self.clip_norm {
            check("clip_norm", norm, is_positive(norm), "a number above 0")?;
        }
        if let Some(decay) = self.average_decay {
            check("average_decay", decay, is_fraction(decay), "0 or more and less than 1")?;
        }
        match self.schedule.decay {
            LrDecay::Constant => {}
            LrDecay::Cosine { min_rate } => {
                let is_valid = min_rate >= 0.0 && min_rate <= self.learning_rate;
                check("schedule.decay.least", min_rate, is_valid, "0 to the learning rate")?;
            }
            LrDecay::Step { every, factor } => {
                check("schedule.decay.every", every, every > 0, "a whole number from 1")?;
                check("schedule.decay.factor", factor, is_positive(factor), "a number above 0")?;
            }
            LrDecay::Poly { power } => {
                check("schedule.decay.power", power, is_positive(power), "a number above 0")?;
            }
        }
        if let Some(Warmup { epochs, start }) = self.schedule.warmup {
            check("schedule.warmup.epochs", epochs, epochs < self.epochs, "fewer than all epochs")?;
            check("schedule.warmup.start", start, is_positive(start) && start <= 1.0, "above 0 and at most 1")?;
        }
        self.class_weights.as_ref().map_or(Ok(()), ClassWeights::validate)?;
        let both = self.sampler == Sampler::Balanced && self.class_weights == Some(ClassWeights::Balanced);
        check("sampler", "balanced", !both, "shuffled with balanced class weights, which would count twice")?;
        if let Some(SegmentationRecipe { loss, augmentation }) = &self.segmentation {
            check("class_weights", "set", self.class_weights.is_none(), "none for a segmentation network")?;
            check("virtual_shards", shards, shards == 1, "1 for a segmentation network")?;
            check("sampler", "balanced", self.sampler == Sampler::Shuffled, "shuffled for a segmentation network")?;
            check(
                "label_smoothing",
                self.label_smoothing,
                self.label_smoothing == 0.0,
                "0 for a segmentation network",
            )?;
            if let Loss::Bootstrapped { least, threshold } = *loss {
                check("segmentation.loss.least", least, least > 0, "a whole number from 1")?;
                let is_valid = threshold.is_finite() && threshold >= 0.0;
                check("segmentation.loss.threshold", threshold, is_valid, "0 or more")?;
            }
            augmentation.validate()?;
        }
        let augmentation = self.augmentation.validate();
        augmentation.map_err(|error| Error::Loader(hardnet_data::LoaderError::Pipeline(error)))
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

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

fn check(field: &'static str, found: impl ToString, is_valid: bool, expected: &'static str) -> Result<()> {
    if is_valid { Ok(()) } else { Err(Error::Recipe { field, found: found.to_string(), expected }) }
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
            assert!(!json.contains("virtual_shards"), "an earlier version cannot read {json}");
        }
        assert!(matches!("other".parse::<Recipe>(), Err(Error::UnknownRecipe(_))));
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        type Change = fn(&mut Recipe);
        let cases: [(&str, Change); 14] = [
            ("`epochs` is 0, expected a whole number from 1", |r| r.epochs = 0),
            ("`batch_size` is 1, expected a whole number from 2, as batch statistics need two images", |r| {
                r.batch_size = 1
            }),
            ("`learning_rate` is NaN, expected a number above 0", |r| r.learning_rate = f64::NAN),
            ("`momentum` is 1, expected 0 or more and less than 1", |r| r.momentum = 1.0),
            ("`nesterov` is true, expected false without momentum", |r| r.momentum = 0.0),
            ("`clip_norm` is 0, expected a number above 0", |r| r.clip_norm = Some(0.0)),
            ("`schedule.warmup.epochs` is 150, expected fewer than all epochs", |r| {
                r.schedule.warmup = Some(Warmup { epochs: 150, start: 0.1 });
            }),
            ("`flip` is 2, expected a probability from 0 to 1", |r| r.augmentation.flip = 2.0),
            ("`segmentation.loss.least` is 0, expected a whole number from 1", |r| {
                *r = Recipe::fchardnet();
                r.segmentation.as_mut().unwrap().loss = Loss::Bootstrapped { least: 0, threshold: 0.3 };
            }),
            ("`virtual_shards` is 0, expected a whole number from 1", |r| r.virtual_shards = 0),
            (
                "`virtual_shards` is 3, expected a divisor of the batch size that leaves two images or more to each",
                |r| r.virtual_shards = 3,
            ),
            (
                "`virtual_shards` is 256, expected a divisor of the batch size that leaves two images or more to each",
                |r| r.virtual_shards = 256,
            ),
            ("`virtual_shards` is 2, expected 1 for a segmentation network", |r| {
                *r = Recipe::fchardnet().virtual_shards(2);
            }),
            ("`sampler` is balanced, expected shuffled for a segmentation network", |r| {
                *r = Recipe::fchardnet().sampler(Sampler::Balanced);
            }),
        ];
        for (message, change) in cases {
            let mut recipe = Recipe::upstream();
            change(&mut recipe);
            assert_eq!(recipe.validate().unwrap_err().to_string(), message);
        }
    }
}

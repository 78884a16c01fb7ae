//! How a network is trained, as data.

use hardnet_data::Augmentation;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::schedule::{Decay, Interval, Schedule, Warmup};

/// How a network is trained: by stochastic gradient descent on the cross entropy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Recipe {
    /// Passes over the training set.
    pub epochs: u32,
    /// Images of a step.
    pub batch_size: usize,
    /// Learning rate that the schedule starts from or warms up to.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Share of the last step's direction that is kept; 0 for none.
    pub momentum: f64,
    /// Whether the momentum is applied before the gradient is used, as Nesterov does.
    pub nesterov: bool,
    /// Share of a weight that is added to its gradient.
    pub weight_decay: f64,
    /// Which parameters decay.
    pub decayed: Decayed,
    /// Share of the target that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// Greatest Euclidean norm of all gradients together; longer ones are shortened to it.
    pub clip_norm: Option<f64>,
    /// Share of the average of weights that each step keeps; with it the average is what is evaluated and written.
    pub average_decay: Option<f64>,
    /// What is done to the images.
    pub augmentation: Augmentation,
}

/// Which parameters weight decay applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decayed {
    /// All of them, as PyTorch's optimizers do unless told otherwise.
    All,
    /// Weights of convolutions and linear layers: neither biases nor what belongs to a batch normalisation.
    Weights,
}

impl Recipe {
    /// The names that [`Recipe::named`] knows.
    pub const NAMES: &[&str] = &["upstream", "notebook"];

    /// The authors' recipe for ImageNet: 150 epochs of 256 images, Nesterov momentum 0.9, learning rate 0.05 along a cosine,
    /// weight decay 6e-5 on everything, random-resized crops and mirrors.
    pub fn upstream() -> Self {
        Self {
            epochs: 150,
            batch_size: 256,
            learning_rate: 0.05,
            schedule: Schedule { decay: Decay::Cosine { least: 0.0 }, warmup: None, interval: Interval::Epoch },
            momentum: 0.9,
            nesterov: true,
            weight_decay: 6e-5,
            decayed: Decayed::All,
            label_smoothing: 0.0,
            clip_norm: None,
            average_decay: None,
            augmentation: Augmentation::imagenet(),
        }
    }

    /// The recipe of the Paddle notebook: two epochs of 256 images by plain gradient descent at a learning rate of 1e-4,
    /// weight decay 6e-5, images as in evaluation.
    pub fn notebook() -> Self {
        Self {
            epochs: 2,
            learning_rate: 1e-4,
            schedule: Schedule { decay: Decay::Constant, warmup: None, interval: Interval::Epoch },
            momentum: 0.0,
            nesterov: false,
            augmentation: Augmentation::none(),
            ..Self::upstream()
        }
    }

    /// The recipe of one of [`Recipe::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "upstream" => Some(Self::upstream()),
            "notebook" => Some(Self::notebook()),
            _ => None,
        }
    }

    /// Checks that every number makes sense.
    ///
    /// # Errors
    ///
    /// [`Error::Recipe`] for the first that makes none.
    pub fn validate(&self) -> Result<()> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let share = |value: f64| (0.0..1.0).contains(&value);
        check("epochs", self.epochs, self.epochs > 0, "a whole number from 1")?;
        check(
            "batch_size",
            self.batch_size,
            self.batch_size > 1,
            "a whole number from 2: statistics of a batch need two",
        )?;
        check("learning_rate", self.learning_rate, positive(self.learning_rate), "a number above 0")?;
        check("momentum", self.momentum, share(self.momentum), "0 or more and less than 1")?;
        check("nesterov", self.nesterov, !self.nesterov || self.momentum > 0.0, "a momentum above 0 with it")?;
        check(
            "weight_decay",
            self.weight_decay,
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            "0 or more",
        )?;
        check("label_smoothing", self.label_smoothing, share(self.label_smoothing), "0 or more and less than 1")?;
        if let Some(norm) = self.clip_norm {
            check("clip_norm", norm, positive(norm), "a number above 0")?;
        }
        if let Some(decay) = self.average_decay {
            check("average_decay", decay, share(decay), "0 or more and less than 1")?;
        }
        match self.schedule.decay {
            Decay::Constant => {}
            Decay::Cosine { least } => {
                let sound = least >= 0.0 && least <= self.learning_rate;
                check("schedule.decay.least", least, sound, "0 to the learning rate")?;
            }
            Decay::Step { every, factor } => {
                check("schedule.decay.every", every, every > 0, "a whole number from 1")?;
                check("schedule.decay.factor", factor, positive(factor), "a number above 0")?;
            }
        }
        if let Some(Warmup { epochs, start }) = self.schedule.warmup {
            check("schedule.warmup.epochs", epochs, epochs < self.epochs, "fewer than all epochs")?;
            check("schedule.warmup.start", start, positive(start) && start <= 1.0, "above 0 and at most 1")?;
        }
        let augmentation = self.augmentation.validate();
        augmentation.map_err(|error| Error::Loader(hardnet_data::LoaderError::Pipeline(error)))
    }
}

fn check(field: &'static str, found: impl ToString, sound: bool, expected: &'static str) -> Result<()> {
    if sound { Ok(()) } else { Err(Error::Recipe { field, found: found.to_string(), expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_recipes_are_sound_and_survive_json() {
        for name in Recipe::NAMES {
            let recipe = Recipe::named(name).unwrap();
            recipe.validate().unwrap();
            let json = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe, "{json}");
        }
        assert_eq!(Recipe::named("other"), None);
    }

    #[test]
    fn a_number_without_sense_is_named() {
        type Change = fn(&mut Recipe);
        let cases: [(&str, Change); 8] = [
            ("`epochs` is 0, expected a whole number from 1", |r| r.epochs = 0),
            ("`batch_size` is 1, expected a whole number from 2: statistics of a batch need two", |r| r.batch_size = 1),
            ("`learning_rate` is NaN, expected a number above 0", |r| r.learning_rate = f64::NAN),
            ("`momentum` is 1, expected 0 or more and less than 1", |r| r.momentum = 1.0),
            ("`nesterov` is true, expected a momentum above 0 with it", |r| r.momentum = 0.0),
            ("`clip_norm` is 0, expected a number above 0", |r| r.clip_norm = Some(0.0)),
            ("`schedule.warmup.epochs` is 150, expected fewer than all epochs", |r| {
                r.schedule.warmup = Some(Warmup { epochs: 150, start: 0.1 });
            }),
            ("`flip` is 2, expected a probability from 0 to 1", |r| r.augmentation.flip = 2.0),
        ];
        for (message, change) in cases {
            let mut recipe = Recipe::upstream();
            change(&mut recipe);
            assert_eq!(recipe.validate().unwrap_err().to_string(), message);
        }
    }
}

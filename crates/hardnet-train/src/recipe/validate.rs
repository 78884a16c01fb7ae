//! The valid values of a recipe.

use hardnet_segmentation::training::Loss;

use super::{BatchNormStatistics, Recipe, SegmentationRecipe};
use crate::balance::{ClassWeights, Sampler};
use crate::error::{Error, Result};
use crate::schedule::{LrDecay, Warmup};

impl Recipe {
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
        let is_synchronized = self.batch_norm == BatchNormStatistics::Synchronized;
        let (least, expected) = match is_synchronized {
            true => (1, "a divisor of the batch size"),
            false => (2, "a divisor of the batch size that leaves two images or more to each"),
        };
        let is_even = self.batch_size.is_multiple_of(shards) && self.batch_size / shards >= least;
        check("virtual_shards", shards, is_even, expected)?;
        check("batch_norm", "synchronized", !is_synchronized || shards > 1, "shard where there is one virtual shard")?;
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

fn check(field: &'static str, found: impl ToString, is_valid: bool, expected: &'static str) -> Result<()> {
    if is_valid { Ok(()) } else { Err(Error::Recipe { field, found: found.to_string(), expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_named() {
        type Change = fn(&mut Recipe);
        let cases: [(&str, Change); 16] = [
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
            ("`virtual_shards` is 3, expected a divisor of the batch size", |r| {
                (r.virtual_shards, r.batch_norm) = (3, BatchNormStatistics::Synchronized);
            }),
            ("`batch_norm` is synchronized, expected shard where there is one virtual shard", |r| {
                r.batch_norm = BatchNormStatistics::Synchronized;
            }),
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

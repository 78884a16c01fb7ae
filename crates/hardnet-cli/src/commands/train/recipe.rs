//! From options to a recipe.

use clap::{Args, ValueEnum};
use hardnet_data::RandomCrop;
use hardnet_train::{BatchNormStatistics, DecayedParams, LrDecay, LrInterval, Recipe, Sampler, Warmup};

use super::class_weights::ClassWeightsArg;
use super::masks::MaskArgs;
use crate::failure::{Failure, Result};
use crate::format::at_least_one;

/// Options that change a published recipe.
#[derive(Args, Debug)]
#[command(next_help_heading = "Recipe")]
pub(crate) struct RecipeArgs {
    /// Recipe to start from: upstream (the authors' for ImageNet), notebook (the Paddle notebook's) or fchardnet (the
    /// authors' for segmentation) [default: upstream, or fchardnet for segmentation networks]
    #[arg(long, value_name = "NAME", hide_possible_values = true,
        value_parser = clap::builder::PossibleValuesParser::new(Recipe::NAMES))]
    recipe: Option<String>,
    /// Number of epochs
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Batch size
    #[arg(short, long, value_name = "N", value_parser = at_least_one)]
    batch_size: Option<usize>,
    /// Divide each batch into N equal parts, computed one by one; weights still change once per batch [default: 1]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    virtual_shards: Option<usize>,
    /// Normalize by the statistics of each part of --virtual-shards (shard) or of the whole batch (synchronized), which
    /// takes the memory of all parts at once [default: shard]
    #[arg(long, value_enum, value_name = "WHICH", hide_possible_values = true)]
    batch_norm: Option<BatchNormChoice>,
    /// Learning rate
    #[arg(long, visible_alias = "learning-rate", value_name = "RATE")]
    lr: Option<f64>,
    /// Momentum; 0 disables it
    #[arg(long, value_name = "FRACTION")]
    momentum: Option<f64>,
    /// Use Nesterov momentum: true or false
    #[arg(long, value_name = "BOOL")]
    nesterov: Option<bool>,
    /// Weight decay
    #[arg(long, value_name = "FRACTION")]
    weight_decay: Option<f64>,
    /// Parameters subject to weight decay: all, or only the weights of convolutions and linear layers
    #[arg(long, value_enum, value_name = "WHICH")]
    decay: Option<DecayChoice>,
    /// Learning rate schedule: constant, cosine, step or poly (the remaining share of the run to a power)
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    schedule: Option<ScheduleChoice>,
    /// Final learning rate of --schedule cosine [default: 0]
    #[arg(long, value_name = "RATE")]
    lr_min: Option<f64>,
    /// Epochs between two steps of --schedule step [default: 30]
    #[arg(long, value_name = "N")]
    step_epochs: Option<u32>,
    /// Factor of the learning rate at each step of --schedule step [default: 0.1]
    #[arg(long, value_name = "FACTOR")]
    step_factor: Option<f64>,
    /// Power of --schedule poly [default: 0.9]
    #[arg(long, value_name = "POWER")]
    poly_power: Option<f64>,
    /// Epochs of linear warm-up
    #[arg(long, value_name = "N")]
    warmup_epochs: Option<u32>,
    /// Fraction of the learning rate at the start of the warm-up [default: 0.01]
    #[arg(long, value_name = "FRACTION")]
    warmup_start: Option<f64>,
    /// Update the learning rate before each epoch or each batch
    #[arg(long, value_enum, value_name = "WHEN", hide_possible_values = true)]
    lr_per: Option<IntervalChoice>,
    /// Label smoothing
    #[arg(long, value_name = "FRACTION")]
    label_smoothing: Option<f64>,
    /// Weights of the classes in the loss: balanced, or a file with a line `name,weight` for each class, or one weight
    /// per line in class order
    #[arg(long, value_name = "balanced|FILE")]
    class_weights: Option<ClassWeightsArg>,
    /// How an epoch draws images: shuffled (each once) or balanced (with replacement, each class equally often)
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    sampler: Option<SamplerChoice>,
    /// Clip gradients to this norm
    #[arg(long, value_name = "NORM")]
    clip_norm: Option<f64>,
    /// Evaluate and save an exponential moving average of the weights with this decay, such as 0.999
    #[arg(long, value_name = "FRACTION")]
    ema: Option<f64>,
    /// Random crop: none (as in evaluation), resized (a random rectangle) or padded (a random shift)
    #[arg(long, value_enum, value_name = "KIND", hide_possible_values = true)]
    crop: Option<CropChoice>,
    /// Range of the area of --crop resized, such as 0.08,1
    #[arg(long, value_name = "MIN,MAX", value_parser = pair)]
    crop_scale: Option<[f64; 2]>,
    /// Range of the aspect ratio of --crop resized, such as 0.75,1.33
    #[arg(long, value_name = "MIN,MAX", value_parser = pair)]
    crop_ratio: Option<[f64; 2]>,
    /// Largest shift of --crop padded, in pixels
    #[arg(long, value_name = "PIXELS")]
    crop_padding: Option<u32>,
    /// Probability of a horizontal flip
    #[arg(long, value_name = "FRACTION")]
    flip: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DecayChoice {
    All,
    Weights,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BatchNormChoice {
    Shard,
    Synchronized,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SamplerChoice {
    Shuffled,
    Balanced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScheduleChoice {
    Constant,
    Cosine,
    Step,
    Poly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IntervalChoice {
    Epoch,
    Batch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CropChoice {
    None,
    Resized,
    Padded,
}

impl RecipeArgs {
    /// Name of the recipe to start from, for a segmentation network or a classifier.
    pub(crate) fn name(&self, segments: bool) -> &str {
        self.recipe.as_deref().unwrap_or(if segments { "fchardnet" } else { "upstream" })
    }

    /// The recipe for `classes` classes with these names; with `masks` for a segmentation network.
    pub(crate) fn resolve(&self, classes: usize, names: Option<&[String]>, masks: Option<&MaskArgs>) -> Result<Recipe> {
        let mut recipe: Recipe = self.name(masks.is_some()).parse()?;
        match masks {
            Some(masks) => {
                if self.crop.is_some() || self.crop_scale.is_some() || self.crop_ratio.is_some() {
                    return Err(Failure::message("--crop, --crop-scale and --crop-ratio are for classifiers")
                        .hint("pass --crop-size and --random-scale"));
                }
                recipe.segmentation = Some(masks.recipe(&recipe, self.flip)?);
            }
            None if recipe.segmentation.is_some() => {
                return Err(Failure::message("the recipe `fchardnet` is for segmentation networks"));
            }
            None => {}
        }
        let set = |field: &mut f64, value: Option<f64>| *field = value.unwrap_or(*field);
        set(&mut recipe.learning_rate, self.lr);
        set(&mut recipe.momentum, self.momentum);
        set(&mut recipe.weight_decay, self.weight_decay);
        set(&mut recipe.label_smoothing, self.label_smoothing);
        set(&mut recipe.augmentation.flip, self.flip);
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.batch_size = self.batch_size.unwrap_or(recipe.batch_size);
        recipe.virtual_shards = self.virtual_shards.unwrap_or(recipe.virtual_shards);
        recipe.batch_norm = match self.batch_norm {
            Some(BatchNormChoice::Shard) => BatchNormStatistics::Shard,
            Some(BatchNormChoice::Synchronized) if recipe.virtual_shards == 1 => {
                return Err(requires("--batch-norm synchronized", "--virtual-shards"));
            }
            Some(BatchNormChoice::Synchronized) => BatchNormStatistics::Synchronized,
            None => recipe.batch_norm,
        };
        // Without momentum, Nesterov momentum is off unless it is requested.
        recipe.nesterov = self.nesterov.unwrap_or(recipe.nesterov && recipe.momentum > 0.0);
        recipe.clip_norm = self.clip_norm.or(recipe.clip_norm);
        recipe.average_decay = self.ema.or(recipe.average_decay);
        if let Some(weights) = &self.class_weights {
            recipe.class_weights = Some(weights.resolve(classes, names)?);
        }
        recipe.sampler = match self.sampler {
            Some(SamplerChoice::Balanced) => Sampler::Balanced,
            Some(SamplerChoice::Shuffled) => Sampler::Shuffled,
            None => recipe.sampler,
        };
        recipe.decayed = match self.decay {
            Some(DecayChoice::All) => DecayedParams::All,
            Some(DecayChoice::Weights) => DecayedParams::Weights,
            None => recipe.decayed,
        };
        recipe.schedule.decay = self.decay(recipe.schedule.decay)?;
        recipe.schedule.interval = match self.lr_per {
            Some(IntervalChoice::Epoch) => LrInterval::Epoch,
            Some(IntervalChoice::Batch) => LrInterval::Batch,
            None => recipe.schedule.interval,
        };
        if let Some(epochs) = self.warmup_epochs {
            let start = self.warmup_start.unwrap_or(0.01);
            recipe.schedule.warmup = (epochs > 0).then_some(Warmup { epochs, start });
        } else if self.warmup_start.is_some() {
            return Err(requires("--warmup-start", "--warmup-epochs"));
        }
        recipe.augmentation.crop = self.crop(recipe.augmentation.crop)?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The schedule: `recipe` with the changes of the options.
    fn decay(&self, recipe: LrDecay) -> Result<LrDecay> {
        let decay = match (self.schedule, recipe) {
            (Some(ScheduleChoice::Constant), _) => LrDecay::Constant,
            (Some(ScheduleChoice::Cosine), _) => LrDecay::Cosine { min_rate: self.lr_min.unwrap_or(0.0) },
            (Some(ScheduleChoice::Step), _) => {
                LrDecay::Step { every: self.step_epochs.unwrap_or(30), factor: self.step_factor.unwrap_or(0.1) }
            }
            (Some(ScheduleChoice::Poly), _) => LrDecay::Poly { power: self.poly_power.unwrap_or(0.9) },
            (None, LrDecay::Poly { power }) => LrDecay::Poly { power: self.poly_power.unwrap_or(power) },
            (None, LrDecay::Cosine { min_rate }) => LrDecay::Cosine { min_rate: self.lr_min.unwrap_or(min_rate) },
            (None, recipe) => recipe,
        };
        if self.lr_min.is_some() && !matches!(decay, LrDecay::Cosine { .. }) {
            return Err(requires("--lr-min", "--schedule cosine"));
        }
        if (self.step_epochs.is_some() || self.step_factor.is_some()) && !matches!(decay, LrDecay::Step { .. }) {
            return Err(requires("--step-epochs and --step-factor", "--schedule step"));
        }
        if self.poly_power.is_some() && !matches!(decay, LrDecay::Poly { .. }) {
            return Err(requires("--poly-power", "--schedule poly"));
        }
        Ok(decay)
    }

    /// The crop: `recipe` with the changes of the options.
    fn crop(&self, recipe: RandomCrop) -> Result<RandomCrop> {
        let default = ([0.08, 1.0], [3.0 / 4.0, 4.0 / 3.0]);
        let (scale, ratio) = match recipe {
            RandomCrop::Resized { scale, ratio } => (scale, ratio),
            _ => default,
        };
        let resized =
            RandomCrop::Resized { scale: self.crop_scale.unwrap_or(scale), ratio: self.crop_ratio.unwrap_or(ratio) };
        let crop = match (self.crop, recipe) {
            (Some(CropChoice::None), _) => RandomCrop::None,
            (Some(CropChoice::Resized), _) | (None, RandomCrop::Resized { .. }) => resized,
            (Some(CropChoice::Padded), _) => {
                let padding = self.crop_padding.ok_or_else(|| requires("--crop padded", "--crop-padding"))?;
                RandomCrop::Padded { padding }
            }
            (None, recipe) => recipe,
        };
        if self.crop_padding.is_some() && !matches!(crop, RandomCrop::Padded { .. }) {
            return Err(requires("--crop-padding", "--crop padded"));
        }
        if (self.crop_scale.is_some() || self.crop_ratio.is_some()) && !matches!(crop, RandomCrop::Resized { .. }) {
            return Err(requires("--crop-scale and --crop-ratio", "--crop resized"));
        }
        Ok(crop)
    }
}

fn requires(flag: &str, other: &str) -> Failure {
    Failure::message(format!("{flag} requires {other}"))
}

/// Two numbers with a comma between them.
pub(super) fn pair(text: &str) -> std::result::Result<[f64; 2], String> {
    let numbers =
        text.split_once(',').and_then(|(low, high)| Some([low.trim().parse().ok()?, high.trim().parse().ok()?]));
    numbers.ok_or_else(|| "expected two numbers, such as 0.5,1".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use hardnet_train::ClassWeights;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        recipe: RecipeArgs,
    }

    fn recipe(flags: &str) -> Result<Recipe> {
        let words = std::iter::once("program").chain(flags.split_whitespace());
        Program::try_parse_from(words).unwrap().recipe.resolve(3, None, None)
    }

    #[test]
    fn options_change_the_published_recipes() {
        assert_eq!(recipe("").unwrap(), Recipe::upstream());
        assert_eq!(recipe("--recipe notebook").unwrap(), Recipe::notebook());
        let mut expected = Recipe::upstream();
        (expected.epochs, expected.batch_size, expected.learning_rate) = (30, 64, 0.1);
        expected.schedule.decay = LrDecay::Cosine { min_rate: 1e-4 };
        expected.schedule.warmup = Some(Warmup { epochs: 2, start: 0.1 });
        expected.schedule.interval = LrInterval::Batch;
        (expected.label_smoothing, expected.clip_norm, expected.average_decay) = (0.1, Some(5.0), Some(0.999));
        expected.decayed = DecayedParams::Weights;
        expected.augmentation = expected.augmentation.with_crop(RandomCrop::Padded { padding: 8 }).with_flip(0.25);
        let flags = "--epochs 30 -b 64 --lr 0.1 --lr-min 1e-4 --warmup-epochs 2 --warmup-start 0.1 --lr-per batch \
                     --label-smoothing 0.1 --clip-norm 5 --ema 0.999 --decay weights --crop padded --crop-padding 8 --flip 0.25";
        assert_eq!(recipe(flags).unwrap(), expected);
        let resized = RandomCrop::Resized { scale: [0.5, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] };
        assert_eq!(recipe("--crop-scale 0.5,1").unwrap().augmentation.crop, resized);
        assert_eq!(recipe("--schedule step").unwrap().schedule.decay, LrDecay::Step { every: 30, factor: 0.1 });
        assert!(!recipe("--momentum 0").unwrap().nesterov);
        assert_eq!(recipe("--class-weights balanced").unwrap().class_weights, Some(ClassWeights::Balanced));
        let synchronized = recipe("--virtual-shards 4 --batch-norm synchronized").unwrap();
        assert_eq!((synchronized.virtual_shards, synchronized.batch_norm), (4, BatchNormStatistics::Synchronized));
        assert_eq!(recipe("--sampler balanced").unwrap().sampler, Sampler::Balanced);
    }

    #[test]
    fn options_without_effect_are_errors() {
        for (flags, message) in [
            ("--warmup-start 0.1", "--warmup-start requires --warmup-epochs"),
            ("--recipe notebook --lr-min 0.1", "--lr-min requires --schedule cosine"),
            ("--step-factor 0.5", "--step-epochs and --step-factor requires --schedule step"),
            ("--poly-power 2", "--poly-power requires --schedule poly"),
            ("--recipe fchardnet", "the recipe `fchardnet` is for segmentation networks"),
            ("--batch-norm synchronized", "--batch-norm synchronized requires --virtual-shards"),
            ("--crop padded", "--crop padded requires --crop-padding"),
            ("--crop-padding 3", "--crop-padding requires --crop padded"),
            ("--crop none --crop-scale 0.5,1", "--crop-scale and --crop-ratio requires --crop resized"),
            (
                "--class-weights balanced --sampler balanced",
                "`sampler` is balanced, expected shuffled with balanced class weights, which would count twice",
            ),
            ("--momentum 1", "`momentum` is 1, expected 0 or more and less than 1"),
        ] {
            assert_eq!(recipe(flags).unwrap_err().error.to_string(), message);
        }
    }
}

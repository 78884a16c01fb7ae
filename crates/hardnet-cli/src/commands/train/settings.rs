//! The settings of a run, as `run.json` and its state store them.

use std::path::PathBuf;

use hardnet_data::{Pipeline, RandomCrop};
use hardnet_model::Metadata;
use hardnet_segmentation::Protocol;
use hardnet_segmentation::training::Loss;
use hardnet_train::{
    BatchNormStatistics, ClassWeights, DecayedParams, Error, LrDecay, LrInterval, Recipe, RunFile, RunFolder, Sampler,
    SegmentationRecipe,
};
use serde::{Deserialize, Serialize};

use super::data::DataSettings;
use crate::failure::{Failure, Result};
use crate::format::counted;
use crate::model::name_of;

/// Version of [`Settings`].
const SCHEMA: u32 = 1;

/// The settings that a run was started with. Field names are API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) schema_version: u32,
    /// Name, version and commit of the program.
    pub(crate) tool: String,
    /// The published network's name, or `custom`.
    pub(crate) model: String,
    /// Initial weights; `None` for random ones.
    pub(crate) origin: Option<Origin>,
    /// The run's folder, by which images that moved together with it are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<PathBuf>,
    pub(crate) data: DataSettings,
    pub(crate) recipe_name: String,
    pub(crate) recipe: Recipe,
    pub(crate) seed: u64,
    pub(crate) freeze_until: usize,
    #[serde(default)]
    pub(crate) freeze_statistics: bool,
    pub(crate) keep_epochs: bool,
    /// Preprocessing of a classifier's images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<Pipeline>,
    /// Preprocessing of a segmentation network's images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<Protocol>,
    /// Metadata of the weights files.
    pub(crate) metadata: Metadata,
}

/// A weights file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) path: String,
    pub(crate) sha256: String,
}

impl Settings {
    /// Settings of the authors' recipe with random weights and without images.
    pub(crate) fn new(metadata: Metadata) -> Self {
        Self {
            schema_version: SCHEMA,
            tool: concat!("hardnet ", env!("CARGO_PKG_VERSION"), " (", env!("HARDNET_COMMIT"), ")").into(),
            model: name_of(&metadata.config),
            origin: None,
            output: None,
            data: DataSettings::default(),
            recipe_name: Recipe::NAMES[0].into(),
            recipe: Recipe::upstream(),
            seed: 0,
            freeze_until: 0,
            freeze_statistics: false,
            keep_epochs: false,
            pipeline: None,
            protocol: None,
            metadata,
        }
    }

    /// The settings in the state of a saved run.
    pub(crate) fn from_value(value: serde_json::Value) -> Result<Self> {
        let settings: Self = serde_json::from_value(value)
            .map_err(|error| anyhow::Error::from(error).context("cannot read the settings of the run"))?;
        if settings.schema_version != SCHEMA {
            let version = settings.schema_version;
            return Err(Failure::message(format!(
                "unsupported version {version} of the run's settings, expected {SCHEMA}"
            )));
        }
        Ok(settings)
    }

    /// The settings as JSON. They go through text, which has the shortest digits of an f32.
    pub(crate) fn to_value(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&serde_json::to_string(self)?)?)
    }

    /// Writes `run.json`.
    pub(crate) fn save(&self, folder: &RunFolder) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        folder.write(RunFile::Settings, |out| {
            out.write_all(text.as_bytes()).map_err(|error| Error::Params(hardnet_params::Error::Write(error)))
        })?;
        Ok(())
    }

    /// The settings as a few lines of text.
    pub(crate) fn lines(&self, training: usize, validation: Option<usize>) -> Vec<String> {
        let Recipe { epochs, batch_size, learning_rate, momentum, weight_decay, .. } = self.recipe;
        let from = match &self.origin {
            Some(origin) => {
                format!("from {} (sha256 {}...)", origin.path, &origin.sha256[..origin.sha256.len().min(12)])
            }
            None => "from random weights".into(),
        };
        let nesterov = if self.recipe.nesterov { " (Nesterov)" } else { "" };
        let decayed = match self.recipe.decayed {
            DecayedParams::Weights => " on weights",
            _ => " on all parameters",
        };
        let mut more = match (self.recipe.virtual_shards, self.recipe.batch_norm) {
            (1, _) => String::new(),
            (shards, BatchNormStatistics::Synchronized) => {
                format!(", {shards} virtual shards with synchronized batch normalization")
            }
            (shards, _) => format!(", {shards} virtual shards"),
        };
        for (name, value) in [
            ("label smoothing", Some(self.recipe.label_smoothing).filter(|&share| share > 0.0)),
            ("gradients clipped to", self.recipe.clip_norm),
            ("weights averaged with decay", self.recipe.average_decay),
        ] {
            if let Some(value) = value {
                more += &format!(", {name} {value}");
            }
        }
        more += &self.balance();
        let frozen = self.frozen();
        let validation = validation.map_or("no validation images".into(), |count| format!("{count} validation images"));
        vec![
            format!("{from}{frozen}, {training} training images, {validation}, seed {}", self.seed),
            format!(
                "recipe {}: {}, batch size {batch_size}, SGD, momentum {momentum}{nesterov}, weight decay \
                 {weight_decay}{decayed}{more}",
                self.recipe_name,
                counted(epochs as usize, "epoch")
            ),
            format!("learning rate {learning_rate}, {}", self.schedule()),
            format!("images: {}", self.augmentation()),
        ]
    }

    fn frozen(&self) -> String {
        let statistics = if self.freeze_statistics { " with their statistics" } else { "" };
        match self.freeze_until {
            0 => String::new(),
            1 => format!(", first module frozen{statistics}"),
            count => format!(", first {count} modules frozen{statistics}"),
        }
    }

    /// How uneven classes are evened out.
    fn balance(&self) -> String {
        let mut text = match &self.recipe.class_weights {
            Some(ClassWeights::Values(values)) => {
                let (low, high) =
                    values.iter().fold((f64::MAX, 0f64), |(low, high), &value| (low.min(value), high.max(value)));
                format!(", class weights {low} to {high}")
            }
            Some(_) => ", balanced class weights".into(),
            None => String::new(),
        };
        if self.recipe.sampler == Sampler::Balanced {
            text += ", balanced sampler";
        }
        text
    }

    fn schedule(&self) -> String {
        let schedule = &self.recipe.schedule;
        let decay = match schedule.decay {
            LrDecay::Cosine { min_rate } => format!("cosine schedule to {min_rate}"),
            LrDecay::Poly { power } => format!("falling with the remaining share of the run to the power of {power}"),
            LrDecay::Step { every, factor } => format!("multiplied by {factor} every {every} epochs"),
            _ => "constant".into(),
        };
        let interval = match schedule.interval {
            LrInterval::Batch => "batch",
            _ => "epoch",
        };
        let warmup = schedule.warmup.map_or(String::new(), |warmup| {
            format!(", warm-up from {} of it over {} epochs", warmup.start, warmup.epochs)
        });
        format!("{decay}{warmup}, updated each {interval}")
    }

    fn augmentation(&self) -> String {
        if let Some(SegmentationRecipe { loss, augmentation, .. }) = &self.recipe.segmentation {
            let ((width, height), (least, most)) = (augmentation.crop, augmentation.scale);
            let mut text = format!(
                "crops of {width}x{height}, scaled by {least} to {most}, horizontal flips with probability {}",
                augmentation.flip
            );
            if augmentation.color > 0.0 {
                text += &format!(", colors changed by up to {}", augmentation.color);
            }
            return text
                + &match loss {
                    Loss::Bootstrapped { least, threshold } => {
                        format!("; loss of the pixels above {threshold} nats, at least {least} of each crop")
                    }
                    _ => "; loss of all pixels".into(),
                };
        }
        let augmentation = &self.recipe.augmentation;
        let side = self.pipeline.as_ref().map_or(0, |pipeline| pipeline.crop);
        let crop = match augmentation.crop {
            RandomCrop::Resized { scale: [least, most], ratio: [narrow, wide] } => {
                format!("random crops of {least} to {most} of the area, aspect ratio {narrow:.3} to {wide:.3}")
            }
            RandomCrop::Padded { padding } => format!("random shifts of up to {padding} pixels"),
            _ => "crops as in evaluation".into(),
        };
        format!("{crop}, horizontal flips with probability {}, size {}", augmentation.flip, side)
    }
}

//! `--model` and `--weights`: from flags to a network on a device.

use std::path::PathBuf;

use clap::Args;
use hardnet_model::{Config, Graph, Variant, WeightsFile};
use hardnet_weights::Source;
use serde::Serialize;

use crate::device::DeviceChoice;
use crate::engine::{Engine, EngineChoice};
use crate::failure::{Failure, Hinted, Result};
use crate::labels::Labels;
use crate::printer::Printer;
use crate::weights::{FetchArgs, locate};

const WEIGHTS_HELP: &str =
    "PyTorch file, Paddle file or safetensors, a tag of `hardnet list --weights`, or hf://owner/name[@revision][/file]";

/// Which network, with which weights, where.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Network that the weights must be of: hardnet39ds, hardnet68ds, hardnet68 or hardnet85; by default what the file holds
    #[arg(short, long, value_name = "NAME")]
    model: Option<Variant>,
    #[arg(long, visible_alias = "checkpoint", value_name = "FILE", help = WEIGHTS_HELP)]
    weights: Option<Source>,
    #[command(flatten)]
    fetch: FetchArgs,
    /// Device to compute on: auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "auto", env = crate::knobs::DEVICE)]
    device: DeviceChoice,
    /// What computes: plan, the default on the CPU, or candle
    #[arg(long, value_enum, hide_possible_values = true)]
    engine: Option<EngineChoice>,
}

/// Where weights came from.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WeightsOrigin {
    /// As the user gave it.
    pub(crate) path: String,
    /// Digest of the file.
    pub(crate) sha256: String,
    /// How far the file of a tag was checked when it was fetched: `verified`, `as named`, `accepted` or `unverified`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check: Option<&'static str>,
}

/// A network ready to run.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) engine: Engine,
    pub(crate) device_name: String,
    on_cpu: bool,
    /// The published network's name, or `custom`.
    pub(crate) name: String,
    pub(crate) weights: WeightsOrigin,
    pub(crate) labels: Labels,
    /// What the weights file says of preprocessing.
    pub(crate) pipeline: Option<serde_json::Value>,
}

impl ModelArgs {
    /// Reads the weights and builds the network.
    pub(crate) fn load(&self, printer: &Printer) -> Result<Model> {
        let source = self.weights.as_ref().ok_or_else(|| {
            let of = self.model.map_or(String::new(), |model| format!(" for {model}"));
            Failure::message(format!("no weights given{of}")).hint(
                "pass --weights FILE, a PyTorch file, a Paddle file or safetensors, --weights hf://owner/name, or a tag that hardnet list --weights prints; \
                 \"Weights\" in README.md says how to get some",
            )
        })?;
        let (device, device_choice) = self.device.open()?;
        let located = locate(source, &self.fetch, printer)?;
        let file = open_weights(&located.path, self.model)?;
        let config = file.config();
        if config.classes() == 0 {
            return Err(Failure::message(format!("`{source}` is a backbone without a classifier"))
                .hint("the library's `Backbone` reads it; this command needs a head"));
        }
        let name = name_of(config);
        let weights = WeightsOrigin { path: source.to_string(), sha256: file.sha256(), check: located.check };
        let labels = file.metadata().and_then(|metadata| metadata.labels.clone());
        if let Some(labels) = labels.as_ref().filter(|labels| labels.len() != config.classes()) {
            return Err(Failure::message(format!(
                "`{source}` names {} classes, its network has {}",
                labels.len(),
                config.classes()
            )));
        }
        let labels = Labels::new(labels, config.classes());
        let pipeline = file.metadata().and_then(|metadata| metadata.pipeline.clone());
        let classes = config.classes();
        let engine = Engine::new(self.engine, file, &device)?;
        printer.note(format_args!(
            "hardnet {} ({}), {name} with {classes} classes by {} on {device_choice}, {} threads, weights {} (sha256 {}...{})",
            env!("CARGO_PKG_VERSION"),
            env!("HARDNET_COMMIT"),
            engine.name(),
            crate::knobs::threads(),
            weights.path,
            &weights.sha256[..12],
            weights.check.map_or(String::new(), |check| format!(", {check}")),
        ));
        let on_cpu = device.is_cpu();
        Ok(Model { engine, device_name: device_choice.to_string(), on_cpu, name, weights, labels, pipeline })
    }

    pub(crate) fn weights(&self) -> Option<&Source> {
        self.weights.as_ref()
    }

    /// The file that `--weights` names, if it is given.
    pub(crate) fn locate(&self, printer: &Printer) -> Result<Option<PathBuf>> {
        self.weights.as_ref().map(|source| Ok(locate(source, &self.fetch, printer)?.path)).transpose()
    }

    pub(crate) fn variant(&self) -> Option<Variant> {
        self.model
    }

    pub(crate) fn device(&self) -> DeviceChoice {
        self.device
    }

    pub(crate) fn engine(&self) -> Option<EngineChoice> {
        self.engine
    }
}

/// Reads a weights file, which must hold `variant` if one is given.
pub(crate) fn open_weights(path: &std::path::Path, variant: Option<Variant>) -> Result<WeightsFile> {
    let file = match variant {
        Some(variant) => WeightsFile::open_as(path, variant),
        None => WeightsFile::open(path),
    };
    match file {
        Err(error @ hardnet_model::Error::OtherNetwork { .. }) => {
            Err(error).hint(|| "drop --model: the file says which network it holds".into())
        }
        Err(error @ hardnet_model::Error::Mismatch { .. }) => {
            Err(error).hint(|| format!("hardnet inspect --tensors {} lists what it holds", path.display()))
        }
        other => Ok(other?),
    }
}

/// The published network's name, or `custom`.
pub(crate) fn name_of(config: &Config) -> String {
    Variant::of(config).map_or("custom".into(), |variant| variant.to_string())
}

impl Model {
    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.engine.config().classes()
    }

    /// Checks that images of `side` pixels survive the strides.
    pub(crate) fn check_side(&self, side: usize) -> hardnet_model::Result<()> {
        Graph::new(self.engine.config())?.shapes(side, side).map(|_| ())
    }

    /// Threads that [`logits`](Model::logits) keeps busy on this machine's processor.
    pub(crate) fn busy_threads(&self) -> usize {
        if self.on_cpu { crate::knobs::threads() } else { 1 }
    }

    /// Logits of each image of a batch of tensors `[3, side, side]`.
    pub(crate) fn logits(&self, images: &[impl AsRef<[f32]>], side: usize) -> Result<Vec<Vec<f32>>> {
        let logits = self.engine.logits(images, side)?;
        if logits.iter().flatten().any(|logit| !logit.is_finite()) {
            return Err(Failure::message(format!(
                "the network's output is not finite: `{}` is damaged",
                self.weights.path
            )));
        }
        Ok(logits)
    }
}

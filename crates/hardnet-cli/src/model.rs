//! `--model` and `--weights`: from flags to a network on a device.

use candle_core::Device;
use clap::Args;
use hardnet_model::{Config, Graph, Variant, WeightsFile};
use hardnet_weights::WeightsSource;
use serde::Serialize;

use crate::device::DeviceChoice;
use crate::engine::{Engine, EngineChoice};
use crate::failure::{Failure, Hinted, Result};
use crate::labels::Labels;
use crate::printer::Printer;
use crate::weights::{FetchArgs, Located, locate};

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
    weights: Option<WeightsSource>,
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

/// Weights that were read, of a network that is not built yet.
pub(crate) struct OpenedModel {
    file: WeightsFile,
    weights: WeightsOrigin,
    labels: Option<Vec<String>>,
    engine: Option<EngineChoice>,
    device: (Device, DeviceChoice),
}

impl ModelArgs {
    /// Reads the weights and builds the network.
    pub(crate) fn load(&self, printer: &Printer) -> Result<Model> {
        self.open(printer)?.build(printer)
    }

    /// Reads the weights, which say what the network is of.
    pub(crate) fn open(&self, printer: &Printer) -> Result<OpenedModel> {
        let source = self.weights.as_ref().ok_or_else(|| {
            let of = self.model.map_or(String::new(), |model| format!(" for {model}"));
            Failure::message(format!("no weights given{of}")).hint(
                "pass --weights FILE, a PyTorch file, a Paddle file or safetensors, --weights hf://owner/name, or a tag that hardnet list --weights prints; \
                 \"Weights\" in README.md says how to get some",
            )
        })?;
        let device = self.device.open()?;
        let located = locate(source, &self.fetch, printer)?;
        let file = located.open(self.model)?;
        let config = file.config();
        if config.classes() == 0 {
            return Err(Failure::message(format!("`{source}` is a backbone without a classifier"))
                .hint("the library's `Backbone` reads it; this command needs a head"));
        }
        let weights = WeightsOrigin { path: source.to_string(), sha256: file.sha256(), check: located.verification };
        let labels = file.metadata().and_then(|metadata| metadata.labels.clone());
        if let Some(labels) = labels.as_ref().filter(|labels| labels.len() != config.classes()) {
            return Err(Failure::message(format!(
                "`{source}` names {} classes, its network has {}",
                labels.len(),
                config.classes()
            )));
        }
        Ok(OpenedModel { file, weights, labels, engine: self.engine, device })
    }

    pub(crate) fn weights(&self) -> Option<&WeightsSource> {
        self.weights.as_ref()
    }

    /// What `--weights` names, if it is given.
    pub(crate) fn locate(&self, printer: &Printer) -> Result<Option<Located>> {
        self.weights.as_ref().map(|source| locate(source, &self.fetch, printer)).transpose()
    }

    /// The same with other weights.
    pub(crate) fn with_weights(&self, source: WeightsSource) -> Self {
        Self { weights: Some(source), ..self.clone() }
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

impl OpenedModel {
    pub(crate) fn config(&self) -> &Config {
        self.file.config()
    }

    /// What the weights file says of preprocessing.
    pub(crate) fn pipeline(&self) -> Option<&serde_json::Value> {
        self.file.metadata().and_then(|metadata| metadata.pipeline.as_ref())
    }

    /// Builds the network.
    pub(crate) fn build(self, printer: &Printer) -> Result<Model> {
        let pipeline = self.pipeline().cloned();
        let Self { file, weights, labels, engine, device: (device, device_choice) } = self;
        let (name, classes) = (name_of(file.config()), file.config().classes());
        let labels = Labels::new(labels, classes);
        let engine = Engine::new(engine, file, &device)?;
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
}

/// Checks that images of `side` pixels survive the strides of the network.
pub(crate) fn check_side(config: &Config, side: usize) -> Result<()> {
    Graph::new(config)?.shapes(side, side).map(|_| ()).hint(|| "pass a larger --img-size".into())
}

/// The published network's name, or `custom`.
pub(crate) fn name_of(config: &Config) -> String {
    config.variant().map_or("custom".into(), |variant| variant.to_string())
}

impl Model {
    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.engine.config().classes()
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

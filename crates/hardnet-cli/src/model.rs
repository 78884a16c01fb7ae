//! `--model` and `--weights`: from flags to a network on a device.

use candle_core::Device;
use clap::{Args, ValueEnum};
use hardnet_classifier::{Classifier, ClassifierBuilder, Engine};
use hardnet_data::Pipeline;
use hardnet_model::{Config, Graph, PlanOptions, Variant, WeightsFile};
use hardnet_weights::WeightsSource;
use serde::Serialize;

use crate::device::DeviceChoice;
use crate::failure::{Failure, Hinted, Result};
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
    /// Engine: native, the default on the CPU, or candle
    #[arg(long, value_enum, hide_possible_values = true)]
    engine: Option<EngineChoice>,
}

/// `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// Our own kernels, on the CPU
    #[value(alias = "plan")]
    Native,
    /// The network on Candle, on any device
    Candle,
}

impl From<EngineChoice> for Engine {
    fn from(choice: EngineChoice) -> Self {
        match choice {
            EngineChoice::Native => Self::Native,
            EngineChoice::Candle => Self::Candle,
        }
    }
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
    pub(crate) classifier: Classifier,
    pub(crate) device_name: String,
    /// The published network's name, or `custom`.
    pub(crate) name: String,
    pub(crate) weights: WeightsOrigin,
}

/// Weights that were read, of a network that is not built yet.
pub(crate) struct OpenedModel {
    file: WeightsFile,
    weights: WeightsOrigin,
    engine: Option<EngineChoice>,
    device: (Device, DeviceChoice),
}

impl ModelArgs {
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
        let labels = file.metadata().and_then(|metadata| metadata.labels.as_ref());
        if let Some(labels) = labels.filter(|labels| labels.len() != config.classes()) {
            return Err(Failure::message(format!(
                "`{source}` names {} classes, its network has {}",
                labels.len(),
                config.classes()
            )));
        }
        Ok(OpenedModel { file, weights, engine: self.engine, device })
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

    /// Builds the classifier for images that `pipeline` prepares, `batch` at a time.
    pub(crate) fn build(self, pipeline: &Pipeline, batch: usize, printer: &Printer) -> Result<Model> {
        let Self { file, weights, engine, device: (device, device_choice) } = self;
        let (name, classes) = (name_of(file.config()), file.config().classes());
        check_side(file.config(), pipeline.crop as usize)?;
        let mut builder = builder()?.batch_size(batch).pipeline(pipeline.clone()).device(device);
        if let Some(engine) = engine {
            builder = builder.engine(engine.into());
        }
        let classifier = match builder.from_weights(file) {
            Err(error @ hardnet_classifier::Error::Engine { .. }) => {
                Err(error).hint(|| "pass --device cpu or --engine candle".into())
            }
            classifier => Ok(classifier?),
        }?;
        printer.note(format_args!(
            "hardnet {} ({}), {name} with {classes} classes by {} on {device_choice}, {} threads, weights {} (sha256 {}...{})",
            env!("CARGO_PKG_VERSION"),
            env!("HARDNET_COMMIT"),
            classifier.engine(),
            crate::knobs::threads(),
            weights.path,
            &weights.sha256[..12],
            weights.check.map_or(String::new(), |check| format!(", {check}")),
        ));
        Ok(Model { classifier, device_name: device_choice.to_string(), name, weights })
    }
}

/// The options of a plan with the threads and instruction set that flags and environment give.
pub(crate) fn plan_options() -> Result<PlanOptions> {
    Ok(PlanOptions::default().threads(crate::knobs::threads()).isa(crate::knobs::isa()?))
}

/// The builder of a classifier with the threads and instruction set that flags and environment give.
fn builder() -> Result<ClassifierBuilder> {
    Ok(Classifier::builder().threads(crate::knobs::threads()).isa(crate::knobs::isa()?))
}

/// Checks that images of `side` pixels survive the strides of the network.
pub(crate) fn check_side(config: &Config, side: usize) -> Result<()> {
    Graph::new(config)?.shapes(side, side).map(|_| ()).hint(|| "pass a larger --img-size".into())
}

/// The published network's name, or `custom`.
pub(crate) fn name_of(config: &Config) -> String {
    config.variant().map_or("custom".into(), |variant| variant.to_string())
}

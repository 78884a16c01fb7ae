//! `--model`, `--weights`, `--device` and `--engine`: from options to a classifier.

use std::borrow::Cow;

use candle_core::Device;
use clap::{Args, ValueEnum};
use hardnet_classifier::{Classifier, ClassifierBuilder, EmbedOptions, Embedder, Engine, Precision};
use hardnet_data::Pipeline;
use hardnet_eval::{DataRecord, RunRecord, WeightsRecord};
use hardnet_model::{Config, Graph, PlanOptions, WeightsFile};
use hardnet_weights::{RegistryEntry, WeightsSource, find_by_sha256};
use serde::{Deserialize, Serialize};

use crate::device::DeviceChoice;
use crate::failure::{Failure, Hinted, Result};
use crate::format::counted;
use crate::network::NetworkName;
use crate::printer::Printer;
use crate::weights::{FetchArgs, Located, PartArgs, locate, tell};

pub(crate) const WEIGHTS_HELP: &str = "Weights: a PyTorch, Paddle, safetensors or ONNX file, a tag listed by `hardnet list --weights`, or hf://owner/name[@revision][/file]";

/// Options of the network, its weights and its device.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Network of the weights, a name from `hardnet list` or a file in TOML [default: detected]
    #[arg(short, long, value_name = "NAME")]
    model: Option<NetworkName>,
    #[arg(long, visible_alias = "checkpoint", value_name = "FILE", help = WEIGHTS_HELP)]
    weights: Option<WeightsSource>,
    #[command(flatten)]
    part: PartArgs,
    /// Device: auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "auto", env = crate::knobs::DEVICE)]
    device: DeviceChoice,
    /// Engine: native or candle [default: native on the CPU, candle elsewhere]
    #[arg(long, value_enum, hide_possible_values = true)]
    engine: Option<EngineChoice>,
    /// Numbers that the native engine computes with: f32 or int8; weights in floating point are quantized without
    /// images [default: those of the weights]
    #[arg(long, value_name = "TYPE")]
    precision: Option<Precision>,
    /// Give each image the same logits, bit for bit, whatever else is in its batch (native engine); slower in large
    /// batches
    #[arg(long)]
    batch_invariant: bool,
    // The heading of this group applies to all that follows, so it comes last.
    #[command(flatten)]
    fetch: FetchArgs,
}

/// `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// This project's kernels, on the CPU
    #[value(alias = "plan")]
    Native,
    /// Candle, on any device
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

/// Origin of weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WeightsOrigin {
    /// Path, tag or address, as the user gave it.
    pub(crate) path: String,
    /// SHA-256 of the file.
    pub(crate) sha256: String,
    /// How the file of a tag was verified when it was downloaded: `verified`, `as named`, `accepted` or `unverified`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) check: Option<Cow<'static, str>>,
    /// Key of the dictionary in the file that was read, such as `state_dict_ema`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) wrapper: Option<String>,
    /// The prefix of the parameters' names in the file, such as `model.`.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(crate) prefix: String,
    /// Assumptions about the network, in words.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) assumed: Vec<String>,
}

/// A network that is ready to run.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) classifier: Classifier,
    pub(crate) device_name: String,
    /// Name of the published network, or `custom`.
    pub(crate) name: String,
    pub(crate) weights: WeightsOrigin,
}

/// A network up to a stage, ready to run.
#[derive(Debug)]
pub(crate) struct EmbeddingModel {
    pub(crate) embedder: Embedder,
    pub(crate) config: Config,
    pub(crate) device_name: String,
    /// Name of the published network, or `custom`.
    pub(crate) name: String,
    pub(crate) weights: WeightsOrigin,
}

/// Opened weights, whose network is not built yet.
pub(crate) struct OpenedModel {
    file: WeightsFile,
    weights: WeightsOrigin,
    engine: Option<EngineChoice>,
    precision: Option<Precision>,
    batch_invariant: bool,
    activation_maps: bool,
    device: (Device, DeviceChoice),
    /// Names of the classes in place of those in the weights file.
    labels: Option<Vec<String>>,
    registered: Option<&'static RegistryEntry>,
}

impl ModelArgs {
    /// Opens the weights, which define the network, and must have a classifier.
    pub(crate) fn open(&self, printer: &Printer) -> Result<OpenedModel> {
        self.open_backbone(printer)?.classifier()
    }

    /// Opens the weights of a segmentation network.
    pub(crate) fn open_segmentation(&self, printer: &Printer) -> Result<OpenedModel> {
        let opened = self.open_backbone(printer)?;
        if opened.config().decoder.is_some() {
            return Ok(opened);
        }
        let classifies = opened.config().classes() > 0;
        let hint = if classifies { "pass them to `hardnet predict`, which classifies" } else { "it has no decoder" };
        Err(Failure::message(format!("`{}` is not a segmentation network", opened.weights.path)).hint(hint))
    }

    /// Opens the weights, with or without a classifier.
    pub(crate) fn open_backbone(&self, printer: &Printer) -> Result<OpenedModel> {
        let source = self.weights.as_ref().ok_or_else(|| {
            let network = self.model.as_ref().map_or(String::new(), |model| format!(" for {model}"));
            Failure::message(format!("no weights given{network}")).hint(
                "pass --weights with a PyTorch, Paddle, safetensors or ONNX file, a tag listed by `hardnet list --weights`, or hf://owner/name",
            )
        })?;
        let device = self.device.open()?;
        let located = locate(source, &self.fetch, printer)?;
        let file = located.open(self.model.as_ref(), &self.part)?;
        tell(&file, printer);
        let config = file.config();
        let weights = WeightsOrigin {
            path: source.to_string(),
            sha256: file.sha256()?,
            check: located.verification.map(Cow::Borrowed),
            wrapper: file.checkpoint().wrapper().map(Into::into),
            prefix: file.prefix().into(),
            assumed: file.assumed().to_vec(),
        };
        let registered = match source {
            WeightsSource::Tag(entry) => Some(*entry),
            _ => {
                let origin = file.metadata().and_then(|metadata| metadata.source.as_ref());
                let converted = || find_by_sha256(&origin?.sha256);
                find_by_sha256(&weights.sha256).or_else(converted)
            }
        };
        let labels = file.metadata().and_then(|metadata| metadata.labels.as_ref());
        if let Some(labels) = labels.filter(|labels| config.classes() > 0 && labels.len() != config.classes()) {
            return Err(Failure::message(format!(
                "`{source}` has {} class names for a network of {} classes",
                labels.len(),
                config.classes()
            )));
        }
        Ok(OpenedModel {
            file,
            weights,
            engine: self.engine,
            precision: self.precision,
            batch_invariant: self.batch_invariant,
            activation_maps: false,
            device,
            labels: None,
            registered,
        })
    }

    pub(crate) fn weights(&self) -> Option<&WeightsSource> {
        self.weights.as_ref()
    }

    /// The weights of `--weights`, if it is given.
    pub(crate) fn locate(&self, printer: &Printer) -> Result<Option<Located>> {
        self.weights.as_ref().map(|source| locate(source, &self.fetch, printer)).transpose()
    }

    /// The options with other weights.
    pub(crate) fn with_weights(&self, source: WeightsSource) -> Self {
        Self { weights: Some(source), ..self.clone() }
    }

    /// The network of `--model`.
    pub(crate) fn network(&self) -> Option<&NetworkName> {
        self.model.as_ref()
    }

    /// The part of the weights file to read.
    pub(crate) fn part(&self) -> &PartArgs {
        &self.part
    }

    pub(crate) fn device(&self) -> DeviceChoice {
        self.device
    }

    pub(crate) fn engine(&self) -> Option<EngineChoice> {
        self.engine
    }

    pub(crate) fn precision(&self) -> Option<Precision> {
        self.precision
    }

    pub(crate) fn batch_invariant(&self) -> bool {
        self.batch_invariant
    }
}

impl Model {
    /// The `run` of lines about images, for a run with `pipeline` on `data`.
    pub(crate) fn run_record(&self, pipeline: &Pipeline, data: DataRecord) -> RunRecord {
        run_record(&self.name, &self.weights, pipeline, data)
    }
}

impl EmbeddingModel {
    /// The `run` of lines about images, for a run on `data`.
    pub(crate) fn run_record(&self, data: DataRecord) -> RunRecord {
        run_record(&self.name, &self.weights, self.embedder.pipeline(), data)
    }
}

fn run_record(model: &str, weights: &WeightsOrigin, pipeline: &Pipeline, data: DataRecord) -> RunRecord {
    let weights = WeightsRecord::new(&weights.path, &weights.sha256);
    RunRecord::new(crate::report::tool(), model, weights, pipeline, data)
}

impl OpenedModel {
    /// The same, unless the network does not classify.
    pub(crate) fn classifier(self) -> Result<Self> {
        let path = &self.weights.path;
        if self.config().decoder.is_some() {
            return Err(Failure::message(format!("`{path}` segments images, expected a classifier"))
                .hint("`hardnet segment` and `hardnet eval` take it; so do `embed`, `info`, `inspect` and `convert`"));
        }
        if self.config().classes() == 0 {
            return Err(Failure::message(format!("`{path}` is a backbone without a classifier")).hint(
                "this command needs a network with a head; `hardnet train --weights` adds one, and \
                 `hardnet embed`, `info`, `inspect` and `convert` do without",
            ));
        }
        Ok(self)
    }

    pub(crate) fn config(&self) -> &Config {
        self.file.config()
    }

    /// Path, tag or address of the weights, as the user gave it.
    pub(crate) fn path(&self) -> &str {
        &self.weights.path
    }

    /// The registry's entry of these weights: of a tag, or of a published file, converted or not, by its hash.
    pub(crate) fn registered(&self) -> Option<&'static RegistryEntry> {
        self.registered
    }

    /// The preprocessing in the weights file.
    pub(crate) fn pipeline(&self) -> Option<&serde_json::Value> {
        self.file.metadata().and_then(|metadata| metadata.pipeline.as_ref())
    }

    /// The numbers that are to be computed with, if they were chosen.
    pub(crate) fn precision(&self) -> Option<Precision> {
        self.precision
    }

    /// The names of the classes in the weights file.
    pub(crate) fn labels(&self) -> Option<&[String]> {
        self.file.metadata()?.labels.as_deref()
    }

    /// The engine of `--engine`.
    pub(crate) fn engine(&self) -> Option<EngineChoice> {
        self.engine
    }

    /// The opened file, its origin, and the name of the device.
    pub(crate) fn into_file(self) -> (WeightsFile, WeightsOrigin, String) {
        (self.file, self.weights, self.device.1.to_string())
    }

    /// Names the classes, if names are given.
    pub(crate) fn with_labels(self, names: Option<Vec<String>>) -> Self {
        Self { labels: names.or(self.labels), ..self }
    }

    /// Sets whether the classifier computes activation maps.
    pub(crate) fn with_activation_maps(self, wanted: bool) -> Self {
        Self { activation_maps: wanted, ..self }
    }

    /// Gives each image the same logits whatever else is in its batch.
    #[cfg(feature = "serve")]
    pub(crate) fn with_batch_invariant(self) -> Self {
        Self { batch_invariant: true, ..self }
    }

    /// Builds the classifier with preprocessing by `pipeline`, in batches of `batch` images.
    pub(crate) fn build(self, pipeline: &Pipeline, batch: usize, printer: &Printer) -> Result<Model> {
        let network = format!("{} with {} classes", name_of(self.config()), self.config().classes());
        let Prepared { builder, file, device_name, name, weights } = self.prepare(pipeline, batch)?;
        let classifier = with_engine_hint(builder.from_weights(file))?;
        print_origin(&network, classifier.engine(), &device_name, &weights, printer);
        Ok(Model { classifier, device_name, name, weights })
    }

    /// Builds the embedder of `options` in the same way.
    pub(crate) fn embedder(
        self,
        pipeline: &Pipeline,
        batch: usize,
        options: &EmbedOptions,
        printer: &Printer,
    ) -> Result<EmbeddingModel> {
        let config = self.config().clone();
        let Prepared { builder, file, device_name, name, weights } = self.prepare(pipeline, batch)?;
        let embedder = with_engine_hint(builder.embedder(file, options))?;
        print_origin(&name, embedder.engine(), &device_name, &weights, printer);
        Ok(EmbeddingModel { embedder, config, device_name, name, weights })
    }

    /// Checks the size of images and sets all options of the builder.
    fn prepare(self, pipeline: &Pipeline, batch: usize) -> Result<Prepared> {
        let Self { file, weights, engine, precision, batch_invariant, activation_maps, labels, .. } = self;
        let (device, device_choice) = self.device;
        check_side(file.config(), pipeline.crop as usize)?;
        if engine == Some(EngineChoice::Candle) || precision == Some(Precision::F32) || !device.is_cpu() {
            file.expect_floats()?;
        }
        let mut builder = builder()?
            .batch_size(batch)
            .pipeline(pipeline.clone())
            .device(device)
            .batch_invariant(batch_invariant)
            .activation_maps(activation_maps);
        if let Some(engine) = engine {
            builder = builder.engine(engine.into());
        }
        if let Some(precision) = precision {
            builder = builder.precision(precision);
        }
        if let Some(labels) = labels {
            builder = builder.labels(labels);
        }
        let (device_name, name) = (device_choice.to_string(), name_of(file.config()));
        Ok(Prepared { builder, file, device_name, name, weights })
    }
}

/// A network that is about to be built.
struct Prepared {
    builder: ClassifierBuilder,
    file: WeightsFile,
    device_name: String,
    name: String,
    weights: WeightsOrigin,
}

fn with_engine_hint<T>(built: hardnet_classifier::Result<T>) -> Result<T> {
    match built {
        Err(error @ hardnet_classifier::Error::Engine { engine, .. }) => Err(error).hint(|| match engine {
            Engine::Candle => "drop --precision int8, or pass --engine native --device cpu".into(),
            _ => "pass --device cpu or --engine candle".into(),
        }),
        Err(error @ hardnet_classifier::Error::Quantize(hardnet_quantize::Error::NoStatistics { .. })) => Err(error)
            .hint(|| "pass a file that `hardnet quantize --calibrate` made, with images to measure ranges on".into()),
        built => Ok(built?),
    }
}

/// Says what computes.
pub(crate) fn print_origin(
    network: &str,
    engine: impl std::fmt::Display,
    device: &str,
    weights: &WeightsOrigin,
    printer: &Printer,
) {
    printer.note(format_args!(
        "hardnet {} ({}), {network}, {engine} engine on {device}, {}, weights {} (sha256 {}...{})",
        env!("CARGO_PKG_VERSION"),
        env!("HARDNET_COMMIT"),
        counted(crate::knobs::threads(), "thread"),
        weights.path,
        &weights.sha256[..12],
        weights.check.as_deref().map_or(String::new(), |check| format!(", {check}")),
    ));
}

/// Plan options with the threads and the instruction set of options and environment.
pub(crate) fn plan_options() -> Result<PlanOptions> {
    Ok(PlanOptions::default().threads(crate::knobs::threads()).isa(crate::knobs::isa()?))
}

/// A classifier builder with the threads and the instruction set of options and environment.
pub(crate) fn builder() -> Result<ClassifierBuilder> {
    Ok(Classifier::builder().threads(crate::knobs::threads()).isa(crate::knobs::isa()?))
}

/// Checks that images of `side` pixels are large enough for the network.
pub(crate) fn check_side(config: &Config, side: usize) -> Result<()> {
    Graph::new(config)?.shapes(side, side).map(|_| ()).hint(|| "pass a larger --img-size".into())
}

/// Name of the published network, or `custom`.
pub(crate) fn name_of(config: &Config) -> String {
    config.published_name().unwrap_or("custom").into()
}

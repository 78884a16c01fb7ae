//! A folder in the layout of a Hub repository: weights, `config.json` as timm writes it, a model card.

use clap::Args;
use hardnet_data::{Pipeline, Resampling};
use hardnet_model::{Config, Conversion, Graph, Precision};
use serde_json::{Value, json};

use crate::failure::Result;
use crate::model::name_of;
use crate::pipeline::describe;

/// The files of the folder, the weights first.
pub(super) const FILES: [&str; 3] = ["model.safetensors", "config.json", "README.md"];

/// Facts about the weights that only the user knows.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model card, with --hub-layout")]
pub(super) struct CardArgs {
    /// License of the weights, by its name on the Hub: mit, apache-2.0, ...
    #[arg(long, value_name = "ID", value_parser = license)]
    license: Option<String>,
    /// Source of the weights: a URL, a paper, a person
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    source: Option<String>,
    /// Top-1 accuracy in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    top1: Option<f64>,
    /// Top-5 accuracy in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    top5: Option<f64>,
    /// Dataset of the accuracy, and who measured it
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    measured_on: Option<String>,
}

impl CardArgs {
    /// Whether any option is given.
    pub(super) fn is_given(&self) -> bool {
        let Self { license, source, top1, top5, measured_on } = self;
        let texts = [license, source, measured_on];
        texts.into_iter().any(Option::is_some) || top1.is_some() || top5.is_some()
    }
}

/// The files that accompany the weights.
pub(super) struct Card<'a> {
    pub(super) args: &'a CardArgs,
    pub(super) conversion: &'a Conversion<'a>,
    pub(super) pipeline: Option<&'a Pipeline>,
    pub(super) dtype: Precision,
}

impl Card<'_> {
    /// `config.json`, with the keys and the order of timm.
    pub(super) fn config(&self) -> Result<String> {
        let config = &self.conversion.metadata().config;
        let graph = Graph::new(config)?;
        let features = config.blocks.last().map_or(0, |block| block.transition);
        let params = graph.params();
        let module = |name: &str| name.rsplit_once('.').map_or(name, |(module, _)| module).to_owned();
        let classifier = params.last().filter(|_| config.classes() > 0);
        let mut pretrained = json!({ "custom_load": false });
        // Unknown preprocessing is left out, as in the card.
        if let Some(pipeline) = self.pipeline {
            pretrained["input_size"] = json!([config.in_channels, pipeline.crop, pipeline.crop]);
            pretrained["fixed_input_size"] = false.into();
            // timm knows Pillow's filters alone.
            if let Resampling::Pillow(filter) = pipeline.interpolation {
                pretrained["interpolation"] = filter.name().into();
            }
            pretrained["crop_pct"] = (f64::from(pipeline.crop) / f64::from(pipeline.resize)).into();
            pretrained["crop_mode"] = "center".into();
            pretrained["mean"] = shortest(&pipeline.mean)?;
            pretrained["std"] = shortest(&pipeline.std)?;
        }
        pretrained["num_classes"] = config.classes().into();
        if let Some(pipeline) = self.pipeline {
            let stride = graph.modules().iter().map(|module| module.stride).max().unwrap_or(1);
            let pooled = (pipeline.crop as usize).div_ceil(stride);
            pretrained["pool_size"] = json!([pooled, pooled]);
        }
        pretrained["first_conv"] = params.first().map(|param| module(&param.name)).into();
        pretrained["classifier"] = classifier.map(|param| module(&param.name)).into();
        if let Some(license) = &self.args.license {
            pretrained["license"] = license.as_str().into();
        }
        let mut document = vec![
            ("architecture", json!(name_of(config))),
            ("num_classes", json!(config.classes())),
            ("num_features", json!(features)),
            ("global_pool", json!("avg")),
        ];
        if let Some(labels) = &self.conversion.metadata().labels {
            document.push(("label_names", json!(labels)));
        }
        document.push(("pretrained_cfg", pretrained));
        let entry = |(key, value): &(&str, Value)| {
            Ok(format!("  \"{key}\": {}", serde_json::to_string_pretty(value)?.replace('\n', "\n  ")))
        };
        let entries = document.iter().map(entry).collect::<Result<Vec<_>>>()?;
        Ok(format!("{{\n{}\n}}\n", entries.join(",\n")))
    }

    /// The model card.
    pub(super) fn readme(&self) -> String {
        let metadata = self.conversion.metadata();
        let config = &metadata.config;
        let name = name_of(config);
        let mut text = String::from("---\n");
        let task = match (&config.head, &config.decoder) {
            (_, Some(_)) => "image-segmentation",
            (Some(_), None) => "image-classification",
            (None, None) => "image-feature-extraction",
        };
        text += &format!("tags:\n- {task}\n- hardnet\npipeline_tag: {task}\n");
        text += &format!("license: {}\n---\n\n", self.args.license.as_deref().unwrap_or("unknown"));
        text += &format!("# {name}\n\n{}\n\n", introduction(config));
        text += "| | |\n|---|---|\n";
        text += &format!("| license | {} |\n", self.args.license.as_deref().unwrap_or("not stated"));
        text += &format!("| source | {} |\n", self.args.source.as_deref().unwrap_or("not stated"));
        if let Some(source) = &metadata.source {
            text +=
                &format!("| source file | {}, {} bytes, SHA-256 `{}` |\n", source.format, source.bytes, source.sha256);
        }
        text +=
            &format!("| naming scheme of the source file | {} |\n", metadata.scheme.as_deref().unwrap_or("pytorch"));
        text += &format!(
            "| values | {} in {} tensors, {} |\n",
            self.conversion.value_count(),
            self.conversion.tensor_count(),
            self.dtype
        );
        text += &format!("| classes | {} |\n", config.classes());
        if !metadata.assumed.is_empty() {
            text += &format!("| assumed, as shapes do not tell it | {} |\n", metadata.assumed.join("; "));
        }
        let preprocessing = self.pipeline.map_or("not stated".into(), describe);
        text += &format!("| preprocessing | {preprocessing} |\n");
        for (what, percent) in [("top-1", self.args.top1), ("top-5", self.args.top5)] {
            if let Some(percent) = percent {
                text += &format!("| {what} | {percent} % |\n");
            }
        }
        if let Some(measured) = &self.args.measured_on {
            text += &format!("| measured on | {measured} |\n");
        }
        text += &format!(
            "\nConverted by `hardnet convert` ({}), which executes nothing in the source file. Names are those of the authors' \
             PyTorch code, linear weights are `[out, in]`, and batch counters are left out. The network's configuration is in \
             the metadata of `model.safetensors`, under the key `hardnet`.\n",
            metadata.tool.as_deref().unwrap_or("hardnet")
        );
        let command = match (&config.head, &config.decoder) {
            (_, Some(_)) => "info --weights model.safetensors",
            (Some(_), None) => "predict --weights model.safetensors photo.jpg",
            (None, None) => "embed --weights model.safetensors -o vectors.npy photo.jpg",
        };
        text += &format!("\n```sh\nhardnet {command}\n```\n");
        text
    }
}

fn introduction(config: &Config) -> String {
    let kind = match (config.published_name(), &config.head) {
        _ if config.decoder.is_some() => "A segmentation network of the HarDNet family",
        (Some(_), Some(_)) => "A HarDNet image classifier",
        (None, Some(_)) => "An image classifier of the HarDNet family with custom blocks",
        (Some(_), None) => "A HarDNet backbone without a classifier",
        (None, None) => "A backbone of the HarDNet family with custom blocks, without a classifier",
    };
    format!("{kind} ([Chao et al., ICCV 2019](https://arxiv.org/abs/1909.00948)) as safetensors.")
}

/// Numbers with the shortest digits of an f32.
fn shortest(numbers: &[f32]) -> Result<Value> {
    Ok(serde_json::from_str(&serde_json::to_string(numbers)?)?)
}

/// The short name of a license, which goes into the card's YAML.
fn license(text: &str) -> std::result::Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '+');
    if text.is_empty() || !text.chars().all(is_allowed) {
        return Err("expected a short name of letters, digits, `-`, `.`, `_` and `+`, such as apache-2.0".into());
    }
    Ok(text.to_ascii_lowercase())
}

/// Text that goes into a row of the card's table.
fn one_line(text: &str) -> std::result::Result<String, String> {
    match text.trim() {
        "" => Err("expected some text".into()),
        text if text.contains(|c: char| c.is_control() || c == '|') => {
            Err("expected one line without the character `|`".into())
        }
        text => Ok(text.into()),
    }
}

fn percent(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a percentage from 0 to 100".into()),
    }
}

//! `hardnet convert`.

mod hub;

use std::fmt;
use std::io;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use hardnet_data::Pipeline;
use hardnet_model::{Conversion, ConversionOptions, Precision, WeightsFile};
use hardnet_weights::WeightsSource;
use serde::Serialize;

use crate::failure::{Exit, Failure, Hinted, Result};
use crate::labels::read_names;
use crate::model::{WEIGHTS_HELP, name_of};
use crate::network::NetworkName;
use crate::output::{OutputFile, check_format, check_free};
use crate::pipeline::{self, PipelineArgs};
use crate::printer::Printer;
use crate::weights::{FetchArgs, PartArgs, locate, tell};
use hub::{Card, CardArgs};

#[derive(Args, Debug)]
#[command(after_help = "\
Format, naming scheme and network are detected from the content. Nothing in the file is executed.

Examples:
  hardnet convert hardnet68.pth hardnet68.safetensors
  hardnet convert hardnet_best.pdparams hardnet68.safetensors --dtype f16
  hardnet convert checkpoint.pth.tar flowers.safetensors --labels flowers.txt --pipeline pil-bicubic
  hardnet convert hardnet68.pth --hub-layout hardnet68 --license mit --top1 76.48 --top5 93.01")]
pub(crate) struct ConvertArgs {
    #[arg(value_name = "IN", help = WEIGHTS_HELP)]
    input: WeightsSource,
    /// Safetensors file to write
    #[arg(value_name = "OUT", required_unless_present = "hub_layout", conflicts_with = "hub_layout")]
    output: Option<PathBuf>,
    /// Write a model repository to this folder: model.safetensors, config.json, README.md
    #[arg(long, value_name = "DIR")]
    hub_layout: Option<PathBuf>,
    /// Network of the file, a name from `hardnet list` or a file in TOML [default: detected]
    #[arg(short, long, value_name = "NAME")]
    model: Option<NetworkName>,
    #[command(flatten)]
    part: PartArgs,
    /// Element type: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Precision,
    /// File of class names, one on each line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
    /// Check the conversion without writing files
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    // Headings of these groups hold for all that follows, so they come last.
    #[command(flatten)]
    card: CardArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    fetch: FetchArgs,
}

/// Result of a conversion. Field names are API.
#[derive(Serialize)]
struct ConvertReport {
    schema_version: u32,
    source: Origin,
    model: String,
    classes: usize,
    dtype: String,
    tensors: usize,
    /// Values in all tensors, running statistics included.
    values: usize,
    bytes: u64,
    pipeline: Option<serde_json::Value>,
    /// Assumptions about the network, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assumed: Vec<String>,
    /// The paths, the weights first.
    written: Vec<String>,
    dry_run: bool,
}

#[derive(Serialize)]
struct Origin {
    path: String,
    sha256: String,
    format: String,
    /// Key of the dictionary that holds the tensors, such as `state_dict_ema`.
    wrapper: Option<String>,
    /// The common prefix of the names of its tensors, such as `model.`.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    scheme: &'static str,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.format)?;
        if let Some(wrapper) = &self.wrapper {
            write!(f, ", from `{wrapper}`")?;
        }
        write!(f, ", {} names", self.scheme)
    }
}

pub(crate) fn run(args: &ConvertArgs, printer: &Printer) -> Result<Exit> {
    let target = args.target()?;
    for path in &target.files {
        check_free(path, args.force)?;
    }
    let labels = args.labels.as_deref().map(read_names).transpose()?;
    let weights = locate(&args.input, &args.fetch, printer)?.open(args.model.as_ref(), &args.part)?;
    tell(&weights, printer);
    weights.expect_floats()?;
    let pipeline = args.pipeline(&weights, printer)?;
    let value = pipeline.as_ref().map(pipeline::to_value).transpose()?;
    let mut options = ConversionOptions::default().precision(args.dtype);
    (options.labels, options.pipeline) = (labels, value);
    let conversion =
        Conversion::new(&weights, &options).hint(|| "--labels needs one name for each class of the network".into())?;
    let report = report(args, &target, &weights, &conversion);
    printer.note(format_args!("{}, {} with {} classes", report.source, report.model, report.classes));
    if args.dry_run {
        conversion.write(io::sink())?;
        printer.note("dry run: nothing was written");
    } else {
        args.write(&target, &conversion, pipeline.as_ref())?;
    }
    if args.json {
        printer.json(&report)?;
    } else {
        printer.note(format_args!(
            "{} tensors with {} values as {}: {} bytes",
            report.tensors, report.values, report.dtype, report.bytes
        ));
        for path in &report.written {
            printer.line(path)?;
        }
    }
    Ok(Exit::Success)
}

/// Output of a conversion.
struct Target {
    /// Folder of the model repository, if there is one.
    folder: Option<PathBuf>,
    /// The weights first.
    files: Vec<PathBuf>,
}

impl ConvertArgs {
    fn target(&self) -> Result<Target> {
        match (&self.output, &self.hub_layout) {
            // clap's `requires` cannot express this for an option that OUT excludes.
            (Some(_), None) if self.card.is_given() => {
                Err(Failure::message("the options of the model card need --hub-layout"))
            }
            (Some(file), None) => {
                check_format(file, "safetensors")?;
                Ok(Target { folder: None, files: vec![file.clone()] })
            }
            (None, Some(folder)) => {
                let files = hub::FILES.map(|name| folder.join(name)).to_vec();
                Ok(Target { folder: Some(folder.clone()), files })
            }
            _ => Err(Failure::message("expected OUT or --hub-layout")),
        }
    }

    /// The preprocessing to record: from the options or the file, or the default for published networks.
    fn pipeline(&self, weights: &WeightsFile, printer: &Printer) -> Result<Option<Pipeline>> {
        let own = weights.metadata().and_then(|metadata| metadata.pipeline.as_ref());
        if weights.config().decoder.is_some() {
            return match self.pipeline.is_given() {
                true => {
                    Err(Failure::message("options of preprocessing are those of classifiers, the network segments"))
                }
                false => Ok(None),
            };
        }
        if !self.pipeline.is_known(weights) {
            return Ok(None);
        }
        self.pipeline.resolve(Some(weights.config()), own, printer).map(Some)
    }

    fn write(&self, target: &Target, conversion: &Conversion<'_>, pipeline: Option<&Pipeline>) -> Result<()> {
        if let Some(folder) = &target.folder {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        }
        let mut weights = OutputFile::create(&target.files[0], self.force)?;
        conversion.write(weights.writer())?;
        weights.finish()?;
        if target.folder.is_some() {
            let card = Card { args: &self.card, conversion, pipeline, dtype: self.dtype };
            for (path, text) in target.files[1..].iter().zip([card.config()?, card.readme()]) {
                let mut file = OutputFile::create(path, self.force)?;
                io::Write::write_all(&mut file.writer(), text.as_bytes())
                    .with_context(|| format!("cannot write `{}`", path.display()))?;
                file.finish()?;
            }
        }
        Ok(())
    }
}

fn report(args: &ConvertArgs, target: &Target, weights: &WeightsFile, conversion: &Conversion<'_>) -> ConvertReport {
    let metadata = conversion.metadata();
    let source = metadata.source.as_ref();
    ConvertReport {
        schema_version: 1,
        source: Origin {
            path: args.input.to_string(),
            sha256: source.map_or(String::new(), |source| source.sha256.clone()),
            format: weights.checkpoint().format().to_string(),
            wrapper: weights.checkpoint().wrapper().map(Into::into),
            prefix: Some(weights.prefix().to_owned()).filter(|prefix| !prefix.is_empty()),
            scheme: weights.scheme().name(),
        },
        model: name_of(weights.config()),
        classes: weights.config().classes(),
        dtype: args.dtype.to_string(),
        tensors: conversion.tensor_count(),
        values: conversion.value_count(),
        bytes: conversion.byte_count(),
        pipeline: metadata.pipeline.clone(),
        assumed: metadata.assumed.clone(),
        written: target.files.iter().map(|path| path.display().to_string()).collect(),
        dry_run: args.dry_run,
    }
}

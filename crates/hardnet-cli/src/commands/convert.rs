//! `hardnet convert`.

mod hub;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use hardnet_data::Pipeline;
use hardnet_model::{Conversion, ConversionOptions, Precision, Variant, WeightsFile};
use serde::Serialize;

use crate::failure::{Exit, Failure, Hinted, Result};
use crate::model::name_of;
use crate::output::{OutputFile, check_free};
use crate::pipeline::{self, PipelineArgs};
use crate::printer::Printer;
use crate::weights::open_weights;
use hub::{Card, CardArgs};

/// Write a PyTorch file, a Paddle file or safetensors as safetensors under PyTorch's names.
///
/// The file's format, its naming scheme and its network are found from its content. Nothing in it is executed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet convert hardnet68.pth hardnet68.safetensors
  hardnet convert hardnet_best.pdparams hardnet68.safetensors --dtype f16
  hardnet convert checkpoint.pth.tar flowers.safetensors --labels flowers.txt --pipeline pil-bicubic
  hardnet convert hardnet68.pth --hub-layout hardnet68 --license mit --top1 76.48 --top5 93.01")]
pub(crate) struct ConvertArgs {
    /// PyTorch file, Paddle file or safetensors
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Safetensors file to write
    #[arg(value_name = "OUT", required_unless_present = "hub_layout", conflicts_with = "hub_layout")]
    output: Option<PathBuf>,
    /// Folder to write as a model repository: model.safetensors, config.json, README.md
    #[arg(long, value_name = "DIR")]
    hub_layout: Option<PathBuf>,
    /// Network that the file must be of; by default what it holds
    #[arg(short, long, value_name = "NAME")]
    model: Option<Variant>,
    /// Type of the values: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Precision,
    /// File with the name of a class on every line, in the order of the classes
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    /// Check everything, write nothing
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
}

/// What was written, or would be. Field names are API.
#[derive(Serialize)]
struct Report {
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
    /// The paths, the weights first.
    written: Vec<String>,
    dry_run: bool,
}

#[derive(Serialize)]
struct Origin {
    path: String,
    sha256: String,
    format: String,
    /// The entry that the tensors are inside of, such as `state_dict_ema`.
    wrapper: Option<String>,
    scheme: &'static str,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.format)?;
        if let Some(wrapper) = &self.wrapper {
            write!(f, ", inside `{wrapper}`")?;
        }
        write!(f, ", names of {}", self.scheme)
    }
}

pub(crate) fn run(args: &ConvertArgs, printer: &Printer) -> Result<Exit> {
    let target = args.target()?;
    for path in &target.files {
        check_free(path, args.force)?;
    }
    let labels = args.labels.as_deref().map(read_labels).transpose()?;
    let weights = open_weights(&args.input, args.model)?;
    let pipeline = args.pipeline(&weights, printer)?;
    let value = pipeline.as_ref().map(pipeline::to_value).transpose()?;
    let mut options = ConversionOptions::default().precision(args.dtype);
    (options.labels, options.pipeline) = (labels, value);
    let conversion =
        Conversion::new(&weights, &options).hint(|| "--labels needs one line for each class of the network".into())?;
    let report = report(args, &target, &weights, &conversion);
    printer.note(format_args!("{}, {} with {} classes", report.source, report.model, report.classes));
    if args.dry_run {
        conversion.write(io::sink())?;
        printer.note("dry run: nothing is written");
    } else {
        args.write(&target, &conversion, pipeline.as_ref())?;
    }
    if args.json {
        printer.json(&report)?;
    } else {
        let verb = if args.dry_run { "would be" } else { "are" };
        printer.note(format_args!(
            "{} tensors with {} values {verb} {} bytes of {}",
            report.tensors, report.values, report.bytes, report.dtype
        ));
        for path in &report.written {
            printer.line(path)?;
        }
    }
    Ok(Exit::Success)
}

/// Where a conversion goes.
struct Target {
    /// Of the model repository, if one is asked for.
    folder: Option<PathBuf>,
    /// The weights first.
    files: Vec<PathBuf>,
}

impl ConvertArgs {
    fn target(&self) -> Result<Target> {
        match (&self.output, &self.hub_layout) {
            // Not by clap's `requires`, which says nothing of a flag that OUT excludes.
            (Some(_), None) if self.card.is_given() => {
                Err(Failure::message("the model card's flags need --hub-layout, which writes one"))
            }
            (Some(file), None) => Ok(Target { folder: None, files: vec![file.clone()] }),
            (None, Some(folder)) => {
                let files = hub::FILES.map(|name| folder.join(name)).to_vec();
                Ok(Target { folder: Some(folder.clone()), files })
            }
            _ => Err(Failure::message("expected one of OUT and --hub-layout")),
        }
    }

    /// The preprocessing to record: what is asked for or in the file; that of published networks is known.
    fn pipeline(&self, weights: &WeightsFile, printer: &Printer) -> Result<Option<Pipeline>> {
        let own = weights.metadata().and_then(|metadata| metadata.pipeline.as_ref());
        let published = weights.config().variant().is_some() && weights.config().classes() == IMAGENET_CLASSES;
        if !self.pipeline.is_given() && own.is_none() && !published {
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

/// The number of classes that the published networks tell apart.
const IMAGENET_CLASSES: usize = 1000;

fn report(args: &ConvertArgs, target: &Target, weights: &WeightsFile, conversion: &Conversion<'_>) -> Report {
    let metadata = conversion.metadata();
    let source = metadata.source.as_ref();
    Report {
        schema_version: 1,
        source: Origin {
            path: args.input.display().to_string(),
            sha256: source.map_or(String::new(), |source| source.sha256.clone()),
            format: weights.checkpoint().format().to_string(),
            wrapper: weights.checkpoint().wrapper().map(Into::into),
            scheme: weights.scheme().name(),
        },
        model: name_of(weights.config()),
        classes: weights.config().classes(),
        dtype: args.dtype.to_string(),
        tensors: conversion.tensor_count(),
        values: conversion.value_count(),
        bytes: conversion.byte_count(),
        pipeline: metadata.pipeline.clone(),
        written: target.files.iter().map(|path| path.display().to_string()).collect(),
        dry_run: args.dry_run,
    }
}

/// The lines of a file of class names, without the blank ones at its end.
pub(crate) fn read_labels(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let names: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    match names.iter().position(String::is_empty) {
        Some(line) => Err(Failure::message(format!(
            "line {} of `{}` is empty, expected the name of a class",
            line + 1,
            path.display()
        ))),
        None => Ok(names),
    }
}

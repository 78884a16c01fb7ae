//! `hardnet trace`: every stage of a prediction, for finding where it differs from PyTorch.

use std::path::{Path, PathBuf};

use anyhow::Context;
use candle_core::{Device, Tensor};
use clap::Args;
use hardnet_base::npy::{self, ElementType};
use hardnet_classifier::Precision;
use hardnet_data::{Image, Pipeline};
use hardnet_model::HarDNet;
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::model::{ModelArgs, OpenedModel};
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;
use crate::warnings::with_remedy;

/// Number of values that are printed for each stage.
const FIRST: usize = 6;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet trace photo.jpg
  hardnet trace --weights hardnet68.safetensors photo.jpg > ours.txt
  python tests/parity/trace.py --weights hardnet68.safetensors photo.jpg | diff ours.txt -")]
pub(crate) struct TraceArgs {
    /// Image
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// Write each stage to this folder as STAGE.npy
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    // The headings of these groups apply to all that follows, so they come last.
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

/// The values of a stage: pixels of 8 bits or f32.
enum Values<'a> {
    Levels(&'a [u8]),
    Floats(&'a [f32]),
}

/// Summary of a stage. Field names are API.
#[derive(Serialize)]
struct StageSummary<'a> {
    stage: &'a str,
    shape: &'a [usize],
    min: f64,
    max: f64,
    mean: f64,
    first: Vec<f64>,
    /// CRC-32 of the values in little-endian order, for stages that are compared bit by bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32: Option<String>,
}

pub(crate) fn run(args: &TraceArgs, printer: &Printer) -> Result<Exit> {
    if args.model.precision() == Some(Precision::Int8) {
        return Err(Failure::message("the maps of a trace are in floating point").hint("drop --precision int8"));
    }
    let model = args.model.weights().is_some().then(|| args.model.open(printer)).transpose()?;
    let config = model.as_ref().map(OpenedModel::config);
    let of_file = model.as_ref().and_then(OpenedModel::pipeline);
    let pipeline = args.pipeline.resolve(config, of_file, printer)?;
    let model = model.map(|model| model.build(&pipeline, 1, printer)).transpose()?;
    let crop = pipeline.crop as usize;
    if let Some(folder) = &args.save {
        std::fs::create_dir_all(folder)?;
    }
    printer.note(format_args!("decoder: {}", hardnet_data::JPEG_DECODER));

    let tensor = args.pixels(&pipeline, printer)?;
    args.stage(printer, "tensor", &[3, crop, crop], &Values::Floats(&tensor), true)?;
    let Some(model) = model else { return Ok(Exit::Success) };
    args.modules(&tensor, crop, printer)?;
    let logits = model.classifier.logits(&[tensor])?;
    args.stage(printer, "logits", &[logits.classes()], &Values::Floats(logits.row(0)), false)?;
    Ok(Exit::Success)
}

impl TraceArgs {
    /// Prints the stages of the preprocessing and returns the tensor.
    fn pixels(&self, pipeline: &Pipeline, printer: &Printer) -> Result<Vec<f32>> {
        let file = || format!("`{}`", self.image.display());
        let bytes = std::fs::read(&self.image)
            .map_err(|error| anyhow::Error::from(error).context(format!("cannot read `{}`", self.image.display())))?;
        let decoded = pipeline.decode_options().decode(&bytes).with_context(file)?;
        for warning in &decoded.warnings {
            printer.warn(format_args!("{}: {}", self.image.display(), with_remedy(warning, 1)));
        }
        let image = decoded.image;
        self.image(printer, "decoded", image.clone())?;
        match pipeline.resized_pixels(&image) {
            Ok(resized) => self.image(printer, "resized", resized)?,
            Err(error) => printer.warn(format_args!("cannot show the resized image: {error}")),
        }
        self.image(printer, "cropped", pipeline.crop_pixels(&image).with_context(file)?)?;
        Ok(pipeline.tensor(&image).with_context(file)?)
    }

    fn image(&self, printer: &Printer, name: &str, image: Image) -> Result<()> {
        let image = image.into_rgb();
        let shape = [image.height(), image.width(), 3];
        self.stage(printer, name, &shape, &Values::Levels(image.samples()), true)
    }

    /// Prints the output of every module of the Candle network.
    fn modules(&self, tensor: &[f32], crop: usize, printer: &Printer) -> Result<()> {
        let located = self.model.locate(printer)?.ok_or_else(|| Failure::message("no weights given"))?;
        let file = located.open(self.model.network(), self.model.part())?;
        let network = HarDNet::from_file(&file, &Device::Cpu)?;
        let names: Vec<_> = network.graph().modules().iter().map(|module| module.name.clone()).collect();
        let positions: Vec<_> = (0..names.len()).collect();
        let images = Tensor::from_slice(tensor, (1, 3, crop, crop), &Device::Cpu)?;
        for (name, output) in names.iter().zip(network.module_outputs(&images, &positions)?) {
            let values = output.flatten_all()?.to_vec1::<f32>()?;
            self.stage(printer, name, &output.dims()[1..], &Values::Floats(&values), false)?;
        }
        Ok(())
    }

    /// Prints and saves one stage; with `exact`, its bits are compared.
    fn stage(&self, printer: &Printer, stage: &str, shape: &[usize], values: &Values, exact: bool) -> Result<()> {
        if let Some(folder) = &self.save {
            save(&folder.join(format!("{stage}.npy")), shape, values)?;
        }
        let row = values.row(stage, shape, exact);
        if self.json { printer.json_line(&row) } else { printer.line(values.line(&row)) }
    }
}

impl Values<'_> {
    /// The values in little-endian order.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Levels(levels) => levels.to_vec(),
            Self::Floats(floats) => floats.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn row<'a>(&self, stage: &'a str, shape: &'a [usize], exact: bool) -> StageSummary<'a> {
        let all: Vec<f64> = match self {
            Self::Levels(levels) => levels.iter().map(|&level| level.into()).collect(),
            Self::Floats(floats) => floats.iter().map(|&value| value.into()).collect(),
        };
        StageSummary {
            stage,
            shape,
            min: all.iter().copied().fold(f64::INFINITY, f64::min),
            max: all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            mean: all.iter().sum::<f64>() / all.len() as f64,
            first: all.iter().copied().take(FIRST).collect(),
            crc32: exact.then(|| format!("{:08x}", crc32fast::hash(&self.bytes()))),
        }
    }

    /// The summary as text, in the format of `tests/parity/trace.py`.
    fn line(&self, row: &StageSummary) -> String {
        // Levels are integers. Stages that are not compared bit by bit have the digits in which two f32 sums agree.
        let digits = match (self, &row.crc32) {
            (Self::Levels(_), _) => 0,
            (Self::Floats(_), Some(_)) => 5,
            (Self::Floats(_), None) => 3,
        };
        // `+ 0.0` makes a zero of -0.0.
        let number = |value: f64| format!("{:.digits$}", value + 0.0);
        let shape = row.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        let first: Vec<_> = row.first.iter().map(|&value| number(value)).collect();
        let mut line = format!(
            "{:<8} {shape:<11} min {} max {} mean {:.*} first {}",
            row.stage,
            number(row.min),
            number(row.max),
            digits.max(3),
            row.mean + 0.0,
            first.join(" ")
        );
        if let Some(crc32) = &row.crc32 {
            line += &format!(" crc32 {crc32}");
        }
        line
    }
}

/// Writes an array in NumPy's format.
fn save(path: &Path, shape: &[usize], values: &Values) -> Result<()> {
    let element = match values {
        Values::Levels(_) => ElementType::U8,
        Values::Floats(_) => ElementType::F32,
    };
    std::fs::write(path, npy::array(element, shape, &values.bytes()))
        .map_err(|error| anyhow::Error::from(error).context(format!("cannot write `{}`", path.display())).into())
}

//! `hardnet quantize`.

mod images;
mod page;
mod report;
mod segmentation;

use std::path::PathBuf;

use clap::Args;
use hardnet_graph::Graph;
use hardnet_params::{Conversion, ConversionOptions, Metadata, Quantization, WeightsFile, write_quantized};
use hardnet_quantize::{QuantizeOptions, Quantized, RangeMethod, quantize, quantize_calibrated};
use hardnet_weights::WeightsSource;
use serde_json::Value;

use crate::failure::{Exit, Hinted, Result};
use crate::format::at_least_one;
use crate::interrupt::Interrupt;
use crate::model::{WEIGHTS_HELP, check_side, name_of};
use crate::network::NetworkName;
use crate::output::{OutputFile, check_format, check_free};
use crate::pipeline::{self, PipelineArgs};
use crate::printer::Printer;
use crate::weights::{FetchArgs, PartArgs, locate, tell};
use images::Images;
use report::QuantizeReport;

#[derive(Args, Debug)]
#[command(after_help = "\
Without images, ranges follow from ReLU6 and batch normalization. With --calibrate they are measured. The \
file is a quarter to half the size of the network in f32. docs/int8.md lists the commands that take it, and what \
it costs in accuracy.

Examples:
  hardnet quantize hardnet68.pth hardnet68-int8.safetensors
  hardnet quantize flowers.safetensors flowers-int8.safetensors --images flowers/val --report report.html
  hardnet quantize flowers.safetensors flowers-int8.safetensors --calibrate flowers/train --calibrate-images 500")]
pub(crate) struct QuantizeArgs {
    #[arg(value_name = "WEIGHTS", help = WEIGHTS_HELP)]
    weights: WeightsSource,
    /// Safetensors file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Network of the weights, a name from `hardnet list` or a file in TOML [default: detected]
    #[arg(short, long, value_name = "NAME")]
    model: Option<NetworkName>,
    #[command(flatten)]
    part: PartArgs,
    /// Measure ranges on these images: a folder, tar archive, IDX file, or a list (.txt or .csv); labels are not needed
    #[arg(long, value_name = "PATH")]
    calibrate: Option<PathBuf>,
    /// Number of images to measure, evenly spaced
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one, requires = "calibrate")]
    calibrate_images: usize,
    /// From measured values to ranges: min-max, percentile, percentile=P or mse (least mean square error)
    #[arg(long, value_name = "METHOD", default_value = "mse", requires = "calibrate")]
    method: RangeMethod,
    /// Compare with f32 on these images, by pixels if the network segments: a folder, tar archive, IDX file, or a list
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,
    /// Number of images to compare, evenly spaced [default: all]
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "images")]
    limit: Option<usize>,
    /// Folder or tar archive of the images that lists name [default: the current folder]
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,
    /// Keep the channels of each map in one unit: no cross-layer equalization
    #[arg(long)]
    no_equalize: bool,
    /// Write an HTML page to this file: ranges and errors of each layer, agreement with f32
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Threads that load images [default: one for each processor]
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    // Headings of these groups hold for all that follows, so they come last.
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    fetch: FetchArgs,
}

pub(crate) fn run(args: &QuantizeArgs, printer: &Printer) -> Result<Exit> {
    check_format(&args.output, "safetensors")?;
    check_free(&args.output, args.force)?;
    let page = args.report.as_ref().map(|path| OutputFile::create(path, args.force)).transpose()?;
    // Images are looked for before the network is read, so that a wrong name is reported at once.
    let find = |path: &Option<PathBuf>, limit: Option<usize>| {
        path.as_ref().map(|path| Images::find(path, args.data_dir.as_deref(), limit, printer)).transpose()
    };
    let calibrated = find(&args.calibrate, Some(args.calibrate_images))?;
    let compared = find(&args.images, args.limit)?;
    let located = locate(&args.weights, &args.fetch, printer)?;
    let weights = located.open(args.model.as_ref(), &args.part)?;
    tell(&weights, printer);
    weights.expect_floats().hint(|| "it is quantized already; pass the file that it was made from".into())?;
    let own = weights.metadata().and_then(|metadata| metadata.pipeline.as_ref());
    if weights.config().decoder.is_some() {
        return segmentation::run(args, &weights, (calibrated.as_ref(), compared.as_ref()), page, printer);
    }
    let pipeline = args.pipeline.resolve(Some(weights.config()), own, printer)?;
    check_side(weights.config(), pipeline.crop as usize)?;
    printer.note(format_args!(
        "{}, {} with {} classes",
        args.weights,
        name_of(weights.config()),
        weights.config().classes()
    ));
    let interrupt = Interrupt::watch()?;
    let graph = Graph::new(weights.config())?;
    let options = options(args);
    let (quantized, made) = match &calibrated {
        Some(images) => {
            let calibration = images.calibrate((&graph, &weights), &pipeline, args.workers, &interrupt, printer)?;
            let Some(calibration) = calibration else { return Ok(Exit::Interrupted) };
            let quantized = quantize_calibrated(&graph, &weights.parameters(), &calibration, args.method, &options)?;
            (quantized, Quantization::new(args.method.to_string(), calibration.images()))
        }
        None => {
            let quantized = quantize(&graph, &weights.parameters(), &options);
            (quantized?, Quantization::new("without images", 0))
        }
    };
    let known = args.pipeline.is_known(&weights).then(|| pipeline::to_value(&pipeline)).transpose()?;
    let metadata = QuantizeArgs::metadata(&weights, known, made)?;
    let bytes = args.write(&metadata, &quantized)?;
    let measured = match &compared {
        Some(images) => {
            let classifiers = (&weights, &quantized, &metadata);
            let measured = images.compare(&graph, classifiers, &pipeline, args.workers, &interrupt, printer)?;
            let Some(measured) = measured else { return Ok(Exit::Interrupted) };
            Some(measured)
        }
        None => None,
    };
    let report = QuantizeReport::new(args, &weights, &metadata, &quantized, bytes, measured);
    tell_report(args, page, &report, printer)?;
    Ok(Exit::Success)
}

fn options(args: &QuantizeArgs) -> QuantizeOptions {
    QuantizeOptions::default().equalize(!args.no_equalize)
}

/// Writes the page and prints the result.
fn tell_report(
    args: &QuantizeArgs,
    page: Option<OutputFile>,
    report: &QuantizeReport,
    printer: &Printer,
) -> Result<()> {
    if let Some(page) = page {
        page::write(page, report)?;
    }
    if args.json {
        return printer.json(report);
    }
    for line in report.lines() {
        printer.note(line);
    }
    printer.line(args.output.display())
}

impl QuantizeArgs {
    /// The metadata of the file: all that the weights say, and how they were quantized.
    fn metadata(weights: &WeightsFile, pipeline: Option<Value>, made: Quantization) -> Result<Metadata> {
        let mut options = ConversionOptions::default();
        options.pipeline = pipeline;
        let mut metadata = Conversion::new(weights, &options)?.metadata().clone();
        metadata.quantization = Some(made);
        Ok(metadata)
    }

    /// Writes the file, which appears when it is complete, and gives its length.
    fn write(&self, metadata: &Metadata, quantized: &Quantized) -> Result<usize> {
        let mut bytes = Vec::new();
        write_quantized(metadata, quantized, &mut bytes)?;
        let mut file = OutputFile::create(&self.output, self.force)?;
        file.append(&bytes)?;
        file.finish()?;
        Ok(bytes.len())
    }
}

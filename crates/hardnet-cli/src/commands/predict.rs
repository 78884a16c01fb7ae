//! `hardnet predict`.

mod cam;

use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hardnet_classifier::{Classifier, Error as ClassifierError};
use hardnet_data::{
    Dataset, DecodeWarning, ImageInfo, JPEG_DECODER, MAX_FILE_BYTES, Sample, SampleError, TarChunk, TarClasses,
};
use hardnet_eval::{
    BatchDone, DataRecord, EvalOptions, EvalSummary, LineFields, Observer, PredictionLine, RunRecord, ScoredImage,
};

use crate::failure::{Exit, Failure, Hinted, Result};
use crate::format::at_least_one;
use crate::interrupt::Interrupt;
use crate::labels::{classes, hits};
use crate::model::{Model, ModelArgs};
use crate::network::NetworkName;
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;
use crate::shards::{Part, ShardArgs, ShardEnd, ShardSettings};
use crate::tars::{self, Stream};
use crate::warnings::{ImageWarnings, with_remedy};
use cam::CamWriter;

/// Name of standard input among paths and in results.
const STDIN: &str = "-";

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet predict --weights hardnet68.safetensors photo.jpg
  hardnet predict --weights hardnet39ds.fashion_mnist shoe.png
  hardnet predict --weights hardnet68.safetensors --cam maps photos
  hardnet predict --weights hardnet68.safetensors --format jsonl photos/ > predictions.jsonl
  hardnet predict --weights hardnet68.safetensors --webdataset 'photos-{000000..000099}.tar' --json --shard 0/4 > 0.jsonl
  cat photo.jpg | hardnet predict --weights hardnet68.safetensors -")]
pub(crate) struct PredictArgs {
    /// Images, folders of images, tar archives, or - for standard input
    #[arg(value_name = "IMAGE", required_unless_present = "webdataset")]
    paths: Vec<PathBuf>,
    /// Images: tar files as webdataset writes them, such as 'photos-{000000..000099}.tar', read from front to back. The
    /// index of an image's class in a file .cls of the same key, if there is one, is written as `label`
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["paths", "cam"])]
    webdataset: Option<String>,
    /// Number of classes to show for each image
    #[arg(short = 'k', long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    topk: usize,
    /// Names of the classes: one on each line in class order, or lines `name,index`
    #[arg(long, value_name = "FILE")]
    class_map: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Print JSON lines; same as --format jsonl
    #[arg(long)]
    json: bool,
    /// Include the logits of all classes; implies --json
    #[arg(long)]
    logits: bool,
    /// Write class activation maps to DIR: where each image shows its first class, over the image
    ///
    /// The map of `photo.jpg` is photo_cam.png. Subfolders of an image folder are kept. Places that speak for the
    /// class are colored, from blue to red. Each image is read and computed once more.
    #[arg(long, value_name = "DIR")]
    cam: Option<PathBuf>,
    /// Overwrite existing files of --cam
    #[arg(long, requires = "cam")]
    force: bool,
    /// Batch size
    #[arg(short, long, value_name = "N", default_value = "8", value_parser = at_least_one)]
    batch_size: usize,
    /// Threads that load images [default: one for each processor]
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    shard: ShardArgs,
    // The headings of these groups apply to all that follows, so they come last.
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text
    Table,
    /// JSON lines, one document for each image
    Jsonl,
}

pub(crate) fn run(args: &PredictArgs, printer: &Printer) -> Result<Exit> {
    if args.model.weights().is_none() {
        let variant = args.model.network().and_then(NetworkName::variant);
        let model = variant.map_or("hardnet68".into(), |variant| variant.to_string());
        return Err(Failure::message("no weights given")).hint(|| {
            format!(
                "pass --weights {model}.upstream_in1k, which is downloaded, or --weights FILE for ImageNet's classes; or \
                 --weights hardnet39ds.fashion_mnist, which is bundled, for clothing on a plain background"
            )
        });
    }
    // Paths are checked before the network is read, so that a wrong name is reported at once.
    let (stdin, paths): (Vec<_>, Vec<_>) = args.paths.iter().cloned().partition(|path| path == Path::new(STDIN));
    let shard = args.shard.resolve()?;
    args.check_shard(shard.is_some(), !stdin.is_empty())?;
    let (cam, dataset) = match &args.cam {
        Some(output) => {
            let (cam, dataset) = CamWriter::find(output, &paths, !stdin.is_empty(), args.force)?;
            (Some(cam), dataset)
        }
        None if paths.is_empty() => (None, Dataset::default()),
        None => (None, Dataset::from_paths(&paths)?),
    };
    for note in &dataset.notes {
        printer.note(note);
    }
    let tars = args.webdataset.as_deref().map(|pattern| tars::find(pattern, shard)).transpose()?;
    let model = args.model.open(printer)?;
    let names = classes(model.config().classes(), model.labels(), args.class_map.as_deref())?.names;
    let model = model.with_labels(names).with_activation_maps(cam.is_some());
    let pipeline = args.pipeline.resolve(Some(model.config()), model.pipeline(), printer)?;
    let batch = if tars.is_some() { args.batch_size } else { args.batch_size.min(dataset.samples.len()) };
    let model = model.build(&pipeline, batch, printer)?;
    let settings = || args.shard_settings(&model);
    let part = match tars {
        Some(tars) => Part::of_tars(tars, shard, settings, printer)?,
        None => Part::new(dataset.samples, shard, settings, printer)?,
    };
    let data = DataRecord::new(stdin.len() + part.total)
        .data_dir(args.webdataset.clone())
        .tars(part.stream.as_ref().map(Stream::tars));
    let run = model.run_record(&pipeline, data);
    let classifier = model.classifier;
    let interrupt = Interrupt::watch()?;
    let mut shown = PredictionPrinter {
        args,
        classifier: &classifier,
        cam,
        run,
        printer,
        interrupt,
        failed: 0,
        warnings: ImageWarnings::default(),
        failure: None,
    };
    if !stdin.is_empty() {
        match shown.classify_stdin() {
            Ok((logits, info)) => shown.show(STDIN, None, &logits, info)?,
            Err(failure) => {
                printer.failure(&failure);
                shown.failed += 1;
            }
        }
    }
    let mut options = EvalOptions::default().batch_size(args.batch_size).isa(crate::knobs::isa()?);
    options.workers = args.workers.unwrap_or(options.workers);
    let summary = match &part.stream {
        None => classifier.evaluate(part.samples, &options, &mut shown)?,
        Some(stream) => predict_stream(&classifier, stream, &options, &mut shown)?,
    };
    let PredictionPrinter { interrupt, failed, mut warnings, failure, run, .. } = shown;
    warnings.tell(printer);
    if let Some(shard) = part.shard.filter(|_| failure.is_none()) {
        let (rows, errors, partial) = (summary.images, summary.failures, summary.stopped);
        printer.json_line(&ShardEnd { shard, rows, errors, shape: None, labeled: None, partial, run })?;
    }
    match failure {
        Some(failure) => Err(failure),
        None if interrupt.requested() => Ok(Exit::Interrupted),
        None => Ok(if failed > 0 { Exit::Error } else { Exit::Success }),
    }
}

/// Classifies images that are read from tar files, some at a time.
fn predict_stream(
    classifier: &Classifier,
    stream: &Stream,
    options: &EvalOptions,
    shown: &mut PredictionPrinter<'_>,
) -> Result<EvalSummary> {
    let mut summary = EvalSummary::default();
    for chunk in stream.chunks(TarClasses::Optional, options.batch_size) {
        if shown.interrupt.requested() || shown.failure.is_some() {
            summary.stopped = true;
            break;
        }
        let TarChunk { samples, errors, .. } = chunk?;
        errors.iter().for_each(|error| shown.failed(error));
        summary.failures += errors.len();
        summary.merge(&classifier.evaluate(samples, options, shown)?);
    }
    if !summary.stopped {
        stream.warn_if_empty(summary.images + summary.failures, shown.printer);
    }
    Ok(summary)
}

impl PredictArgs {
    /// Whether results are lines of JSON.
    fn writes_lines(&self) -> bool {
        self.json || self.logits || self.format == Format::Jsonl
    }

    /// Returns an error if a shard has to print what cannot be merged.
    fn check_shard(&self, is_shard: bool, reads_stdin: bool) -> Result<()> {
        if is_shard && reads_stdin {
            return Err(Failure::message("standard input is one image and has no shards").hint("drop -, or --shard"));
        }
        if is_shard && !self.writes_lines() {
            return Err(Failure::message("shards are merged as JSON lines, not as text").hint("pass --json"));
        }
        Ok(())
    }

    /// The settings that decide the lines of a shard.
    fn shard_settings(&self, model: &Model) -> Result<ShardSettings> {
        let labels = model.classifier.labels();
        let names = (0..labels.len()).map(|class| labels.name(class).into_owned());
        let computed = (model.classifier.engine().name(), model.device_name.as_str());
        let output = format!("top {}{}", self.topk, if self.logits { ", logits" } else { "" });
        ShardSettings::new(&self.model, &model.weights, computed, self.batch_size, output, names)
    }
}

/// Prints the predictions.
struct PredictionPrinter<'a> {
    args: &'a PredictArgs,
    classifier: &'a Classifier,
    cam: Option<CamWriter<'a>>,
    run: RunRecord,
    printer: &'a Printer,
    interrupt: Interrupt,
    /// Images that could not be read.
    failed: usize,
    warnings: ImageWarnings,
    /// The error that stopped the output.
    failure: Option<Failure>,
}

impl Observer for PredictionPrinter<'_> {
    fn image_warned(&mut self, sample: &Sample, warning: &DecodeWarning) {
        self.warnings.add(sample, warning);
    }

    fn image_failed(&mut self, _: &Sample, error: &SampleError) {
        self.failed(error);
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        for ScoredImage { sample, logits, info, .. } in batch.images() {
            // Images of tar files have the names that all shards of a data set know them by.
            let is_streamed = self.args.webdataset.is_some();
            let path = if is_streamed { sample.name().into() } else { sample.path().display().to_string() };
            let label = sample.label().filter(|_| is_streamed);
            if let Err(failure) = self.show(&path, label, logits, info).and_then(|()| self.draw(sample, logits)) {
                self.failure = Some(failure);
                return ControlFlow::Break(());
            }
        }
        if self.interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl PredictionPrinter<'_> {
    /// Counts and names an image that cannot be read.
    fn failed(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.printer.cause(error);
        self.failed += 1;
    }

    /// Prints the classes of an image, whose own class may be known.
    fn show(&self, path: &str, label: Option<u32>, logits: &[f32], info: ImageInfo) -> Result<()> {
        let (args, printer) = (self.args, self.printer);
        let top = hits(self.classifier.labels(), logits, args.topk);
        if args.writes_lines() {
            let line = PredictionLine::new(path, top, LineFields::new(info, &self.run));
            let line = match label {
                Some(label) => line.label(label as usize),
                None => line,
            };
            return printer.json_line(&line.decoder(JPEG_DECODER).logits(args.logits.then_some(logits)));
        }
        printer.line(path)?;
        for hit in top {
            printer.line(format_args!("  {:5.1} %  {} ({})", 100.0 * hit.probability, hit.name, hit.index))?;
        }
        Ok(())
    }

    /// Writes the activation map of an image's first class, if one is wanted.
    fn draw(&self, sample: &Sample, logits: &[f32]) -> Result<()> {
        let Some(cam) = &self.cam else { return Ok(()) };
        let first = hits(self.classifier.labels(), logits, 1);
        cam.write(self.classifier, sample, first[0].index)
    }

    /// The logits of the image on standard input, and its size.
    fn classify_stdin(&self) -> Result<(Vec<f32>, ImageInfo)> {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Failure::message(format!("standard input has more than {MAX_FILE_BYTES} bytes")));
        }
        let of_stdin = |error: anyhow::Error| Failure::from(error.context("standard input"));
        let options = self.classifier.pipeline().decode_options();
        let decoded = options.decode(&bytes).map_err(|error| of_stdin(error.into()))?;
        let found = self.classifier.classify(&decoded.image).map_err(|error| match error {
            ClassifierError::Preprocess(error) => of_stdin(error.into()),
            other => other.into(),
        })?;
        for warning in &decoded.warnings {
            self.printer.warn(format_args!("standard input: {}", with_remedy(warning, 1)));
        }
        if let Some(cam) = &self.cam {
            cam.write_stdin(self.classifier, &decoded.image, found.top(1)[0].index)?;
        }
        let info = ImageInfo::from(&decoded.image).with_orientation(decoded.orientation);
        Ok((found.logits().to_vec(), info))
    }
}

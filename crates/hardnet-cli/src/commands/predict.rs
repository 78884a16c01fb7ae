//! `hardnet predict`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use hardnet_data::{CoreBudget, Dataset, DecodeLimits, Loader, LoaderOptions, MAX_FILE_BYTES, Pipeline, decode};
use hardnet_eval::top_k;
use serde::Serialize;

use crate::failure::{Exit, Failure, Hinted, Result};
use crate::format::at_least_one;
use crate::interrupt::Interrupt;
use crate::labels::Hit;
use crate::model::{Model, ModelArgs, check_side};
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;

/// The name of standard input among paths, and in results.
const STDIN: &str = "-";

/// Name what images show.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet predict --weights hardnet68.safetensors photo.jpg
  hardnet predict --weights hardnet39ds.fashion_mnist shoe.png
  hardnet predict --weights hardnet68.safetensors --format jsonl photos/ > predictions.jsonl
  cat photo.jpg | hardnet predict --weights hardnet68.safetensors -")]
pub(crate) struct PredictArgs {
    /// Images, folders of images, or - for an image on standard input
    #[arg(value_name = "IMAGE", required = true)]
    paths: Vec<PathBuf>,
    /// Classes shown for each image
    #[arg(short = 'k', long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    topk: usize,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Print JSON lines, as --format jsonl
    #[arg(long)]
    json: bool,
    /// Print the logits of all classes too, in JSON lines
    #[arg(long)]
    logits: bool,
    /// Images computed at once
    #[arg(short, long, value_name = "N", default_value = "8", value_parser = at_least_one)]
    batch_size: usize,
    /// Threads that read images; by default one for each processor
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    // Headings of these groups hold for all that follows, so they come last.
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON document a line
    Jsonl,
}

/// One image in JSON lines. Field names are API.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    /// The JPEG decoder, on which the logits of a JPEG depend a little.
    decoder: &'static str,
    top: Vec<Hit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logits: Option<&'a [f32]>,
}

pub(crate) fn run(args: &PredictArgs, printer: &Printer) -> Result<Exit> {
    if args.model.weights().is_none() {
        let model = args.model.variant().map_or("hardnet68".into(), |variant| variant.to_string());
        return Err(Failure::message("no weights given")).hint(|| {
            format!(
                "for ImageNet's classes pass --weights {model}.upstream_in1k, which is fetched, or --weights FILE (\"Weights\" in \
                 README.md); for clothing on a plain ground, --weights hardnet39ds.fashion_mnist, which comes with the program"
            )
        });
    }
    // Paths are checked before the network is read: a wrong name should not take seconds to be told.
    let (stdin, paths): (Vec<_>, Vec<_>) = args.paths.iter().cloned().partition(|path| path == Path::new(STDIN));
    let dataset = if paths.is_empty() { Dataset::default() } else { Dataset::from_paths(&paths)? };
    for note in &dataset.notes {
        printer.note(note);
    }
    let samples = Arc::new(dataset.samples);
    let model = args.model.load(printer)?;
    let pipeline = args.pipeline.resolve(Some(model.engine.config()), model.pipeline.as_ref(), printer)?;
    let crop = pipeline.crop as usize;
    check_side(model.engine.config(), crop)?;
    let interrupt = Interrupt::watch()?;
    let mut failed = 0;

    if !stdin.is_empty() {
        match read_stdin(&pipeline, printer) {
            Ok(pixels) => args.show(STDIN, &model.logits(&[pixels], crop)?[0], &model, printer)?,
            Err(failure) => {
                printer.failure(&failure);
                failed += 1;
            }
        }
    }
    let mut options = LoaderOptions::default();
    options.batch_size = args.batch_size;
    options.prefetch = 2 * args.batch_size;
    options.workers = args.workers.unwrap_or(options.workers);
    let cores = Arc::new(CoreBudget::detect());
    options.cores = Some(Arc::clone(&cores));
    for batch in Loader::new(Arc::clone(&samples), pipeline, options)? {
        for (sample, warning) in &batch.warnings {
            printer.warn(format_args!("{}: {warning}", samples[*sample].path().display()));
        }
        for (_, failure) in &batch.failures {
            printer.cause(failure);
        }
        failed += batch.failures.len();
        if !batch.samples.is_empty() {
            let logits = {
                let _permit = cores.acquire(model.busy_threads());
                model.logits(&batch.images, crop)?
            };
            for (&sample, logits) in batch.samples.iter().zip(&logits) {
                args.show(&samples[sample].path().display().to_string(), logits, &model, printer)?;
            }
        }
        if interrupt.asked() {
            return Ok(Exit::Interrupted);
        }
    }
    Ok(if failed > 0 { Exit::Error } else { Exit::Success })
}

impl PredictArgs {
    fn show(&self, path: &str, logits: &[f32], model: &Model, printer: &Printer) -> Result<()> {
        let top = model.labels.hits(&top_k(logits, self.topk));
        if self.json || self.logits || self.format == Format::Jsonl {
            return printer.json_line(&Line {
                path,
                decoder: hardnet_data::JPEG_DECODER,
                top,
                logits: self.logits.then_some(logits),
            });
        }
        printer.line(path)?;
        for hit in top {
            printer.line(format_args!("  {:5.1} %  {} ({})", 100.0 * hit.probability, hit.name, hit.index))?;
        }
        Ok(())
    }
}

/// The tensor of the image on standard input.
fn read_stdin(pipeline: &Pipeline, printer: &Printer) -> Result<Vec<f32>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::message(format!("standard input has more than {MAX_FILE_BYTES} bytes")));
    }
    let context = |error| Failure::from(anyhow::Error::from(error).context("standard input"));
    let decoded = decode(&bytes, &DecodeLimits::default()).map_err(context)?;
    for warning in &decoded.warnings {
        printer.warn(format_args!("standard input: {warning}"));
    }
    pipeline.tensor(&decoded.image).map_err(context)
}

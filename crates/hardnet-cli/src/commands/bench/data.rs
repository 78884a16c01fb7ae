//! `hardnet bench --data`: the cost of decoding, resizing and loading, and the waiting time of an evaluation.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use hardnet_data::{CoreBudget, Dataset, Pipeline, Resizer, Sample};
use hardnet_eval::{ComputeLogits, EvalOptions, EvalSummary, Logits, ToolRecord, evaluate};
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::format::at_least_one;
use crate::model::{Model, ModelArgs, OpenedModel};
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;
use crate::report;

/// Options of the data benchmark.
#[derive(Args, Debug)]
pub(crate) struct DataArgs {
    /// Measure loading of these images, folders of images or tar archives
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(super) data: Vec<PathBuf>,
    /// Use N evenly spaced images
    #[arg(long, value_name = "N", default_value = "200", value_parser = at_least_one)]
    num_samples: usize,
    /// Passes over the images; the median pass is reported
    #[arg(long, value_name = "N", default_value = "5", value_parser = at_least_one)]
    rounds: usize,
    /// Threads that load images [default: one for each processor]
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    /// Batch size [default: 1, or 16 with --data]
    #[arg(short, long, value_name = "N", value_parser = at_least_one)]
    pub(super) batch_size: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    // The headings of these groups apply to all that follows, so they come last.
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,
}

impl DataArgs {
    fn batch_size(&self) -> usize {
        self.batch_size.unwrap_or(16)
    }
}

/// Result of the benchmark. Field names are API.
#[derive(Serialize)]
struct LoadingReport {
    schema_version: u32,
    tool: ToolRecord,
    decoder: &'static str,
    images: usize,
    mean_bytes: f64,
    mean_megapixels: f64,
    rounds: usize,
    cores: usize,
    workers: usize,
    /// One image at a time on one thread.
    single: Single,
    loader: LoaderSpeed,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval: Option<EvalSpeed>,
}

/// Milliseconds for the mean image, in the median round.
#[derive(Clone, Copy, Default, Serialize)]
struct Single {
    read_ms: f64,
    decode_ms: f64,
    /// Resize, crop and normalize.
    prepare_ms: f64,
}

#[derive(Serialize)]
struct LoaderSpeed {
    images_per_second: f64,
    /// `min(cores, workers)` images in the time of one on one thread.
    ideal_images_per_second: f64,
    share_of_ideal: f64,
}

/// An evaluation's loop on the same images.
#[derive(Serialize)]
struct EvalSpeed {
    model: String,
    threads: usize,
    batch_size: usize,
    images_per_second: f64,
    /// Share of the time in the network.
    network: f64,
    /// Share of the time waiting for images.
    waiting: f64,
}

pub(crate) fn run(args: &DataArgs, printer: &Printer) -> Result<Exit> {
    let mut dataset = Dataset::from_paths(&args.data)?;
    dataset.subsample_evenly(args.num_samples);
    let model = args.model.weights().is_some().then(|| args.model.open(printer)).transpose()?;
    let config = model.as_ref().map(OpenedModel::config);
    let of_file = model.as_ref().and_then(OpenedModel::pipeline);
    let pipeline = args.pipeline.resolve(config, of_file, printer)?;
    let (samples, unreadable) = readable(dataset.samples, &pipeline, printer)?;
    if samples.is_empty() {
        return Err(Failure::message("no readable images"));
    }
    let batch = args.batch_size().min(samples.len());
    let model = model.map(|model| model.build(&pipeline, batch, printer)).transpose()?;
    let report = Bench { args, samples: samples.into(), pipeline }.measure(model.as_ref())?;
    if args.json {
        printer.json(&report)?;
    } else {
        print(&report, printer)?;
    }
    Ok(if unreadable == 0 { Exit::Success } else { Exit::Error })
}

/// The readable samples, and the number of unreadable ones, which are reported.
fn readable(samples: Vec<Sample>, pipeline: &Pipeline, printer: &Printer) -> Result<(Vec<Sample>, usize)> {
    let count = samples.len();
    let (mut resizer, mut tensor) = workspace(pipeline)?;
    let test = |sample: &Sample| match Stages::measure(sample, pipeline, &mut resizer, &mut tensor) {
        Ok(_) => true,
        Err(failure) => {
            printer.cause(failure.error.context(format!("skipping `{}`", sample.name())).as_ref());
            false
        }
    };
    let samples: Vec<_> = samples.into_iter().filter(test).collect();
    let unreadable = count - samples.len();
    Ok((samples, unreadable))
}

/// Buffers that a loader thread reuses.
fn workspace(pipeline: &Pipeline) -> Result<(Resizer, Vec<f32>)> {
    let side = pipeline.crop as usize;
    Ok((Resizer::with_isa(crate::knobs::isa()?), vec![0.0; 3 * side * side]))
}

/// Times of one image.
struct Stages {
    read: Duration,
    decode: Duration,
    prepare: Duration,
    bytes: usize,
    pixels: usize,
}

impl Stages {
    fn measure(sample: &Sample, pipeline: &Pipeline, resizer: &mut Resizer, tensor: &mut [f32]) -> Result<Self> {
        let started = Instant::now();
        let bytes = match sample.archived() {
            Some(archived) => archived.read()?,
            None => std::fs::read(sample.path())?,
        };
        let read = started.elapsed();
        let image = pipeline.decode_options().decode(&bytes)?.image;
        let decoded = started.elapsed();
        pipeline.tensor_with(resizer, &image, tensor)?;
        let prepared = started.elapsed();
        std::hint::black_box(tensor);
        Ok(Self {
            read,
            decode: decoded - read,
            prepare: prepared - decoded,
            bytes: bytes.len(),
            pixels: image.width() * image.height(),
        })
    }
}

/// A benchmark.
struct Bench<'a> {
    args: &'a DataArgs,
    samples: Arc<Vec<Sample>>,
    pipeline: Pipeline,
}

impl Bench<'_> {
    fn measure(&self, model: Option<&Model>) -> Result<LoadingReport> {
        let (cores, images) = (CoreBudget::detect().count(), self.samples.len());
        let workers = self.args.workers.unwrap_or(cores);
        let (mut singles, mut loaders, mut evals) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bytes, mut pixels) = (0, 0);
        let (mut resizer, mut tensor) = workspace(&self.pipeline)?;
        // The three are interleaved, so that a slow phase of the machine affects all of them.
        for _ in 0..self.args.rounds {
            let mut total = Single::default();
            (bytes, pixels) = (0, 0);
            for sample in self.samples.iter() {
                let stages = Stages::measure(sample, &self.pipeline, &mut resizer, &mut tensor)?;
                total.read_ms += milliseconds(stages.read);
                total.decode_ms += milliseconds(stages.decode);
                total.prepare_ms += milliseconds(stages.prepare);
                bytes += stages.bytes;
                pixels += stages.pixels;
            }
            let mean = |sum: f64| sum / images as f64;
            singles.push(Single {
                read_ms: mean(total.read_ms),
                decode_ms: mean(total.decode_ms),
                prepare_ms: mean(total.prepare_ms),
            });
            loaders.push(images as f64 / self.evaluate(workers, &LoadOnly)?.total.as_secs_f64());
            if let Some(model) = model {
                evals.push(self.speed(workers, model)?);
            }
        }
        let single = median(singles, Single::total_ms);
        let images_per_second = median(loaders, |speed| *speed);
        let ideal = 1000.0 / single.total_ms() * cores.min(workers.max(1)) as f64;
        Ok(LoadingReport {
            schema_version: 1,
            tool: report::tool(),
            decoder: hardnet_data::JPEG_DECODER,
            images,
            mean_bytes: bytes as f64 / images as f64,
            mean_megapixels: pixels as f64 / images as f64 / 1e6,
            rounds: self.args.rounds,
            cores,
            workers,
            single,
            loader: LoaderSpeed {
                images_per_second,
                ideal_images_per_second: ideal,
                share_of_ideal: images_per_second / ideal,
            },
            eval: model.map(|_| median(evals, |eval| eval.images_per_second)),
        })
    }

    /// Loads all samples and computes them by `network`.
    fn evaluate<E: std::error::Error + Send + Sync + 'static>(
        &self,
        workers: usize,
        network: &impl ComputeLogits<Error = E>,
    ) -> Result<EvalSummary> {
        let options =
            EvalOptions::default().batch_size(self.args.batch_size()).workers(workers).isa(crate::knobs::isa()?);
        Ok(evaluate(network, Arc::clone(&self.samples), &self.pipeline, &options, &mut ())?)
    }

    fn speed(&self, workers: usize, model: &Model) -> Result<EvalSpeed> {
        let EvalSummary { total, network, .. } = self.evaluate(workers, &model.classifier)?;
        let share = network.as_secs_f64() / total.as_secs_f64();
        Ok(EvalSpeed {
            model: model.name.clone(),
            threads: model.classifier.busy_threads(),
            batch_size: self.args.batch_size(),
            images_per_second: self.samples.len() as f64 / total.as_secs_f64(),
            network: share,
            waiting: 1.0 - share,
        })
    }
}

/// A network that computes nothing: an evaluation by it measures the loader.
struct LoadOnly;

impl ComputeLogits for LoadOnly {
    type Error = Infallible;

    fn compute_logits(&self, _: &[&[f32]]) -> std::result::Result<Logits, Infallible> {
        Ok(Logits::default())
    }

    fn busy_threads(&self) -> usize {
        0
    }
}

impl Single {
    fn total_ms(&self) -> f64 {
        self.read_ms + self.decode_ms + self.prepare_ms
    }
}

fn milliseconds(time: Duration) -> f64 {
    1000.0 * time.as_secs_f64()
}

/// The value in the middle by `key`; of an even number the lower one.
fn median<T>(mut values: Vec<T>, key: impl Fn(&T) -> f64) -> T {
    values.sort_by(|a, b| key(a).total_cmp(&key(b)));
    values.swap_remove((values.len() - 1) / 2)
}

fn print(report: &LoadingReport, printer: &Printer) -> Result<()> {
    let LoadingReport { images, rounds, cores, workers, single, loader, .. } = report;
    printer.line(format_args!(
        "{images} images of {:.0} kB and {:.2} megapixels on average, median of {rounds} rounds, decoder {}",
        report.mean_bytes / 1000.0,
        report.mean_megapixels,
        report.decoder
    ))?;
    let stage = |name: &str, ms: f64| format!("  {name:<8} {ms:7.3} ms  {:8.0} images/s", 1000.0 / ms);
    printer.line("one thread")?;
    printer.line(stage("read", single.read_ms))?;
    printer.line(stage("decode", single.decode_ms))?;
    printer.line(stage("prepare", single.prepare_ms))?;
    printer.line(stage("together", single.total_ms()))?;
    printer.line(format_args!(
        "loader with {workers} workers on {cores} cores\n  {:.0} images/s, {:.0} % of the {:.0} that the cores could",
        loader.images_per_second,
        100.0 * loader.share_of_ideal,
        loader.ideal_images_per_second
    ))?;
    if let Some(eval) = &report.eval {
        printer.line(format_args!(
            "evaluation of {} in batches of {}, {} threads\n  {:.1} images/s; {:.0} % of the time in the network, {:.0} % waiting for images",
            eval.model,
            eval.batch_size,
            eval.threads,
            eval.images_per_second,
            100.0 * eval.network,
            100.0 * eval.waiting
        ))?;
    }
    Ok(())
}

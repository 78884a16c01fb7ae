//! `hardnet embed`: images as vectors, in files for NumPy or as JSON lines.

mod archive;
mod images;
mod output;
mod partial;
mod report;
mod rows;
mod writer;

use std::path::PathBuf;

use clap::Args;
use hardnet_classifier::{EmbedOptions, Stage};
use hardnet_data::{TarChunk, TarClasses};
use hardnet_eval::{DataRecord, EvalOptions, EvalSummary};

use crate::failure::{Exit, Result};
use crate::format::{at_least_one, counted};
use crate::model::{EmbeddingModel, ModelArgs};
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;
use crate::shards::{ShardArgs, ShardEnd, ShardSettings};
use crate::tars::{self, Stream};
pub(crate) use archive::Archive;
use images::Images;
pub(crate) use images::unlabeled;
use output::Output;
pub(crate) use output::{BESIDE, SHARD};
use partial::{Partial, Settings};
use report::{Counts, Report};
pub(crate) use rows::NO_LABEL;
use writer::Writer;

#[derive(Args, Debug)]
#[command(after_help = "\
Each image gives a row: the mean of each channel of a feature map, or with --maps the whole map. An image \
that cannot be read has no row; the names of the others are in the .npz file, next to the .npy file, or in \
the lines.

Examples:
  hardnet embed --weights hardnet68.safetensors --data-dir photos -o photos.npz
  hardnet embed --weights hardnet68.safetensors -o vectors.npy a.jpg b.jpg
  hardnet embed --weights hardnet68.safetensors --data-dir val --list val_list.txt --stage stride16 -o val.npz
  hardnet embed --weights hardnet68.safetensors --data-dir photos -o photos.npz --resume
  hardnet embed --weights hardnet68.safetensors --webdataset 'photos-{000000..000099}.tar' -o photos.npy")]
pub(crate) struct EmbedArgs {
    /// Images, folders of images, or tar archives
    #[arg(value_name = "IMAGE", conflicts_with_all = ["data_dir", "list"])]
    paths: Vec<PathBuf>,
    /// Images: a folder, tar archive or IDX file; rows have labels if there is a folder for each class
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// List of images in --data-dir: on each line a name, or a name and a label
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Images: tar files as webdataset writes them, such as 'photos-{000000..000099}.tar', read from front to back;
    /// rows have the labels in files .cls of the same keys, where there are any
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["paths", "data_dir", "list"])]
    webdataset: Option<String>,
    /// File to write, in the format of its extension: .npy, .npz or .jsonl
    #[arg(short, long, value_name = "FILE")]
    output: Output,
    /// Feature map: last, a stride (stride8; stride8-block is the map before the transition) or a module (9)
    #[arg(long, value_name = "STAGE", default_value_t)]
    stage: Stage,
    /// Write whole feature maps rather than the mean of each channel
    #[arg(long)]
    maps: bool,
    /// Batch size
    #[arg(short, long, value_name = "N", default_value = "16", value_parser = at_least_one)]
    batch_size: usize,
    /// Threads that load images [default: one for each processor]
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    shard: ShardArgs,
    /// Continue an interrupted run of the same command
    #[arg(long)]
    resume: bool,
    /// Overwrite existing output files, and what an interrupted run has left
    #[arg(long)]
    force: bool,
    /// Number of unreadable images to tolerate
    #[arg(long, value_name = "N", default_value = "0")]
    allow_errors: usize,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
    // The headings of these groups apply to all that follows, so they come last.
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

pub(crate) fn run(args: &EmbedArgs, printer: &Printer) -> Result<Exit> {
    // Files are checked before the network is read, so that a wrong name is reported at once.
    args.output.check_free(args.force)?;
    let shard = args.shard.resolve()?;
    args.output.check_shard(shard.is_some())?;
    let tars = args.webdataset.as_deref().map(|pattern| tars::find(pattern, shard)).transpose()?;
    let mut images = if tars.is_some() { Images::default() } else { Images::find(args, printer)? };
    args.output.check_names(&images)?;
    let model = args.model.open_backbone(printer)?;
    let pipeline = args.pipeline.resolve(Some(model.config()), model.pipeline(), printer)?;
    let options = EmbedOptions::default().stage(args.stage).maps(args.maps);
    let batch = if tars.is_some() { args.batch_size } else { args.batch_size.min(images.len()) };
    let model = model.embedder(&pipeline, batch, &options, printer)?;
    let shape = model.embedder.shape();
    let what = report::describe(args.maps, model.embedder.info());
    let (stream, shard) = match tars {
        Some(tars) => {
            let (stream, shard) = Stream::of_shard(tars, shard, || args.shard_settings(&model), printer)?;
            printer.note(format_args!("{}: {what}", counted(stream.tars(), "tar file")));
            (Some(stream), shard)
        }
        None => {
            let shard = shard.map(|shard| images.keep(shard, args.shard_settings(&model)?)).transpose()?;
            if let Some(shard) = &shard {
                shard.tell(images.total(), printer);
            }
            let bytes = images.len() as f64 * shape.iter().product::<usize>() as f64 * 4.0;
            printer.note(format_args!("{}, {:.1} MB: {what}", counted(images.len(), "image"), bytes / 1e6));
            (None, shard)
        }
    };
    let settings = Settings::new(args, &model)?;
    let mut partial = Partial::open(args, &settings, &images, &shape, printer)?;
    let run = model.run_record(args.data(&images, stream.as_ref()));
    let (summary, resumed) = {
        let images = images.clone();
        let mut writer = Writer::new(&args.output, images, (&shape, run.clone()), &mut partial, printer)?;
        let summary = match &stream {
            Some(stream) => embed_stream(args, &model, stream, &mut writer)?,
            None => {
                let options = args.eval_options()?;
                model.embedder.embed_all(writer.rest(), &options, &mut writer)?
            }
        };
        let resumed = writer.begun();
        writer.finish(summary.stopped)?;
        (summary, resumed)
    };
    if let Some(stream) = stream.as_ref().filter(|_| !summary.stopped) {
        stream.warn_if_empty(partial.done(), printer);
    }
    let errors = partial.failed();
    let embedded = partial.done() - errors;
    let end = shard.map(|shard| ShardEnd {
        shard,
        rows: embedded,
        errors,
        shape: Some(shape.clone()),
        labeled: None,
        partial: summary.stopped,
        run,
    });
    let written = if summary.stopped {
        Vec::new()
    } else {
        let images = Some(&images).filter(|_| stream.is_none());
        args.output.finish(partial, images, end, &shape, args.force)?
    };
    let images = Counts { tars: stream.as_ref().map(Stream::tars), images: images.total(), embedded, errors, resumed };
    let report = Report::new(args, &model, &summary, images, &written);
    if args.json {
        printer.json(&report)?;
    } else {
        for line in report.lines() {
            printer.line(line)?;
        }
    }
    Ok(Exit::of_images(report.partial, report.errors, args.allow_errors, printer))
}

/// Computes images that are read from tar files, some at a time.
fn embed_stream(
    args: &EmbedArgs,
    model: &EmbeddingModel,
    stream: &Stream,
    writer: &mut Writer<'_>,
) -> Result<EvalSummary> {
    let options = args.eval_options()?;
    let mut summary = EvalSummary::default();
    for chunk in stream.chunks(TarClasses::Optional, args.batch_size) {
        if writer.is_stopped() {
            summary.stopped = true;
            break;
        }
        let TarChunk { samples, errors, .. } = chunk?;
        if writer.begin(Images::of_tars(samples), &errors)? {
            summary.merge(&model.embedder.embed_all(writer.rest(), &options, writer)?);
        }
    }
    Ok(summary)
}

impl EmbedArgs {
    /// The images, for lines about them.
    fn data(&self, images: &Images, stream: Option<&Stream>) -> DataRecord {
        let list = self.list.as_ref().map(|list| list.display().to_string());
        DataRecord::new(images.total()).data_dir(self.folder()).list(list).tars(stream.map(Stream::tars))
    }

    /// Where the images come from: `--data-dir` or `--webdataset`.
    fn folder(&self) -> Option<String> {
        self.webdataset.clone().or_else(|| self.data_dir.as_ref().map(|folder| folder.display().to_string()))
    }

    fn eval_options(&self) -> Result<EvalOptions> {
        let options = EvalOptions::default().batch_size(self.batch_size).workers(self.workers());
        Ok(options.isa(crate::knobs::isa()?))
    }

    /// The settings that decide the rows of a shard.
    fn shard_settings(&self, model: &EmbeddingModel) -> Result<ShardSettings> {
        let computed = (model.embedder.engine().name(), model.device_name.as_str());
        let output = report::describe(self.maps, model.embedder.info());
        ShardSettings::new(&self.model, &model.weights, computed, self.batch_size, output, [])
    }

    fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

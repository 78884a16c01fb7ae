//! `hardnet segment`: the class of each pixel, as PNG files and JSON lines.

mod images;
mod journal;
mod report;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use hardnet_segmentation::{Item, LoadOptions, Protocol};

use crate::failure::{Exit, Failure, Result};
use crate::interrupt::Interrupt;
use crate::labels::classes;
use crate::model::ModelArgs;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::segmentation::{SegmentationModel, TooSmall, ViewArgs};
use crate::shards::ShardArgs;
use crate::warnings::ImageWarnings;
use images::Images;
use journal::Journal;
use report::Report;
use writer::Writer;

#[derive(Args, Debug)]
#[command(after_help = "\
The files of `photo.jpg` are named after it: photo.png has the index of a class in each pixel, \
photo_colors.png its color, photo_overlay.png its color over the photograph, photo_labelIds.png Cityscapes' \
label ids. Subfolders of an image folder are kept. areas.jsonl has a line for each image.

Examples:
  hardnet segment --weights hardnet70_cityscapes_model.pkl --output masks street.png
  hardnet segment --weights hardnet70_cityscapes_model.pkl --output masks --format indices,overlay photos
  hardnet segment --weights hardnet70_cityscapes_model.pkl --output masks --input-size image --flip photos
  hardnet segment --weights hardnet70_cityscapes_model.pkl --output masks --resume photos
  hardnet segment --weights hardnet70_cityscapes_model.pkl --output masks --shard 0/4 photos")]
pub(crate) struct SegmentArgs {
    /// Images, folders of images, or tar archives
    #[arg(value_name = "IMAGE", required_unless_present = "list")]
    paths: Vec<PathBuf>,
    /// List of images in --data-dir: a name on each line
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    list: Option<PathBuf>,
    /// Folder that the names of --list are in
    #[arg(long, value_name = "FOLDER", requires = "list")]
    data_dir: Option<PathBuf>,
    /// Folder to write to
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Files to write for each image, separated by commas
    #[arg(long, value_enum, value_name = "KINDS", value_delimiter = ',', default_value = "indices")]
    format: Vec<Format>,
    /// Names of the classes: one on each line in class order, or lines `name,index`
    #[arg(long, value_name = "FILE")]
    class_map: Option<PathBuf>,
    /// Threads that load images
    #[arg(short = 'j', long, value_name = "N", default_value = "2")]
    workers: usize,
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
    #[command(flatten)]
    shard: ShardArgs,
    // The headings of these groups apply to all that follows, so they come last.
    #[command(flatten)]
    model: ModelArgs,
    /// Preprocessing: fchardnet (the authors') or paddleseg [default: from the weights]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Protocol::NAMES), help_heading = "Segmentation")]
    pipeline: Option<String>,
    #[command(flatten)]
    views: ViewArgs,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Format {
    /// The index of a class in each pixel, 8-bit gray
    Indices,
    /// The same with a palette of the classes' colors
    Colors,
    /// Colors over the image
    Overlay,
    /// Label ids of Cityscapes, as its benchmark takes them
    LabelIds,
}

impl Format {
    /// End of the files' names, before `.png`.
    fn suffix(self) -> &'static str {
        match self {
            Self::Indices => "",
            Self::Colors => "_colors",
            Self::Overlay => "_overlay",
            Self::LabelIds => "_labelIds",
        }
    }

    /// Its name in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Indices => "indices",
            Self::Colors => "colors",
            Self::Overlay => "overlay",
            Self::LabelIds => "label_ids",
        }
    }
}

/// Time by activity.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    total: Duration,
    loading: Duration,
    network: Duration,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// Images of this run.
    images: usize,
    oriented: usize,
    times: Times,
    stopped: bool,
}

pub(crate) fn run(args: &SegmentArgs, printer: &Printer) -> Result<Exit> {
    // Files are checked before the network is read, so that a wrong name is reported at once.
    let mut images = Images::find(args)?;
    for note in &images.notes {
        printer.note(note);
    }
    let shard = args.shard.resolve()?;
    if let Some(shard) = shard {
        images.keep_shard(shard);
    }
    let formats = args.formats();
    if !args.resume {
        images.check_free(&args.output, &formats, args.force)?;
    }
    let model = args.model.open_segmentation(printer)?;
    let names = classes(model.config().classes(), model.labels(), args.class_map.as_deref())?.names;
    let model = args.views.build(model, args.pipeline.as_deref(), names, printer)?;
    if formats.contains(&Format::LabelIds) && !model.segmenter.classes().are_cityscapes() {
        return Err(Failure::message("--format label-ids needs the classes of Cityscapes, and these are others")
            .hint("pass --format indices"));
    }
    let settings = || model.shard_settings(&args.model, args.format_in_words(&formats));
    let record = shard.map(|shard| Ok::<_, Failure>(images.record(shard, settings()?, printer))).transpose()?;
    let mut journal = Journal::open(args, &formats, &model, (&images, shard), printer)?;
    let resumed = journal.done();
    let outcome = segment(args, &formats, &model, &images, &mut journal, printer)?;
    let counts = report::Counts { segmented: journal.done() - journal.errors(), errors: journal.errors(), resumed };
    let end = record.as_ref().map(|record| model.end_of_lines(record, counts.segmented, counts.errors));
    let written = if outcome.stopped { None } else { Some(journal.finish(end)?) };
    let report = Report::new(args, &formats, &model, images.len(), &outcome, &counts, written);
    if args.json {
        printer.json(&report)?;
    } else {
        report.lines().into_iter().try_for_each(|line| printer.line(line))?;
    }
    Ok(Exit::of_images(report.partial, report.errors, args.allow_errors, printer))
}

/// Segments all images that `journal` does not have.
fn segment(
    args: &SegmentArgs,
    formats: &[Format],
    model: &SegmentationModel,
    images: &Images,
    journal: &mut Journal,
    printer: &Printer,
) -> Result<Outcome> {
    let interrupt = Interrupt::watch()?;
    let first = journal.done();
    let items: Arc<Vec<_>> = Arc::new(images.samples[first..].iter().cloned().map(Item::new).collect());
    let mut progress = Progress::new(*printer, images.len());
    let mut warnings = ImageWarnings::default();
    let mut writer = Writer::new(&args.output, formats, images);
    let (mut outcome, mut too_small) = (Outcome::default(), TooSmall::default());
    let begun = Instant::now();
    let mut loading = model.segmenter.load_items(Arc::clone(&items), LoadOptions::default().workers(args.workers));
    for index in first..images.len() {
        let waited = Instant::now();
        let Some(loaded) = loading.next() else { break };
        outcome.times.loading += waited.elapsed();
        let started = Instant::now();
        let found = match loaded {
            Ok(loaded) => match model.segmenter.segment_prepared(&loaded.prepared) {
                Ok(found) => Ok((loaded, found)),
                Err(error) => Err(model.segmenter.refused(&items[index - first], error)?),
            },
            Err(error) => Err(error),
        };
        outcome.times.network += started.elapsed();
        match found {
            Ok((loaded, found)) => {
                loaded.warnings.iter().for_each(|warning| warnings.add(&images.samples[index], warning));
                outcome.oriented += usize::from(!loaded.info.orientation.is_upright());
                let files = writer.write(index, &loaded.image, &found)?;
                journal.add(images.name(index), &files, &found, loaded.info)?;
            }
            Err(error) => {
                progress.suspend(|| printer.cause(&error));
                too_small.add(&error);
                journal.add_error(images.name(index), &error)?;
            }
        }
        outcome.images += 1;
        let speed = outcome.images as f64 / begun.elapsed().as_secs_f64();
        progress.update_at(index + 1, speed, "");
        if interrupt.requested() && index + 1 < images.len() {
            outcome.stopped = true;
            break;
        }
    }
    progress.finish();
    warnings.tell(printer);
    too_small.tell(printer);
    outcome.times.total = begun.elapsed();
    Ok(outcome)
}

impl SegmentArgs {
    /// The files of an image, in words.
    fn format_in_words(&self, formats: &[Format]) -> String {
        let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
        let colors = self.views.colors_in_words();
        format!("{}, colors `{colors}`", names.join(", "))
    }

    /// The kinds of files, each once.
    fn formats(&self) -> Vec<Format> {
        let mut formats = self.format.clone();
        formats.sort();
        formats.dedup();
        formats
    }
}

//! `hardnet eval` of segmentation networks: mean IoU and its siblings.

mod data;
mod page;
mod report;
mod worst;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use hardnet_data::Shard;
use hardnet_segmentation::{Confusion, LoadOptions, Split};

use super::{EvalArgs, create_page};
use crate::failure::{Exit, Failure, Result};
use crate::format::percentage;
use crate::interrupt::Interrupt;
use crate::labels::classes;
use crate::model::OpenedModel;
use crate::output::OutputFile;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::report::Seconds;
use crate::segmentation::{SegmentationModel, TooSmall, ViewArgs, refuse_for_classifiers};
use crate::warnings::ImageWarnings;
use data::Images;
pub(crate) use page::PageParts;
use report::ImageLine;
pub(crate) use report::{SegmentationReport, TASK};
use worst::Worst;

/// Images that the page shows.
const PICTURES: usize = 12;

/// Options of the evaluation of segmentation networks.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Segmentation")]
pub(crate) struct SegmentationArgs {
    /// Folder of images, for segmentation networks; Cityscapes is given by --data-dir instead
    #[arg(long, value_name = "FOLDER", requires = "masks", conflicts_with = "data_dir")]
    images: Option<PathBuf>,
    /// Folder of masks as PNG, each with the name of its image
    #[arg(long, value_name = "FOLDER", requires = "images")]
    masks: Option<PathBuf>,
    /// Part of Cityscapes: train or val [default: val]
    #[arg(long, value_name = "NAME")]
    split: Option<Split>,
    /// Numbers in masks that count as no class, as 255 does, separated by commas
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    ignore_labels: Vec<u8>,
    /// Classes of the colors of RGB masks: lines `RED GREEN BLUE CLASS`, or cityscapes or voc
    #[arg(long, value_name = "FILE")]
    mask_colors: Option<PathBuf>,
    /// Exit with code 1 if mean IoU is below this percentage
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    min_miou: Option<f64>,
    #[command(flatten)]
    views: ViewArgs,
}

impl SegmentationArgs {
    /// The first option that is given.
    fn first_given(&self) -> Option<&'static str> {
        let Self { images, masks: _, split, ignore_labels, mask_colors, min_miou, views } = self;
        let given = [
            (images.is_some(), "--images"),
            (split.is_some(), "--split"),
            (!ignore_labels.is_empty(), "--ignore-labels"),
            (mask_colors.is_some(), "--mask-colors"),
            (min_miou.is_some(), "--min-miou"),
            (views.is_given(), "--input-size, --scales, --flip or --colors"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// How masks are read, for shards that have to agree in it.
    fn masks_in_words(&self) -> String {
        let colors = self.mask_colors.as_ref().map_or(String::new(), |path| path.display().to_string());
        format!("ignored labels {:?}, colors `{colors}`", self.ignore_labels)
    }

    /// Whether a figure decides the exit code.
    pub(super) fn has_least_figure(&self) -> bool {
        self.min_miou.is_some()
    }

    /// Returns an error if an option is given that classifiers do not have.
    pub(super) fn refuse(&self) -> Result<()> {
        refuse_for_classifiers(self.first_given(), "the weights are those of a classifier")
    }
}

/// Evaluates a segmentation network.
pub(super) fn run(args: &EvalArgs, model: OpenedModel, shard: Option<Shard>, printer: &Printer) -> Result<Exit> {
    args.refuse_for_segmentation()?;
    let own = &args.segmentation;
    let pipeline = args.pipeline.single_name()?;
    let names = classes(model.config().classes(), model.labels(), args.labels.class_map())?.names;
    // Files are checked before the network is planned, so that a wrong name is reported at once.
    let mut images = Images::find(args)?;
    let model = own.views.build(model, pipeline, names, printer)?;
    let segmenter = &model.segmenter;
    images.subsample_evenly(args.num_samples, printer);
    let settings = |model: &SegmentationModel| model.shard_settings(&args.model, own.masks_in_words());
    let keep = |shard| Ok::<_, Failure>(images.keep_shard(shard, settings(&model)?, printer));
    let shard = shard.map(keep).transpose()?;
    let items = images.items(own, segmenter.classes())?;
    // Those of a shard are written by `hardnet merge`.
    let page = args.page.folder().filter(|_| shard.is_none());
    let page = page.map(|folder| create_page(folder, Path::new("index.html"), args.force)).transpose()?;
    let mut lines = args.predictions.as_deref().map(|path| OutputFile::create(path, args.force)).transpose()?;
    let table = args.per_class.as_deref().filter(|_| shard.is_none());
    let table = table.map(|path| OutputFile::create(path, args.force)).transpose()?;
    let interrupt = Interrupt::watch()?;
    let mut progress = Progress::new(*printer, items.len());
    let mut warnings = ImageWarnings::default();
    let (count, items) = (items.len(), Arc::new(items));
    let mut confusion = Confusion::new(segmenter.classes().names.len());
    let mut worst = Worst::new(if args.page.folder().is_some() { PICTURES } else { 0 });
    let workers = args.workers.unwrap_or(LoadOptions::default().workers);
    let mut loading = segmenter.load_items(Arc::clone(&items), LoadOptions::default().workers(workers));
    let (begun, mut seconds) = (Instant::now(), Seconds::default());
    let (mut errors, mut done, mut stopped, mut too_small) = (0, 0, false, TooSmall::default());
    for (index, name) in images.names().enumerate() {
        let waited = Instant::now();
        let Some(loaded) = loading.next() else { break };
        seconds.loading += waited.elapsed().as_secs_f64();
        let started = Instant::now();
        let found = match loaded {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| warnings.add(&items[index].image, warning));
                let truth = loaded.truth.as_ref().expect("every item has a mask");
                let mut own = Confusion::new(confusion.classes());
                match segmenter.compare(&loaded.prepared, truth, &mut own) {
                    Ok(compared) => Ok((loaded, own, compared)),
                    Err(error) => Err(segmenter.refused(&items[index], error)?),
                }
            }
            Err(error) => Err(error),
        };
        seconds.network += started.elapsed().as_secs_f64();
        match found {
            Ok((loaded, own, compared)) => {
                confusion.merge(&own);
                if let Some(lines) = &mut lines {
                    lines.append(&ImageLine::new(name, &own).bytes()?)?;
                }
                worst.add(name, &own, &loaded.image, &compared, &segmenter.classes().palette)?;
            }
            Err(error) => {
                errors += 1;
                progress.suspend(|| printer.cause(&error));
                too_small.add(&error);
            }
        }
        done += 1;
        let miou = 100.0 * confusion.figures().mean_iou;
        progress.update_at(done, done as f64 / begun.elapsed().as_secs_f64(), format!("mIoU {miou:.2} %"));
        if interrupt.requested() && done < count {
            stopped = true;
            break;
        }
    }
    drop(loading);
    progress.finish();
    warnings.tell(printer);
    too_small.tell(printer);
    seconds.total = begun.elapsed().as_secs_f64();
    let end = shard.as_ref().filter(|_| !stopped).map(|shard| model.end_of_lines(shard, done - errors, errors));
    if let Some(mut lines) = lines {
        if let Some(end) = end {
            lines.append(&[&serde_json::to_vec(&end)?[..], b"\n"].concat())?;
        }
        lines.finish()?;
    }
    let run = report::Run { workers, errors, done, own: count, shard, seconds, stopped };
    let is_shard = run.shard.is_some();
    let mut report = SegmentationReport::new(&model, &images, &confusion, run);
    if let Some(table) = table {
        table.finish_with(report.csv().as_bytes())?;
    }
    if args.page.folder().is_some() {
        let parts = PageParts::new(segmenter.classes(), worst);
        if let Some(page) = page {
            page.finish_with(parts.html(&report, &confusion).as_bytes())?;
        }
        report.page = Some(parts).filter(|_| is_shard);
    }
    if args.json {
        printer.json(&report)?;
    } else {
        report.lines().into_iter().try_for_each(|line| printer.line(line))?;
    }
    Ok(exit_code(args, &report, printer))
}

fn exit_code(args: &EvalArgs, report: &SegmentationReport, printer: &Printer) -> Exit {
    if report.partial {
        return Exit::Interrupted;
    }
    if report.errors > args.allow_errors {
        printer.error(format_args!(
            "{} images could not be read, {} allowed; see --allow-errors",
            report.errors, args.allow_errors
        ));
        return Exit::Error;
    }
    match args.segmentation.min_miou.and_then(|least| below_miou(least, report)) {
        Some(message) => {
            printer.error(message);
            Exit::CheckFailed
        }
        None => Exit::Success,
    }
}

/// A message if mean IoU is below `--min-miou`.
pub(crate) fn below_miou(least: f64, report: &SegmentationReport) -> Option<String> {
    let found = 100.0 * report.mean_iou();
    // Nothing counted is not enough.
    (found.is_nan() || found < least).then(|| format!("mean IoU is {found:.2} %, below --min-miou {least}"))
}

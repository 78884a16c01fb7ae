//! `hardnet eval`.

mod demo;
mod details;
mod page;
mod pass;
mod per_class;
mod predictions;
mod segmentation;
mod table;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use hardnet_data::{Classes, Dataset, LabelRule, Shard, WebDataset};

use crate::failure::{Exit, Failure, Result};
use crate::format::{at_least_one, percentage};
use crate::interrupt::Interrupt;
use crate::labels::{LabelArgs, MappedClasses, classes};
use crate::model::{Model, ModelArgs, check_side};
use crate::pipeline::{ChosenPipeline, PipelinesArgs};
use crate::printer::Printer;
use crate::report;
use crate::samples::{self, subsample_evenly};
use crate::shards::{Part, ShardArgs, ShardSettings};
use crate::tars;
use demo::Demo;
pub(crate) use details::Details;
use page::PageArgs;
pub(crate) use page::{PageParts, create as create_page};
use pass::{Counted, Pass};
pub(crate) use per_class::ClassCounts;
use segmentation::SegmentationArgs;
pub(crate) use segmentation::{PageParts as SegmentationPage, SegmentationReport, TASK, below_miou};

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("written").multiple(true))]
#[command(after_help = "\
Without options, the bundled network is evaluated on the bundled images.

Examples:
  hardnet eval
  hardnet eval --weights hardnet68.safetensors --data-dir ILSVRC2012_img_val.tar --val-list val_list.txt
  hardnet eval --weights hardnet68.safetensors --data-dir val --num-samples 1000 --json
  hardnet eval --weights hardnet68.safetensors --data-dir val --report result
  hardnet eval --weights hardnet68.safetensors --data-dir val --pipeline pil-bilinear,paddleclas --predictions p.jsonl
  hardnet eval --weights hardnet68.paddleclas_in1k --data-dir val --pipeline published
  hardnet eval --weights hardnet70_cityscapes_model.pkl --data-dir cityscapes --report result
  hardnet eval --weights scenes.safetensors --images val/images --masks val/masks
  hardnet eval --weights hardnet68.safetensors --data-dir val --shard 0/4 --json > 0.json")]
pub(crate) struct EvalArgs {
    /// Images: a folder or tar archive, with one folder for each class unless --val-list is given; or an IDX file such
    /// as t10k-images-idx3-ubyte.gz, with its labels file next to it
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,
    /// List of images: a name and a label on each line, such as `ILSVRC2012_val_00000001.JPEG 65` (a class's index,
    /// name or WordNet id), or Kaggle's LOC_val_solution.csv
    #[arg(long, value_name = "FILE")]
    val_list: Option<PathBuf>,
    /// Images: tar files as webdataset writes them, such as 'val-{000000..000099}.tar', each image with a file .cls of
    /// the same key that holds the index of its class. They are read from front to back and may be any number
    #[arg(
        long,
        value_name = "PATTERN",
        conflicts_with_all = ["data_dir", "val_list", "num_samples", "report", "class_map", "devkit"]
    )]
    webdataset: Option<String>,
    #[command(flatten)]
    labels: LabelArgs,
    /// Batch size
    #[arg(short, long, value_name = "N", default_value = "16", value_parser = at_least_one)]
    batch_size: usize,
    /// Threads that load images [default: one for each processor]
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    /// Evaluate N evenly spaced images only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    num_samples: Option<usize>,
    /// Print the result as JSON; with several pipelines a line for each
    #[arg(long)]
    json: bool,
    /// Write the prediction for each image to this file as JSON lines; to NAME.PIPELINE.jsonl with several pipelines
    #[arg(long, value_name = "FILE", group = "written")]
    predictions: Option<PathBuf>,
    /// Write top-1 and top-5 of each class to this file as CSV; to NAME.PIPELINE.csv with several pipelines. With
    /// --shard the result has what `hardnet merge --per-class` writes
    #[arg(long, value_name = "FILE", group = "written")]
    per_class: Option<PathBuf>,
    /// Overwrite existing output files
    #[arg(long, requires = "written")]
    force: bool,
    /// Number of unreadable images to tolerate
    #[arg(long, value_name = "N", default_value = "0")]
    allow_errors: usize,
    /// Exit with code 1 if top-1 is below this percentage
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    min_top1: Option<f64>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    shard: ShardArgs,
    // The headings of these groups apply to all that follows, so they come last.
    #[command(flatten)]
    segmentation: SegmentationArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pipeline: PipelinesArgs,
}

pub(crate) fn run(args: &EvalArgs, printer: &Printer) -> Result<Exit> {
    let shard = args.shard.resolve()?;
    args.check_shard(shard, printer)?;
    let demo = Demo::from_args(args)?;
    let model = match &demo {
        Some(demo) => demo.model(&args.model)?.open(printer)?,
        None => args.model.open_backbone(printer)?,
    };
    if model.config().decoder.is_some() {
        return segmentation::run(args, model, shard, printer);
    }
    let model = model.classifier()?;
    args.segmentation.refuse()?;
    let registered = (model.path(), model.registered());
    let pipelines = args.pipeline.resolve(model.config(), model.pipeline(), registered, printer)?;
    let tars = args.webdataset.as_deref().map(|pattern| tars::find(pattern, shard)).transpose()?;
    let images = demo.map_or_else(|| Images::given(args, tars), |demo| Ok(Images::Demo(demo)))?;
    let first = &pipelines[0].pipeline;
    check_side(model.config(), first.crop as usize)?;
    let published_for = model.registered().map(|entry| entry.images.as_str());
    let MappedClasses { classes, names } = classes(model.config().classes(), model.labels(), args.labels.class_map())?;
    let dataset = on_own_thread(|| images.dataset(args, classes, printer))?;
    let (rule, tars) = (dataset.rule, matches!(images, Images::Tars(_)));
    // After the list, so that its errors are reported at once.
    let model = model.with_labels(names).build(
        first,
        if tars { args.batch_size } else { args.batch_size.min(dataset.samples.len()) },
        printer,
    )?;
    let settings = || args.shard_settings(&model);
    let part = match &images {
        Images::Tars(tars) => Part::of_tars(tars.clone(), shard, settings, printer)?,
        _ => Part::new(dataset.samples, shard, settings, printer)?,
    };
    let workers = args.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (model, pipelines, images_name) = (&model, pipelines.as_slice(), images.name(args));
    let pass = Pass { args, model, part, rule, images: images_name, pipelines, workers, printer };
    let mut files = pass.files()?;
    let interrupt = Interrupt::watch()?;
    let counted = pass.evaluate(&interrupt, &mut files)?;
    let mut reports: Vec<_> =
        pipelines.iter().zip(&counted).map(|(chosen, counted)| pass.report(chosen, counted)).collect();
    for ((files, chosen), report) in files.into_iter().zip(pipelines).zip(&mut reports) {
        files.finish(&pass, chosen, report)?;
    }
    let compares = args.pipeline.asks_for_published();
    match (&reports[..], &counted[..]) {
        ([report], _) if args.json => printer.json(report)?,
        _ if args.json => reports.iter().try_for_each(|report| printer.json_line(report))?,
        ([report], [Counted { tally, .. }]) if !compares => {
            report::lines(tally, report).into_iter().try_for_each(|line| printer.line(line))?;
        }
        _ => {
            let rows: Vec<_> = pipelines.iter().map(|chosen| chosen.name.as_str()).zip(&reports).collect();
            table::lines(&rows, compares).into_iter().try_for_each(|line| printer.line(line))?;
        }
    }
    if let Some(images) = published_for.filter(|_| compares) {
        printer.note(format_args!("\npublished for: {images}"));
    }
    if let Images::Demo(demo) = &images {
        demo.print_next_step(printer);
    }
    Ok(exit_code(args, pipelines, &counted, printer))
}

impl EvalArgs {
    /// Returns an error if an option is given that segmentation networks do not have.
    fn refuse_for_segmentation(&self) -> Result<()> {
        let given = [
            (self.val_list.is_some(), "--val-list"),
            (self.labels.devkit().is_some(), "--devkit"),
            (self.webdataset.is_some(), "--webdataset"),
            (self.min_top1.is_some(), "--min-top1"),
        ];
        match given.into_iter().find_map(|(is_given, option)| is_given.then_some(option)) {
            Some(option) => Err(Failure::message(format!("{option} is for classifiers"))
                .hint("the weights are those of a segmentation network: see `--images`, `--masks` and `--min-miou`")),
            None => Ok(()),
        }
    }

    /// Returns an error if options of a shard make no sense, and says who writes what.
    fn check_shard(&self, shard: Option<Shard>, printer: &Printer) -> Result<()> {
        if shard.is_none() {
            return Ok(());
        }
        let checks = [("--min-top1", self.min_top1.is_some()), ("--min-miou", self.segmentation.has_least_figure())];
        if let Some((option, _)) = checks.into_iter().find(|(_, given)| *given) {
            return Err(Failure::message(format!("`{option}` is about all images, not those of a shard"))
                .hint(format!("pass {option} to `hardnet merge`")));
        }
        let outputs = [("--report", self.page.folder().is_some()), ("--per-class", self.per_class.is_some())];
        for (option, _) in outputs.into_iter().filter(|(_, given)| *given) {
            if !self.json {
                return Err(Failure::message(format!("`{option}` of a shard is a part of its result"))
                    .hint(format!("pass --json, and {option} to `hardnet merge`")));
            }
            printer.note(format_args!("{option} of all shards is written by `hardnet merge {option}`"));
        }
        Ok(())
    }

    /// The settings that decide the numbers of a shard.
    fn shard_settings(&self, model: &Model) -> Result<ShardSettings> {
        let (classifier, weights) = (&model.classifier, &model.weights);
        let labels = classifier.labels();
        let names = (0..labels.len()).map(|class| labels.name(class).into_owned());
        let computed = (classifier.engine().name(), model.device_name.as_str());
        ShardSettings::new(&self.model, weights, computed, self.batch_size, String::new(), names)
    }
}

/// The images to evaluate.
enum Images<'a> {
    /// Images in a folder or file.
    Given(&'a Path),
    Tars(WebDataset),
    Demo(Demo),
}

impl<'a> Images<'a> {
    fn given(args: &'a EvalArgs, tars: Option<WebDataset>) -> Result<Self> {
        if let Some(tars) = tars {
            return Ok(Self::Tars(tars));
        }
        let none = || {
            Failure::message("no images given")
                .hint("pass --data-dir FOLDER, and --val-list FILE unless there is one folder for each class")
        };
        args.data_dir.as_deref().map(Self::Given).ok_or_else(none)
    }

    fn name(&self, args: &EvalArgs) -> String {
        match self {
            Self::Tars(_) => args.webdataset.clone().unwrap_or_default(),
            Self::Given(path) => path.display().to_string(),
            Self::Demo(demo) => demo.name().into(),
        }
    }

    fn dataset(&self, args: &EvalArgs, classes: Classes, printer: &Printer) -> Result<Dataset> {
        let mut dataset = match self {
            Self::Given(path) => {
                let options = samples::options(path, args.val_list.as_deref(), classes)?;
                samples::read(&options.development_kit(args.labels.kit()?), printer)?
            }
            Self::Tars(_) => {
                let mut none = Dataset::default();
                none.rule = Some(LabelRule::Indices);
                none
            }
            Self::Demo(demo) => demo.dataset(classes)?,
        };
        subsample_evenly(&mut dataset, args.num_samples, printer);
        Ok(dataset)
    }
}

/// Exit code after an evaluation.
fn exit_code(args: &EvalArgs, pipelines: &[ChosenPipeline], counted: &[Counted], printer: &Printer) -> Exit {
    if counted.iter().any(|counted| counted.summary.stopped) {
        return Exit::Interrupted;
    }
    let errors = counted.iter().map(|counted| counted.summary.failures).max().unwrap_or(0);
    if errors > args.allow_errors {
        printer.error(format_args!(
            "{errors} images could not be read, {} allowed; see --allow-errors",
            args.allow_errors
        ));
        return Exit::Error;
    }
    let figures =
        pipelines.iter().zip(counted).map(|(chosen, counted)| (&*chosen.name, counted.tally.top1().percent()));
    let below = args.min_top1.map_or(Vec::new(), |least| below_top1(least, &figures.collect::<Vec<_>>()));
    below.iter().for_each(|message| printer.error(message));
    if below.is_empty() { Exit::Success } else { Exit::CheckFailed }
}

/// A message for each pipeline whose top-1, in percent, is below `--min-top1`.
pub(crate) fn below_top1(least: f64, figures: &[(&str, Option<f64>)]) -> Vec<String> {
    let below = figures.iter().filter(|(_, found)| found.is_none_or(|found| found < least));
    let message = |(name, found): &(&str, Option<f64>)| {
        let of = if figures.len() > 1 { format!(" by `{name}`") } else { String::new() };
        format!("top-1{of} is {:.2} %, below --min-top1 {least}", found.unwrap_or(0.0))
    };
    below.map(message).collect()
}

/// Runs `read` on a new thread.
///
/// Matching 50,000 names with the index of an archive takes more memory than the result. An allocator with a heap for
/// each thread gives the heap of an ended thread to the next one, a worker, which uses it; on this thread it would be
/// idle.
fn on_own_thread<T: Send>(read: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(read).join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)))
}

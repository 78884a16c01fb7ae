//! `hardnet eval`.

mod demo;
mod page;
mod per_class;
mod predictions;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args};
use hardnet_data::{Classes, Dataset, DecodeWarning, LabelRule, Pipeline, Sample, SampleError};
use hardnet_eval::{BatchDone, EvalOptions, EvalSummary, Metric, Observer, ScoredImage, Tally};

use crate::failure::{Exit, Failure, Result};
use crate::format::at_least_one;
use crate::interrupt::Interrupt;
use crate::labels::{LabelArgs, MappedClasses, classes};
use crate::model::{Model, ModelArgs, check_side};
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::report::{self, Data, EvalReport, Seconds, Tool};
use crate::samples::{self, subsample_evenly};
use crate::warnings::ImageWarnings;
use demo::Demo;
use page::{Page, PageArgs};
use per_class::PerClass;
use predictions::Predictions;

/// Evaluate a network on labeled images. Without options, evaluate the bundled network on the bundled images.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("written").multiple(true))]
#[command(after_help = "\
Examples:
  hardnet eval
  hardnet eval --weights hardnet68.safetensors --data-dir ILSVRC2012_img_val.tar --val-list val_list.txt
  hardnet eval --weights hardnet68.safetensors --data-dir val --num-samples 1000 --json
  hardnet eval --weights hardnet68.safetensors --data-dir val --report result")]
pub(crate) struct EvalArgs {
    /// Images: a folder or tar archive, with one folder for each class unless --val-list is given; or an IDX file such
    /// as t10k-images-idx3-ubyte.gz, with its labels file next to it
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,
    /// List of images: a name and a class index on each line, such as `ILSVRC2012_val_00000001.JPEG 65`, or Kaggle's
    /// LOC_val_solution.csv
    #[arg(long, value_name = "FILE")]
    val_list: Option<PathBuf>,
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
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write the prediction for each image to this file as JSON lines
    #[arg(long, value_name = "FILE", group = "written")]
    predictions: Option<PathBuf>,
    /// Write top-1 and top-5 of each class to this file as CSV
    #[arg(long, value_name = "FILE", group = "written")]
    per_class: Option<PathBuf>,
    /// Overwrite existing output files
    #[arg(long, requires = "written")]
    force: bool,
    /// Number of unreadable images to tolerate
    #[arg(long, value_name = "N", default_value = "0")]
    allow_errors: usize,
    /// Exit with code 1 if top-1 is below this percentage
    #[arg(long, value_name = "PERCENT")]
    min_top1: Option<f64>,
    #[command(flatten)]
    page: PageArgs,
    // The headings of these groups apply to all that follows, so they come last.
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

pub(crate) fn run(args: &EvalArgs, printer: &Printer) -> Result<Exit> {
    let demo = Demo::from_args(args)?;
    let model = match &demo {
        Some(demo) => demo.model(&args.model)?.open(printer)?,
        None => args.model.open(printer)?,
    };
    let pipeline = args.pipeline.resolve(Some(model.config()), model.pipeline(), printer)?;
    let images = demo.map_or_else(|| Images::given(args), |demo| Ok(Images::Demo(demo)))?;
    check_side(model.config(), pipeline.crop as usize)?;
    let MappedClasses { classes, names } = classes(model.config().classes(), model.labels(), args.labels.class_map())?;
    let dataset = on_own_thread(|| images.dataset(args, classes, printer))?;
    let (samples, rule) = (Arc::new(dataset.samples), dataset.rule);
    // After the list, so that its errors are reported at once.
    let model = model.with_labels(names).build(&pipeline, args.batch_size.min(samples.len()), printer)?;
    let mut predictions = args.predictions.as_deref().map(|path| Predictions::create(path, args.force)).transpose()?;
    let mut per_class = args.per_class.as_deref().map(|path| PerClass::create(path, args.force)).transpose()?;
    let mut page = args.page.open(args.force)?;
    let interrupt = Interrupt::watch()?;
    let workers = args.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let run = Run { args, model: &model, samples, rule, pipeline: &pipeline, workers, printer };
    let files = Files { predictions: predictions.as_mut(), per_class: per_class.as_mut(), page: page.as_mut() };
    let (tally, summary) = run.evaluate(&interrupt, files)?;
    if let Some(predictions) = predictions {
        predictions.finish()?;
    }
    if let Some(per_class) = per_class {
        per_class.finish(model.classifier.labels())?;
    }
    let report = run.report(&tally, &summary, images.name());
    if let Some(page) = page {
        page.finish(&report, model.classifier.labels(), &run.samples, &pipeline)?;
    }
    if args.json {
        printer.json(&report)?;
    } else {
        for line in report::lines(&tally, &report) {
            printer.line(line)?;
        }
    }
    if let Images::Demo(demo) = &images {
        demo.print_next_step(printer);
    }
    Ok(exit_code(args, &tally, &summary, printer))
}

/// The images to evaluate.
enum Images<'a> {
    /// Images in a folder or file.
    Given(&'a Path),
    Demo(Demo),
}

impl<'a> Images<'a> {
    fn given(args: &'a EvalArgs) -> Result<Self> {
        let none = || {
            Failure::message("no images given")
                .hint("pass --data-dir FOLDER, and --val-list FILE unless there is one folder for each class")
        };
        args.data_dir.as_deref().map(Self::Given).ok_or_else(none)
    }

    fn name(&self) -> String {
        match self {
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
            Self::Demo(demo) => demo.dataset(classes)?,
        };
        subsample_evenly(&mut dataset, args.num_samples, printer);
        Ok(dataset)
    }
}

/// Exit code after an evaluation.
fn exit_code(args: &EvalArgs, tally: &Tally, summary: &EvalSummary, printer: &Printer) -> Exit {
    let errors = summary.failures;
    if summary.stopped {
        return Exit::Interrupted;
    }
    if errors > args.allow_errors {
        printer.error(format_args!(
            "{errors} images could not be read, {} allowed; see --allow-errors",
            args.allow_errors
        ));
        return Exit::Error;
    }
    match (args.min_top1, tally.top1().percent()) {
        (Some(least), found) if found.is_none_or(|found| found < least) => {
            printer.error(format_args!("top-1 is {:.2} %, below --min-top1 {least}", found.unwrap_or(0.0)));
            Exit::CheckFailed
        }
        _ => Exit::Success,
    }
}

/// Runs `read` on a new thread.
///
/// Matching 50,000 names with the index of an archive takes more memory than the result. An allocator with a heap for
/// each thread gives the heap of an ended thread to the next one, a worker, which uses it; on this thread it would be
/// idle.
fn on_own_thread<T: Send>(read: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(read).join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)))
}

/// An evaluation.
struct Run<'a> {
    args: &'a EvalArgs,
    model: &'a Model,
    samples: Arc<Vec<Sample>>,
    rule: Option<LabelRule>,
    pipeline: &'a Pipeline,
    workers: usize,
    printer: &'a Printer,
}

impl Run<'_> {
    fn evaluate(&self, interrupt: &Interrupt, files: Files<'_>) -> Result<(Tally, EvalSummary)> {
        let options =
            EvalOptions::default().batch_size(self.args.batch_size).workers(self.workers).isa(crate::knobs::isa()?);
        let mut counter = Counter {
            run: self,
            interrupt,
            progress: Progress::new(*self.printer, self.samples.len()),
            tally: Tally::default(),
            files,
            warnings: ImageWarnings::default(),
            failure: None,
        };
        let summary = self.model.classifier.evaluate(Arc::clone(&self.samples), &options, &mut counter)?;
        counter.progress.finish();
        counter.warnings.tell(self.printer);
        if let Some(failure) = counter.failure {
            return Err(failure);
        }
        Ok((counter.tally, summary))
    }

    fn report(&self, tally: &Tally, summary: &EvalSummary, data_dir: String) -> EvalReport {
        let seconds = Seconds {
            total: summary.total.as_secs_f64(),
            loading: summary.loading.as_secs_f64(),
            network: summary.network.as_secs_f64(),
        };
        EvalReport {
            schema_version: 1,
            tool: Tool::this(),
            model: self.model.name.clone(),
            weights: self.model.weights.clone(),
            engine: self.model.classifier.engine().name(),
            device: self.model.device_name.clone(),
            threads: crate::knobs::threads(),
            workers: self.workers,
            batch_size: self.args.batch_size,
            data: Data {
                data_dir,
                val_list: self.args.val_list.as_ref().map(|list| list.display().to_string()),
                labels: self.rule.map(LabelRule::as_str),
                class_map: self.args.labels.class_map().map(|path| path.display().to_string()),
                devkit: self.args.labels.devkit().map(|path| path.display().to_string()),
                images: self.samples.len(),
            },
            pipeline: self.pipeline.clone().into(),
            decoder: hardnet_data::JPEG_DECODER,
            top1: tally.top1().into(),
            top5: tally.top5().into(),
            loss: tally.loss(),
            errors: summary.failures,
            seconds,
            images_per_second: (seconds.total > 0.0).then(|| summary.images as f64 / seconds.total),
            partial: summary.stopped,
        }
    }
}

/// The output files of an evaluation.
struct Files<'a> {
    predictions: Option<&'a mut Predictions>,
    per_class: Option<&'a mut PerClass>,
    page: Option<&'a mut Page>,
}

/// Counts, shows and writes the results of an evaluation.
struct Counter<'a> {
    run: &'a Run<'a>,
    interrupt: &'a Interrupt,
    progress: Progress,
    tally: Tally,
    files: Files<'a>,
    warnings: ImageWarnings,
    /// The error that stopped the evaluation.
    failure: Option<Failure>,
}

impl Counter<'_> {
    fn count(&mut self, batch: &BatchDone<'_>) -> Result<()> {
        for ScoredImage { index, sample, logits, .. } in batch.images() {
            let label = sample.label().expect("images of an evaluation have labels") as usize;
            self.tally.add(index, logits, &label);
            if let Some(page) = self.files.page.as_deref_mut() {
                page.add(index, logits, label);
            }
            if let Some(per_class) = self.files.per_class.as_deref_mut() {
                per_class.add(index, logits, label);
            }
            if let Some(predictions) = self.files.predictions.as_deref_mut() {
                predictions.write(sample.name(), label, logits, self.run.model.classifier.labels())?;
            }
        }
        Ok(())
    }
}

impl Observer for Counter<'_> {
    fn image_warned(&mut self, sample: &Sample, warning: &DecodeWarning) {
        self.warnings.add(sample, warning);
    }

    fn image_failed(&mut self, _: &Sample, error: &SampleError) {
        self.progress.suspend(|| self.run.printer.cause(error));
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        if let Err(failure) = self.count(batch) {
            self.failure = Some(failure);
            return ControlFlow::Break(());
        }
        let top1 = self.tally.top1().percent().map_or(String::new(), |percent| format!("top-1 {percent:.2} %"));
        self.progress.update(batch.done, top1);
        if self.interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

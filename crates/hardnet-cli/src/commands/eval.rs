//! `hardnet eval`.

mod demo;
mod page;
mod predictions;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hardnet_data::{DecodeWarning, Pipeline, Sample, SampleError};
use hardnet_eval::{BatchDone, EvalOptions, EvalSummary, Metric, Observer, ScoredImage, Tally};

use crate::failure::{Exit, Failure, Result};
use crate::format::at_least_one;
use crate::interrupt::Interrupt;
use crate::model::{Model, ModelArgs, check_side};
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::report::{self, Data, Report, Seconds, Tool};
use crate::samples::{labeled, subsample_evenly};
use demo::Demo;
use page::{Page, PageArgs};
use predictions::Predictions;

/// Measure accuracy on labelled images; given nothing, that of a network on images that both come with the program.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet eval
  hardnet eval --weights hardnet68.safetensors --data-dir ILSVRC2012_img_val.tar --val-list val_list.txt
  hardnet eval --weights hardnet68.safetensors --data-dir val --num-samples 1000 --json
  hardnet eval --weights hardnet68.safetensors --data-dir val --report result")]
pub(crate) struct EvalArgs {
    /// Folder or tar archive of the images: with --val-list where its names start, without it one folder for each class;
    /// or an IDX file of images such as t10k-images-idx3-ubyte.gz, with that of the labels beside it
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// File with an image's name and the index of its class on every line, as `ILSVRC2012_val_00000001.JPEG 65`, or
    /// Kaggle's LOC_val_solution.csv
    #[arg(long, value_name = "FILE")]
    val_list: Option<PathBuf>,
    /// Images computed at once
    #[arg(short, long, value_name = "N", default_value = "16", value_parser = at_least_one)]
    batch_size: usize,
    /// Threads that read images; by default one for each processor
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    /// Evaluate only this many images, spread evenly over the list
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    num_samples: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write each image's prediction as a line of JSON
    #[arg(long, value_name = "FILE", group = "written")]
    predictions: Option<PathBuf>,
    /// Replace predictions or a report that exist
    #[arg(long, requires = "written")]
    force: bool,
    /// Unreadable images that still count as success
    #[arg(long, value_name = "N", default_value = "0")]
    allow_errors: usize,
    /// End with exit code 1 if top-1 is below this many percent
    #[arg(long, value_name = "PERCENT")]
    min_top1: Option<f64>,
    #[command(flatten)]
    page: PageArgs,
    // Headings of these groups hold for all that follows, so they come last.
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

pub(crate) fn run(args: &EvalArgs, printer: &Printer) -> Result<Exit> {
    let demo = Demo::asked(args)?;
    let model = match &demo {
        Some(demo) => demo.model(&args.model)?.open(printer)?,
        None => args.model.open(printer)?,
    };
    let pipeline = args.pipeline.resolve(Some(model.config()), model.pipeline(), printer)?;
    let images = demo.map_or_else(|| Images::given(args), |demo| Ok(Images::Demo(demo)))?;
    check_side(model.config(), pipeline.crop as usize)?;
    let classes = model.config().classes();
    let samples = Arc::new(apart(|| images.samples(args, classes, printer))?);
    // After the list: what is wrong with it should not take seconds to be told.
    let model = model.build(&pipeline, args.batch_size.min(samples.len()), printer)?;
    let mut predictions = args.predictions.as_deref().map(|path| Predictions::create(path, args.force)).transpose()?;
    let mut page = args.page.open(args.force)?;
    let interrupt = Interrupt::watch()?;
    let workers = args.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let run = Run { args, model: &model, samples, pipeline: &pipeline, workers, printer };
    let (tally, summary) = run.evaluate(&interrupt, predictions.as_mut(), page.as_mut())?;
    if let Some(predictions) = predictions {
        predictions.finish()?;
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
        demo.say_next(printer);
    }
    Ok(verdict(args, &tally, &summary, printer))
}

/// What is evaluated.
enum Images<'a> {
    /// The images in a folder or file.
    Given(&'a Path),
    Demo(Demo),
}

impl<'a> Images<'a> {
    fn given(args: &'a EvalArgs) -> Result<Self> {
        let none = || {
            Failure::message("no images given").hint(
                "pass --data-dir FOLDER, with --val-list FILE where the images are not in one folder for each class",
            )
        };
        args.data_dir.as_deref().map(Self::Given).ok_or_else(none)
    }

    fn name(&self) -> String {
        match self {
            Self::Given(path) => path.display().to_string(),
            Self::Demo(demo) => demo.name().into(),
        }
    }

    fn samples(&self, args: &EvalArgs, classes: usize, printer: &Printer) -> Result<Vec<Sample>> {
        let mut dataset = match self {
            Self::Given(path) => labeled(path, args.val_list.as_deref(), classes, printer)?,
            Self::Demo(demo) => demo.dataset(classes)?,
        };
        subsample_evenly(&mut dataset, args.num_samples, printer);
        Ok(dataset.samples)
    }
}

/// How the program ends after a run.
fn verdict(args: &EvalArgs, tally: &Tally, summary: &EvalSummary, printer: &Printer) -> Exit {
    let errors = summary.failures;
    if summary.stopped {
        return Exit::Interrupted;
    }
    if errors > args.allow_errors {
        printer.error(format_args!(
            "{errors} images could not be read, {} allowed; --allow-errors N accepts more",
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

/// Runs `read` on a thread of its own.
///
/// Matching 50,000 names with an archive's index takes more memory than what it gives. An allocator that keeps a heap for each
/// thread hands that of an ended thread to the next, a worker, which needs it; in this thread's it would lie idle.
fn apart<T: Send>(read: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(read).join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)))
}

/// An evaluation about to run.
struct Run<'a> {
    args: &'a EvalArgs,
    model: &'a Model,
    samples: Arc<Vec<Sample>>,
    pipeline: &'a Pipeline,
    workers: usize,
    printer: &'a Printer,
}

impl Run<'_> {
    fn evaluate(
        &self,
        interrupt: &Interrupt,
        predictions: Option<&mut Predictions>,
        page: Option<&mut Page>,
    ) -> Result<(Tally, EvalSummary)> {
        let options =
            EvalOptions::default().batch_size(self.args.batch_size).workers(self.workers).isa(crate::knobs::isa()?);
        let mut counter = Counter {
            run: self,
            interrupt,
            progress: Progress::new(*self.printer, self.samples.len()),
            tally: Tally::default(),
            predictions,
            page,
            failure: None,
        };
        let summary = self.model.classifier.evaluate(Arc::clone(&self.samples), &options, &mut counter)?;
        if let Some(failure) = counter.failure {
            return Err(failure);
        }
        counter.progress.finish();
        Ok((counter.tally, summary))
    }

    fn report(&self, tally: &Tally, summary: &EvalSummary, data_dir: String) -> Report {
        let seconds = Seconds {
            total: summary.total.as_secs_f64(),
            loading: summary.loading.as_secs_f64(),
            network: summary.network.as_secs_f64(),
        };
        Report {
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

/// Counts, shows and writes what an evaluation finds.
struct Counter<'a> {
    run: &'a Run<'a>,
    interrupt: &'a Interrupt,
    progress: Progress,
    tally: Tally,
    predictions: Option<&'a mut Predictions>,
    page: Option<&'a mut Page>,
    /// Why the evaluation was stopped, unless by an interrupt.
    failure: Option<Failure>,
}

impl Counter<'_> {
    fn count(&mut self, batch: &BatchDone<'_>) -> Result<()> {
        for ScoredImage { index, sample, logits, .. } in batch.images() {
            let label = sample.label().expect("sources of an evaluation have labels") as usize;
            self.tally.add(index, logits, &label);
            if let Some(page) = self.page.as_deref_mut() {
                page.add(index, logits, label);
            }
            if let Some(predictions) = self.predictions.as_deref_mut() {
                predictions.write(sample.name(), label, logits, self.run.model.classifier.labels())?;
            }
        }
        Ok(())
    }
}

impl Observer for Counter<'_> {
    fn image_warned(&mut self, sample: &Sample, warning: &DecodeWarning) {
        let path = sample.path();
        self.progress.suspend(|| self.run.printer.warn(format_args!("{}: {warning}", path.display())));
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

//! One pass over the images, with one pipeline or several.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use hardnet_classifier::Classifier;
use hardnet_data::{DecodeWarning, LabelRule, Sample, SampleError, TarClasses};
use hardnet_eval::{
    BatchDone, DataRecord, EvalOptions, EvalSummary, Metric, Observer, PipelineRun, ScoredImage, Tally,
    evaluate_pipelines,
};

use super::EvalArgs;
use super::details::Details;
use super::page::{self, Page};
use super::per_class::PerClass;
use super::predictions::Predictions;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::output::OutputFile;
use crate::pipeline::{ChosenPipeline, path_of_pipeline};
use crate::printer::Printer;
use crate::progress::Progress;
use crate::published::comparisons;
use crate::report::{self, Data, EvalReport, Seconds};
use crate::shards::Part;
use crate::tars::Stream;
use crate::warnings::ImageWarnings;

/// An evaluation.
pub(super) struct Pass<'a> {
    pub(super) args: &'a EvalArgs,
    pub(super) model: &'a Model,
    pub(super) part: Part,
    pub(super) rule: Option<LabelRule>,
    /// Where the images come from.
    pub(super) images: String,
    pub(super) pipelines: &'a [ChosenPipeline],
    pub(super) workers: usize,
    pub(super) printer: &'a Printer,
}

/// The counts of a pass with one pipeline.
pub(super) struct Counted {
    pub(super) tally: Tally,
    pub(super) summary: EvalSummary,
}

/// The output files of one pipeline.
#[derive(Default)]
pub(super) struct Files {
    predictions: Option<Predictions>,
    /// A shard has no file of its own for these: `hardnet merge` writes them.
    per_class: Option<(PerClass, Option<OutputFile>)>,
    page: Option<(Page, Option<OutputFile>)>,
}

impl Pass<'_> {
    /// Creates the output files of each pipeline. Those of several have its name before their extension.
    pub(super) fn files(&self) -> Result<Vec<Files>> {
        let force = self.args.force;
        let of_pipeline = |chosen: &ChosenPipeline| -> Result<Files> {
            let several = self.pipelines.len() > 1;
            let path = |path: &Path| if several { path_of_pipeline(&chosen.name, path) } else { path.into() };
            let run = || self.model.run_record(&chosen.pipeline, self.data());
            let predictions = self.args.predictions.as_deref();
            let predictions = predictions.map(|file| Predictions::create(&path(file), force, run()));
            let shard = self.part.shard.as_ref();
            let table = |file: &Path| {
                let file = shard.is_none().then(|| OutputFile::create(&path(file), force)).transpose()?;
                Ok::<_, Failure>((PerClass::new(), file))
            };
            let page = |folder: &Path| {
                let file = || page::create(folder, &path(Path::new("index.html")), force);
                let first = shard.map_or(0, |shard| shard.first);
                Ok::<_, Failure>((Page::new(first), shard.is_none().then(file).transpose()?))
            };
            Ok(Files {
                predictions: predictions.transpose()?,
                per_class: self.args.per_class.as_deref().map(table).transpose()?,
                page: self.args.page.folder().map(page).transpose()?,
            })
        };
        self.pipelines.iter().map(of_pipeline).collect()
    }

    /// The images, for lines about them.
    fn data(&self) -> DataRecord {
        let list = self.args.val_list.as_ref().map(|list| list.display().to_string());
        let tars = self.part.stream.as_ref().map(Stream::tars);
        DataRecord::new(self.part.total).data_dir(Some(self.images.clone())).list(list).tars(tars)
    }

    /// Evaluates with every pipeline.
    pub(super) fn evaluate(&self, interrupt: &Interrupt, files: &mut [Files]) -> Result<Vec<Counted>> {
        let options =
            EvalOptions::default().batch_size(self.args.batch_size).workers(self.workers).isa(crate::knobs::isa()?);
        let shared = RefCell::new(Shared {
            progress: Progress::new(*self.printer, self.part.samples.len()),
            top1: vec![None; self.pipelines.len()],
            warnings: ImageWarnings::default(),
            told: HashSet::new(),
            before: 0,
            failure: None,
        });
        let counter = |(position, files)| Counter {
            pass: self,
            interrupt,
            shared: &shared,
            position,
            tally: Tally::default(),
            files,
        };
        let mut counters: Vec<Counter> = files.iter_mut().enumerate().map(counter).collect();
        let pipelines = self.pipelines.iter().map(|chosen| chosen.pipeline.clone());
        let mut runs: Vec<_> = pipelines
            .zip(&mut counters)
            .map(|(pipeline, observer)| PipelineRun { network: &self.model.classifier, pipeline, observer })
            .collect();
        let summaries = match &self.part.stream {
            None => evaluate_pipelines(&mut runs, Arc::clone(&self.part.samples), &options)?,
            Some(stream) => self.evaluate_stream(stream, &mut runs, &options, interrupt, &shared)?,
        };
        drop(runs);
        let tallies: Vec<Tally> = counters.iter().map(|counter| counter.tally).collect();
        drop(counters);
        let Shared { progress, mut warnings, failure, .. } = shared.into_inner();
        progress.finish();
        warnings.tell(self.printer);
        match failure {
            Some(failure) => Err(failure),
            None => Ok(tallies.into_iter().zip(summaries).map(|(tally, summary)| Counted { tally, summary }).collect()),
        }
    }

    /// Evaluates images that are read from tar files, some at a time.
    fn evaluate_stream(
        &self,
        stream: &Stream,
        runs: &mut [PipelineRun<'_, Classifier>],
        options: &EvalOptions,
        interrupt: &Interrupt,
        shared: &RefCell<Shared>,
    ) -> Result<Vec<EvalSummary>> {
        let mut summaries = vec![EvalSummary::default(); runs.len()];
        let classes = self.model.classifier.labels().len();
        for chunk in stream.chunks(TarClasses::Below(classes), self.args.batch_size) {
            if interrupt.requested() || shared.borrow().failure.is_some() {
                summaries.iter_mut().for_each(|summary| summary.stopped = true);
                break;
            }
            let chunk = chunk?;
            for error in &chunk.errors {
                shared.borrow().progress.suspend(|| self.printer.cause(error));
            }
            let images = chunk.samples.len();
            let of_chunk = evaluate_pipelines(runs, chunk.samples, options)?;
            for (summary, of_chunk) in summaries.iter_mut().zip(of_chunk) {
                summary.merge(&of_chunk);
                summary.failures += chunk.errors.len();
            }
            shared.borrow_mut().before += images;
        }
        if let Some(summary) = summaries.first().filter(|summary| !summary.stopped) {
            stream.warn_if_empty(summary.images + summary.failures, self.printer);
        }
        Ok(summaries)
    }

    /// The result of one pipeline.
    pub(super) fn report(&self, chosen: &ChosenPipeline, counted: &Counted) -> EvalReport {
        let Counted { tally, summary } = counted;
        let seconds = Seconds {
            total: summary.total.as_secs_f64(),
            loading: summary.loading.as_secs_f64(),
            network: summary.network.as_secs_f64(),
        };
        let labels = &self.args.labels;
        EvalReport {
            schema_version: 1,
            tool: report::tool(),
            model: self.model.name.clone(),
            weights: self.model.weights.clone(),
            engine: self.model.classifier.engine().name().into(),
            device: self.model.device_name.clone(),
            threads: crate::knobs::threads(),
            workers: self.workers,
            batch_size: self.args.batch_size,
            data: Data {
                data_dir: self.images.clone(),
                val_list: self.args.val_list.as_ref().map(|list| list.display().to_string()),
                labels: self.rule.map(|rule| rule.as_str().into()),
                class_map: labels.class_map().map(|path| path.display().to_string()),
                devkit: labels.devkit().map(|path| path.display().to_string()),
                tars: self.part.stream.as_ref().map(Stream::tars),
                images: if self.part.stream.is_some() { summary.images + summary.failures } else { self.part.total },
            },
            shard: self.part.shard.clone(),
            pipeline: chosen.pipeline.clone().into(),
            decoder: hardnet_data::JPEG_DECODER.into(),
            exif: chosen.pipeline.decode_options().exif,
            oriented: summary.oriented,
            top1: tally.top1().into(),
            top5: tally.top5().into(),
            loss: tally.loss(),
            loss_sum: self.part.shard.as_ref().map(|_| tally.loss_sum()),
            errors: summary.failures,
            details: None,
            published: comparisons(&chosen.published, tally),
            seconds,
            images_per_second: (seconds.total > 0.0).then(|| summary.images as f64 / seconds.total),
            partial: summary.stopped,
        }
    }
}

impl Files {
    /// Completes the files and gives them their names. What a shard has instead becomes part of `report`.
    pub(super) fn finish(self, pass: &Pass<'_>, chosen: &ChosenPipeline, report: &mut EvalReport) -> Result<()> {
        let labels = pass.model.classifier.labels();
        if let Some(predictions) = self.predictions {
            predictions.finish(pass.part.shard.as_ref(), report)?;
        }
        let (mut counts, mut parts) = (None, None);
        if let Some((per_class, file)) = self.per_class {
            match file {
                Some(file) => file.finish_with(per_class.counts().table(labels).as_bytes())?,
                None => counts = Some(per_class.counts()),
            }
        }
        if let Some((page, file)) = self.page {
            let shown = page.parts(&pass.part.samples, &chosen.pipeline)?;
            match file {
                Some(file) => file.finish_with(shown.html(report, labels).as_bytes())?,
                None => parts = Some(shown),
            }
        }
        if counts.is_some() || parts.is_some() {
            report.details = Some(Details::new(&chosen.name, labels, counts, parts).into());
        }
        Ok(())
    }
}

/// The settings that all pipelines of a pass share.
struct Shared {
    progress: Progress,
    /// Top-1 of each pipeline so far, in percent.
    top1: Vec<Option<f64>>,
    warnings: ImageWarnings,
    /// Messages about images of the batch at work. Pipelines that decode alike have the same.
    told: HashSet<String>,
    /// Images of the tar files that are done.
    before: usize,
    /// The error that stopped the evaluation.
    failure: Option<Failure>,
}

/// Counts, shows and writes the results of one pipeline.
struct Counter<'a> {
    pass: &'a Pass<'a>,
    interrupt: &'a Interrupt,
    shared: &'a RefCell<Shared>,
    /// The position of the pipeline.
    position: usize,
    tally: Tally,
    files: &'a mut Files,
}

impl Counter<'_> {
    /// Whether no other pipeline has had this message about an image of the batch.
    fn is_new(&self, shared: &mut Shared, message: impl FnOnce() -> String) -> bool {
        self.pass.pipelines.len() == 1 || shared.told.insert(message())
    }

    fn count(&mut self, batch: &BatchDone<'_>) -> Result<()> {
        for image in batch.images() {
            let ScoredImage { index, sample, logits, .. } = image;
            let label = sample.label().expect("images of an evaluation have labels") as usize;
            self.tally.add(index, logits, &label);
            if let Some((page, _)) = &mut self.files.page {
                page.add(index, logits, label);
            }
            if let Some((per_class, _)) = &mut self.files.per_class {
                per_class.add(index, logits, label);
            }
            if let Some(predictions) = &mut self.files.predictions {
                predictions.write(&image, label, self.pass.model.classifier.labels())?;
            }
        }
        Ok(())
    }
}

impl Observer for Counter<'_> {
    fn image_warned(&mut self, sample: &Sample, warning: &DecodeWarning) {
        let mut shared = self.shared.borrow_mut();
        if self.is_new(&mut shared, || format!("{}: {warning}", sample.path().display())) {
            shared.warnings.add(sample, warning);
        }
    }

    fn image_failed(&mut self, _: &Sample, error: &SampleError) {
        let mut shared = self.shared.borrow_mut();
        if self.is_new(&mut shared, || error.to_string()) {
            shared.progress.suspend(|| self.pass.printer.cause(error));
        }
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        let counted = self.count(batch);
        let mut shared = self.shared.borrow_mut();
        if let Err(failure) = counted {
            shared.failure = Some(failure);
            return ControlFlow::Break(());
        }
        shared.told.clear();
        shared.top1[self.position] = self.tally.top1().percent();
        if self.position + 1 == shared.top1.len() {
            let percent: Vec<_> = shared.top1.iter().flatten().map(|percent| format!("{percent:.2}")).collect();
            let text = if percent.is_empty() { String::new() } else { format!("top-1 {} %", percent.join(", ")) };
            let done = shared.before + batch.done;
            shared.progress.update(done, text);
        }
        if self.interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

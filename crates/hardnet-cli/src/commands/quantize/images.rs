//! Images to measure and to compare.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hardnet_classifier::Classifier;
use hardnet_data::{Dataset, DecodeWarning, Pipeline, Sample, SampleError};
use hardnet_eval::{BatchDone, ComputeLogits, EvalOptions, EvalSummary, Logits, Observer, evaluate};
use hardnet_graph::Graph;
use hardnet_params::{Metadata, WeightsFile};
use hardnet_quantize::{Agreement, Calibration, Calibrator, LayerErrors, Quantized};

use super::report::Measured;
use crate::commands::embed::unlabeled;
use crate::failure::{Failure, Result};
use crate::format::counted;
use crate::interrupt::Interrupt;
use crate::model::{builder, plan_options};
use crate::printer::Printer;
use crate::progress::Progress;
use crate::samples::subsample_evenly;
use crate::warnings::ImageWarnings;

/// Images computed together while all maps are kept.
const BATCH: usize = 4;

/// Images of which all maps are compared.
const WITH_MAPS: usize = 64;

/// Images without labels.
pub(super) struct Images {
    pub(super) path: String,
    pub(super) samples: Arc<Vec<Sample>>,
}

impl Images {
    /// Finds the images of a folder, archive or IDX file, or those that a list names in `root`; of more than `limit`,
    /// that many.
    pub(super) fn find(path: &Path, root: Option<&Path>, limit: Option<usize>, printer: &Printer) -> Result<Self> {
        let mut dataset: Dataset =
            if is_list(path) { unlabeled(root, Some(path))? } else { unlabeled(Some(path), None)? };
        for note in &dataset.notes {
            printer.note(note);
        }
        subsample_evenly(&mut dataset, limit, printer);
        if dataset.samples.is_empty() {
            return Err(Failure::message(format!("no images in `{}`", path.display())));
        }
        Ok(Self { path: path.display().to_string(), samples: Arc::new(dataset.samples) })
    }

    /// Measures all maps of the network in f32; none if the user stops it.
    pub(super) fn calibrate(
        &self,
        (graph, weights): (&Graph, &WeightsFile),
        pipeline: &Pipeline,
        workers: Option<usize>,
        interrupt: &Interrupt,
        printer: &Printer,
    ) -> Result<Option<Calibration>> {
        let side = pipeline.crop as usize;
        let options = plan_options()?.size(side, side).batch(BATCH.min(self.samples.len()));
        let calibrator = Calibrator::new(graph, &weights.parameters(), &options)?;
        let network = Network { state: Mutex::new(calibrator), threads: options.threads, run: calibrate };
        let summary = self.run(&network, pipeline, workers, interrupt, "measured", printer)?;
        let calibrator = network.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((!summary.stopped).then(|| calibrator.finish()))
    }

    /// Computes the network in f32 and in integers; none if the user stops it.
    pub(super) fn compare(
        &self,
        graph: &Graph,
        (weights, quantized, metadata): (&WeightsFile, &Quantized, &Metadata),
        pipeline: &Pipeline,
        workers: Option<usize>,
        interrupt: &Interrupt,
        printer: &Printer,
    ) -> Result<Option<Measured>> {
        let side = pipeline.crop as usize;
        let options = plan_options()?.size(side, side).batch(BATCH.min(self.samples.len()));
        let builder = || Ok::<_, Failure>(builder()?.batch_size(BATCH).pipeline(pipeline.clone()));
        let pair = Pair {
            original: builder()?.from_parameters(metadata, &weights.parameters())?,
            other: builder()?.from_quantized(metadata, quantized)?,
            layers: LayerErrors::new(graph, &weights.parameters(), quantized, &options)?,
            agreement: Agreement::default(),
        };
        let network = Network { state: Mutex::new(pair), threads: options.threads, run: compare };
        let summary = self.run(&network, pipeline, workers, interrupt, "compared", printer)?;
        let Pair { agreement, layers, .. } = network.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let measured = Measured::new(&self.path, &agreement, &layers, summary.failures);
        Ok((!summary.stopped).then_some(measured))
    }

    /// Computes all images.
    fn run<T: Send>(
        &self,
        network: &Network<T>,
        pipeline: &Pipeline,
        workers: Option<usize>,
        interrupt: &Interrupt,
        what: &'static str,
        printer: &Printer,
    ) -> Result<EvalSummary> {
        let mut options = EvalOptions::default().batch_size(2 * BATCH).isa(crate::knobs::isa()?);
        options.workers = workers.unwrap_or(options.workers);
        let progress = Progress::new(*printer, self.samples.len());
        let mut watcher = Watcher { progress, interrupt, what, warnings: ImageWarnings::default(), printer };
        let summary = evaluate(network, Arc::clone(&self.samples), pipeline, &options, &mut watcher);
        let Watcher { progress, mut warnings, .. } = watcher;
        progress.finish();
        warnings.tell(printer);
        let summary = summary.map_err(|error| match error {
            hardnet_eval::EvalError::Network(failure) => failure,
            hardnet_eval::EvalError::Loader(error) => error.into(),
        })?;
        if summary.images == 0 && !summary.stopped {
            return Err(Failure::message(format!("no image of `{}` can be read", self.path)));
        }
        if summary.failures > 0 {
            let failed = counted(summary.failures, "image");
            printer.warn(format_args!("{failed} of `{}` could not be read and are left out", self.path));
        }
        Ok(summary)
    }
}

/// Whether a path is that of a list of images.
fn is_list(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    path.is_file() && ["txt", "csv", "tsv", "lst"].iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// A network with what is counted of it.
struct Network<T> {
    state: Mutex<T>,
    threads: usize,
    run: fn(&mut T, &[&[f32]]) -> Result<Logits>,
}

impl<T: Send> ComputeLogits for Network<T> {
    type Error = Failure;

    fn compute_logits(&self, images: &[&[f32]]) -> Result<Logits> {
        (self.run)(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), images)
    }

    fn busy_threads(&self) -> usize {
        self.threads
    }
}

fn calibrate(calibrator: &mut Calibrator, images: &[&[f32]]) -> Result<Logits> {
    let values = calibrator.add(images)?;
    let width = values.len() / images.len();
    Ok(Logits::new(values, width))
}

/// A network in f32 and in integers.
struct Pair {
    original: Classifier,
    other: Classifier,
    layers: LayerErrors,
    agreement: Agreement,
}

fn compare(pair: &mut Pair, images: &[&[f32]]) -> Result<Logits> {
    let (original, other) = (pair.original.logits(images)?, pair.other.logits(images)?);
    for (original, other) in original.rows().zip(other.rows()) {
        pair.agreement.add(original, other);
    }
    let room = WITH_MAPS.saturating_sub(pair.layers.images()).min(images.len());
    pair.layers.add(&images[..room])?;
    Ok(original)
}

/// Shows progress and stops at Ctrl-C.
struct Watcher<'a> {
    progress: Progress,
    interrupt: &'a Interrupt,
    what: &'static str,
    warnings: ImageWarnings,
    printer: &'a Printer,
}

impl Observer for Watcher<'_> {
    fn image_warned(&mut self, sample: &Sample, warning: &DecodeWarning) {
        self.warnings.add(sample, warning);
    }

    fn image_failed(&mut self, _: &Sample, error: &SampleError) {
        self.progress.suspend(|| self.printer.cause(error));
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        self.progress.update(batch.done, self.what);
        if self.interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

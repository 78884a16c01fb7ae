//! The observer that writes rows as they are computed.

use std::ops::ControlFlow;
use std::sync::Arc;

use hardnet_data::{DecodeWarning, KeyError, Sample, SampleError};
use hardnet_eval::{BatchDone, LineFields, Observer, RunRecord};

use super::images::Images;
use super::output::Output;
use super::partial::{Partial, Record};
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::warnings::ImageWarnings;

/// Writes the rows of each batch, and what became of its images.
pub(super) struct Writer<'a> {
    output: &'a Output,
    images: Images,
    shape: &'a [usize],
    run: RunRecord,
    partial: &'a mut Partial,
    interrupt: Interrupt,
    progress: Progress,
    printer: &'a Printer,
    /// Images that were done before the first of `images`.
    before: usize,
    /// Images that were done before the first that is computed now.
    first: usize,
    /// Images that were done before this run.
    begun: usize,
    /// Why images of the batch at work cannot be read, in their order.
    errors: Vec<String>,
    warnings: ImageWarnings,
    seconds: f64,
    /// The error that stopped the run.
    failure: Option<Failure>,
}

impl<'a> Writer<'a> {
    /// Writes what `partial` does not have of `images`: rows of `shape`, computed by `run`. Those of tar files come
    /// [later](Self::begin).
    pub(super) fn new(
        output: &'a Output,
        images: Images,
        (shape, run): (&'a [usize], RunRecord),
        partial: &'a mut Partial,
        printer: &'a Printer,
    ) -> Result<Self> {
        Ok(Self {
            output,
            shape,
            run,
            interrupt: Interrupt::watch()?,
            progress: Progress::new(*printer, images.len()),
            images,
            printer,
            before: 0,
            first: partial.done(),
            begun: partial.done(),
            partial,
            errors: Vec::new(),
            warnings: ImageWarnings::default(),
            seconds: 0.0,
            failure: None,
        })
    }

    /// The images that are not done.
    pub(super) fn rest(&self) -> Arc<Vec<Sample>> {
        self.images.samples_from(self.first - self.before)
    }

    /// The number of images that earlier runs had done.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Whether the run is to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.failure.is_some() || self.interrupt.requested()
    }

    /// Begins with the next images of tar files, whose `errors` have no row. Returns whether there is anything to do:
    /// an interrupted run may have done them.
    pub(super) fn begin(&mut self, images: Images, errors: &[KeyError]) -> Result<bool> {
        self.output.check_names(&images)?;
        let mut all: Vec<_> = errors.iter().map(|error| (error.path.display().to_string(), None)).collect();
        all.extend((0..images.len()).map(|index| (images.name(index).to_owned(), images.label(index))));
        if self.partial.has_next(&all)? {
            self.begun = self.partial.done();
            return Ok(false);
        }
        let mut records = Vec::new();
        for error in errors {
            self.progress.suspend(|| self.printer.cause(error));
            let file = error.path.display().to_string().into();
            records.push(Record { file, label: None, error: Some(error.to_string().into()) });
        }
        self.partial.append(&[], &records)?;
        (self.before, self.first, self.images) = (self.partial.done(), self.partial.done(), images);
        Ok(true)
    }

    /// Returns the error that stopped the run. `stopped` is one that was interrupted.
    pub(super) fn finish(mut self, stopped: bool) -> Result<()> {
        self.progress.finish();
        self.warnings.tell(self.printer);
        match self.failure {
            Some(failure) => Err(failure),
            None if stopped => Ok(()),
            None => self.partial.has_no_more(),
        }
    }

    fn write(&mut self, batch: &BatchDone<'_>) -> Result<()> {
        let mut errors = std::mem::take(&mut self.errors).into_iter();
        let mut read = batch.images().peekable();
        let (mut rows, mut records) = (Vec::new(), Vec::new());
        for index in self.partial.done()..self.first + batch.done {
            let own = index - self.before;
            let (file, label) = (self.images.name(own), self.images.label(own));
            let error = match read.next_if(|image| self.first + image.index == index) {
                Some(image) => {
                    let (row, fields) = ((self.shape, image.logits), LineFields::new(image.info, &self.run));
                    self.output.append_row(&mut rows, (&self.images, own), row, fields)?;
                    None
                }
                None => Some(errors.next().unwrap_or_default()),
            };
            records.push(Record { file: file.into(), label, error: error.map(Into::into) });
        }
        self.partial.append(&rows, &records)
    }
}

impl Observer for Writer<'_> {
    fn image_warned(&mut self, sample: &Sample, warning: &DecodeWarning) {
        self.warnings.add(sample, warning);
    }

    fn image_failed(&mut self, _: &Sample, error: &SampleError) {
        self.progress.suspend(|| self.printer.cause(error));
        self.errors.push(error.to_string());
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        if let Err(failure) = self.write(batch) {
            self.failure = Some(failure);
            return ControlFlow::Break(());
        }
        self.seconds += (batch.loading + batch.network).as_secs_f64();
        let done = self.first + batch.done;
        self.progress.update_at(done, (done - self.begun) as f64 / self.seconds, "");
        if self.interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

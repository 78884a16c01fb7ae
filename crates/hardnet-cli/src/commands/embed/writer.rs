//! The observer that writes rows as they are computed.

use std::ops::ControlFlow;

use hardnet_data::{DecodeWarning, Sample, SampleError};
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
    images: &'a Images,
    shape: &'a [usize],
    run: RunRecord,
    partial: &'a mut Partial,
    interrupt: Interrupt,
    progress: Progress,
    printer: &'a Printer,
    /// The first image of this run.
    first: usize,
    /// Why images of the batch at work cannot be read, in their order.
    errors: Vec<String>,
    warnings: ImageWarnings,
    seconds: f64,
    /// The error that stopped the run.
    failure: Option<Failure>,
}

impl<'a> Writer<'a> {
    /// Writes what `partial` does not have of `images`: rows of `shape`, computed by `run`.
    pub(super) fn new(
        output: &'a Output,
        images: &'a Images,
        (shape, run): (&'a [usize], RunRecord),
        partial: &'a mut Partial,
        printer: &'a Printer,
    ) -> Result<Self> {
        Ok(Self {
            output,
            images,
            shape,
            run,
            interrupt: Interrupt::watch()?,
            progress: Progress::new(*printer, images.len()),
            printer,
            first: partial.done(),
            partial,
            errors: Vec::new(),
            warnings: ImageWarnings::default(),
            seconds: 0.0,
            failure: None,
        })
    }

    /// Returns the error that stopped the run.
    pub(super) fn finish(mut self) -> Result<()> {
        self.progress.finish();
        self.warnings.tell(self.printer);
        self.failure.map_or(Ok(()), Err)
    }

    fn write(&mut self, batch: &BatchDone<'_>) -> Result<()> {
        let mut errors = std::mem::take(&mut self.errors).into_iter();
        let mut read = batch.images().peekable();
        let (mut rows, mut records) = (Vec::new(), Vec::new());
        for index in self.partial.done()..self.first + batch.done {
            let (file, label) = (self.images.name(index), self.images.label(index));
            let error = match read.next_if(|image| self.first + image.index == index) {
                Some(image) => {
                    let (row, fields) = ((self.shape, image.logits), LineFields::new(image.info, &self.run));
                    self.output.append_row(&mut rows, (self.images, index), row, fields)?;
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
        self.progress.update_at(self.first + batch.done, batch.done as f64 / self.seconds, "");
        if self.interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

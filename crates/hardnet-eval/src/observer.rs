//! Observers of an evaluation.

use std::ops::ControlFlow;
use std::time::Duration;

use hardnet_data::{DecodeWarning, ImageInfo, Sample, SampleError};

use crate::breakdown::Breakdown;
use crate::logits::Logits;
use crate::metric::Metric;
use crate::tally::Tally;

/// Receives what happens in an [evaluation](crate::evaluate()).
///
/// Every method does nothing by default. A [`Tally`] and a [`Breakdown`] are observers, and so is a pair of observers.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use hardnet_eval::{BatchDone, Observer};
///
/// /// Prints the progress and stops after 1,000 images.
/// struct First1000;
///
/// impl Observer for First1000 {
///     fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
///         println!("{} of {}", batch.done, batch.total());
///         if batch.done < 1000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
///     }
/// }
/// ```
pub trait Observer {
    /// Decoding lost something of an image, which is used all the same.
    fn image_warned(&mut self, _sample: &Sample, _warning: &DecodeWarning) {}

    /// An image could not be read and is left out.
    fn image_failed(&mut self, _sample: &Sample, _error: &SampleError) {}

    /// The images of a batch were computed. `Break` stops the evaluation.
    fn batch_done(&mut self, _batch: &BatchDone<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A batch whose images were computed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BatchDone<'a> {
    /// All samples of the evaluation.
    pub samples: &'a [Sample],
    /// Samples that are done, read or not: this batch ends before sample `done`.
    pub done: usize,
    /// The samples of the batch that could be read, as indices into `samples`.
    pub indices: &'a [usize],
    /// Their sizes as decoded, in that order.
    pub infos: &'a [ImageInfo],
    /// Their logits, in that order.
    pub logits: &'a Logits,
    /// Time spent waiting for the images.
    pub loading: Duration,
    /// Time spent in the network.
    pub network: Duration,
}

/// One image with its logits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ScoredImage<'a> {
    /// Index of the sample.
    pub index: usize,
    /// The sample.
    pub sample: &'a Sample,
    /// Its size as decoded.
    pub info: ImageInfo,
    /// Its logits.
    pub logits: &'a [f32],
}

impl<'a> BatchDone<'a> {
    /// Returns the number of samples of the evaluation.
    pub fn total(&self) -> usize {
        self.samples.len()
    }

    /// Returns the images that could be read.
    pub fn images(&self) -> impl Iterator<Item = ScoredImage<'a>> + use<'a> {
        let samples = self.samples;
        let images = self.indices.iter().zip(self.infos).zip(self.logits.rows());
        images.map(move |((&index, &info), logits)| ScoredImage { index, sample: &samples[index], info, logits })
    }

    /// Counts the images that have a label.
    pub fn count(&self, metric: &mut impl Metric<Target = usize>) {
        for ScoredImage { index, sample, logits, .. } in self.images() {
            if let Some(label) = sample.label() {
                metric.add(index, logits, &(label as usize));
            }
        }
    }
}

/// Counts the images that have a label.
impl Observer for Tally {
    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        batch.count(self);
        ControlFlow::Continue(())
    }
}

/// Counts the images that have a label.
impl Observer for Breakdown {
    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        batch.count(self);
        ControlFlow::Continue(())
    }
}

/// Observes nothing.
impl Observer for () {}

/// Tells both, the first one first; the evaluation stops if either says so.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn image_warned(&mut self, sample: &Sample, warning: &DecodeWarning) {
        self.0.image_warned(sample, warning);
        self.1.image_warned(sample, warning);
    }

    fn image_failed(&mut self, sample: &Sample, error: &SampleError) {
        self.0.image_failed(sample, error);
        self.1.image_failed(sample, error);
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        let (first, second) = (self.0.batch_done(batch), self.1.batch_done(batch));
        if first.is_break() { first } else { second }
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn image_warned(&mut self, sample: &Sample, warning: &DecodeWarning) {
        (**self).image_warned(sample, warning);
    }

    fn image_failed(&mut self, sample: &Sample, error: &SampleError) {
        (**self).image_failed(sample, error);
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        (**self).batch_done(batch)
    }
}

//! Calibration: whether a network that is 90 % sure is right nine times of ten.

use serde::{Deserialize, Serialize};

use crate::exact_sum::ExactSum;
use crate::tally::Proportion;

/// Images by the probability of their most probable class, in equal bins.
///
/// The bins and the error are those of C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural
/// Networks", ICML 2017: fifteen, each open below and closed above.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    bins: [CalibrationBin; Calibration::BINS],
}

/// The images of one range of confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// Those that the network got right.
    pub top1: Proportion,
    /// Sum of their confidences.
    confidence: ExactSum,
}

impl CalibrationBin {
    /// Mean confidence, 0 to 1; none without images.
    pub fn confidence(&self) -> Option<f64> {
        (self.top1.total > 0).then(|| self.confidence.value() / self.top1.total as f64)
    }

    /// Share of the images that are right, 0 to 1; none without images.
    pub fn accuracy(&self) -> Option<f64> {
        self.top1.percent().map(|percent| percent / 100.0)
    }
}

impl Calibration {
    /// Number of bins; bin `b` holds confidences above `b / BINS` up to `(b + 1) / BINS`.
    pub const BINS: usize = 15;

    /// Counts an image whose most probable class has probability `confidence`, 0 to 1, and is right or not.
    pub fn add(&mut self, confidence: f64, correct: bool) {
        // `as` saturates, and takes NaN to the first bin.
        let bin = ((confidence * Self::BINS as f64).ceil() as usize).clamp(1, Self::BINS) - 1;
        let bin = &mut self.bins[bin];
        bin.top1.total += 1;
        bin.top1.correct += usize::from(correct);
        bin.confidence.add(confidence);
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.top1 = Proportion::new(bin.top1.correct + other.top1.correct, bin.top1.total + other.top1.total);
            bin.confidence.merge(&other.confidence);
        }
    }

    /// All bins by ascending confidence.
    pub fn bins(&self) -> &[CalibrationBin] {
        &self.bins
    }

    /// All images.
    pub fn images(&self) -> usize {
        self.bins.iter().map(|bin| bin.top1.total).sum()
    }

    /// Mean confidence, 0 to 1; none without images.
    pub fn confidence(&self) -> Option<f64> {
        let images = self.images();
        (images > 0).then(|| self.bins.iter().map(|bin| bin.confidence.value()).sum::<f64>() / images as f64)
    }

    /// The expected calibration error, 0 to 1: the mean over all images of how far accuracy and mean confidence of
    /// their bin are apart; none without images.
    pub fn error(&self) -> Option<f64> {
        let images = self.images();
        let apart = |bin: &CalibrationBin| (bin.confidence.value() - bin.top1.correct as f64).abs();
        (images > 0).then(|| self.bins.iter().map(apart).sum::<f64>() / images as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_numpys() {
        // i = np.arange(200); c = (i * 37 % 200 + 1) / 200; right = i % 3 != 0
        // b = np.ceil(c * 15) - 1
        // sum(abs(c[b == k].mean() - right[b == k].mean()) * (b == k).sum() for k in range(15)) / 200
        let mut calibration = Calibration::default();
        for i in 0..200 {
            calibration.add((i * 37 % 200 + 1) as f64 / 200.0, i % 3 != 0);
        }
        assert!((calibration.error().unwrap() - 0.32495000000000007).abs() < 1e-12, "{:?}", calibration.error());
        assert!((calibration.confidence().unwrap() - 0.5025).abs() < 1e-12);
        assert_eq!(calibration.images(), 200);
    }

    #[test]
    fn bins_are_closed_above() {
        let mut calibration = Calibration::default();
        for confidence in [0.0, 1.0 / 15.0, 0.2, 0.200_001, 1.0, f64::NAN, 2.0, -1.0] {
            calibration.add(confidence, true);
        }
        let counts: Vec<_> = calibration.bins().iter().map(|bin| bin.top1.total).collect();
        assert_eq!(counts, [4, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn without_images_there_is_no_error() {
        let calibration = Calibration::default();
        assert_eq!(
            (calibration.error(), calibration.confidence(), calibration.bins()[0].accuracy()),
            (None, None, None)
        );
    }
}

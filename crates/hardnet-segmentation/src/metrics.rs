//! How far predictions agree with masks: the figures of FC-HarDNet's validation (`runningScore` in its `metrics.py`).
//!
//! Pixels are counted as integers over the whole data set, and the figures follow from the counts once: the mean over
//! images would be another number. They equal NumPy's to the bit, because sums are added up in its order. Oracle:
//! NumPy 2.4.6, held by `tests/metrics.rs` over stored figures.

use serde::Serialize;

use crate::mask::{MAX_CLASSES, Mask, MaskError};

/// Pixels by their class and the class that was predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[classes, classes]`: true class, predicted class.
    pixels: Vec<u64>,
}

/// The figures of a [`Confusion`]: shares of 0 to 1, NaN where nothing was counted. Field names are API.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// Pixels of the right class, of all pixels that have a class.
    pub pixel_accuracy: f64,
    /// Mean over the classes that occur of [`accuracy`](Self::accuracy).
    pub mean_accuracy: f64,
    /// Mean over the classes that occur or were predicted of [`iou`](Self::iou).
    pub mean_iou: f64,
    /// Mean of [`iou`](Self::iou), each class weighted by its share of the pixels.
    pub frequency_weighted_iou: f64,
    /// Pixels of each class that were predicted as such.
    pub accuracy: Vec<f64>,
    /// Intersection over union of each class: pixels of the class that were predicted as such, divided by those that
    /// are of the class or were predicted as it.
    pub iou: Vec<f64>,
}

impl Confusion {
    /// Counts nothing yet of `classes` classes, at most 255.
    pub fn new(classes: usize) -> Self {
        let classes = classes.min(MAX_CLASSES);
        Self { classes, pixels: vec![0; classes * classes] }
    }

    /// Takes counts `[classes, classes]`, true class and predicted class; `None` for another number of counts, or more
    /// than 255 classes.
    pub fn from_pixels(classes: usize, pixels: Vec<u64>) -> Option<Self> {
        (classes <= MAX_CLASSES && pixels.len() == classes * classes).then_some(Self { classes, pixels })
    }

    /// Counts the pixels of `truth` and of the prediction. Pixels whose true class is not below the number of classes,
    /// the ignored ones among them, do not count.
    ///
    /// # Errors
    ///
    /// [`MaskError::SizeMismatch`] if the sizes differ, [`MaskError::UnknownLabel`] for a prediction that is not a
    /// class.
    pub fn add(&mut self, truth: &Mask, prediction: &Mask) -> Result<(), MaskError> {
        crate::MaskReader::check_size(truth, (prediction.width(), prediction.height()))?;
        let wrong = |&label: &u8| usize::from(label) >= self.classes;
        if let Some(place) = prediction.labels().iter().position(wrong) {
            return Err(MaskError::UnknownLabel {
                label: prediction.labels()[place],
                expected: format!("0 to {}", self.classes.saturating_sub(1)),
                column: place % prediction.width(),
                row: place / prediction.width(),
            });
        }
        for (&truth, &prediction) in truth.labels().iter().zip(prediction.labels()) {
            if usize::from(truth) < self.classes {
                self.pixels[usize::from(truth) * self.classes + usize::from(prediction)] += 1;
            }
        }
        Ok(())
    }

    /// Adds the counts of `other`, which has as many classes.
    pub fn merge(&mut self, other: &Self) {
        self.pixels.iter_mut().zip(&other.pixels).for_each(|(sum, pixels)| *sum += pixels);
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels of class `truth` that were predicted as `prediction`.
    pub fn pixels(&self, truth: usize, prediction: usize) -> u64 {
        self.pixels[truth * self.classes + prediction]
    }

    /// The counts of each true class.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.pixels.chunks_exact(self.classes.max(1))
    }

    /// Pixels of each class.
    pub fn true_pixels(&self) -> Vec<u64> {
        self.rows().map(|row| row.iter().sum()).collect()
    }

    /// Pixels that were predicted as each class.
    pub fn predicted_pixels(&self) -> Vec<u64> {
        (0..self.classes).map(|class| self.rows().map(|row| row[class]).sum()).collect()
    }

    /// Pixels that were counted.
    pub fn total(&self) -> u64 {
        self.pixels.iter().sum()
    }

    /// Pixels of the right class.
    pub fn correct(&self) -> u64 {
        (0..self.classes).map(|class| self.pixels(class, class)).sum()
    }

    /// The largest counts off the diagonal, at most `most`: true class, predicted class, pixels.
    pub fn most_confused(&self, most: usize) -> Vec<(usize, usize, u64)> {
        let all = (0..self.pixels.len()).map(|place| (place / self.classes, place % self.classes, self.pixels[place]));
        let mut confused: Vec<_> = all.filter(|(truth, found, pixels)| truth != found && *pixels > 0).collect();
        confused.sort_by_key(|&(truth, found, pixels)| (std::cmp::Reverse(pixels), truth, found));
        confused.truncate(most);
        confused
    }

    /// The figures of what was counted.
    pub fn figures(&self) -> Figures {
        let number = |pixels: Vec<u64>| pixels.into_iter().map(|pixels| pixels as f64).collect::<Vec<_>>();
        let (truth, found) = (number(self.true_pixels()), number(self.predicted_pixels()));
        let right: Vec<_> = (0..self.classes).map(|class| self.pixels(class, class) as f64).collect();
        let total = self.total() as f64;
        let accuracy: Vec<_> = right.iter().zip(&truth).map(|(right, truth)| right / truth).collect();
        let union = truth.iter().zip(&found).zip(&right).map(|((truth, found), right)| truth + found - right);
        let iou: Vec<_> = right.iter().zip(union).map(|(right, union)| right / union).collect();
        let shares = truth.iter().map(|truth| truth / total).zip(&iou).filter(|(share, _)| *share > 0.0);
        let weighted: Vec<_> = shares.map(|(share, iou)| share * iou).collect();
        Figures {
            pixel_accuracy: self.correct() as f64 / total,
            mean_accuracy: mean_of_numbers(&accuracy),
            mean_iou: mean_of_numbers(&iou),
            frequency_weighted_iou: sum(&weighted),
            accuracy,
            iou,
        }
    }
}

/// `numpy.nanmean`: the mean of the values that are not NaN. NumPy adds up zeros in place of NaN.
fn mean_of_numbers(values: &[f64]) -> f64 {
    let zeros: Vec<_> = values.iter().map(|value| if value.is_nan() { 0.0 } else { *value }).collect();
    let count = values.iter().filter(|value| !value.is_nan()).count();
    sum(&zeros) / count as f64
}

/// `numpy.sum`: pairwise, in NumPy's order. Its blocks have at most 128 values, each with eight running sums.
fn sum(values: &[f64]) -> f64 {
    match values.len() {
        0..8 => values.iter().fold(0.0, |sum, value| sum + value),
        8..=128 => {
            let (chunks, rest) = values.as_chunks::<8>();
            let [first, others @ ..] = chunks else { unreachable!("there are eight values") };
            let mut sums = *first;
            for chunk in others {
                sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
            }
            let [a, b, c, d, e, f, g, h] = sums;
            rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
        }
        count => {
            let half = count / 2;
            let (first, second) = values.split_at(half - half % 8);
            sum(first) + sum(second)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::IGNORED;

    fn mask(labels: &[u8]) -> Mask {
        Mask::new(labels.len(), 1, labels.to_vec()).unwrap()
    }

    #[test]
    fn ignored_pixels_and_labels_out_of_range_do_not_count() {
        let mut confusion = Confusion::new(3);
        confusion.add(&mask(&[0, 1, IGNORED, 250, 3, 0]), &mask(&[0, 0, 2, 1, 0, 2])).unwrap();
        assert_eq!((confusion.total(), confusion.correct()), (3, 1));
        assert_eq!((confusion.pixels(1, 0), confusion.pixels(0, 2)), (1, 1));
        assert_eq!(confusion.most_confused(5), [(0, 2, 1), (1, 0, 1)]);
    }

    #[test]
    fn sizes_and_predictions_are_checked() {
        let mut confusion = Confusion::new(3);
        let error = confusion.add(&mask(&[0, 1]), &mask(&[0])).unwrap_err();
        assert_eq!(error.to_string(), "the mask has 2x1 pixels, its image 1x1");
        let error = confusion.add(&mask(&[0, 1]), &mask(&[0, 3])).unwrap_err();
        assert!(matches!(error, MaskError::UnknownLabel { label: 3, column: 1, .. }), "{error}");
        assert_eq!(confusion.total(), 0, "nothing is counted of what is refused");
    }

    #[test]
    fn a_class_that_never_occurs_is_not_a_number_and_not_in_the_mean() {
        let mut confusion = Confusion::new(3);
        confusion.add(&mask(&[0, 0, 1, 1]), &mask(&[0, 1, 1, 1])).unwrap();
        let figures = confusion.figures();
        assert_eq!(figures.iou[..2], [0.5, 2.0 / 3.0]);
        assert!(figures.iou[2].is_nan() && figures.accuracy[2].is_nan());
        assert_eq!((figures.mean_iou, figures.pixel_accuracy), ((0.5 + 2.0 / 3.0) / 2.0, 0.75));
        assert!(Confusion::new(2).figures().mean_iou.is_nan(), "nothing was counted");
    }

    #[test]
    fn merged_counts_are_those_of_both() {
        let (mut first, mut second) = (Confusion::new(2), Confusion::new(2));
        first.add(&mask(&[0, 1]), &mask(&[0, 0])).unwrap();
        second.add(&mask(&[1, 1]), &mask(&[1, 0])).unwrap();
        first.merge(&second);
        assert_eq!(first.rows().collect::<Vec<_>>(), [[1, 0], [2, 1]]);
        assert_eq!((first.true_pixels(), first.predicted_pixels()), (vec![1, 3], vec![3, 1]));
    }
}

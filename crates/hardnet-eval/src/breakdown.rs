//! Where a classifier goes wrong: confused classes, calibration, the worst mistakes.
//!
//! Logits are not kept, so memory does not grow with the number of images times the number of classes.

use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::confusion::Confusion;
use crate::metric::Metric;
use crate::top_k::log_sum_exp;

/// Confusion, calibration and the most confident mistakes over labeled images.
///
/// ```
/// use hardnet_eval::{Breakdown, Metric};
///
/// let mut breakdown = Breakdown::new(10);
/// breakdown.add(0, &[2.0, 0.5, 0.1], &0);
/// breakdown.add(1, &[3.0, 0.5, 0.1], &2);
/// assert_eq!(breakdown.confusion().count(2, 0), 1);
/// assert_eq!(breakdown.mistakes()[0].image, 1);
/// ```
///
/// With serde, nothing is lost: a breakdown of a part of a data set may be stored and merged later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    confusion: Confusion,
    calibration: Calibration,
    mistakes: Vec<Mistake>,
    most: usize,
}

/// An image whose most probable class is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mistake {
    /// The number it was counted under.
    pub image: usize,
    /// Its class.
    pub label: usize,
    /// The class that was found most probable.
    pub predicted: usize,
    /// The probability of `predicted`, 0 to 1.
    #[serde(with = "crate::exact_sum::exact")]
    pub confidence: f64,
    /// The probability of `label`, 0 to 1.
    #[serde(with = "crate::exact_sum::exact")]
    pub of_label: f64,
}

impl Breakdown {
    /// Creates an empty breakdown that keeps the `mistakes` most confident mistakes.
    pub fn new(mistakes: usize) -> Self {
        Self { most: mistakes, ..Self::default() }
    }

    /// Which classes were taken for which.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// How often the network is right, by how sure it is.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// The most confident mistakes, at most as many as [`new`](Self::new) was asked to keep: the most confident first,
    /// of equals the lower number of the image.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    fn keep(&mut self, mistake: Mistake) {
        let before = |kept: &Mistake| {
            kept.confidence.total_cmp(&mistake.confidence).reverse().then(kept.image.cmp(&mistake.image)).is_lt()
        };
        let place = self.mistakes.partition_point(before);
        if place < self.most {
            self.mistakes.truncate(self.most - 1);
            self.mistakes.insert(place, mistake);
        }
    }
}

impl Metric for Breakdown {
    type Target = usize;

    /// Counts an image of class `label` by its `logits`.
    ///
    /// The most probable class is the one that [`Tally`](crate::Tally) takes. A label that is not a class counts as a
    /// mistake; without logits nothing is counted.
    fn add(&mut self, image: usize, logits: &[f32], &label: &usize) {
        let Some(predicted) = most_probable(logits) else { return };
        let normalizer = log_sum_exp(logits);
        let probability = |class: usize| logits.get(class).map_or(0.0, |&logit| (f64::from(logit) - normalizer).exp());
        let confidence = probability(predicted);
        self.confusion.add(label, predicted);
        self.calibration.add(confidence, predicted == label);
        if predicted != label {
            self.keep(Mistake { image, label, predicted, confidence, of_label: probability(label) });
        }
    }

    /// Adds the counts of `other`, and of its mistakes as many as this breakdown keeps.
    fn merge(&mut self, other: &Self) {
        self.confusion.merge(&other.confusion);
        self.calibration.merge(&other.calibration);
        other.mistakes.iter().for_each(|&mistake| self.keep(mistake));
    }
}

/// Returns the class of the greatest logit, of equals the first.
fn most_probable(logits: &[f32]) -> Option<usize> {
    let (&first, rest) = logits.split_first()?;
    let greater =
        |best: (usize, f32), (index, &logit): (usize, &f32)| if logit > best.1 { (index + 1, logit) } else { best };
    Some(rest.iter().enumerate().fold((0, first), greater).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    /// Logits of image `image`, with ties and zeros of both signs among them.
    fn logits(image: usize) -> Vec<f32> {
        let sign = |class: usize| if (image + class).is_multiple_of(4) { -0.0 } else { 0.5 };
        (0..7).map(|class| ((image + class / 3) % 3 * (image % 5)) as f32 * sign(class)).collect()
    }

    #[test]
    fn the_most_probable_class_is_the_tallys() {
        let (mut tally, mut breakdown) = (Tally::default(), Breakdown::new(100));
        for image in 0..100 {
            tally.add(image, &logits(image), &(image % 7));
            breakdown.add(image, &logits(image), &(image % 7));
        }
        let correct: usize = (0..7).map(|class| breakdown.confusion().count(class, class)).sum();
        assert!(correct > 0 && correct < 100);
        assert_eq!(correct, tally.top1().correct);
        assert_eq!(breakdown.mistakes().len(), 100 - correct);
    }

    #[test]
    fn the_most_confident_mistakes_are_kept() {
        let mut all = Breakdown::new(usize::MAX);
        let mut few = Breakdown::new(3);
        let mut none = Breakdown::new(0);
        for (image, margin) in [1.0, 4.0, 0.5, 4.0, 9.0, 2.0, 4.0].into_iter().enumerate() {
            for breakdown in [&mut all, &mut few, &mut none] {
                breakdown.add(image, &[0.0, margin], &0);
                breakdown.add(100 + image, &[0.0, 50.0], &1);
            }
        }
        let images = |breakdown: &Breakdown| breakdown.mistakes().iter().map(|m| m.image).collect::<Vec<_>>();
        assert_eq!(images(&all), [4, 1, 3, 6, 5, 0, 2]);
        assert_eq!(images(&few), [4, 1, 3]);
        assert_eq!(images(&none), [0; 0]);
        let first = few.mistakes()[0];
        assert_eq!((first.label, first.predicted), (0, 1));
        assert!((first.confidence - 1.0 / (1.0 + (-9f64).exp())).abs() < 1e-12);
        assert!((first.confidence + first.of_label - 1.0).abs() < 1e-12);
    }

    #[test]
    fn labels_outside_the_classes_are_mistakes() {
        let mut breakdown = Breakdown::new(1);
        breakdown.add(5, &[1.0, 0.0], &usize::MAX);
        breakdown.add(6, &[], &0);
        assert_eq!(breakdown.confusion().count(usize::MAX, 0), 1);
        assert_eq!((breakdown.mistakes()[0].image, breakdown.mistakes()[0].of_label), (5, 0.0));
        assert_eq!(breakdown.calibration().images(), 1);
    }

    /// Parts are stored as JSON before they are merged.
    #[test]
    fn breakdowns_of_parts_are_the_breakdown_of_all() {
        let count = |images: std::ops::Range<usize>| {
            let mut breakdown = Breakdown::new(5);
            images.for_each(|image| breakdown.add(image, &logits(image), &(image % 7)));
            let read: Breakdown = serde_json::from_str(&serde_json::to_string(&breakdown).unwrap()).unwrap();
            assert_eq!(read, breakdown);
            read
        };
        let (whole, mut merged) = (count(0..100), count(0..37));
        merged.merge(&count(37..100));
        assert_eq!((merged.confusion(), merged.mistakes()), (whole.confusion(), whole.mistakes()));
        assert_eq!(merged.calibration(), whole.calibration());
        assert_eq!(merged.calibration().error(), whole.calibration().error());
    }
}

//! Top-1, top-5 and loss.

use serde::{Deserialize, Serialize};

use crate::exact_sum::ExactSum;
use crate::metric::Metric;
use crate::top_k::log_sum_exp;

/// A share of a number of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Proportion {
    /// Those that count.
    pub correct: usize,
    /// All of them.
    pub total: usize,
}

impl Proportion {
    /// `correct` of `total`.
    pub fn new(correct: usize, total: usize) -> Self {
        Self { correct, total }
    }

    /// In percent; none without images.
    pub fn percent(self) -> Option<f64> {
        (self.total > 0).then(|| 100.0 * self.correct as f64 / self.total as f64)
    }

    /// The 95 % confidence interval in percent, by Wilson's score (E. B. Wilson, 1927); none without images.
    pub fn interval95(self) -> Option<(f64, f64)> {
        const Z: f64 = 1.959_963_984_540_054;
        let n = self.total as f64;
        let p = self.percent()? / 100.0;
        let center = p + Z * Z / (2.0 * n);
        let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 100.0 / (1.0 + Z * Z / n);
        Some((((center - spread) * scale).max(0.0), ((center + spread) * scale).min(100.0)))
    }
}

/// Top-1, top-5 and mean cross entropy of labeled images.
///
/// Tallies of parts of a data set merge to the tally of the whole, bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    images: usize,
    top1: usize,
    top5: usize,
    loss: ExactSum,
}

impl Tally {
    /// Images whose most probable class is right.
    pub fn top1(&self) -> Proportion {
        Proportion::new(self.top1, self.images)
    }

    /// Images whose class is among the five most probable.
    pub fn top5(&self) -> Proportion {
        Proportion::new(self.top5, self.images)
    }

    /// The tally of `images` images with these counts and this sum of their cross entropies.
    pub fn from_counts(images: usize, top1: usize, top5: usize, loss_sum: ExactSum) -> Self {
        Self { images, top1, top5, loss: loss_sum }
    }

    /// Sum of the cross entropies in nats.
    pub fn loss_sum(&self) -> ExactSum {
        self.loss
    }

    /// Mean cross entropy in nats; none without images. It is the exact mean, rounded: the order of the images does not
    /// change it.
    pub fn loss(&self) -> Option<f64> {
        (self.images > 0).then(|| self.loss.value() / self.images as f64)
    }
}

impl Metric for Tally {
    type Target = usize;

    /// Counts an image of class `label` by its `logits`.
    ///
    /// A label that is not a class counts as wrong, with an infinite loss.
    fn add(&mut self, _: usize, logits: &[f32], &label: &usize) {
        self.images += 1;
        let Some(&own) = logits.get(label) else {
            self.loss.add(f64::INFINITY);
            return;
        };
        let rank = rank(logits, label);
        self.top1 += usize::from(rank < 1);
        self.top5 += usize::from(rank < 5);
        self.loss.add(log_sum_exp(logits) - f64::from(own));
    }

    fn merge(&mut self, other: &Self) {
        self.images += other.images;
        self.top1 += other.top1;
        self.top5 += other.top5;
        self.loss.merge(&other.loss);
    }
}

/// Counts the classes before `label` by `logits`, in the order of [`top_k`](crate::top_k).
fn rank(logits: &[f32], label: usize) -> usize {
    let own = logits[label];
    logits.iter().enumerate().filter(|&(index, &logit)| logit > own || (logit == own && index < label)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top_k::top_k;

    #[test]
    fn ranks_are_places_in_top_k() {
        let logits = [0.5, 2.0, -1.0, 2.0, 0.5, 3.0];
        for (place, hit) in top_k(&logits, 6).iter().enumerate() {
            assert_eq!(rank(&logits, hit.index), place);
        }
    }

    #[test]
    fn intervals_are_wilsons() {
        // By statsmodels' proportion_confint(.., method="wilson").
        let cases = [
            ((0, 10), (0.0, 27.753_279_986)),
            ((5, 10), (23.659_309_051, 76.340_690_949)),
            ((10, 10), (72.246_720_014, 100.0)),
            ((38_240, 50_000), (76.106_220_402, 76.849_711_038)),
        ];
        for ((correct, total), (low, high)) in cases {
            let found = Proportion::new(correct, total).interval95().unwrap();
            assert!((found.0 - low).abs() < 1e-6 && (found.1 - high).abs() < 1e-6, "{correct}/{total}: {found:?}");
        }
        assert_eq!(Proportion::new(0, 0).interval95(), None);
    }

    #[test]
    fn a_tally_is_the_mean_over_its_images() {
        let mut tally = Tally::default();
        assert_eq!(tally.loss(), None);
        tally.add(0, &[0.0; 8], &0);
        tally.add(0, &[0.0; 8], &6);
        tally.add(0, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0], &6);
        assert_eq!((tally.top1().correct, tally.top5().correct, tally.top1().total), (2, 2, 3));
        let expected = (2.0 * 8f64.ln() + (7.0 + 3f64.exp()).ln() - 3.0) / 3.0;
        assert!((tally.loss().unwrap() - expected).abs() < 1e-12);
        tally.add(0, &[1.0], &3);
        assert_eq!(tally.loss(), Some(f64::INFINITY));
    }
    #[test]
    fn tallies_of_parts_are_the_tally_of_all() {
        let logits = |image: usize| (0..7).map(|class| ((image * 5 + class * 3) % 8) as f32).collect::<Vec<_>>();
        let count = |images: std::ops::Range<usize>| {
            let mut tally = Tally::default();
            images.for_each(|image| tally.add(image, &logits(image), &(image % 7)));
            tally
        };
        let (whole, mut merged) = (count(0..40), count(0..13));
        merged.merge(&count(13..40));
        merged.merge(&Tally::default());
        assert_eq!((merged, merged.loss()), (whole, whole.loss()));
        for parts in [1, 2, 3, 4, 7, 50] {
            let mut merged = Tally::default();
            for part in 0..parts {
                let Tally { images, top1, top5, loss } = count(part * 40 / parts..(part + 1) * 40 / parts);
                merged.merge(&Tally::from_counts(images, top1, top5, loss));
            }
            assert_eq!(merged, whole, "{parts} parts");
        }
    }
}

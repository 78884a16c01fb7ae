//! A loss that does not move.

use crate::metrics::EpochMetrics;

/// A training loss that does not move. An epoch is stalled in one of two cases:
///
/// * Its mean loss is within 1 % of [`chance`](Self::chance): the network guesses.
/// * It is at least 90 % of chance, and less than 1 % away from that of the epoch before.
///
/// A loss far below chance that falls slowly is not stalled: so do all runs end.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stall {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Its mean loss in nats.
    pub loss: f64,
    /// The loss of a network for which all classes are equally likely: the logarithm of their number, unless classes
    /// have weights.
    pub chance: f64,
}

impl Stall {
    /// The last epoch of `history`, if it is stalled.
    pub(crate) fn find(history: &[EpochMetrics], chance: f64) -> Option<Self> {
        let (last, before) = history.split_last()?;
        let loss = last.train_loss;
        let guesses = (loss - chance).abs() <= 0.01 * chance;
        let rests = before.last().is_some_and(|before| (loss - before.train_loss).abs() <= 0.01 * before.train_loss);
        let stalled = chance > 0.0 && (guesses || (rests && loss >= 0.9 * chance));
        stalled.then_some(Self { epoch: last.epoch, loss, chance })
    }
}

/// The expected loss of a network for which all classes are equally likely, for classes with `counts` training images
/// and `weights`, and with label smoothing.
pub(crate) fn chance(counts: &[usize], weights: Option<&[f64]>, smoothing: f64) -> f64 {
    let even = (counts.len() as f64).ln();
    let Some(weights) = weights else { return even };
    let images = counts.iter().sum::<usize>() as f64;
    let of_images = counts.iter().zip(weights).map(|(&count, weight)| count as f64 * weight).sum::<f64>() / images;
    let of_classes = weights.iter().sum::<f64>() / weights.len() as f64;
    // The smoothed part of a target has the weights of all classes, the other that of its own.
    even * (1.0 - smoothing + smoothing * of_classes / of_images)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f64]) -> Vec<EpochMetrics> {
        let metrics = |(epoch, &train_loss): (u32, &f64)| EpochMetrics {
            epoch,
            steps: 1,
            learning_rate: 0.1,
            train_loss,
            train_top1: 10.0,
            train_mean_iou: None,
            train_images: 10,
            train_errors: 0,
            validation: None,
            segmentation: None,
            best: false,
            images_per_second: 1.0,
            seconds: 1.0,
        };
        (1..).zip(losses).map(metrics).collect()
    }

    #[test]
    fn guesses_and_rests_near_chance_are_stalled() {
        let chance = chance(&[5; 10], None, 0.1);
        assert!((chance - std::f64::consts::LN_10).abs() < 1e-12);
        for (losses, stalled) in [
            (&[][..], false),
            (&[2.29], true),
            (&[2.33], false),
            (&[2.20], false),
            // A rate far too low, from a head that is worse than guesses.
            (&[2.60, 2.59], true),
            (&[2.60, 2.50], false),
            // Slow, but from fine-tuned weights.
            (&[0.50, 0.4999], false),
            (&[2.60, 2.58, 2.30], true),
            (&[2.30, 2.00], false),
        ] {
            assert_eq!(Stall::find(&history(losses), chance).is_some(), stalled, "{losses:?}");
        }
        // A single class has the loss 0 from the start.
        assert_eq!(Stall::find(&history(&[0.0, 0.0]), 0.0), None);
    }

    #[test]
    fn chance_follows_from_weights_and_smoothing() {
        // The mean over all images of -sum(target * weight) * ln(1/2), divided by the mean weight, by hand.
        let (counts, weights) = ([3, 1], [1.0, 5.0]);
        let ln2 = std::f64::consts::LN_2;
        assert!((chance(&counts, Some(&weights), 0.0) - ln2).abs() < 1e-12);
        let expected = (0.8 * (3.0 + 5.0) + 0.2 / 2.0 * 4.0 * 6.0) / 8.0 * ln2;
        assert!((chance(&counts, Some(&weights), 0.2) - expected).abs() < 1e-12);
    }
}

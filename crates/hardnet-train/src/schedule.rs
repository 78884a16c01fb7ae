//! Learning rate schedules.
//!
//! Oracle: PyTorch's `SequentialLR` of `LinearLR` and `CosineAnnealingLR`, `StepLR` or `ConstantLR`, held by
//! `tests/oracle.rs`; of the polynomial, its formula in Python.

use serde::{Deserialize, Serialize};

/// A learning rate schedule: an optional linear warm-up, then a decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Schedule {
    /// Decay after the warm-up.
    pub decay: LrDecay,
    /// Warm-up; `None` starts at the full learning rate.
    pub warmup: Option<Warmup>,
    /// When the learning rate is updated.
    pub interval: LrInterval,
}

/// Decay of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LrDecay {
    /// No decay.
    Constant,
    /// Half a cosine down to `min_rate`, which is reached after the last epoch.
    Cosine {
        /// Final learning rate.
        #[serde(rename = "least")]
        min_rate: f64,
    },
    /// Multiplication by `factor` every `every` epochs.
    Step {
        /// Epochs between two steps.
        every: u32,
        /// Factor of each step.
        factor: f64,
    },
    /// The remaining share of the run to the power of `power`: FC-HarDNet's `poly_lr`, whose power is 0.9.
    Poly {
        /// The exponent.
        power: f64,
    },
}

/// A linear warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// Epochs until the full learning rate is reached.
    pub epochs: u32,
    /// Initial fraction of the learning rate.
    pub start: f64,
}

/// When the learning rate is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrInterval {
    /// Before each epoch.
    Epoch,
    /// Before each step.
    Batch,
}

impl Schedule {
    /// A schedule that is updated before each epoch, without a warm-up.
    pub fn new(decay: LrDecay) -> Self {
        Self { decay, warmup: None, interval: LrInterval::Epoch }
    }

    /// Sets the warm-up.
    pub fn warmup(mut self, warmup: Option<Warmup>) -> Self {
        self.warmup = warmup;
        self
    }

    /// Sets when the learning rate is updated.
    pub fn interval(mut self, interval: LrInterval) -> Self {
        self.interval = interval;
        self
    }

    /// The learning rate of step `batch` of `epoch`, both from 0, in a run of `epochs` epochs of `batches` steps each.
    /// `rate` is the base learning rate.
    pub fn rate(&self, rate: f64, epochs: u32, batches: usize, epoch: u32, batch: usize) -> f64 {
        let units = |epochs: u32| match self.interval {
            LrInterval::Epoch => f64::from(epochs),
            LrInterval::Batch => f64::from(epochs) * batches as f64,
        };
        let at = match self.interval {
            LrInterval::Epoch => f64::from(epoch),
            LrInterval::Batch => units(epoch) + batch as f64,
        };
        let warm = self.warmup.map_or(0.0, |warmup| units(warmup.epochs));
        if let Some(Warmup { start, .. }) = self.warmup
            && at < warm
        {
            return rate * (start + (1.0 - start) * at / warm);
        }
        match self.decay {
            LrDecay::Constant => rate,
            LrDecay::Cosine { min_rate } => {
                let turn = std::f64::consts::PI * (at - warm) / (units(epochs) - warm).max(1.0);
                min_rate + (rate - min_rate) * (1.0 + turn.cos()) / 2.0
            }
            LrDecay::Poly { power } => {
                let done = (at - warm) / (units(epochs) - warm).max(1.0);
                rate * (1.0 - done).max(0.0).powf(power)
            }
            LrDecay::Step { every, factor } => rate * factor.powf(((at - warm) / units(every.max(1))).floor()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_falls_as_upstreams() {
        // (1 - 45000 / 90000) ** 0.9 and (1 - 89999 / 90000) ** 0.9 in Python.
        let schedule = Schedule::new(LrDecay::Poly { power: 0.9 }).interval(LrInterval::Batch);
        let rate = |step: usize| schedule.rate(2.0, 90, 1000, (step / 1000) as u32, step % 1000);
        assert_eq!(rate(0), 2.0);
        assert!((rate(45_000) / 2.0 - 0.535_886_731_268_146_6).abs() < 1e-15);
        assert!((rate(89_999) / 2.0 / 3.476_816_271_691_341e-5 - 1.0).abs() < 1e-10);
    }
}

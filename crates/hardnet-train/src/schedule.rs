//! The learning rate over a run.
//!
//! Oracle: PyTorch's `SequentialLR` of `LinearLR` and `CosineAnnealingLR`, `StepLR` or `ConstantLR`, held by
//! `tests/oracle.rs`.

use serde::{Deserialize, Serialize};

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Schedule {
    /// What it does once it is warm.
    pub decay: Decay,
    /// How it begins; at once if there is none.
    pub warmup: Option<Warmup>,
    /// When it changes.
    pub interval: Interval,
}

/// What the learning rate does once it is warm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Decay {
    /// It stays.
    Constant,
    /// Half a cosine down to `least`, which it would reach after the last epoch.
    Cosine {
        /// Where it ends.
        least: f64,
    },
    /// A factor every so many epochs.
    Step {
        /// Epochs between two changes.
        every: u32,
        /// What it is multiplied by.
        factor: f64,
    },
}

/// A linear beginning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// Epochs until the learning rate is whole.
    pub epochs: u32,
    /// Share of it to begin with.
    pub start: f64,
}

/// When the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Before each epoch.
    Epoch,
    /// Before each step.
    Batch,
}

impl Schedule {
    /// A schedule that changes the learning rate before each epoch, without a warm-up.
    pub fn new(decay: Decay) -> Self {
        Self { decay, warmup: None, interval: Interval::Epoch }
    }

    /// The learning rate of step `batch` of `epoch`, both from 0, of a run of `epochs` with `batches` steps each, which
    /// starts from or warms up to `rate`.
    pub fn rate(&self, rate: f64, epochs: u32, batches: usize, epoch: u32, batch: usize) -> f64 {
        let units = |epochs: u32| match self.interval {
            Interval::Epoch => f64::from(epochs),
            Interval::Batch => f64::from(epochs) * batches as f64,
        };
        let at = match self.interval {
            Interval::Epoch => f64::from(epoch),
            Interval::Batch => units(epoch) + batch as f64,
        };
        let warm = self.warmup.map_or(0.0, |warmup| units(warmup.epochs));
        if let Some(Warmup { start, .. }) = self.warmup
            && at < warm
        {
            return rate * (start + (1.0 - start) * at / warm);
        }
        match self.decay {
            Decay::Constant => rate,
            Decay::Cosine { least } => {
                let turn = std::f64::consts::PI * (at - warm) / (units(epochs) - warm).max(1.0);
                least + (rate - least) * (1.0 + turn.cos()) / 2.0
            }
            Decay::Step { every, factor } => rate * factor.powf(((at - warm) / units(every.max(1))).floor()),
        }
    }
}

//! A running average of weights.

use candle_core::Result;

use crate::update::{Factors, blend};
use crate::weights::Weights;

/// An exponential average of all parameters and running statistics, as timm's `ModelEmaV2`: torch's `AveragedModel` would
/// copy the statistics unless told to average them too (`use_buffers=True`).
#[derive(Debug)]
pub struct Average {
    decay: f64,
    weights: Weights,
}

impl Average {
    /// An average that begins as a copy of `weights` and keeps a share of `decay` at each update.
    ///
    /// # Errors
    ///
    /// Candle's.
    pub fn new(weights: &Weights, decay: f64) -> Result<Self> {
        Ok(Self { decay, weights: weights.copy()? })
    }

    /// Moves the average towards `weights`, those it was made of.
    ///
    /// # Errors
    ///
    /// Candle's.
    pub fn update(&mut self, weights: &Weights) -> Result<()> {
        let share = 1.0 - self.decay;
        let factors = Factors { keep: 1.0, own: -share, first: share, second: 0.0 };
        for (own, new) in self.weights.variables().zip(weights.variables()) {
            blend(own, factors, new, new)?;
        }
        Ok(())
    }

    /// The averaged weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }
}

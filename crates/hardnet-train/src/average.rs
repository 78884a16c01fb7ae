//! Exponential moving average of weights.

use candle_core::Result;

use crate::update::{Factors, blend};
use crate::weights::Weights;

/// Exponential moving average of all parameters and running statistics, like timm's `ModelEmaV2`. torch's
/// `AveragedModel` copies the statistics by default, and averages them with `use_buffers=True`.
#[derive(Debug)]
pub struct WeightAverage {
    decay: f64,
    weights: Weights,
}

impl WeightAverage {
    /// An average that starts as a copy of `weights`. Each update keeps the fraction `decay` of it.
    ///
    /// # Errors
    ///
    /// Errors of Candle.
    pub fn new(weights: &Weights, decay: f64) -> Result<Self> {
        Ok(Self { decay, weights: weights.copy()? })
    }

    /// Moves the average towards `weights`.
    ///
    /// # Errors
    ///
    /// Errors of Candle.
    pub fn update(&mut self, weights: &Weights) -> Result<()> {
        let step = 1.0 - self.decay;
        let factors = Factors { keep: 1.0, target: -step, first: step, second: 0.0 };
        for (average, new) in self.weights.variables().zip(weights.variables()) {
            blend(average, factors, new, new)?;
        }
        Ok(())
    }

    /// The averaged weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }
}

//! Options of a quantization.

/// Options of [`quantize`](crate::quantize). By default, all steps are on.
///
/// ```
/// use hardnet_quantize::QuantizeOptions;
///
/// let plain = QuantizeOptions::default().equalize(false).clip_weights(false).correct_bias(false);
/// assert_eq!(plain.deviations, QuantizeOptions::default().deviations);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuantizeOptions {
    /// Whether channels get units of their own.
    pub equalize: bool,
    /// Whether large weights may be cut off where this makes the error of the output less.
    pub clip_weights: bool,
    /// Whether biases take back the mean error of rounded weights.
    pub correct_bias: bool,
    /// Standard deviations on both sides of the mean that a channel's range has, where batch normalization tells it.
    /// Maps have longer tails than normal variables, and what is cut off costs more than coarser steps. The default was
    /// the best of 3 to 24 on images that are neither training nor test images (`docs/quantization.md`).
    pub deviations: f64,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        Self { equalize: true, clip_weights: true, correct_bias: true, deviations: 8.0 }
    }
}

impl QuantizeOptions {
    /// Sets [`equalize`](Self::equalize).
    #[must_use]
    pub fn equalize(mut self, equalize: bool) -> Self {
        self.equalize = equalize;
        self
    }

    /// Sets [`clip_weights`](Self::clip_weights).
    #[must_use]
    pub fn clip_weights(mut self, clip: bool) -> Self {
        self.clip_weights = clip;
        self
    }

    /// Sets [`correct_bias`](Self::correct_bias).
    #[must_use]
    pub fn correct_bias(mut self, correct: bool) -> Self {
        self.correct_bias = correct;
        self
    }

    /// Sets [`deviations`](Self::deviations).
    #[must_use]
    pub fn deviations(mut self, deviations: f64) -> Self {
        self.deviations = deviations;
        self
    }
}

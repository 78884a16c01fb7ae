//! Filters of convolutions, and the rounding of their values.

/// The parameters of a convolution with batch normalization folded into them.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Filter<'a> {
    /// `[out, in, kernel, kernel]`, `[channels, 1, kernel, kernel]` where depthwise, `[out, in]` where linear.
    pub weights: &'a [f32],
    /// Factor of the weights of each output channel, `[out]`.
    pub scale: &'a [f64],
    /// Bias of each output channel, `[out]`.
    pub bias: &'a [f64],
}

/// The nearest f32, with denormals flushed to zero.
#[inline(always)]
pub(crate) fn rounded(value: f64) -> f32 {
    flushed(value as f32)
}

/// Flushes denormals to zero: some processors take a hundred times as long for them.
#[inline(always)]
pub(crate) fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

//! Maps and filters of 8-bit integers, and the arithmetic from sums to results.
//!
//! A byte `q` of a map stands for `scale * (q - zero_point)`. A layer adds up integers without rounding. Its result is
//! computed from the sum in f32, each operation rounded, so that all instruction sets agree to the last bit:
//!
//! ```text
//! to a map of bytes      round(clamp(sum * (scale / S) + (bias / S + z)))    factors computed in f64, rounded once
//! to a map of f32        clamp(sum * scale + bias)
//! ```
//!
//! where `S` and `z` are the written map's. Bounds of the activation are rounded to integers, and so is the result,
//! half to even.

use crate::error::{Error, Result};
use crate::gemm::Clamp;

/// How the bytes of a map are read: `q` stands for `scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct Quantization {
    /// The distance of neighboring values.
    pub scale: f32,
    /// The byte that stands for zero.
    pub zero_point: u8,
}

impl Quantization {
    /// The number that `q` stands for.
    pub fn value(self, q: u8) -> f32 {
        self.scale * (f32::from(q) - f32::from(self.zero_point))
    }

    /// Checks that the scale is a positive number whose reciprocal is finite.
    pub(crate) fn check(self) -> Result<()> {
        let valid = self.scale > 0.0 && self.scale.is_finite() && (1.0 / self.scale).is_finite();
        if valid { Ok(()) } else { Err(Error::Scale { scale: self.scale }) }
    }
}

/// The parameters of a convolution of maps of bytes, with batch normalization folded into them. A result before the
/// activation is `scale * sum(weight * (q - zero point)) + bias`.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct QuantizedFilter<'a> {
    /// `[out, in, kernel, kernel]`, `[channels, 1, 3, 3]` where depthwise.
    pub weights: &'a [i8],
    /// Value of a unit of the sum, `[out]`: the product of the scales of inputs and weights.
    pub scale: &'a [f32],
    /// Bias, `[out]`.
    pub bias: &'a [f32],
}

/// From the sums of a layer to its results: `clamp(sum * factor + addend)`.
#[derive(Clone, Debug)]
pub(crate) struct Requantization {
    /// For each output channel.
    pub(crate) factors: Vec<f32>,
    pub(crate) addends: Vec<f32>,
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Requantization {
    /// The arithmetic of `filter` for a map of `output`, f32 where there is none.
    pub(crate) fn new(filter: &QuantizedFilter<'_>, output: Option<Quantization>, clamp: Clamp) -> Result<Self> {
        let Some(Quantization { scale, zero_point }) = output else {
            let (factors, addends) = (filter.scale.to_vec(), filter.bias.to_vec());
            return Self { factors, addends, low: clamp.low, high: clamp.high }.checked();
        };
        let (scale, zero) = (f64::from(scale), f64::from(zero_point));
        let factors = filter.scale.iter().map(|&value| (f64::from(value) / scale) as f32).collect();
        let addends = filter.bias.iter().map(|&value| (f64::from(value) / scale + zero) as f32).collect();
        let bound = |value: f32| (f64::from(value) / scale + zero).round_ties_even().clamp(0.0, 255.0) as f32;
        Self { factors, addends, low: bound(clamp.low), high: bound(clamp.high) }.checked()
    }

    fn checked(self) -> Result<Self> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if finite(&self.factors) && finite(&self.addends) { Ok(self) } else { Err(Error::NotFinite) }
    }
}

/// The sum of a channel with no products: the correction for the zero points of inputs. `parts` are the weights of each
/// input with its zero point.
///
/// # Errors
///
/// [`Error::SumOverflow`] where a sum of some inputs does not fit an i32. Instructions wrap around, so that it does not
/// matter in which order products are added.
pub(crate) fn first_sum(channel: usize, parts: impl Iterator<Item = (i8, u8)>) -> Result<i32> {
    let (mut correction, mut least, mut most) = (0_i64, 0_i64, 0_i64);
    for (weight, zero_point) in parts {
        let (weight, zero) = (i64::from(weight), i64::from(zero_point));
        let (at_zero, at_most) = (-weight * zero, weight * (255 - zero));
        correction += at_zero;
        least += at_zero.min(at_most);
        most += at_zero.max(at_most);
    }
    let fits = |sum: i64| i32::try_from(sum).is_ok();
    if fits(least) && fits(most) {
        // All inputs at zero are one of the cases between.
        Ok(correction as i32)
    } else {
        Err(Error::SumOverflow { channel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_that_could_overflow_are_refused() {
        // 255 * 127 * 66_311 is the greatest multiple below 2^31.
        let sum = |count: usize| first_sum(3, std::iter::repeat_n((127, 0), count));
        assert_eq!(sum(66_311).unwrap(), 0);
        assert!(matches!(sum(66_312), Err(Error::SumOverflow { channel: 3 })));
        // Half of the inputs lie below a zero point of 128, so that twice as many products fit.
        let sum = |count: usize| first_sum(0, std::iter::repeat_n((127, 128), count));
        assert_eq!(sum(100_000).unwrap(), -127 * 128 * 100_000);
        assert!(sum(140_000).is_err());
    }

    #[test]
    fn bounds_are_integers_of_the_map() {
        let filter = QuantizedFilter { weights: &[1], scale: &[0.5], bias: &[1.0] };
        let relu6 = |scale: f32, zero_point: u8| {
            let output = Some(Quantization { scale, zero_point });
            let Requantization { factors, addends, low, high } =
                Requantization::new(&filter, output, Clamp::RELU6).unwrap();
            (factors[0], addends[0], low, high)
        };
        assert_eq!(relu6(0.25, 0), (2.0, 4.0, 0.0, 24.0));
        assert_eq!(relu6(0.01, 128), (50.0, 228.0, 128.0, 255.0));
        let unbounded = Requantization::new(&filter, Some(Quantization { scale: 1.0, zero_point: 7 }), Clamp::NONE);
        let unbounded = unbounded.unwrap();
        assert_eq!((unbounded.low, unbounded.high), (0.0, 255.0));
        let infinite = QuantizedFilter { scale: &[f32::INFINITY], ..filter };
        assert!(matches!(Requantization::new(&infinite, None, Clamp::NONE), Err(Error::NotFinite)));
        assert!(Quantization { scale: 1e-45, zero_point: 0 }.check().is_err());
    }
}

//! Values of stored tensors as f32, and back in the types that are written.

use half::{bf16, f16};
use hardnet_checkpoint::{Checkpoint, Dtype, Error, Format};

use crate::convert::Precision;
use crate::scheme::NamedParam;

/// A type that a parameter may be stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatType {
    F64,
    F32,
    F16,
    Bf16,
}

impl FloatType {
    /// The type of a tensor of `dtype` in a file of `format`. Paddle writes bf16 as unsigned integers of 16 bits, which
    /// no parameter is.
    pub(crate) fn new(dtype: Dtype, format: Format) -> Option<Self> {
        Some(match (dtype, format) {
            (Dtype::F64, _) => Self::F64,
            (Dtype::F32, _) => Self::F32,
            (Dtype::F16, _) => Self::F16,
            (Dtype::Bf16, _) | (Dtype::U16, Format::Paddle) => Self::Bf16,
            _ => return None,
        })
    }
}

/// Reads the values of tensor `index`; none if its type is not a [`FloatType`]. An f64 is rounded to the nearest f32,
/// ties to even.
pub(crate) fn read(checkpoint: &Checkpoint, index: usize) -> Result<Vec<f32>, Error> {
    let tensor = &checkpoint.tensors()[index];
    let Some(dtype) = FloatType::new(tensor.dtype, checkpoint.format()) else { return Ok(Vec::new()) };
    // As many as the file has, or reading fails.
    let count = tensor.shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
    let count = count.filter(|&count| count <= checkpoint.byte_count());
    let mut values = Vec::with_capacity(count.unwrap_or(0));
    checkpoint.read_parts(index, &mut |part| values.extend(decode(part, dtype)))?;
    Ok(values)
}

/// Surveys the values of tensor `index` for what a file is refused for: their greatest [`magnitude`], and whether one
/// is below zero.
pub(crate) fn survey(checkpoint: &Checkpoint, index: usize) -> Result<(f32, bool), Error> {
    let (mut most, mut negative) = (0_f32, false);
    let Some(dtype) = FloatType::new(checkpoint.tensors()[index].dtype, checkpoint.format()) else {
        return Ok((most, negative));
    };
    checkpoint.read_parts(index, &mut |bytes| {
        // Some at a time, in a cache.
        for part in bytes.chunks(8 * 1024) {
            let values = decode(part, dtype);
            most = magnitude(&[most, magnitude(&values)]);
            negative |= values.iter().any(|&value| value < 0.0);
        }
    })?;
    Ok((most, negative))
}

/// The values that `bytes` hold as `dtype`.
pub(crate) fn decode(bytes: &[u8], dtype: FloatType) -> Vec<f32> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
    }
    match dtype {
        FloatType::F64 => each(bytes, |chunk| f64::from_le_bytes(chunk) as f32),
        FloatType::F32 => each(bytes, f32::from_le_bytes),
        FloatType::F16 => each(bytes, |chunk| f16::from_le_bytes(chunk).to_f32()),
        FloatType::Bf16 => each(bytes, |chunk| bf16::from_le_bytes(chunk).to_f32()),
    }
}

/// The bytes of `values` in `precision`, rounded to nearest, ties to even.
pub(crate) fn encode(values: &[f32], precision: Precision) -> Vec<u8> {
    fn each<const N: usize>(values: &[f32], bytes: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
        let mut out = vec![0; values.len() * N];
        for (chunk, &value) in out.as_chunks_mut::<N>().0.iter_mut().zip(values) {
            *chunk = bytes(value);
        }
        out
    }
    match precision {
        Precision::F32 => each(values, f32::to_le_bytes),
        Precision::F16 => each(values, |value| f16::from_f32(value).to_le_bytes()),
        Precision::Bf16 => each(values, |value| bf16::from_f32(value).to_le_bytes()),
    }
}

/// The greatest magnitude of a finite value that rounding to `precision` keeps finite.
pub(crate) fn greatest(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => f32::MAX,
        // Below the middle between the greatest value and the next power of two, which rounds up to infinity.
        Precision::F16 => f32::from_bits(0x477f_efff),
        Precision::Bf16 => f32::from_bits(0x7f7f_7fff),
    }
}

/// The greatest magnitude of `values`, or infinity or NaN if there is one.
pub(crate) fn magnitude(values: &[f32]) -> f32 {
    // As integers magnitudes are ordered, infinity above them and NaN above infinity.
    f32::from_bits(values.iter().fold(0, |most, value| most.max(value.to_bits() & 0x7fff_ffff)))
}

/// The values of a tensor in its canonical shape.
pub(crate) fn canonical(values: Vec<f32>, named: &NamedParam) -> Vec<f32> {
    match named.shape()[..] {
        [rows, columns] if named.transposed => transpose(&values, rows, columns),
        _ => values,
    }
}

/// The transpose of a matrix of `rows` times `columns` in row-major order.
pub(crate) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_value_stays_finite_and_the_next_does_not() {
        let above = |value: f32| f32::from_bits(value.to_bits() + 1);
        for (precision, dtype) in [(Precision::F16, FloatType::F16), (Precision::Bf16, FloatType::Bf16)] {
            let greatest = greatest(precision);
            let back = decode(&encode(&[greatest, -greatest, above(greatest)], precision), dtype);
            assert!(back[0].is_finite() && back[1].is_finite() && back[2].is_infinite(), "{precision}: {back:?}");
        }
    }

    #[test]
    fn values_round_to_nearest_ties_to_even() {
        let f64s = [1.0_f64, 1.0 + 2.0_f64.powi(-24), 1.0 + 3.0 * 2.0_f64.powi(-24), 1e300, -0.0];
        let bytes: Vec<u8> = f64s.iter().flat_map(|value| value.to_le_bytes()).collect();
        let ulp = f32::EPSILON;
        assert_eq!(decode(&bytes, FloatType::F64), [1.0, 1.0, 1.0 + 2.0 * ulp, f32::INFINITY, 0.0]);
        let halves = encode(&[1.0, 1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 1e-8], Precision::F16);
        assert_eq!(halves, [0x00, 0x3c, 0x00, 0x3c, 0x02, 0x3c, 0x00, 0x00]);
    }

    #[test]
    fn a_magnitude_finds_what_is_not_finite() {
        assert_eq!(magnitude(&[]), 0.0);
        assert_eq!(magnitude(&[1.0, -3.5, 2.0]), 3.5);
        assert_eq!(magnitude(&[1.0, f32::NEG_INFINITY]), f32::INFINITY);
        for nan in [f32::NAN, -f32::NAN] {
            assert!(magnitude(&[f32::INFINITY, nan, 1.0]).is_nan());
        }
    }

    #[test]
    fn a_survey_sees_what_the_values_are() {
        use safetensors::tensor::{Dtype, TensorView, serialize};

        for (at, value) in [(0, -7.0), (1024, f32::NAN), (2999, f32::INFINITY), (2048, 7.0)] {
            let mut values = vec![1.0_f32; 3000];
            values[at] = value;
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = TensorView::new(Dtype::F32, vec![3000], &bytes).unwrap();
            let file = serialize([("x", tensor)], None).unwrap();
            let (most, negative) = survey(&Checkpoint::from_bytes(file).unwrap(), 0).unwrap();
            assert_eq!((most.to_bits(), negative), (value.abs().to_bits(), value == -7.0));
        }
    }

    #[test]
    fn a_transpose_exchanges_rows_and_columns() {
        assert_eq!(transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}

//! Packing of 8-bit weights.
//!
//! Weights of dense convolutions are panels of blocks of sixteen output channels, each `[k / 4, channels, 4]`: four
//! weights of a channel side by side, as products of bytes are added. `k` runs over the taps, the maps and the channels
//! of each, where the channels of a map are filled up to a multiple of four by zeros.
#![allow(unsafe_code)]

use hardnet_simd::{BYTE_LANES, Dot, DotKernel, Isa, dispatch_dot};

use super::winograd::ByteTile;
use crate::error::Result;
use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::gemm::Clamp;
use crate::ops::depthwise::{SIDE, TAPS};
use crate::quantization::{Quantization, QuantizedFilter, Requantization, first_sum};

/// Bytes that a product adds up in a lane.
pub(crate) const GROUP: usize = 4;

/// Values of [`PackedBytes::lanes`] of a block.
pub(crate) const LANE_VALUES: usize = 3 * BYTE_LANES;

/// Packed 8-bit weights, and what is done to the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedBytes {
    pub(crate) weights: PackedSlice,
    /// For each block of channels: first sums (i32), factors and addends, sixteen of each.
    pub(crate) lanes: PackedSlice,
    pub(crate) low: f32,
    pub(crate) high: f32,
}

/// An input of a convolution: the channels and the zero point of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByteInput {
    pub(crate) channels: usize,
    pub(crate) zero_point: u8,
}

/// Blocks of each panel of `blocks` blocks of output channels on `isa`.
pub(crate) fn panels(isa: Isa, blocks: usize) -> Vec<usize> {
    struct Tiles;
    impl DotKernel for Tiles {
        type Output = [usize; 3];

        #[inline(always)]
        fn run<D: Dot>(self, _: D) -> [usize; 3] {
            D::TILES
        }
    }
    split_into_panels(dispatch_dot(isa, Tiles), blocks)
}

/// [`panels`] for tiles of `tiles` pixels: pairs of blocks, and where one is left three.
fn split_into_panels(tiles: [usize; 3], blocks: usize) -> Vec<usize> {
    if tiles[1] == 0 {
        return vec![1; blocks];
    }
    let mut panels = vec![2; blocks / 2];
    match (blocks % 2, panels.last_mut()) {
        (0, _) => {}
        (_, Some(last)) => *last = 3,
        (_, None) => panels.push(1),
    }
    panels
}

/// Packs the filter of a dense convolution of `inputs` by `taps` taps for panels of `panels` blocks.
pub(crate) fn dense(
    isa: Isa,
    filter: &QuantizedFilter<'_>,
    (inputs, taps): (&[ByteInput], usize),
    panels: &[usize],
    output: (Option<Quantization>, Clamp),
    packed: &mut PackedWeights,
) -> Result<PackedBytes> {
    let per_output = inputs.iter().map(|input| input.channels).sum::<usize>() * taps;
    let lanes = dense_lanes(filter, (inputs, taps), input_offset(isa), output, packed)?;
    // Where the weights of each row come from: the first of them, their number and their distance.
    let mut rows = Vec::new();
    for tap in 0..taps {
        let mut first = 0;
        for input in inputs {
            for channel in (0..input.channels).step_by(GROUP) {
                rows.push(((first + channel) * taps + tap, GROUP.min(input.channels - channel)));
            }
            first += input.channels;
        }
    }
    let weight = |channel: usize, (at, count): (usize, usize)| -> [i8; GROUP] {
        let weights = filter.weights.get(channel * per_output..(channel + 1) * per_output).unwrap_or(&[]);
        std::array::from_fn(|k| if k < count { weights.get(at + k * taps).copied().unwrap_or(0) } else { 0 })
    };
    struct Pack<'a, F> {
        panels: &'a [usize],
        rows: &'a [(usize, usize)],
        weight: F,
        packed: &'a mut PackedWeights,
    }
    impl<F: Fn(usize, (usize, usize)) -> [i8; GROUP]> DotKernel for Pack<'_, F> {
        type Output = PackedSlice;

        #[inline(always)]
        fn run<D: Dot>(self, _: D) -> PackedSlice {
            let Self { panels, rows, weight, packed } = self;
            let blocks: usize = panels.iter().sum();
            push_bytes(packed, rows.len() * blocks * BYTE_LANES * GROUP * D::WEIGHT_BYTES, |mut bytes| {
                let mut first = 0;
                for &blocks in panels {
                    let vectors = blocks * BYTE_LANES / D::LANES;
                    for &row in rows {
                        for vector in 0..vectors {
                            let channel = first + vector * D::LANES;
                            let weights: Vec<[i8; GROUP]> =
                                (channel..channel + D::LANES).map(|channel| weight(channel, row)).collect();
                            let (to, rest) = bytes.split_at_mut(D::LANES * GROUP * D::WEIGHT_BYTES);
                            D::pack(&weights, to);
                            bytes = rest;
                        }
                    }
                    first += blocks * BYTE_LANES;
                }
            })
        }
    }
    let weights = dispatch_dot(isa, Pack { panels, rows: &rows, weight, packed });
    let Requantized { slice, low, high } = lanes;
    Ok(PackedBytes { weights, lanes: slice, low, high })
}

/// Packs the filter of a 3x3 convolution of `inputs` for Winograd's algorithm.
pub(crate) fn winograd(
    isa: Isa,
    tile: ByteTile,
    filter: &QuantizedFilter<'_>,
    inputs: &[ByteInput],
    output: (Option<Quantization>, Clamp),
    packed: &mut PackedWeights,
) -> Result<PackedBytes> {
    let Requantized { slice, low, high } = dense_lanes(filter, (inputs, TAPS), 0, output, packed)?;
    Ok(PackedBytes { weights: super::winograd::pack(isa, tile, filter, inputs, packed), lanes: slice, low, high })
}

/// Vectors of weights of a depthwise convolution for each vector of channels: those of the window's three rows, for an
/// output and for its right neighbor.
pub(crate) const DEPTHWISE_VECTORS: usize = 2 * SIDE;

/// Packs the filter of a depthwise convolution: for each vector of channels, rows of three weights and a zero, and a
/// zero and three weights.
pub(crate) fn depthwise(
    isa: Isa,
    filter: &QuantizedFilter<'_>,
    zero_point: u8,
    output: (Option<Quantization>, Clamp),
    packed: &mut PackedWeights,
) -> Result<PackedBytes> {
    struct Pack<'a> {
        filter: &'a QuantizedFilter<'a>,
        packed: &'a mut PackedWeights,
    }
    impl DotKernel for Pack<'_> {
        type Output = PackedSlice;

        #[inline(always)]
        fn run<D: Dot>(self, _: D) -> PackedSlice {
            let Self { filter, packed } = self;
            let channels = filter.bias.len().next_multiple_of(BYTE_LANES);
            push_bytes(packed, channels * DEPTHWISE_VECTORS * GROUP * D::WEIGHT_BYTES, |mut bytes| {
                for first in (0..channels).step_by(D::LANES) {
                    for vector in 0..DEPTHWISE_VECTORS {
                        let (row, shift) = (vector % SIDE, vector / SIDE);
                        let weights: Vec<[i8; GROUP]> = (first..first + D::LANES)
                            .map(|channel| {
                                let weights = filter.weights.get(channel * TAPS + row * SIDE..).unwrap_or(&[]);
                                let mut four = [0; GROUP];
                                four[shift..].iter_mut().zip(weights).take(SIDE).for_each(|(to, &weight)| *to = weight);
                                four
                            })
                            .collect();
                        let (to, rest) = bytes.split_at_mut(D::LANES * GROUP * D::WEIGHT_BYTES);
                        D::pack(&weights, to);
                        bytes = rest;
                    }
                }
            })
        }
    }
    let offset = input_offset(isa);
    let first_sum = |channel: usize| {
        let weights = &filter.weights[channel * TAPS..][..TAPS];
        let sum = first_sum(channel, weights.iter().map(|&weight| (weight, zero_point)))?;
        Ok(with_offset(sum, offset, weights))
    };
    let lanes = lanes(filter, output, first_sum, packed)?;
    let weights = dispatch_dot(isa, Pack { filter, packed });
    let Requantized { slice, low, high } = lanes;
    Ok(PackedBytes { weights, lanes: slice, low, high })
}

/// The number that products of bytes on `isa` subtract from inputs.
fn input_offset(isa: Isa) -> i32 {
    struct Offset;
    impl DotKernel for Offset {
        type Output = i32;

        #[inline(always)]
        fn run<D: Dot>(self, _: D) -> i32 {
            D::INPUT_OFFSET
        }
    }
    dispatch_dot(isa, Offset)
}

/// A first sum of products that subtract `offset` from inputs. It wraps, as sums do, and the last sum is the same.
fn with_offset(sum: i32, offset: i32, weights: &[i8]) -> i32 {
    weights.iter().fold(sum, |sum, &weight| sum.wrapping_add(offset * i32::from(weight)))
}

/// [`lanes`] of a dense convolution of `inputs` by `taps` taps, whose products subtract `offset` from inputs.
fn dense_lanes(
    filter: &QuantizedFilter<'_>,
    (inputs, taps): (&[ByteInput], usize),
    offset: i32,
    output: (Option<Quantization>, Clamp),
    packed: &mut PackedWeights,
) -> Result<Requantized> {
    let zero_points: Vec<u8> =
        inputs.iter().flat_map(|input| std::iter::repeat_n(input.zero_point, input.channels * taps)).collect();
    let first_sum = |channel: usize| {
        let weights = &filter.weights[channel * zero_points.len()..][..zero_points.len()];
        let sum = first_sum(channel, weights.iter().copied().zip(zero_points.iter().copied()))?;
        Ok(with_offset(sum, offset, weights))
    };
    lanes(filter, output, first_sum, packed)
}

/// Packed [`PackedBytes::lanes`] and the bounds of results.
struct Requantized {
    slice: PackedSlice,
    low: f32,
    high: f32,
}

/// Packs first sums, factors and addends. Those of lanes past the last channel give zeros.
fn lanes(
    filter: &QuantizedFilter<'_>,
    (output, clamp): (Option<Quantization>, Clamp),
    first_sum: impl Fn(usize) -> Result<i32>,
    packed: &mut PackedWeights,
) -> Result<Requantized> {
    let Requantization { factors, addends, low, high } = Requantization::new(filter, output, clamp)?;
    let sums = (0..factors.len()).map(first_sum).collect::<Result<Vec<i32>>>()?;
    let zero = output.map_or(0.0, |output| f32::from(output.zero_point));
    let slice = packed.push(factors.len().div_ceil(BYTE_LANES) * LANE_VALUES, |values| {
        for (block, values) in values.chunks_exact_mut(LANE_VALUES).enumerate() {
            for lane in 0..BYTE_LANES {
                let channel = block * BYTE_LANES + lane;
                let sum = sums.get(channel).copied().unwrap_or(0);
                values[lane] = f32::from_bits(sum.cast_unsigned());
                values[BYTE_LANES + lane] = factors.get(channel).copied().unwrap_or(0.0);
                values[2 * BYTE_LANES + lane] = addends.get(channel).copied().unwrap_or(zero);
            }
        }
    });
    Ok(Requantized { slice, low, high })
}

/// Takes room for `len` bytes, which `fill` writes over zeros.
pub(super) fn push_bytes(packed: &mut PackedWeights, len: usize, fill: impl FnOnce(&mut [u8])) -> PackedSlice {
    packed.push(len.div_ceil(size_of::<f32>()), |values| {
        // SAFETY: any bytes are values of f32 and the other way round, and bytes have no alignment.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), size_of_val(values)) };
        fill(&mut bytes[..len]);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_have_all_blocks() {
        for tiles in [[4, 0, 0], [14, 14, 9]] {
            for blocks in 1..40 {
                let panels = split_into_panels(tiles, blocks);
                assert_eq!(panels.iter().sum::<usize>(), blocks, "{panels:?}");
                assert!(panels.iter().all(|&panel| tiles[panel - 1] > 0), "{panels:?}");
            }
        }
        let wide = |blocks| split_into_panels([14, 14, 9], blocks);
        assert_eq!((wide(1), wide(5), wide(6)), (vec![1], vec![2, 3], vec![2, 2, 2]));
    }
}

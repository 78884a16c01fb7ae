//! Packing of transformed filters.
#![allow(unsafe_code)]

use hardnet_simd::{BYTE_LANES, Isa};

use super::{ByteTile, panels};
use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::ops::depthwise::TAPS;
use crate::ops::quantized::pack::ByteInput;
use crate::quantization::QuantizedFilter;

/// Packs transformed filters: for each panel of output channels and each position, pairs of input channels by output
/// channels. The channels of an input are filled up to an even number.
pub(crate) fn pack(
    isa: Isa,
    tile: ByteTile,
    filter: &QuantizedFilter<'_>,
    inputs: &[ByteInput],
    packed: &mut PackedWeights,
) -> PackedSlice {
    let per_output: usize = inputs.iter().map(|input| input.channels * TAPS).sum();
    let depth: usize = inputs.iter().map(|input| input.channels.next_multiple_of(2)).sum();
    let channels = filter.bias.len();
    let blocks = channels.div_ceil(BYTE_LANES);
    let values = blocks * tile.positions() * depth * BYTE_LANES;
    packed.push(values.div_ceil(2), |floats| {
        // SAFETY: any 16-bit values are values of f32 and the other way round, whose alignment is larger.
        let words = unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast::<i16>(), 2 * floats.len()) };
        let mut first = 0;
        for lanes in panels(isa, blocks) {
            let panel = &mut words[first * tile.positions() * depth..];
            for channel in first..(first + lanes).min(channels) {
                let weights = &filter.weights[channel * per_output..][..per_output];
                let (mut k, mut source) = (0, 0);
                for input in inputs {
                    for at in 0..input.channels {
                        let weights = &weights[(source + at) * TAPS..][..TAPS];
                        let transformed = tile.transform(weights.try_into().unwrap_or(&[0; TAPS]));
                        let pair = ((k + at) / 2 * lanes + channel - first) * 2 + (k + at) % 2;
                        for y in 0..tile.side() {
                            for x in 0..tile.side() {
                                panel[(y * tile.side() + x) * depth * lanes + pair] = transformed[y][x];
                            }
                        }
                    }
                    k += input.channels.next_multiple_of(2);
                    source += input.channels;
                }
            }
            first += lanes;
        }
    })
}

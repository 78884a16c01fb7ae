//! Packing of filters.
//!
//! Filters of tiles of 4x4 outputs are packed as they are, `[chunk, panel, pair of inputs, 9, outputs, 2]` bytes, and
//! transformed as a task comes to a panel: transformed ones would be eight times as many bytes. Those of tiles of 2x2
//! outputs are packed transformed, `[panel, 4, 4, pair of inputs, outputs, 2]` values of 16 bits.
#![allow(unsafe_code)]

use hardnet_simd::{BYTE_LANES, Isa};

use super::{ByteTile, Chunk, chunks, panels};
use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::ops::depthwise::TAPS;
use crate::ops::quantized::pack::{ByteInput, push_bytes};
use crate::quantization::QuantizedFilter;

/// Packs the filters of `inputs` for `tile`. The channels of each block of inputs are filled up to an even number.
pub(crate) fn pack(
    isa: Isa,
    tile: ByteTile,
    filter: &QuantizedFilter<'_>,
    inputs: &[ByteInput],
    packed: &mut PackedWeights,
) -> PackedSlice {
    let outputs = filter.bias.len();
    let per_output = filter.weights.len() / outputs.max(1);
    let chunks = chunks(tile, inputs.iter().map(|input| input.channels));
    let depth: usize = chunks.iter().map(|chunk| chunk.depth).sum();
    // Bytes of a filter.
    let size = if tile == ByteTile::Two { 2 * tile.positions() } else { TAPS };
    let blocks = outputs.div_ceil(BYTE_LANES);
    push_bytes(packed, blocks * BYTE_LANES * depth * size, |mut bytes| {
        for Chunk { channels, depth, .. } in &chunks {
            let mut first = 0;
            for lanes in panels(isa, blocks) {
                let (panel, rest) = std::mem::take(&mut bytes).split_at_mut(size * depth * lanes);
                bytes = rest;
                for output in first..(first + lanes).min(outputs) {
                    let weights = &filter.weights[output * per_output..][..per_output];
                    for (k, &source) in channels.iter().enumerate() {
                        let Some(source) = source else { continue };
                        let weights = weights[source * TAPS..][..TAPS].try_into().unwrap_or(&[0; TAPS]);
                        let place = Place { panel, pair: k / 2, odd: k % 2, lane: output - first, lanes };
                        match tile {
                            ByteTile::Two => place.transformed(tile, weights, *depth),
                            ByteTile::Four => place.taps(weights),
                        }
                    }
                }
                first += lanes;
            }
        }
    })
}

/// The place of a filter in a panel.
struct Place<'a> {
    panel: &'a mut [u8],
    pair: usize,
    /// Of the pair.
    odd: usize,
    lane: usize,
    lanes: usize,
}

impl Place<'_> {
    fn taps(self, weights: &[i8; TAPS]) {
        for (tap, weight) in weights.iter().enumerate() {
            let at = ((self.pair * TAPS + tap) * self.lanes + self.lane) * 2 + self.odd;
            self.panel[at] = weight.cast_unsigned();
        }
    }

    fn transformed(self, tile: ByteTile, weights: &[i8; TAPS], depth: usize) {
        let transformed = tile.transform(weights);
        for (y, row) in transformed.iter().take(tile.side()).enumerate() {
            for (x, value) in row.iter().take(tile.side()).enumerate() {
                let position = (y * tile.side() + x) * depth * self.lanes;
                let at = position + (self.pair * self.lanes + self.lane) * 2 + self.odd;
                self.panel[2 * at..][..2].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
}

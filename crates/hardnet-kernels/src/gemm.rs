//! The micro-kernel of every convolution: a tile of pixels times a panel of output channels.
//!
//! A convolution is a matrix product: `output[pixel][channel] = sum over k of input[pixel][k] * weight[k][channel]`,
//! where `k` runs over the taps of the window and the input channels. The naive loop is
//!
//! ```text
//! for pixel { for channel { for k { sum += input[pixel][k] * weight[k][channel] } } }
//! ```
//!
//! It loads two values for each multiplication. As in the product of Goto and van de Geijn ("Anatomy of
//! high-performance matrix multiplication", 2008; BLIS calls it the micro-kernel), the fast loop keeps a tile of sums
//! in registers and makes each value that it loads count several times:
//!
//! ```text
//!                          weight[k], a row of the panel
//!                        | channels 0..8 | channels 8..16 |     two vectors, loaded once
//! input[pixel 0][k]  ->  |  sums[0][0]   |   sums[0][1]   |
//! input[pixel 1][k]  ->  |  sums[1][0]   |   sums[1][1]   |     one value a pixel, broadcast
//!        ...             |     ...       |      ...       |
//! input[pixel 5][k]  ->  |  sums[5][0]   |   sums[5][1]   |
//!
//! for panel { for tile of pixels { for k { sums += weight[k] * input[..][k] } } }
//! ```
//!
//! That is the tile of AVX2: with 6 pixels by 2 vectors, 8 loads serve 12 multiplications, and 12 independent sums hide
//! the latency of fused multiply-add. They take 12 of 16 registers. AVX-512 has 32 registers, each of two blocks of
//! channels, and a tile of 14 pixels by 2 vectors, where 16 loads serve 28 multiplications of twice the width:
//!
//! ```text
//!                          weight[k], a row of the panel
//!                        | channels 0..16 | channels 16..32 |
//! input[pixel  0][k] ->  |   sums[0][0]   |    sums[0][1]   |
//! input[pixel  1][k] ->  |   sums[1][0]   |    sums[1][1]   |
//!        ...             |      ...       |       ...       |
//! input[pixel 13][k] ->  |  sums[13][0]   |   sums[13][1]   |
//! ```
//!
//! [`Simd::TILES`] has all sizes: panels of one and three vectors have tiles of other heights. For three vectors of
//! AVX2, 4 pixels would have 7 loads for 12 products, but leave no register for the values.
//!
//! Unlike that product, only weights are packed: into panels of as many output channels as a tile has,
//! `[k, blocks, 8]`, so that they are read in order. Inputs are broadcast, so pixels may lie anywhere: a stride, a
//! halo, a window and a list of maps cost nothing. What a pixel contributes along `k` is a list of [`KSegment`]s of
//! consecutive values: a block of channels of one tap, or a row of the image's window. Nor is `k` divided, as in BLIS:
//! the inputs of a tile fit a cache since layers have at most some thousand products, and each output is one sum in the
//! order of the segments. Results depend on neither tiles nor threads.
//!
//! While one panel is multiplied, the next one's weights are [prefetched](Panel::prefetch), some cache lines with each
//! segment: the hardware does not know that a panel ends.
#![allow(unsafe_code)]

mod cursor;
mod panel;
mod tile;

use hardnet_simd::{LANES, Simd};

pub(crate) use cursor::{Stride, TileCursor, TilePixels};
pub use panel::Clamp;
pub(crate) use panel::{KSegment, MAX_BLOCKS, Panel, panels};
use tile::{Prefetcher, Tile};

/// Most vectors of output channels in a tile.
const MAX_VECTORS: usize = 3;

/// Most pixels of a tile.
const MAX_PIXELS: usize = 14;

/// Pixels of a tile from which on their addresses, if each is computed, do not fit the registers, so that tiles whose
/// pixels lie side by side are compiled for themselves.
pub(crate) const EVEN_PIXELS: usize = 6;

/// Computes `count` pixels of `cursor` from `input` for one panel.
///
/// # Safety
/// * For each pixel of the cursor and each segment, `input` plus both offsets is valid for reading the segment's
///   values.
/// * Weights and biases are as [`Panel`] says.
/// * `output` plus the pixel's offset plus `plane` times any of the panel's blocks is valid for writing 8 values, which
///   no other thread reads or writes, and which are set where the panel has no bias.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd>(
    s: S,
    segments: &[KSegment],
    input: *const f32,
    mut cursor: TileCursor,
    mut count: usize,
    panel: &Panel,
) {
    let s = s.widest();
    let vectors = panel.blocks.div_ceil(S::Widest::BLOCKS);
    let max_pixels = S::Widest::TILES[vectors - 1];
    let mut prefetcher = Prefetcher::new(panel, segments.len() * count.div_ceil(max_pixels));
    while count > 0 {
        let pixels = next_tile_pixels(max_pixels, count);
        count -= pixels;
        let at = &cursor.advance(pixels, LANES);
        macro_rules! tiles {
            ($even:literal $(($vectors:literal, $pixels:literal))*) => {
                match (vectors, pixels) {
                    $(($vectors, $pixels) => {
                        // SAFETY: the caller's promises for these pixels; where `$even`, so is `at`.
                        let tile = unsafe {
                            Tile::<$pixels, $vectors, $even>::new(segments, input, at, panel, prefetcher)
                        };
                        s.call(tile);
                    })*
                    _ => unreachable!("a tile of {pixels} pixels and {vectors} vectors"),
                }
            };
        }
        // Conditions on constants alone: what they exclude is not compiled.
        if const { S::Widest::TILES[1] == 0 } {
            tiles! {
                false
                (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6)
            }
        } else if const { S::Widest::BLOCKS == 1 } {
            tiles! {
                false
                (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7) (1, 8)
                (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6)
                (3, 1) (3, 2) (3, 3)
            }
        } else if at.even && pixels >= EVEN_PIXELS {
            tiles! {
                true
                (1, 6) (1, 7) (1, 8) (1, 9) (1, 10) (1, 11) (1, 12) (1, 13) (1, 14)
                (2, 6) (2, 7) (2, 8) (2, 9) (2, 10) (2, 11) (2, 12) (2, 13) (2, 14)
                (3, 6) (3, 7) (3, 8) (3, 9)
            }
        } else {
            tiles! {
                false
                (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7)
                (1, 8) (1, 9) (1, 10) (1, 11) (1, 12) (1, 13) (1, 14)
                (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6) (2, 7)
                (2, 8) (2, 9) (2, 10) (2, 11) (2, 12) (2, 13) (2, 14)
                (3, 1) (3, 2) (3, 3) (3, 4) (3, 5) (3, 6) (3, 7) (3, 8) (3, 9)
            }
        }
        prefetcher.skip(segments.len());
    }
}

/// Pixels of the next tile where `count` are left: the last two tiles are alike, since a tile of one or two pixels
/// takes as long as one of four, because a sum waits for its last product.
pub(crate) fn next_tile_pixels(max_pixels: usize, count: usize) -> usize {
    if count > max_pixels && count < 2 * max_pixels { count.div_ceil(2) } else { count.min(max_pixels) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_alike_and_have_all_pixels() {
        for max_pixels in [3, 6, 8, 9, 14] {
            for count in 1..100 {
                let mut left = count;
                let mut tiles = vec![];
                while left > 0 {
                    tiles.push(next_tile_pixels(max_pixels, left));
                    left -= tiles.last().unwrap();
                }
                assert_eq!(tiles.iter().sum::<usize>(), count);
                assert!(count < 5 || tiles.iter().all(|&tile| tile > 1 && tile <= max_pixels), "{count}: {tiles:?}");
            }
        }
    }
}

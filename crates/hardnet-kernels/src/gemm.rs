//! The micro-kernel of every convolution: a tile of pixels times a panel of output channels.
//!
//! Output channels lie in the lanes of `V` of the widest vectors, and the values of `P` pixels are broadcast, so pixels may lie
//! anywhere: a stride, a border and a window cost nothing, and nothing is packed but the weights. What a pixel contributes
//! along `K` is a list of [`Run`]s of consecutive values: a block of channels of one tap, or a row of the image's window.
//! Each output is one sum in the order of the runs, whatever the tile: results depend on neither tiles nor threads.
#![allow(unsafe_code)]

mod tile;
mod walk;

use hardnet_simd::Isa;

use hardnet_simd::{Simd, widest_blocks};
use tile::{Ahead, Tile};
pub(crate) use walk::{Stride, Walk};

/// Most vectors of output channels in a tile.
const MAX_VECTORS: usize = 3;

/// Most blocks of output channels in a panel.
pub(crate) const MAX_BLOCKS: usize = 2 * MAX_VECTORS;

/// Most pixels of a tile.
const MAX_PIXELS: usize = 14;

/// Consecutive inputs along `K`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Values from the pixel's address.
    pub(crate) offset: usize,
    /// Number of values.
    pub(crate) count: usize,
}

/// Bounds of the results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least result.
    pub low: f32,
    /// The greatest result.
    pub high: f32,
}

impl Range {
    /// Every number: no activation.
    pub const ALL: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// `max(x, 0)`.
    pub const RELU: Self = Self { low: 0.0, high: f32::INFINITY };
    /// `min(max(x, 0), 6)`.
    pub const RELU6: Self = Self { low: 0.0, high: 6.0 };
}

/// One panel: `blocks` blocks of output channels, their weights `[K, blocks, 8]`, behind which [`BEHIND`](crate::memory::BEHIND) values are readable, and
/// biases `[blocks, 8]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub(crate) blocks: usize,
    pub(crate) weights: *const f32,
    /// Or null, where the sums go on from what the output holds.
    pub(crate) bias: *const f32,
    /// Output of the first block.
    pub(crate) output: *mut f32,
    /// Values from one block's output to the next's.
    pub(crate) plane: usize,
    pub(crate) range: Range,
    /// Weights that are needed after these, which are fetched meanwhile: their address and number.
    pub(crate) next: (*const f32, usize),
}

/// Computes `count` pixels of `walk` from `input` for one panel.
///
/// # Safety
/// For each pixel of the walk and each run, `input` plus both offsets is valid for reading the run's values; weights and
/// biases are as [`Panel`] says; `output` plus the pixel's offset plus `plane` times any of the panel's blocks is valid
/// for writing 8 values, which no other thread reads or writes, and which are set where the panel has no bias.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd>(
    s: S,
    runs: &[Run],
    input: *const f32,
    mut walk: Walk,
    mut count: usize,
    panel: &Panel,
) {
    let s = s.widest();
    let vectors = panel.blocks.div_ceil(S::Widest::BLOCKS);
    let most = most(S::Widest::BLOCKS, vectors);
    let mut ahead = Ahead::new(panel, runs.len() * count.div_ceil(most));
    while count > 0 {
        let pixels = tile(most, count);
        count -= pixels;
        let at = &walk.take(pixels);
        macro_rules! tiles {
            ($even:literal $(($vectors:literal, $pixels:literal))*) => {
                match (vectors, pixels) {
                    $(($vectors, $pixels) => {
                        s.call(Tile::<$pixels, $vectors, $even> { runs, input, at, panel, ahead });
                    })*
                    _ => unreachable!("a tile of {pixels} pixels and {vectors} vectors"),
                }
            };
        }
        macro_rules! wide_tiles {
            ($even:literal) => {
                tiles! {
                    $even
                    (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7) (1, 8) (1, 9) (1, 10) (1, 11) (1, 12) (1, 13) (1, 14)
                    (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6) (2, 7) (2, 8) (2, 9) (2, 10) (2, 11) (2, 12) (2, 13) (2, 14)
                    (3, 1) (3, 2) (3, 3) (3, 4) (3, 5) (3, 6) (3, 7) (3, 8) (3, 9)
                }
            };
        }
        if S::Widest::BLOCKS == 1 {
            tiles! {
                false
                (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7) (1, 8)
                (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6)
                (3, 1) (3, 2) (3, 3)
            }
        } else if at.even {
            wide_tiles!(true);
        } else {
            wide_tiles!(false);
        }
        ahead.advance(runs.len());
    }
}

/// The pixels of a tile of `vectors` vectors: with most, sums, weights and a value fit the registers, 16 of one block or 32
/// of two. 6x2 has 12 sums and 5 loads to 12 products; 4x3 would have as many but leaves no register for the values.
pub(crate) fn most(blocks: usize, vectors: usize) -> usize {
    match blocks {
        1 => [8, 6, 3][vectors - 1],
        _ => [MAX_PIXELS, MAX_PIXELS, 9][vectors - 1],
    }
}

/// Pixels of the next tile of `count` that are left, so that the last tiles are even: a tile of one or two pixels takes
/// as long as one of four, since a sum waits for its last product.
fn tile(most: usize, count: usize) -> usize {
    if count > most && count < 2 * most { count.div_ceil(2) } else { count.min(most) }
}

/// Products of a sum below which the time of a tile is not that of its products alone, and tiles of many pixels are worth more than
/// those that read a value for three vectors.
const SHALLOW: usize = 32;

/// Blocks of each panel of `blocks` blocks of output channels that are sums of `products` products on `isa`.
pub(crate) fn panels(isa: Isa, blocks: usize, products: usize) -> Vec<usize> {
    cut(widest_blocks(isa), blocks, products)
}

/// [`panels`] for vectors of `wide` blocks: pairs of vectors, and where one is left a triple, or one by itself.
fn cut(wide: usize, blocks: usize, products: usize) -> Vec<usize> {
    let pair = 2 * wide;
    let mut panels = vec![pair; blocks / pair];
    match (blocks % pair, panels.last_mut()) {
        (0, _) => {}
        (rest, Some(last)) if rest <= wide && products >= SHALLOW => *last += rest,
        (rest, _) => panels.push(rest),
    }
    panels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_have_all_blocks() {
        for blocks in 0..40 {
            for products in [1, SHALLOW - 1, SHALLOW, 1000] {
                for wide in [1, 2] {
                    let panels = cut(wide, blocks, products);
                    assert_eq!(panels.iter().sum::<usize>(), blocks);
                    assert!(panels.iter().all(|panel| panel.div_ceil(wide) <= MAX_VECTORS));
                }
            }
        }
        assert_eq!((cut(1, 7, 1000), cut(1, 7, 9)), (vec![2, 2, 3], vec![2, 2, 2, 1]));
        let wide = |blocks| cut(2, blocks, 1000);
        assert_eq!((wide(9), wide(10), wide(11), wide(1)), (vec![4, 5], vec![4, 6], vec![4, 4, 3], vec![1]));
    }

    #[test]
    fn tiles_are_even_and_have_all_pixels() {
        for most in [3, 6, 8, 9, 14] {
            for count in 1..100 {
                let mut left = count;
                let mut tiles = vec![];
                while left > 0 {
                    tiles.push(tile(most, left));
                    left -= tiles.last().unwrap();
                }
                assert_eq!(tiles.iter().sum::<usize>(), count);
                assert!(count < 5 || tiles.iter().all(|&tile| tile > 1 && tile <= most), "{count}: {tiles:?}");
            }
        }
    }
}

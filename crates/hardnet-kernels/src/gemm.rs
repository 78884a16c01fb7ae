//! The micro-kernel of every convolution: a tile of pixels times a panel of output channels.
//!
//! Output channels lie in the lanes of `V` of the widest vectors, and the values of `P` pixels are broadcast, so pixels may lie
//! anywhere: a stride, a border and a window cost nothing, and nothing is packed but the weights. What a pixel contributes
//! along `K` is a list of [`Run`]s of consecutive values: a block of channels of one tap, or a row of the image's window.
//! Each output is one sum in the order of the runs, whatever the tile: results depend on neither tiles nor threads.
#![allow(unsafe_code)]

use hardnet_isa::Isa;

use crate::simd::{Kernel, LANES, Simd, unrolled, wide_blocks};

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

/// Addresses of pixels in reading order: rows of `width`, from `next` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    width: usize,
    column: usize,
    input: Stride,
    output: Stride,
    at: (usize, usize),
}

/// Steps through one map, in values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stride {
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl Walk {
    /// A walk over rows of `width` pixels that begins at pixel `first`.
    pub(crate) fn new(width: usize, first: usize, input: Stride, output: Stride) -> Self {
        let (row, column) = (first / width, first % width);
        let at = |stride: Stride| row * stride.row + column * stride.column;
        Self { width, column, input, output, at: (at(input), at(output)) }
    }

    /// Offsets of the next `count` pixels, at most as many as a tile has.
    #[inline(always)]
    fn take(&mut self, count: usize) -> Pixels {
        if self.column + count < self.width {
            let (input, output) = self.at;
            self.column += count;
            self.at = (input + count * self.input.column, output + count * self.output.column);
            return Pixels {
                even: self.input.column == LANES,
                input: std::array::from_fn(|i| input + i * self.input.column),
                output: std::array::from_fn(|i| output + i * self.output.column),
            };
        }
        let mut pixels = Pixels::default();
        for i in 0..count {
            (pixels.input[i], pixels.output[i]) = self.next();
        }
        // Rows may lie behind each other.
        pixels.even = (1..count).all(|i| pixels.input[i] == pixels.input[0] + i * LANES);
        pixels
    }

    /// Offsets of the next pixel in input and output.
    #[inline(always)]
    fn next(&mut self) -> (usize, usize) {
        let at = self.at;
        self.column += 1;
        self.at.0 += self.input.column;
        self.at.1 += self.output.column;
        if self.column == self.width {
            self.column = 0;
            self.at.0 = self.at.0 + self.input.row - self.width * self.input.column;
            self.at.1 = self.at.1 + self.output.row - self.width * self.output.column;
        }
        at
    }
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
    let s = s.wide();
    let vectors = panel.blocks.div_ceil(S::Wide::BLOCKS);
    let most = most(S::Wide::BLOCKS, vectors);
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
        if S::Wide::BLOCKS == 1 {
            tiles! {
                false
                (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7) (1, 8)
                (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6)
                (3, 1) (3, 2) (3, 3)
            }
        } else if at.even {
            tiles! {
                true
                (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7) (1, 8) (1, 9) (1, 10) (1, 11) (1, 12) (1, 13) (1, 14)
                (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6) (2, 7) (2, 8) (2, 9) (2, 10) (2, 11) (2, 12) (2, 13) (2, 14)
                (3, 1) (3, 2) (3, 3) (3, 4) (3, 5) (3, 6) (3, 7) (3, 8) (3, 9)
            }
        } else {
            tiles! {
                false
                (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7) (1, 8) (1, 9) (1, 10) (1, 11) (1, 12) (1, 13) (1, 14)
                (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6) (2, 7) (2, 8) (2, 9) (2, 10) (2, 11) (2, 12) (2, 13) (2, 14)
                (3, 1) (3, 2) (3, 3) (3, 4) (3, 5) (3, 6) (3, 7) (3, 8) (3, 9)
            }
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

/// Weights to fetch while others are multiplied, some cache lines after each run.
#[derive(Clone, Copy)]
struct Ahead {
    at: *const f32,
    end: *const f32,
    /// Cache lines for each run.
    lines: usize,
}

/// Values of a cache line.
const LINE: usize = 16;

impl Ahead {
    /// Spreads the fetching of the panel's next weights over the `runs` of all tiles.
    #[inline(always)]
    fn new(panel: &Panel, runs: usize) -> Self {
        let (at, len) = panel.next;
        Self { at, end: at.wrapping_add(len), lines: len.div_ceil(LINE * runs.max(1)) }
    }

    #[inline(always)]
    fn fetch<S: Simd>(&mut self, s: S) {
        if self.at < self.end {
            for line in 0..self.lines {
                s.prefetch(self.at.wrapping_add(line * LINE));
            }
            self.advance(1);
        }
    }

    /// Passes over what `runs` runs fetch.
    #[inline(always)]
    fn advance(&mut self, runs: usize) {
        self.at = self.at.wrapping_add(runs * self.lines * LINE);
    }
}

/// Offsets of the pixels of a tile.
#[derive(Default)]
struct Pixels {
    /// Whether inputs are [`LANES`] values apart.
    even: bool,
    input: [usize; MAX_PIXELS],
    output: [usize; MAX_PIXELS],
}

/// The micro-kernel: `P` pixels by `V` vectors; `EVEN` where the pixels' inputs are [`LANES`] values apart. To be made by [`multiply`] alone, whose promises it relies on.
struct Tile<'a, const P: usize, const V: usize, const EVEN: bool> {
    runs: &'a [Run],
    input: *const f32,
    at: &'a Pixels,
    panel: &'a Panel,
    ahead: Ahead,
}

impl<const P: usize, const V: usize, const EVEN: bool> Kernel for Tile<'_, P, V, EVEN> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let panel = self.panel;
        let row = Row::<S, V>::new(s, panel.blocks);
        let output = |p: usize, v: usize| panel.output.wrapping_add(self.at.output[p] + v * S::BLOCKS * panel.plane);
        let mut sums = [[s.splat(0.0); V]; P];
        if panel.bias.is_null() {
            unrolled!(p in P, {
                for v in 0..V {
                    // SAFETY: the promise of `multiply` for each pixel and block.
                    sums[p][v] = unsafe { s.gather(output(p, v), panel.plane, row.blocks(v)) };
                }
            });
        } else {
            // SAFETY: biases are `[blocks, 8]`.
            sums = [unsafe { row.load(s, panel.bias) }; P];
        }
        let mut weights = panel.weights;
        for run in self.runs {
            // SAFETY: the promise of `multiply` for each pixel and run.
            let pixels: [*const f32; P] = std::array::from_fn(|p| unsafe {
                let offset = if EVEN { self.at.input[0] + p * LANES } else { self.at.input[p] };
                self.input.add(offset + run.offset)
            });
            self.ahead.fetch(s);
            let mut k = 0;
            // Tiles of two blocks are long enough without.
            while S::BLOCKS == 1 && k + LANES <= run.count {
                for unrolled in 0..LANES {
                    // SAFETY: `k + unrolled` is below the run's count, and the weights have a row for it.
                    unsafe {
                        let row = row.load_whole(s, weights.add(unrolled * row.len()));
                        accumulate(s, &mut sums, &pixels, k + unrolled, &row);
                    }
                }
                k += LANES;
                // SAFETY: the rows just read; one past the last is allowed.
                weights = unsafe { weights.add(LANES * row.len()) };
            }
            while k < run.count {
                // SAFETY: `k` is below the run's count, and the weights have a row for it.
                unsafe { accumulate(s, &mut sums, &pixels, k, &row.load_whole(s, weights)) };
                k += 1;
                // SAFETY: the row just read; one past the last is allowed.
                weights = unsafe { weights.add(row.len()) };
            }
        }
        let (low, high) = (s.splat(panel.range.low), s.splat(panel.range.high));
        unrolled!(p in P, {
            for v in 0..V {
                let sum = s.min(high, s.max(low, sums[p][v]));
                // SAFETY: the promise of `multiply` for each pixel and block.
                unsafe { s.scatter(output(p, v), panel.plane, row.blocks(v), sum) };
            }
        });
    }
}

/// A value for every output channel of a panel: as many blocks as `V` vectors have, or less by a part of the last.
#[derive(Clone, Copy)]
struct Row<S: Simd, const V: usize> {
    /// Blocks of the last vector.
    last: usize,
    mask: S::Mask,
}

impl<S: Simd, const V: usize> Row<S, V> {
    #[inline(always)]
    fn new(s: S, blocks: usize) -> Self {
        let last = if S::BLOCKS == 1 { 1 } else { blocks - (V - 1) * S::BLOCKS };
        Self { last, mask: s.mask(last) }
    }

    /// Values of the row.
    #[inline(always)]
    fn len(self) -> usize {
        ((V - 1) * S::BLOCKS + self.last) * LANES
    }

    /// Blocks of vector `v`.
    #[inline(always)]
    fn blocks(self, v: usize) -> usize {
        if v + 1 < V { S::BLOCKS } else { self.last }
    }

    /// The row at `from`, zeros behind it.
    ///
    /// # Safety
    /// `from` is valid for reading the row.
    #[inline(always)]
    unsafe fn load(self, s: S, from: *const f32) -> [S::V; V] {
        std::array::from_fn(|v| {
            let from = from.wrapping_add(v * S::BLOCKS * LANES);
            // SAFETY: the caller's promise.
            unsafe { if v + 1 < V { s.load(from) } else { s.load_masked(from, self.mask) } }
        })
    }

    /// The row at `from` with what lies behind it.
    ///
    /// # Safety
    /// `from` is valid for reading the row and [`BEHIND`](crate::memory::BEHIND) values more.
    #[inline(always)]
    unsafe fn load_whole(self, s: S, from: *const f32) -> [S::V; V] {
        // SAFETY: the caller's promise.
        std::array::from_fn(|v| unsafe { s.load(from.add(v * S::BLOCKS * LANES)) })
    }
}

/// Adds the products of one `k`: a row of weights by a value of every pixel.
///
/// # Safety
/// Each of `pixels` plus `k` is valid for reading a value.
#[inline(always)]
unsafe fn accumulate<S: Simd, const P: usize, const V: usize>(
    s: S,
    sums: &mut [[S::V; V]; P],
    pixels: &[*const f32; P],
    k: usize,
    row: &[S::V; V],
) {
    unrolled!(p in P, {
        // SAFETY: the caller's promise.
        let value = s.splat(unsafe { *pixels[p].add(k) });
        for v in 0..V {
            sums[p][v] = s.fma(row[v], value, sums[p][v]);
        }
    });
}

/// Products of a sum below which the time of a tile is not that of its products alone, and tiles of many pixels are worth more than
/// those that read a value for three vectors.
const SHALLOW: usize = 32;

/// Blocks of each panel of `blocks` blocks of output channels that are sums of `products` products on `isa`.
pub(crate) fn panels(isa: Isa, blocks: usize, products: usize) -> Vec<usize> {
    cut(wide_blocks(isa), blocks, products)
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

    #[test]
    fn walks_wrap_at_the_end_of_a_row() {
        let stride = |row, column| Stride { row, column };
        let mut walk = Walk::new(3, 2, stride(100, 16), stride(50, 8));
        let found: Vec<_> = (0..5).map(|_| walk.next()).collect();
        assert_eq!(found, [(32, 16), (100, 50), (116, 58), (132, 66), (200, 100)]);
        for count in 1..=MAX_PIXELS {
            let mut walk = Walk::new(5, 0, stride(100, 16), stride(50, 8));
            let mut single = walk;
            for _ in 0..10 {
                let pixels = walk.take(count);
                (0..count).for_each(|i| assert_eq!((pixels.input[i], pixels.output[i]), single.next()));
            }
        }
    }
}

//! The micro-kernel of every convolution: a tile of pixels times a panel of output channels.
//!
//! Output channels lie in the lanes of `V` vectors, and the values of `P` pixels are broadcast, so pixels may lie
//! anywhere: a stride, a border and a window cost nothing, and nothing is packed but the weights. What a pixel contributes
//! along `K` is a list of [`Run`]s of consecutive values: a block of channels of one tap, or a row of the image's window.
//! Each output is one sum in the order of the runs, whatever the tile: results depend on neither tiles nor threads.
#![allow(unsafe_code)]

use crate::simd::{Kernel, LANES, Simd};

/// Most vectors of output channels in a panel.
pub(crate) const MAX_VECTORS: usize = 3;

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
                input: std::array::from_fn(|i| input + i * self.input.column),
                output: std::array::from_fn(|i| output + i * self.output.column),
            };
        }
        let mut pixels = Pixels::default();
        for i in 0..count {
            (pixels.input[i], pixels.output[i]) = self.next();
        }
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

/// One panel: `vectors` vectors of output channels, their weights `[K, vectors, 8]` and biases `[vectors, 8]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub(crate) vectors: usize,
    pub(crate) weights: *const f32,
    /// Or null, where the sums go on from what the output holds.
    pub(crate) bias: *const f32,
    /// Output of the first vector.
    pub(crate) output: *mut f32,
    /// Values from one vector's output to the next's.
    pub(crate) plane: usize,
    pub(crate) range: Range,
    /// Weights that are needed after these, which are fetched meanwhile: their address and number.
    pub(crate) next: (*const f32, usize),
}

/// Computes `count` pixels of `walk` from `input` for one panel.
///
/// # Safety
/// For each pixel of the walk and each run, `input` plus both offsets is valid for reading the run's values; weights and
/// biases are as [`Panel`] says; `output` plus the pixel's offset plus `plane` times any of the panel's vectors is valid
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
    let mut ahead = Ahead::new(panel, runs.len(), count);
    while count > 0 {
        let pixels = tile(panel.vectors, count);
        count -= pixels;
        let at = &walk.take(pixels);
        macro_rules! tile {
            ($pixels:literal, $vectors:literal) => {
                s.call(Tile::<$pixels, $vectors> { runs, input, at, panel, ahead })
            };
        }
        match (panel.vectors, pixels) {
            (1, 1) => tile!(1, 1),
            (1, 2) => tile!(2, 1),
            (1, 3) => tile!(3, 1),
            (1, 4) => tile!(4, 1),
            (1, 5) => tile!(5, 1),
            (1, 6) => tile!(6, 1),
            (1, 7) => tile!(7, 1),
            (1, _) => tile!(8, 1),
            (2, 1) => tile!(1, 2),
            (2, 2) => tile!(2, 2),
            (2, 3) => tile!(3, 2),
            (2, 4) => tile!(4, 2),
            (2, 5) => tile!(5, 2),
            (2, _) => tile!(6, 2),
            (_, 1) => tile!(1, 3),
            (_, 2) => tile!(2, 3),
            (_, _) => tile!(3, 3),
        }
        ahead.advance(runs.len());
    }
}

/// The tile of `vectors` vectors with the most pixels whose sums, weights and values fit 16 registers. 6x2 has 12 sums
/// and 5 loads to 12 products; 4x3 would have as many but leaves no register for the values.
fn most(vectors: usize) -> usize {
    [8, 6, 3][vectors - 1]
}

/// Pixels of the next tile of `count` that are left, so that the last tiles are even: a tile of one or two pixels takes
/// as long as one of four, since a sum waits for its last product.
fn tile(vectors: usize, count: usize) -> usize {
    let most = most(vectors);
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
    /// Spreads the fetching of the panel's next weights over the runs of `count` pixels.
    #[inline(always)]
    fn new(panel: &Panel, runs: usize, count: usize) -> Self {
        let (at, len) = panel.next;
        let turns = (runs * count.div_ceil(most(panel.vectors))).max(1);
        Self { at, end: at.wrapping_add(len), lines: len.div_ceil(LINE * turns) }
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
    input: [usize; 8],
    output: [usize; 8],
}

/// The micro-kernel: `P` pixels by `V` vectors. To be made by [`multiply`] alone, whose promises it relies on.
struct Tile<'a, const P: usize, const V: usize> {
    runs: &'a [Run],
    input: *const f32,
    at: &'a Pixels,
    panel: &'a Panel,
    ahead: Ahead,
}

impl<const P: usize, const V: usize> Kernel for Tile<'_, P, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let panel = self.panel;
        let mut sums: [[S::V; V]; P] = if panel.bias.is_null() {
            let output = |pixel: usize, v: usize| panel.output.wrapping_add(self.at.output[pixel] + v * panel.plane);
            // SAFETY: the promise of `multiply` for each pixel and vector.
            std::array::from_fn(|p| std::array::from_fn(|v| unsafe { s.load(output(p, v)) }))
        } else {
            // SAFETY: biases are `[vectors, 8]`, and `V` is the panel's number of vectors.
            [std::array::from_fn(|v| unsafe { s.load(panel.bias.add(v * LANES)) }); P]
        };
        let mut weights = panel.weights;
        for run in self.runs {
            // SAFETY: the promise of `multiply` for each pixel and run.
            let pixels: [*const f32; P] =
                std::array::from_fn(|p| unsafe { self.input.add(self.at.input[p] + run.offset) });
            self.ahead.fetch(s);
            let mut k = 0;
            while k + LANES <= run.count {
                for unrolled in 0..LANES {
                    // SAFETY: `k + unrolled` is below the run's count, and the weights have a row for it.
                    unsafe { accumulate(s, &mut sums, &pixels, k + unrolled, weights.add(unrolled * V * LANES)) };
                }
                k += LANES;
                // SAFETY: the rows just read; one past the last is allowed.
                weights = unsafe { weights.add(LANES * V * LANES) };
            }
            while k < run.count {
                // SAFETY: `k` is below the run's count, and the weights have a row for it.
                unsafe { accumulate(s, &mut sums, &pixels, k, weights) };
                k += 1;
                // SAFETY: the row just read; one past the last is allowed.
                weights = unsafe { weights.add(V * LANES) };
            }
        }
        let (low, high) = (s.splat(panel.range.low), s.splat(panel.range.high));
        for (sums, &pixel) in sums.iter().zip(&self.at.output) {
            for (v, &sum) in sums.iter().enumerate() {
                // SAFETY: the promise of `multiply` for each pixel and vector.
                unsafe { s.store(panel.output.add(pixel + v * panel.plane), s.min(high, s.max(low, sum))) };
            }
        }
    }
}

/// Adds the products of one `k`: a row of weights by a value of every pixel.
///
/// # Safety
/// `weights` is valid for reading `V` vectors, each of `pixels` plus `k` for reading a value.
#[inline(always)]
unsafe fn accumulate<S: Simd, const P: usize, const V: usize>(
    s: S,
    sums: &mut [[S::V; V]; P],
    pixels: &[*const f32; P],
    k: usize,
    weights: *const f32,
) {
    // SAFETY: the caller's promise.
    let row: [S::V; V] = std::array::from_fn(|v| unsafe { s.load(weights.add(v * LANES)) });
    for p in 0..P {
        // SAFETY: the caller's promise.
        let value = s.splat(unsafe { *pixels[p].add(k) });
        for v in 0..V {
            sums[p][v] = s.fma(row[v], value, sums[p][v]);
        }
    }
}

/// Products of a sum below which the time of a tile is not that of its products alone, and tiles of many pixels are worth more than
/// those that read a value for three vectors.
const SHALLOW: usize = 32;

/// Vectors of each panel of `blocks` blocks of output channels that are sums of `products` products: pairs, and where they are
/// odd a triple, or one by itself.
pub(crate) fn panels(blocks: usize, products: usize) -> Vec<usize> {
    let mut panels = vec![2; blocks / 2];
    match panels.last_mut() {
        _ if blocks.is_multiple_of(2) => {}
        Some(last) if products >= SHALLOW => *last = MAX_VECTORS,
        _ => panels.push(1),
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
                assert_eq!(panels(blocks, products).iter().sum::<usize>(), blocks);
            }
        }
        assert_eq!((panels(7, 1000), panels(7, 9)), (vec![2, 2, 3], vec![2, 2, 2, 1]));
    }

    #[test]
    fn tiles_are_even_and_have_all_pixels() {
        for vectors in 1..=MAX_VECTORS {
            for count in 1..100 {
                let mut left = count;
                let mut tiles = vec![];
                while left > 0 {
                    tiles.push(tile(vectors, left));
                    left -= tiles.last().unwrap();
                }
                assert_eq!(tiles.iter().sum::<usize>(), count);
                assert!(count < 5 || tiles.iter().all(|&tile| tile > 1 && tile <= 8), "{count}: {tiles:?}");
            }
        }
    }

    #[test]
    fn walks_wrap_at_the_end_of_a_row() {
        let stride = |row, column| Stride { row, column };
        let mut walk = Walk::new(3, 2, stride(100, 16), stride(50, 8));
        let found: Vec<_> = (0..5).map(|_| walk.next()).collect();
        assert_eq!(found, [(32, 16), (100, 50), (116, 58), (132, 66), (200, 100)]);
        for count in 1..=8 {
            let mut walk = Walk::new(5, 0, stride(100, 16), stride(50, 8));
            let mut single = walk;
            for _ in 0..10 {
                let pixels = walk.take(count);
                (0..count).for_each(|i| assert_eq!((pixels.input[i], pixels.output[i]), single.next()));
            }
        }
    }
}

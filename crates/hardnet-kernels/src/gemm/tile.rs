//! The micro-kernel.
#![allow(unsafe_code, clippy::needless_range_loop)]

use super::walk::Pixels;
use super::{Panel, Run};
use hardnet_simd::{Kernel, LANES, Simd, unrolled};

/// Weights to fetch while others are multiplied, some cache lines after each run.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
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
    pub(super) fn new(panel: &Panel, runs: usize) -> Self {
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
    pub(super) fn advance(&mut self, runs: usize) {
        self.at = self.at.wrapping_add(runs * self.lines * LINE);
    }
}

/// `P` pixels by `V` vectors; `EVEN` where the pixels' inputs are [`LANES`] values apart. To be made by
/// [`multiply`](super::multiply) alone, whose promises it relies on.
pub(super) struct Tile<'a, const P: usize, const V: usize, const EVEN: bool> {
    pub(super) runs: &'a [Run],
    pub(super) input: *const f32,
    pub(super) at: &'a Pixels,
    pub(super) panel: &'a Panel,
    pub(super) ahead: Ahead,
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

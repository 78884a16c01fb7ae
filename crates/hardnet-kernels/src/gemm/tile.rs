//! The register tile.
#![allow(unsafe_code, clippy::needless_range_loop)]

use hardnet_simd::{Kernel, LANES, Simd, unrolled};

use super::cursor::TilePixels;
use super::{KSegment, Panel};
use crate::exec::buffer::CACHE_LINE;

/// Weights to prefetch while others are multiplied, some cache lines with each segment.
#[derive(Clone, Copy)]
pub(super) struct Prefetcher {
    at: *const f32,
    end: *const f32,
    /// Cache lines for each segment.
    lines: usize,
}

/// Values of a cache line.
const LINE: usize = CACHE_LINE / size_of::<f32>();

impl Prefetcher {
    /// Spreads the panel's prefetch over the `segments` of all tiles.
    #[inline(always)]
    pub(super) fn new(panel: &Panel, segments: usize) -> Self {
        let (at, len) = panel.prefetch;
        Self { at, end: at.wrapping_add(len), lines: len.div_ceil(LINE * segments.max(1)) }
    }

    #[inline(always)]
    fn prefetch<S: Simd>(&mut self, s: S) {
        if self.at < self.end {
            for line in 0..self.lines {
                s.prefetch(self.at.wrapping_add(line * LINE));
            }
            self.skip(1);
        }
    }

    /// Passes over what `segments` segments prefetch.
    #[inline(always)]
    pub(super) fn skip(&mut self, segments: usize) {
        self.at = self.at.wrapping_add(segments * self.lines * LINE);
    }
}

/// `P` pixels by `V` vectors; `EVEN` where the pixels' inputs are [`LANES`] values apart.
pub(super) struct Tile<'a, const P: usize, const V: usize, const EVEN: bool> {
    segments: &'a [KSegment],
    input: *const f32,
    at: &'a TilePixels,
    panel: &'a Panel,
    prefetcher: Prefetcher,
}

impl<'a, const P: usize, const V: usize, const EVEN: bool> Tile<'a, P, V, EVEN> {
    /// # Safety
    /// * The promises of [`multiply`](super::multiply) hold for the first `P` pixels of `at` until the tile is run.
    /// * The panel has `V` vectors of blocks; the last may be partial.
    /// * Where `EVEN`, so is `at`.
    #[inline(always)]
    pub(super) unsafe fn new(
        segments: &'a [KSegment],
        input: *const f32,
        at: &'a TilePixels,
        panel: &'a Panel,
        prefetcher: Prefetcher,
    ) -> Self {
        Self { segments, input, at, panel, prefetcher }
    }
}

impl<const P: usize, const V: usize, const EVEN: bool> Kernel for Tile<'_, P, V, EVEN> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let panel = self.panel;
        let row = PanelRow::<S, V>::new(s, panel.blocks);
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
        for segment in self.segments {
            // SAFETY: the promise of `multiply` for each pixel and segment.
            let pixels: [*const f32; P] = std::array::from_fn(|p| unsafe {
                let offset = if EVEN { self.at.input[0] + p * LANES } else { self.at.input[p] };
                self.input.add(offset + segment.offset)
            });
            self.prefetcher.prefetch(s);
            let mut k = 0;
            while S::UNROLL && k + LANES <= segment.count {
                for unrolled in 0..LANES {
                    // SAFETY: `k + unrolled` is below the segment's count, and the weights have a row for it.
                    unsafe {
                        let row = row.load_whole(s, weights.add(unrolled * row.len()));
                        accumulate(s, &mut sums, &pixels, k + unrolled, &row);
                    }
                }
                k += LANES;
                // SAFETY: the rows just read; one past the last is allowed.
                weights = unsafe { weights.add(LANES * row.len()) };
            }
            while k < segment.count {
                // SAFETY: `k` is below the segment's count, and the weights have a row for it.
                unsafe { accumulate(s, &mut sums, &pixels, k, &row.load_whole(s, weights)) };
                k += 1;
                // SAFETY: the row just read; one past the last is allowed.
                weights = unsafe { weights.add(row.len()) };
            }
        }
        let (low, high) = (s.splat(panel.clamp.low), s.splat(panel.clamp.high));
        unrolled!(p in P, {
            for v in 0..V {
                let sum = s.min(high, s.max(low, sums[p][v]));
                // SAFETY: the promise of `multiply` for each pixel and block.
                unsafe { s.scatter(output(p, v), panel.plane, row.blocks(v), sum) };
            }
        });
    }
}

/// The shape of a row of a panel, a value for every output channel: as many blocks as `V` vectors have, or fewer in the
/// last.
#[derive(Clone, Copy)]
struct PanelRow<S: Simd, const V: usize> {
    /// Blocks of the last vector.
    last: usize,
    mask: S::Mask,
}

impl<S: Simd, const V: usize> PanelRow<S, V> {
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

    /// The row at `from`, zeros in the other lanes.
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

    /// The row at `from` with the values after it in the other lanes.
    ///
    /// # Safety
    /// `from` is valid for reading the row and [`READ_PADDING`](crate::exec::buffer::READ_PADDING) values more.
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

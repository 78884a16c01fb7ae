//! The register tile of products of bytes.
//!
//! It is that of [`gemm`](crate::gemm), with four inputs where that has one: a row of a panel has four weights of each
//! output channel, and a value is four channels of a pixel, broadcast.
//!
//! ```text
//!                                 weights of channels k .. k + 4
//!                               | outputs 0..16 | outputs 16..32 |
//! input[pixel  0][k .. k + 4] ->|  sums[0][0]   |   sums[0][1]   |
//!        ...                    |      ...      |       ...      |
//! input[pixel 13][k .. k + 4] ->|  sums[13][0]  |   sums[13][1]  |
//! ```
#![allow(unsafe_code, clippy::needless_range_loop)]

use hardnet_simd::{BYTE_LANES, Dot, DotKernel, LANES, unrolled};

use super::pack::{GROUP, LANE_VALUES};
use crate::exec::buffer::CACHE_LINE;
use crate::gemm::{EVEN_PIXELS, KSegment, TileCursor, TilePixels, next_tile_pixels};

/// Where a panel's results go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Bytes(*mut u8),
    Floats(*mut f32),
}

/// One panel of `blocks` blocks of output channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    pub(super) blocks: usize,
    /// Blocks of eight channels that a map of f32 has for them.
    pub(super) float_blocks: usize,
    pub(super) weights: *const u8,
    /// First sums, factors and addends.
    pub(super) lanes: *const f32,
    /// Output of the first block, and values from one block of the map to the next.
    pub(super) target: Target,
    pub(super) plane: usize,
    pub(super) bounds: (f32, f32),
    /// Weights that are needed after these: their address and number.
    pub(super) prefetch: (*const u8, usize),
}

/// From sums to results in some lanes of a block.
#[derive(Clone, Copy)]
pub(super) struct Finish<D: Dot> {
    factors: D::Floats,
    addends: D::Floats,
    low: D::Floats,
    high: D::Floats,
}

impl<D: Dot> Finish<D> {
    /// The arithmetic of the vector that begins with channel `channel` of the panel whose first block has `lanes`.
    ///
    /// # Safety
    /// `lanes` has the values of the channel's block.
    #[inline(always)]
    pub(super) unsafe fn new(d: D, lanes: *const f32, channel: usize, (low, high): (f32, f32)) -> Self {
        let block = lanes.wrapping_add(channel / BYTE_LANES * LANE_VALUES + channel % BYTE_LANES);
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                factors: d.load(block.add(BYTE_LANES)),
                addends: d.load(block.add(2 * BYTE_LANES)),
                low: d.splat(low),
                high: d.splat(high),
            }
        }
    }

    /// The sums of no products of the same vector.
    ///
    /// # Safety
    /// As [`Finish::new`].
    #[inline(always)]
    pub(super) unsafe fn first_sums(d: D, lanes: *const f32, channel: usize) -> D::Sums {
        let block = lanes.wrapping_add(channel / BYTE_LANES * LANE_VALUES + channel % BYTE_LANES);
        // SAFETY: the caller's promise.
        unsafe { d.load_sums(block.cast()) }
    }

    /// The results.
    #[inline(always)]
    pub(super) fn results(self, d: D, sums: D::Sums) -> D::Floats {
        d.clamp(d.mul_add(d.floats(sums), self.factors, self.addends), self.low, self.high)
    }
}

/// Weights to prefetch while others are multiplied, some cache lines with each segment.
#[derive(Clone, Copy)]
struct Prefetcher {
    at: *const u8,
    end: *const u8,
    /// Bytes for each segment.
    step: usize,
}

impl Prefetcher {
    #[inline(always)]
    fn new(panel: &Panel, segments: usize) -> Self {
        let (at, len) = panel.prefetch;
        Self { at, end: at.wrapping_add(len), step: len.div_ceil(CACHE_LINE * segments.max(1)) * CACHE_LINE }
    }

    #[inline(always)]
    fn prefetch<D: Dot>(&mut self, d: D) {
        if self.at < self.end {
            for line in (0..self.step).step_by(CACHE_LINE) {
                d.prefetch(self.at.wrapping_add(line));
            }
            self.at = self.at.wrapping_add(self.step);
        }
    }
}

/// Computes `count` pixels of `cursor` from `input` for one panel.
///
/// # Safety
/// * For each pixel of the cursor and each segment, `input` plus both offsets is valid for reading four bytes for each
///   of the segment's groups.
/// * Weights and lanes are those of the panel's blocks.
/// * The target plus the pixel's offset plus `plane` times any of its blocks is valid for writing a block, which no
///   other thread reads or writes.
#[inline(always)]
pub(super) unsafe fn multiply<D: Dot>(
    d: D,
    segments: &[KSegment],
    input: *const u8,
    mut cursor: TileCursor,
    mut count: usize,
    panel: &Panel,
) {
    let vectors = panel.blocks * (BYTE_LANES / D::LANES);
    let max_pixels = D::TILES[panel.blocks - 1];
    let mut prefetcher = Prefetcher::new(panel, segments.len() * count.div_ceil(max_pixels));
    while count > 0 {
        let pixels = next_tile_pixels(max_pixels, count);
        count -= pixels;
        let at = &cursor.advance(pixels, BYTE_LANES);
        macro_rules! tiles {
            ($even:literal $(($vectors:literal, $pixels:literal))*) => {
                match (vectors, pixels) {
                    $(($vectors, $pixels) => {
                        // The caller's promises hold for these pixels; where `$even`, so is `at`.
                        d.call(Tile::<$pixels, $vectors, $even> { segments, input, at, panel, prefetcher });
                    })*
                    _ => unreachable!("a tile of {pixels} pixels and {vectors} vectors"),
                }
            };
        }
        // A condition on constants alone: what it excludes is not compiled.
        if const { D::LANES < BYTE_LANES } {
            tiles! { false (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6) }
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
        prefetcher.at = prefetcher.at.wrapping_add(segments.len() * prefetcher.step);
    }
}

/// `P` pixels by `V` vectors; `EVEN` where the pixels' inputs lie side by side. It is run under the promises of
/// [`multiply`] for the first `P` pixels of `at`.
struct Tile<'a, const P: usize, const V: usize, const EVEN: bool> {
    segments: &'a [KSegment],
    input: *const u8,
    at: &'a TilePixels,
    panel: &'a Panel,
    prefetcher: Prefetcher,
}

impl<const P: usize, const V: usize, const EVEN: bool> DotKernel for Tile<'_, P, V, EVEN> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(mut self, d: D) {
        let panel = self.panel;
        // SAFETY: the panel has lanes for every vector.
        let first: [D::Sums; V] =
            std::array::from_fn(|v| unsafe { Finish::<D>::first_sums(d, panel.lanes, v * D::LANES) });
        let mut sums = [first; P];
        let mut weights = panel.weights;
        let vector = D::LANES * GROUP * D::WEIGHT_BYTES;
        for segment in self.segments {
            // SAFETY: the promise of `multiply` for each pixel and segment.
            let pixels: [*const u8; P] = std::array::from_fn(|p| unsafe {
                let offset = if EVEN { self.at.input[0] + p * BYTE_LANES } else { self.at.input[p] };
                self.input.add(offset + segment.offset)
            });
            self.prefetcher.prefetch(d);
            for k in 0..segment.count {
                // SAFETY: the weights have a row for each group of each segment.
                let row: [D::Weights; V] = std::array::from_fn(|v| unsafe { d.weights(weights.add(v * vector)) });
                unrolled!(p in P, {
                    // SAFETY: four bytes of the segment.
                    let values = unsafe { d.inputs(pixels[p].add(k * GROUP)) };
                    for v in 0..V {
                        sums[p][v] = d.dot(sums[p][v], values, row[v]);
                    }
                });
                // SAFETY: the row just read; one past the last is allowed.
                weights = unsafe { weights.add(V * vector) };
            }
        }
        // An array of vectors that a loop takes by an index would lie in memory: all loops over sums are unrolled.
        // SAFETY: the panel has lanes for every vector.
        let finish: [Finish<D>; V] =
            std::array::from_fn(|v| unsafe { Finish::new(d, panel.lanes, v * D::LANES, panel.bounds) });
        match panel.target {
            Target::Bytes(to) => {
                unrolled!(p in P, {
                    for v in 0..V {
                        let channel = v * D::LANES;
                        let at = self.at.output[p] + channel / BYTE_LANES * panel.plane + channel % BYTE_LANES;
                        // SAFETY: the promise of `multiply` for each pixel and block; bounds lie between 0 and 255.
                        unsafe { d.store_bytes(to.add(at), finish[v].results(d, sums[p][v])) };
                    }
                });
            }
            Target::Floats(to) => {
                unrolled!(p in P, {
                    for v in 0..V {
                        let block = v * D::LANES / LANES;
                        let blocks = panel.float_blocks.saturating_sub(block).min(D::LANES / LANES);
                        if blocks > 0 {
                            let at = self.at.output[p] + block * panel.plane;
                            // SAFETY: the promise of `multiply` for each pixel and block.
                            unsafe { d.scatter(to.add(at), panel.plane, blocks, finish[v].results(d, sums[p][v])) };
                        }
                    }
                });
            }
        }
    }
}

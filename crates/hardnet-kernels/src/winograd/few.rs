//! Products of so few tiles that the sums of a row of frequencies stay in registers.
//!
//! Each vector of weights is transformed to one row of frequencies after the other, and every transformed vector is
//! multiplied at once: it is never written to memory, where it would be read for [`TILES`] tiles only. For the wide vectors of
//! processors with 32 registers.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use super::lean::TAPS;
use super::{Points, Winograd};
use crate::context::Context;
use crate::gemm::Run;
use hardnet_simd::{Kernel, LANES, Simd, unrolled};

/// Tiles that are multiplied: with 6 frequencies of a row, 24 sums.
pub(super) const TILES: usize = 4;

/// Blocks of input channels whose weights stay in a level 1 cache while they are transformed to all rows.
const CHUNK: usize = 4;

/// Values of a cache line.
const LINE: usize = 16;

/// Multiplies [`TILES`] tiles at the frequencies of `rows` for the panels of `share`.
///
/// # Safety
/// As [`Winograd::run`], where the layer's weights are not transformed.
#[inline(always)]
pub(super) unsafe fn products<S: Simd, P: Points<A, M>, const A: usize, const M: usize>(
    s: S,
    layer: &Winograd,
    share: Range<usize>,
    rows: Range<usize>,
    context: &Context<'_>,
) {
    let wide = S::Widest::BLOCKS;
    let mut first: usize = layer.panels[..share.start].iter().sum();
    for &panel in &layer.panels[share] {
        for block in (0..panel).step_by(wide) {
            let mut channels = 0;
            for (at, runs) in layer.runs.chunks(CHUNK).enumerate() {
                let taps = (first * layer.depth + channels * panel + block) * LANES * TAPS;
                let products = A * A * layer.input_frequency() + (first + block) * layer.group * LANES;
                // Each lies within its piece or the scratch memory, sums are this unit's alone, and weights were packed so.
                s.widest().call(Product::<P, A, M> {
                    runs,
                    inputs: context.scratch,
                    frequency: layer.input_frequency(),
                    taps: context.weights(layer.weights).wrapping_add(taps),
                    channel: panel * LANES * TAPS,
                    blocks: wide.min(panel - block),
                    products: context.scratch.wrapping_add(products),
                    product_frequency: layer.output_frequency(),
                    plane: layer.group * LANES,
                    rows: rows.clone(),
                    begin: at == 0,
                    points: PhantomData,
                });
                channels += runs.iter().map(|run| run.count).sum::<usize>();
            }
        }
        first += panel;
    }
}

/// The products of some input channels by a vector of output channels. To be made by [`products`] alone, whose promises it relies on.
struct Product<'a, P: Points<A, M>, const A: usize, const M: usize> {
    /// The input channels, in the inputs of one frequency.
    runs: &'a [Run],
    inputs: *const f32,
    /// Values from frequency to frequency of the inputs.
    frequency: usize,
    /// Weights of the first input channel, and values from one channel's to the next's.
    taps: *const f32,
    channel: usize,
    /// Blocks of the vector.
    blocks: usize,
    products: *mut f32,
    /// Values from frequency to frequency and from block to block of the products.
    product_frequency: usize,
    plane: usize,
    rows: Range<usize>,
    /// Whether sums begin here.
    begin: bool,
    points: PhantomData<P>,
}

impl<P: Points<A, M>, const A: usize, const M: usize> Kernel for Product<'_, P, A, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        unrolled!(y in A, {
            if self.rows.contains(&y) {
                self.row(s, y);
            }
        });
    }
}

impl<P: Points<A, M>, const A: usize, const M: usize> Product<'_, P, A, M> {
    /// The products at the frequencies of row `y`.
    #[inline(always)]
    fn row<S: Simd>(&self, s: S, y: usize) {
        let mut sums = [[s.splat(0.0); TILES]; A];
        let product =
            |x: usize, tile: usize| self.products.wrapping_add((y * A + x) * self.product_frequency + tile * LANES);
        if !self.begin {
            unrolled!(x in A, {
                unrolled!(tile in TILES, {
                    // SAFETY: a vector of sums, promised by `products`.
                    sums[x][tile] = unsafe { s.gather(product(x, tile), self.plane, self.blocks) };
                });
            });
        }
        let lanes = self.blocks * LANES;
        // Meanwhile weights of the next channels are fetched, a part of them with each row.
        let lines = (TAPS * lanes).div_ceil(LINE * self.rows.len());
        let part = (y - self.rows.start) * lines * LINE;
        let ahead = self.channel * self.runs.iter().map(|run| run.count).sum::<usize>();
        let mut taps = self.taps;
        for run in self.runs {
            let inputs = self.inputs.wrapping_add(y * A * self.frequency + run.offset);
            for k in 0..run.count {
                for line in 0..lines {
                    s.prefetch(taps.wrapping_add(ahead + part + line * LINE));
                }
                let mut w = [s.splat(0.0); TAPS];
                unrolled!(tap in TAPS, {
                    // SAFETY: a vector of the weights of this channel, or less of it with what lies behind, promised by `products`.
                    w[tap] = unsafe { s.load(taps.wrapping_add(tap * lanes)) };
                });
                let left = P::weights(s, [w[0], w[3], w[6]]);
                let middle = P::weights(s, [w[1], w[4], w[7]]);
                let right = P::weights(s, [w[2], w[5], w[8]]);
                let row = P::weights(s, [left[y], middle[y], right[y]]);
                unrolled!(x in A, {
                    unrolled!(tile in TILES, {
                        let at = inputs.wrapping_add(x * self.frequency + tile * LANES + k);
                        // SAFETY: the value of a tile in this channel at one frequency, promised by `products`.
                        let value = s.splat(unsafe { *at });
                        sums[x][tile] = s.fma(row[x], value, sums[x][tile]);
                    });
                });
                taps = taps.wrapping_add(self.channel);
            }
        }
        unrolled!(x in A, {
            unrolled!(tile in TILES, {
                // SAFETY: as above.
                unsafe { s.scatter(product(x, tile), self.plane, self.blocks, sums[x][tile]) };
            });
        });
    }
}

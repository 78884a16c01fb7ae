//! Products in registers: of so few tiles that the sums of a row of positions need not be stored.
//!
//! ```text
//! for row of positions {                  6 positions by 4 tiles: 24 sums in registers
//!     for input channel {
//!         load the filter's nine vectors, transform them to the row of positions
//!         sums[position][tile] += weight[position] * input[position][tile][channel]
//!     }
//! }
//! ```
//!
//! A transformed vector is multiplied at once: it is never written to memory, where it would be read for [`TILES`]
//! tiles only. For the wide vectors of processors with 32 registers.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use hardnet_simd::{Kernel, LANES, Simd, unrolled};

use super::on_the_fly::TAPS;
use super::{Winograd, WinogradTransform};
use crate::exec::buffer::CACHE_LINE;
use crate::exec::context::Context;
use crate::gemm::KSegment;

/// Tiles that are multiplied: with 6 positions of a row, 24 sums.
pub(super) const TILES: usize = 4;

/// Blocks of input channels whose weights stay in a level 1 cache while they are transformed to all rows.
const CHUNK: usize = 4;

/// Values of a cache line.
const LINE: usize = CACHE_LINE / size_of::<f32>();

/// Multiplies [`TILES`] tiles at the positions of `rows` for the panels of `share`.
///
/// # Safety
/// As [`Step::run`](crate::exec::program::Step::run), for a layer whose weights are transformed on the fly.
#[inline(always)]
pub(super) unsafe fn products<S: Simd, P: WinogradTransform<A, M>, const A: usize, const M: usize>(
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
            for (at, segments) in layer.segments.chunks(CHUNK).enumerate() {
                let taps = (first * layer.depth + channels * panel + block) * LANES * TAPS;
                let products = A * A * layer.input_position_stride() + (first + block) * layer.group * LANES;
                let operands = Operands {
                    segments,
                    inputs: context.scratch,
                    position: layer.input_position_stride(),
                    taps: context.weights(layer.weights).wrapping_add(taps),
                    channel: panel * LANES * TAPS,
                    blocks: wide.min(panel - block),
                    products: context.scratch.wrapping_add(products),
                    product_position_stride: layer.output_position_stride(),
                    plane: layer.group * LANES,
                };
                // SAFETY: inputs and products lie within the scratch memory, products are this task's alone and hold
                // the sums of the channels before; weights were packed for these panels.
                s.widest().call(unsafe { RowProducts::<P, A, M>::new(operands, rows.clone(), at == 0) });
                channels += segments.iter().map(|segment| segment.count).sum::<usize>();
            }
        }
        first += panel;
    }
}

/// Some input channels, a vector of output channels, and their products.
struct Operands<'a> {
    /// The input channels, in the inputs of one position.
    segments: &'a [KSegment],
    inputs: *const f32,
    /// Values from position to position of the inputs.
    position: usize,
    /// Weights of the first input channel, and values from one channel's to the next's.
    taps: *const f32,
    channel: usize,
    /// Blocks of the vector.
    blocks: usize,
    products: *mut f32,
    /// Values from position to position and from block to block of the products.
    product_position_stride: usize,
    plane: usize,
}

/// The products at some rows of positions.
struct RowProducts<'a, P: WinogradTransform<A, M>, const A: usize, const M: usize> {
    operands: Operands<'a>,
    rows: Range<usize>,
    /// Whether sums begin here.
    begin: bool,
    transform: PhantomData<P>,
}

impl<'a, P: WinogradTransform<A, M>, const A: usize, const M: usize> RowProducts<'a, P, A, M> {
    /// # Safety
    /// Until the products are run, with [`TILES`] tiles of [`LANES`] values each:
    /// * `inputs` plus `position` times each position of `rows` is valid for reading the tiles of all segments,
    /// * `taps` is valid for reading [`TAPS`] vectors of `blocks` blocks for each channel of the segments, `channel`
    ///   values apart, and [`READ_PADDING`](crate::exec::buffer::READ_PADDING) values more,
    /// * `products` plus `product_position_stride` times each position of `rows` plus `plane` times each block is valid
    ///   for writing the tiles, which no other thread reads or writes, and which are set unless `begin`.
    #[inline(always)]
    unsafe fn new(operands: Operands<'a>, rows: Range<usize>, begin: bool) -> Self {
        Self { operands, rows, begin, transform: PhantomData }
    }
}

impl<P: WinogradTransform<A, M>, const A: usize, const M: usize> Kernel for RowProducts<'_, P, A, M> {
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

impl<P: WinogradTransform<A, M>, const A: usize, const M: usize> RowProducts<'_, P, A, M> {
    /// The products at the positions of row `y`.
    #[inline(always)]
    fn row<S: Simd>(&self, s: S, y: usize) {
        let operands = &self.operands;
        let mut sums = [[s.splat(0.0); TILES]; A];
        let product = |x: usize, tile: usize| {
            operands.products.wrapping_add((y * A + x) * operands.product_position_stride + tile * LANES)
        };
        if !self.begin {
            unrolled!(x in A, {
                unrolled!(tile in TILES, {
                    // SAFETY: a vector of sums, promised to `new`.
                    sums[x][tile] = unsafe { s.gather(product(x, tile), operands.plane, operands.blocks) };
                });
            });
        }
        let lanes = operands.blocks * LANES;
        // Meanwhile weights of the next channels are prefetched, a part of them with each row.
        let lines = (TAPS * lanes).div_ceil(LINE * self.rows.len());
        let part = (y - self.rows.start) * lines * LINE;
        let ahead = operands.channel * operands.segments.iter().map(|segment| segment.count).sum::<usize>();
        let mut taps = operands.taps;
        for segment in operands.segments {
            let inputs = operands.inputs.wrapping_add(y * A * operands.position + segment.offset);
            for k in 0..segment.count {
                for line in 0..lines {
                    s.prefetch(taps.wrapping_add(ahead + part + line * LINE));
                }
                let mut w = [s.splat(0.0); TAPS];
                unrolled!(tap in TAPS, {
                    // SAFETY: a vector of the weights of this channel, or a part of it with the values after it,
                    // promised to `new`.
                    w[tap] = unsafe { s.load(taps.wrapping_add(tap * lanes)) };
                });
                let left = P::weights(s, [w[0], w[3], w[6]]);
                let middle = P::weights(s, [w[1], w[4], w[7]]);
                let right = P::weights(s, [w[2], w[5], w[8]]);
                let row = P::weights(s, [left[y], middle[y], right[y]]);
                unrolled!(x in A, {
                    unrolled!(tile in TILES, {
                        let at = inputs.wrapping_add(x * operands.position + tile * LANES + k);
                        // SAFETY: the value of a tile in this channel at one position, promised to `new`.
                        let value = s.splat(unsafe { *at });
                        sums[x][tile] = s.fma(row[x], value, sums[x][tile]);
                    });
                });
                taps = taps.wrapping_add(operands.channel);
            }
        }
        unrolled!(x in A, {
            unrolled!(tile in TILES, {
                // SAFETY: as above.
                unsafe { s.scatter(product(x, tile), operands.plane, operands.blocks, sums[x][tile]) };
            });
        });
    }
}

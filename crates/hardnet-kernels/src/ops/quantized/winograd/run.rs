//! The tasks of a convolution: inputs transformed, multiplied at every position, and transformed back.
#![allow(unsafe_code, clippy::needless_range_loop)]

use std::ops::Range;

use hardnet_simd::{BYTE_LANES, Words, WordsKernel, unrolled};

use super::transforms::{six, transform_inputs, transform_products};
use super::{Block, ByteTile, ByteWinograd};
use crate::exec::context::Context;
use crate::gemm::next_tile_pixels;
use crate::ops::quantized::bytes;
use crate::ops::quantized::pack::LANE_VALUES;
use crate::ops::quantized::tile::Finish;

/// A task of a convolution, which is run under the promises of [`ByteWinograd::run`].
pub(super) struct WinogradTask<'a> {
    pub(super) conv: &'a ByteWinograd,
    /// Of all images.
    pub(super) tiles: Range<usize>,
    pub(super) context: &'a Context<'a>,
}

impl WordsKernel for WinogradTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<D: Words>(self, d: D) {
        match self.conv.tile {
            ByteTile::Two => self.run_for::<D, 2, 4>(d),
            ByteTile::Four => self.run_for::<D, 4, 6>(d),
        }
    }
}

impl WinogradTask<'_> {
    /// Runs the task of tiles of `M` outputs and `SIDE` positions on a side.
    #[inline(always)]
    fn run_for<D: Words, const M: usize, const SIDE: usize>(self, d: D) {
        let Self { conv, tiles, context } = self;
        let (count, depth, positions) = (tiles.len(), conv.depth, SIDE * SIDE);
        let inputs = context.thread_scratch.cast::<i16>();
        let values = conv.tile_values();
        let products = inputs.wrapping_add((positions * conv.task_tiles * values).next_multiple_of(2)).cast::<i32>();
        for (at, tile) in tiles.clone().enumerate() {
            let from = bytes(context.memory(tile / conv.tiles)).wrapping_add(conv.window(tile));
            for (block, &Block { offset, .. }) in conv.blocks.iter().enumerate() {
                // SAFETY: the window of a tile lies in the inputs' halos; scratch memory has all tiles of a task.
                unsafe {
                    let to = inputs.add(at * values + block * BYTE_LANES);
                    transform_inputs::<D, SIDE>(d, from.add(offset), conv.row, to, conv.task_tiles * values);
                }
            }
        }
        let mut weights = context.weights(conv.filter.weights).cast::<i16>();
        let mut channel = 0;
        for &lanes in &conv.panels {
            let vectors = lanes / D::LANES;
            let most = if D::LANES == BYTE_LANES { 14 } else { 6 };
            for position in 0..positions {
                let mut left = count;
                while left > 0 {
                    let several = next_tile_pixels(most, left);
                    let at = position * conv.task_tiles + count - left;
                    let job = Products {
                        blocks: &conv.blocks,
                        inputs: inputs.wrapping_add(at * values),
                        values,
                        weights,
                        to: products.wrapping_add(at * lanes),
                    };
                    multiply(d, job, several, vectors);
                    left -= several;
                }
                weights = weights.wrapping_add(depth * lanes);
            }
            for first in (0..lanes).step_by(D::LANES) {
                let packed = context.weights(conv.filter.lanes).wrapping_add(channel / BYTE_LANES * LANE_VALUES);
                // SAFETY: every block has lanes.
                let (start, finish) = unsafe {
                    let bounds = (conv.filter.low, conv.filter.high);
                    let (block, lane) = (first / BYTE_LANES * LANE_VALUES, first % BYTE_LANES);
                    let packed = packed.add(block);
                    (Finish::<D>::first_sums(d, packed, lane), Finish::new(d, packed, lane, bounds))
                };
                let out = &conv.output;
                let lane = channel + first;
                let place = out.origin() + lane / BYTE_LANES * out.plane() + lane % BYTE_LANES;
                for (at, tile) in tiles.clone().enumerate() {
                    // SAFETY: products of the tile, computed just now.
                    let sums: [[D::Sums; M]; M] = unsafe {
                        transform_products::<D, M, SIDE>(d, products.add(at * lanes + first), conv.task_tiles * lanes)
                    };
                    let tile_of_image = tile % conv.tiles;
                    let (y, x) = (tile_of_image / conv.columns * M, tile_of_image % conv.columns * M);
                    let to = place + y * out.row() + x * BYTE_LANES;
                    let to = bytes(context.memory(tile / conv.tiles)).wrapping_add(to);
                    six!(dy in M, {
                        six!(dx in M, {
                            if y + dy < out.size.height && x + dx < out.size.width {
                                let sum = sums[dx][dy];
                                let sum = if M == 2 { d.quarter(sum) } else { d.part_of_576(sum) };
                                let value = finish.results(d, d.add_sums(sum, start));
                                // SAFETY: an output pixel of the tile, which is this task's.
                                unsafe { d.store_bytes(to.add(dy * out.row() + dx * BYTE_LANES), value) };
                            }
                        });
                    });
                }
            }
            channel += lanes;
        }
    }
}

/// Multiplies `several` tiles by `vectors` vectors of output channels.
#[inline(always)]
fn multiply<D: Words>(d: D, job: Products<'_>, several: usize, vectors: usize) {
    macro_rules! tiles {
        ($(($vectors:literal, $tiles:literal))*) => {
            match (vectors, several) {
                $(($vectors, $tiles) => d.call_words(Multiply::<$tiles, $vectors>(job)),)*
                _ => unreachable!("{several} tiles by {vectors} vectors"),
            }
        };
    }
    // A condition on constants alone: what it excludes is not compiled.
    if const { D::LANES == BYTE_LANES } {
        tiles! {
            (1, 1) (1, 2) (1, 3) (1, 4) (1, 5) (1, 6) (1, 7)
            (1, 8) (1, 9) (1, 10) (1, 11) (1, 12) (1, 13) (1, 14)
            (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6) (2, 7)
            (2, 8) (2, 9) (2, 10) (2, 11) (2, 12) (2, 13) (2, 14)
        }
    } else {
        tiles! { (2, 1) (2, 2) (2, 3) (2, 4) (2, 5) (2, 6) }
    }
}

/// The products of some tiles by a block of output channels at one position.
#[derive(Clone, Copy)]
struct Products<'a> {
    blocks: &'a [Block],
    inputs: *const i16,
    /// Values from tile to tile.
    values: usize,
    weights: *const i16,
    to: *mut i32,
}

/// The [`Products`] of `P` tiles and `V` vectors. It is run where inputs, weights and products are those of so many.
struct Multiply<'a, const P: usize, const V: usize>(Products<'a>);

impl<const P: usize, const V: usize> WordsKernel for Multiply<'_, P, V> {
    type Output = ();

    #[inline(always)]
    fn run<D: Words>(self, d: D) {
        let Products { blocks, inputs, values, mut weights, to } = self.0;
        let mut sums = [[d.no_sums(); V]; P];
        for (at, block) in blocks.iter().enumerate() {
            let inputs = inputs.wrapping_add(at * BYTE_LANES);
            for pair in 0..block.pairs {
                // SAFETY: a pair of weights of every output for each pair of channels, and a pair of each tile.
                unsafe {
                    let row: [D::Pairs; V] = std::array::from_fn(|v| d.load_pairs(weights.add(2 * v * D::LANES)));
                    unrolled!(p in P, {
                        let value = d.pair(inputs.add(p * values + 2 * pair));
                        for v in 0..V {
                            sums[p][v] = d.dot_words(sums[p][v], value, row[v]);
                        }
                    });
                    weights = weights.add(2 * V * D::LANES);
                }
            }
        }
        unrolled!(p in P, {
            for v in 0..V {
                // SAFETY: the products of tile `p`.
                unsafe { d.store_sums(to.add((p * V + v) * D::LANES), sums[p][v]) };
            }
        });
    }
}

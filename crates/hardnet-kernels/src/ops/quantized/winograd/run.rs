//! The tasks of a convolution: inputs transformed, multiplied at every position, and transformed back.
#![allow(unsafe_code, clippy::needless_range_loop)]

use std::ops::Range;

use hardnet_simd::{BYTE_LANES, Words, WordsKernel, unrolled};

use super::transforms::{Filters, TransformFilters, six, transform_inputs, transform_products};
use super::{Block, ByteTile, ByteWinograd};
use crate::exec::buffer::CACHE_LINE;
use crate::exec::context::Context;
use crate::gemm::next_tile_pixels;
use crate::ops::depthwise::TAPS;
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
        let Self { conv, ref tiles, context } = self;
        let positions = SIDE * SIDE;
        let parts = conv.parts();
        let inputs = context.thread_scratch;
        let filters = inputs.wrapping_add(parts.inputs);
        let products = filters.wrapping_add(parts.filters);
        let sums = products.wrapping_add(parts.products).cast::<i32>();
        let (inputs, filters, products) = (inputs.cast::<i16>(), filters.cast::<i16>(), products.cast::<i32>());
        let most = if D::LANES == BYTE_LANES { 14 } else { 6 };
        let mut weights = context.weights(conv.filter.weights).cast::<i8>();
        for (nth, chunk) in conv.chunks.iter().enumerate() {
            let blocks = &conv.blocks[chunk.blocks.clone()];
            // From block to block and from position to position of the transformed inputs.
            let block_values = conv.task_tiles * BYTE_LANES;
            let position_inputs = blocks.len() * block_values;
            for (block, &Block { offset, .. }) in blocks.iter().enumerate() {
                for (at, tile) in tiles.clone().enumerate() {
                    let from = bytes(context.memory(tile / conv.tiles)).wrapping_add(conv.window(tile));
                    // SAFETY: the window of a tile lies in the inputs' halos; scratch memory has all tiles of a task.
                    unsafe {
                        let to = inputs.add(block * block_values + at * BYTE_LANES);
                        transform_inputs::<D, SIDE>(d, from.add(offset), conv.row, to, position_inputs);
                    }
                }
            }
            let mut channel = 0;
            for &lanes in &conv.panels {
                let position_values = chunk.depth * lanes;
                let filter = if M == 2 { positions * size_of::<i16>() } else { TAPS };
                let next = weights.wrapping_add(filter * position_values);
                // Meanwhile the filters that are needed next are prefetched, a part of them at each position.
                let part = (filter * position_values).div_ceil(positions);
                for y in 0..SIDE {
                    let row = if M == 2 {
                        weights.cast::<i16>().wrapping_add(y * SIDE * position_values)
                    } else {
                        // Weights were packed for this panel; scratch memory has a row of positions.
                        transform(d, y, Filters { taps: weights, pairs: chunk.depth / 2, lanes }, filters);
                        filters
                    };
                    for x in 0..SIDE {
                        for line in (0..part).step_by(CACHE_LINE) {
                            d.prefetch(next.wrapping_add((y * SIDE + x) * part + line).cast());
                        }
                        let mut left = tiles.len();
                        while left > 0 {
                            let several = next_tile_pixels(most, left);
                            let (position, at) = (y * SIDE + x, tiles.len() - left);
                            let job = Products {
                                blocks,
                                inputs: inputs.wrapping_add(position * position_inputs + at * BYTE_LANES),
                                block_values,
                                weights: row.wrapping_add(x * position_values),
                                to: products.wrapping_add((position * conv.task_tiles + at) * lanes),
                            };
                            multiply(d, job, several, lanes / D::LANES);
                            left -= several;
                        }
                    }
                }
                weights = next;
                for first in (0..lanes).step_by(D::LANES) {
                    let results = Results {
                        products: products.wrapping_add(first),
                        lanes,
                        channel: channel + first,
                        sums: sums.wrapping_add((channel + first) * M * M * conv.task_tiles),
                        before: nth > 0,
                        last: nth + 1 == conv.chunks.len(),
                    };
                    // SAFETY: products of all tiles, computed just now; sums of the chunks before, if there are some.
                    unsafe { self.finish::<D, M, SIDE>(d, &results) };
                }
                channel += lanes;
            }
        }
    }

    /// Transforms the products of a vector of output channels back, and adds them up or stores the results.
    ///
    /// # Safety
    /// Products are those of all tiles; sums are valid for writing, and where there are some `before`, for reading.
    #[inline(always)]
    unsafe fn finish<D: Words, const M: usize, const SIDE: usize>(&self, d: D, results: &Results) {
        let Self { conv, tiles, context } = self;
        let &Results { products, lanes, channel, sums, before, last } = results;
        let (block, lane) = (channel / BYTE_LANES, channel % BYTE_LANES);
        let packed = context.weights(conv.filter.lanes).wrapping_add(block * LANE_VALUES);
        // SAFETY: every block has lanes.
        let (start, finish) = unsafe {
            let bounds = (conv.filter.low, conv.filter.high);
            (Finish::<D>::first_sums(d, packed, lane), Finish::new(d, packed, lane, bounds))
        };
        let out = &conv.output;
        let place = out.origin() + block * out.plane() + lane;
        for (at, tile) in tiles.clone().enumerate() {
            // SAFETY: products of the tile.
            let multiples: [[D::Sums; M]; M] =
                unsafe { transform_products::<D, M, SIDE>(d, products.add(at * lanes), conv.task_tiles * lanes) };
            let tile_of_image = tile % conv.tiles;
            let (y, x) = (tile_of_image / conv.columns * M, tile_of_image % conv.columns * M);
            let to = place + y * out.row() + x * BYTE_LANES;
            let to = bytes(context.memory(tile / conv.tiles)).wrapping_add(to);
            let sums = sums.wrapping_add(at * M * M * D::LANES);
            six!(dy in M, {
                six!(dx in M, {
                    let kept = sums.wrapping_add((dy * M + dx) * D::LANES);
                    let sum = multiples[dx][dy];
                    let sum = if M == 2 { d.quarter(sum) } else { d.part_of_576(sum) };
                    // SAFETY: sums of this output of the tile.
                    let sum = d.add_sums(sum, if before { unsafe { d.load_sums(kept) } } else { start });
                    if !last {
                        // SAFETY: as above.
                        unsafe { d.store_sums(kept, sum) };
                    } else if y + dy < out.size.height && x + dx < out.size.width {
                        // SAFETY: an output pixel of the tile, which is this task's.
                        unsafe { d.store_bytes(to.add(dy * out.row() + dx * BYTE_LANES), finish.results(d, sum)) };
                    }
                });
            });
        }
    }
}

/// A vector of output channels of all tiles of a task.
struct Results {
    /// The products of the first tile at the first position.
    products: *const i32,
    /// Products from tile to tile.
    lanes: usize,
    /// The first channel.
    channel: usize,
    /// Sums of chunks, those of a tile side by side.
    sums: *mut i32,
    /// Whether there are chunks before, and whether this is the last one.
    before: bool,
    last: bool,
}

/// Transforms filters to row `y` of positions.
#[inline(always)]
fn transform<D: Words>(d: D, y: usize, filters: Filters, to: *mut i16) {
    match y {
        0 => d.call_words(TransformFilters::<0> { filters, to }),
        1 => d.call_words(TransformFilters::<1> { filters, to }),
        2 => d.call_words(TransformFilters::<2> { filters, to }),
        3 => d.call_words(TransformFilters::<3> { filters, to }),
        4 => d.call_words(TransformFilters::<4> { filters, to }),
        _ => d.call_words(TransformFilters::<5> { filters, to }),
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
    /// Values from block to block of the inputs. Those of a tile are side by side, and after them the next tile's.
    block_values: usize,
    weights: *const i16,
    to: *mut i32,
}

/// The [`Products`] of `P` tiles and `V` vectors. It is run where inputs, weights and products are those of so many.
struct Multiply<'a, const P: usize, const V: usize>(Products<'a>);

impl<const P: usize, const V: usize> WordsKernel for Multiply<'_, P, V> {
    type Output = ();

    #[inline(always)]
    fn run<D: Words>(self, d: D) {
        let Products { blocks, inputs, block_values, mut weights, to } = self.0;
        let mut sums = [[d.no_sums(); V]; P];
        for (at, block) in blocks.iter().enumerate() {
            let inputs = inputs.wrapping_add(at * block_values);
            for pair in 0..block.pairs {
                // SAFETY: a pair of weights of every output for each pair of channels, and a pair of each tile.
                unsafe {
                    let row: [D::Pairs; V] = std::array::from_fn(|v| d.load_pairs(weights.add(2 * v * D::LANES)));
                    unrolled!(p in P, {
                        let value = d.pair(inputs.add(p * BYTE_LANES + 2 * pair));
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

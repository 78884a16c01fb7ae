//! The tasks of a Winograd convolution: transform inputs, multiply, transform outputs.

use std::ops::Range;

use hardnet_simd::{LANES, Simd};

use super::tiles::{Output, TILES, input_tiles, output_tiles};
use super::{F2x2_3x3, F4x4_3x3, Part, TILE_STRIDE, TileSize, Winograd, WinogradTransform, on_the_fly};
use crate::exec::context::Context;
use crate::gemm::{Clamp, Panel, TileCursor, multiply};
use crate::map::ChannelBlocks;

impl Winograd {
    /// Computes one task of `part`.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, part: Part, task: usize, context: &Context<'_>) {
        // SAFETY: the caller's promises.
        unsafe {
            match self.tile {
                TileSize::Two => self.run_for::<S, F2x2_3x3, 4, 2>(s, part, task, context),
                TileSize::Four => self.run_for::<S, F4x4_3x3, 6, 4>(s, part, task, context),
            }
        }
    }

    /// # Safety
    /// As [`Winograd::run`].
    #[inline(always)]
    unsafe fn run_for<S: Simd, P: WinogradTransform<A, M>, const A: usize, const M: usize>(
        &self,
        s: S,
        part: Part,
        task: usize,
        context: &Context<'_>,
    ) {
        let count = self.tiles.0 * self.tiles.1;
        let blocks = self.blocks.len();
        let outputs = self.output.size.blocks();
        // SAFETY: the caller's promises; a phase's tasks have different blocks, panels, positions or tiles.
        unsafe {
            match part {
                Part::Whole => {
                    let tiles = task * self.group..((task + 1) * self.group).min(count * context.images);
                    let scratch = context.thread_scratch;
                    for block in 0..blocks {
                        self.inputs::<S, P, A, M>(s, block, tiles.clone(), tiles.start, scratch, context);
                    }
                    for position in 0..A * A {
                        self.products(s, position, tiles.len(), scratch, context);
                    }
                    for block in 0..outputs {
                        self.outputs::<S, P, A, M>(s, block, tiles.clone(), tiles.start, scratch, context);
                    }
                }
                Part::Inputs(first, images) => {
                    let (block, image) = (task / images, first + task % images);
                    let tiles = image * count..(image + 1) * count;
                    self.inputs::<S, P, A, M>(s, block, tiles, first * count, context.scratch, context);
                }
                Part::Products(_, images) if self.on_the_fly => {
                    on_the_fly::products::<S, P, A, M>(s, self, task, images * count, context);
                }
                Part::Products(_, images) => self.products(s, task, images * count, context.scratch, context),
                Part::Outputs(first, images) => {
                    let (block, image) = (task / images, first + task % images);
                    let tiles = image * count..(image + 1) * count;
                    self.outputs::<S, P, A, M>(s, block, tiles, first * count, context.scratch, context);
                }
            }
        }
    }

    /// The image, row and column of a tile.
    #[inline(always)]
    fn locate(&self, tile: usize) -> (usize, usize, usize) {
        let (rows, columns) = self.tiles;
        (tile / (rows * columns), tile / columns % rows, tile % columns)
    }

    /// Transforms the inputs of `tiles` in one block; `first` is the group's first tile.
    ///
    /// # Safety
    /// As [`Winograd::run`], for the memory at `scratch`.
    #[inline(always)]
    unsafe fn inputs<S: Simd, P: WinogradTransform<A, M>, const A: usize, const M: usize>(
        &self,
        s: S,
        block: usize,
        tiles: Range<usize>,
        first: usize,
        scratch: *mut f32,
        context: &Context<'_>,
    ) {
        let position = self.input_position_stride();
        let mut tile = tiles.start;
        while tile < tiles.end {
            let (image, row, column) = self.locate(tile);
            let count = (tiles.end - tile).min(self.tiles.1 - column).min(TILES);
            let from = self.blocks[block] + row * M * self.input_row + column * M * LANES;
            let to = (block * self.group + tile - first) * LANES;
            let (from, to) = (context.memory(image).wrapping_add(from), scratch.wrapping_add(to));
            // SAFETY: the halo has room for the windows of all tiles; the transformed values of this block and these
            // tiles are this task's alone.
            unsafe { input_tiles::<S::Widest, P, A, M>(s.widest(), from, self.input_row, to, position, count) };
            tile += count;
        }
    }

    /// Multiplies `tiles` tiles at one position.
    ///
    /// # Safety
    /// As [`Winograd::run`], for the memory at `scratch`.
    #[inline(always)]
    unsafe fn products<S: Simd>(&self, s: S, position: usize, tiles: usize, scratch: *mut f32, context: &Context<'_>) {
        let inputs = scratch.wrapping_add(position * self.input_position_stride());
        let products = scratch.wrapping_add(
            self.tile.positions() * self.input_position_stride() + position * self.output_position_stride(),
        );
        let plane = self.group * LANES;
        let weights = |block: usize, lanes: usize| {
            let at = block * LANES * self.depth * self.tile.positions() + position * self.depth * lanes;
            context.weights(self.weights).wrapping_add(at)
        };
        let mut block = 0;
        for (at, &blocks) in self.panels.iter().enumerate() {
            let lanes = blocks * LANES;
            let next = self.panels.get(at + 1).map_or(0, |blocks| blocks * LANES);
            let panel = Panel {
                blocks,
                weights: weights(block, lanes),
                bias: context.weights(self.zeros),
                output: products.wrapping_add(block * plane),
                plane,
                clamp: Clamp::NONE,
                prefetch: (weights(block + blocks, next), next * self.depth),
            };
            // SAFETY: inputs and products of one position lie within the scratch memory, the products of this position
            // are this task's alone; weights were packed for these panels, and the zeros are as many as a panel's
            // lanes.
            unsafe {
                multiply(
                    s,
                    &self.segments,
                    inputs,
                    TileCursor::new(usize::MAX, 0, TILE_STRIDE, TILE_STRIDE),
                    tiles,
                    &panel,
                )
            };
            block += blocks;
        }
    }

    /// Transforms the products of `tiles` back to outputs of one block.
    ///
    /// # Safety
    /// As [`Winograd::run`], for the memory at `scratch`.
    #[inline(always)]
    unsafe fn outputs<S: Simd, P: WinogradTransform<A, M>, const A: usize, const M: usize>(
        &self,
        s: S,
        block: usize,
        tiles: Range<usize>,
        first: usize,
        scratch: *mut f32,
        context: &Context<'_>,
    ) {
        let out = &self.output;
        let position = self.output_position_stride();
        let products = scratch.wrapping_add(A * A * self.input_position_stride());
        // SAFETY: the bias has a value for each lane of each block.
        let bias = unsafe { s.widest().repeat(context.weights(self.bias).wrapping_add(block * LANES)) };
        let mut tile = tiles.start;
        while tile < tiles.end {
            let (image, row, column) = self.locate(tile);
            let count = (tiles.end - tile).min(self.tiles.1 - column).min(TILES);
            let memory = context.memory(image);
            let from = products.wrapping_add((block * self.group + tile - first) * LANES);
            let to = out.origin() + block * out.plane() + row * M * out.row() + column * M * LANES;
            let output = Output {
                to: memory.wrapping_add(to),
                row: out.row(),
                rows: out.size.height - row * M,
                columns: out.size.width - column * M,
            };
            // SAFETY: the products of this block and these tiles are done; rows and columns are those that the map has,
            // and the halo is this task's with the first tile.
            unsafe {
                if row == 0 && column == 0 {
                    out.clear_halo(memory, block);
                }
                output_tiles::<S::Widest, P, A, M>(s.widest(), from, position, count, &output, bias, self.clamp);
            }
            tile += count;
        }
    }
}

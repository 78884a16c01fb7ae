//! Winograd's minimal filtering for 3x3 convolutions of stride 1 and padding 1.
//!
//! A map is cut into tiles of 2x2 or 4x4 outputs. Inputs of a tile and the weights are transformed so that the
//! convolution of a tile is a product at each of 16 or 36 frequencies: 2.25 and 4 times fewer multiplications. Products
//! of all tiles at one frequency are a matrix product, for which the transformed inputs lie as `[frequency, in / 8, tiles, 8]`,
//! the products as `[frequency, out / 8, tiles, 8]`.
//!
//! Two schedules do it. *Strips*: one unit takes a group of tiles through all three phases in its thread's own
//! memory; for maps of many tiles and small weights. *Phases*: all threads transform, multiply and transform back the tiles of
//! some images together, so that each weight is read once; for deep layers. In phases, products are shared out by frequency, or, with
//! weights that are transformed as they are read ([`lean`]), by output channels.
#![allow(unsafe_code)]

mod few;
mod lean;
mod pack;
mod points;
mod transform;

use hardnet_simd::Isa;

use crate::context::Context;
use crate::gemm::{Panel, Range, Run, Stride, Walk, multiply, panels};
use crate::map::Layout;
use crate::memory::Piece;
use hardnet_simd::{LANES, Simd};
pub(crate) use pack::pack;
pub(crate) use points::{Four, Points, Two};
use transform::{TILES, input_tiles, output_tiles};

/// Values of a strip's own memory: most of a level 2 cache.
const STRIP: usize = 80 << 10;

/// Tiles of a strip at least, below which weights are read too often.
const STRIP_TILES: usize = 12;

/// Values between phases that stay in a level 3 cache.
const PHASE: usize = 2 << 20;

/// From tile to tile, in transformed inputs and products.
const TILE_STRIDE: Stride = Stride { row: 0, column: LANES };

/// Side of the outputs of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TileSide {
    Two,
    Four,
}

impl TileSide {
    /// Pixels of a side.
    pub(crate) fn pixels(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    fn frequencies(self) -> usize {
        (self.pixels() + 2).pow(2)
    }
}

/// How the tiles are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedule {
    /// Units of this many tiles.
    Strips(usize),
    /// Groups of this many images.
    Phases(usize),
}

/// A convolution ready to run.
#[derive(Debug)]
pub(crate) struct Winograd {
    side: TileSide,
    /// First pixel of the top left window of each block of inputs.
    blocks: Vec<usize>,
    input_row: usize,
    /// One for each block of inputs, in the transformed inputs of one frequency.
    runs: Vec<Run>,
    output: Layout,
    tiles: (usize, usize),
    panels: Vec<usize>,
    depth: usize,
    weights: Piece,
    bias: Piece,
    /// Zeros to begin products with.
    zeros: Piece,
    range: Range,
    schedule: Schedule,
    /// Whether weights are transformed as they are read.
    lean: bool,
    /// How products are shared out then.
    shares: lean::Shares,
    /// Tiles that are computed together.
    group: usize,
}

/// A phase of a step: its kind, its first image and the number of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Strips,
    Inputs(usize, usize),
    Products(usize, usize),
    Outputs(usize, usize),
}

/// What a [`Winograd`] computes.
pub(crate) struct Spec {
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
    pub(crate) side: TileSide,
    /// Whether weights are transformed as they are read.
    pub(crate) lean: bool,
    pub(crate) range: Range,
    pub(crate) weights: Piece,
    pub(crate) bias: Piece,
    pub(crate) zeros: Piece,
}

impl Winograd {
    /// The convolution of the concatenation of `inputs`, whose frames are alike, to `output`.
    pub(crate) fn new(inputs: &[Layout], output: Layout, spec: &Spec, images: usize) -> Self {
        let side = spec.side.pixels();
        let tiles = (output.size.height.div_ceil(side), output.size.width.div_ceil(side));
        let count = tiles.0 * tiles.1;
        let mut blocks = Vec::new();
        let mut counts = Vec::new();
        for input in inputs {
            for block in 0..input.planes() {
                // Padding is 1, and the frame has at least that.
                blocks.push(input.origin() + block * input.plane() - input.row() - input.pixel());
                counts.push(LANES.min(input.size.channels - block * LANES));
            }
        }
        let depth = counts.iter().sum();
        let per_tile = spec.side.frequencies() * (blocks.len() + output.size.blocks()) * LANES;
        let strip = STRIP / per_tile / 12 * 12;
        let (schedule, group) = if !spec.lean && strip >= STRIP_TILES && count >= 4 * STRIP_TILES {
            let units = (count * images).div_ceil(strip).next_multiple_of(4);
            let strip = (count * images).div_ceil(units).next_multiple_of(6).min(strip);
            (Schedule::Strips(strip), strip)
        } else {
            let group = (PHASE / (per_tile * count)).clamp(1, images);
            (Schedule::Phases(group), group * count)
        };
        let panels = panels(spec.isa, output.size.blocks(), depth);
        let runs = counts.iter().enumerate().map(|(at, &count)| Run { offset: at * group * LANES, count }).collect();
        Self {
            side: spec.side,
            input_row: inputs[0].row(),
            runs,
            blocks,
            output,
            tiles,
            shares: lean::Shares::new(panels.len(), spec.threads),
            panels,
            depth,
            weights: spec.weights,
            bias: spec.bias,
            zeros: spec.zeros,
            range: spec.range,
            schedule,
            lean: spec.lean,
            group,
        }
    }

    /// Values from frequency to frequency of the transformed inputs: an odd number of cache lines, since the values of one
    /// tile lie so far apart and a cache's sets repeat at powers of two.
    fn input_frequency(&self) -> usize {
        odd_lines(self.blocks.len() * self.group * LANES)
    }

    /// Values from frequency to frequency of the products.
    fn output_frequency(&self) -> usize {
        odd_lines(self.output.size.blocks() * self.group * LANES)
    }

    /// Values that the step needs between its phases: shared by all threads, of each thread.
    pub(crate) fn scratch(&self) -> (usize, usize) {
        let values = self.side.frequencies() * (self.input_frequency() + self.output_frequency());
        match self.schedule {
            Schedule::Strips(_) => (0, values),
            Schedule::Phases(_) if self.lean => (values, lean::scratch(self.side.frequencies(), &self.panels)),
            Schedule::Phases(_) => (values, 0),
        }
    }

    /// The phases of a run of `images` images with their units.
    pub(crate) fn phases(&self, images: usize, mut push: impl FnMut(Phase, usize)) {
        let count = self.tiles.0 * self.tiles.1;
        match self.schedule {
            Schedule::Strips(strip) => push(Phase::Strips, (count * images).div_ceil(strip)),
            Schedule::Phases(group) => {
                for first in (0..images).step_by(group) {
                    let many = group.min(images - first);
                    push(Phase::Inputs(first, many), many * self.blocks.len());
                    let products = if self.lean { self.shares.units() } else { self.side.frequencies() };
                    push(Phase::Products(first, many), products);
                    push(Phase::Outputs(first, many), many * self.output.size.blocks());
                }
            }
        }
    }

    /// Computes one unit of `phase`.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, its scratch has the values of [`Winograd::scratch`], the
    /// phases before this one are done, and no other thread has this unit.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, phase: Phase, unit: usize, context: &Context<'_>) {
        // SAFETY: the caller's promises.
        unsafe {
            match self.side {
                TileSide::Two => self.run_for::<S, Two, 4, 2>(s, phase, unit, context),
                TileSide::Four => self.run_for::<S, Four, 6, 4>(s, phase, unit, context),
            }
        }
    }

    /// # Safety
    /// As [`Winograd::run`].
    #[inline(always)]
    unsafe fn run_for<S: Simd, P: Points<A, M>, const A: usize, const M: usize>(
        &self,
        s: S,
        phase: Phase,
        unit: usize,
        context: &Context<'_>,
    ) {
        let count = self.tiles.0 * self.tiles.1;
        let blocks = self.blocks.len();
        let outputs = self.output.size.blocks();
        // SAFETY: the caller's promises; a phase's units have different blocks, panels, frequencies or tiles.
        unsafe {
            match phase {
                Phase::Strips => {
                    let tiles = unit * self.group..((unit + 1) * self.group).min(count * context.images);
                    for block in 0..blocks {
                        self.inputs::<S, P, A, M>(s, block, tiles.clone(), tiles.start, context.own, context);
                    }
                    for frequency in 0..A * A {
                        self.products(s, frequency, tiles.len(), context.own, context);
                    }
                    for block in 0..outputs {
                        self.outputs::<S, P, A, M>(s, block, tiles.clone(), tiles.start, context.own, context);
                    }
                }
                Phase::Inputs(first, many) => {
                    let (block, image) = (unit / many, first + unit % many);
                    let tiles = image * count..(image + 1) * count;
                    self.inputs::<S, P, A, M>(s, block, tiles, first * count, context.scratch, context);
                }
                Phase::Products(_, many) if self.lean => {
                    lean::products::<S, P, A, M>(s, self, unit, many * count, context);
                }
                Phase::Products(_, many) => self.products(s, unit, many * count, context.scratch, context),
                Phase::Outputs(first, many) => {
                    let (block, image) = (unit / many, first + unit % many);
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
    unsafe fn inputs<S: Simd, P: Points<A, M>, const A: usize, const M: usize>(
        &self,
        s: S,
        block: usize,
        tiles: std::ops::Range<usize>,
        first: usize,
        scratch: *mut f32,
        context: &Context<'_>,
    ) {
        let frequency = self.input_frequency();
        let mut tile = tiles.start;
        while tile < tiles.end {
            let (image, row, column) = self.locate(tile);
            let count = (tiles.end - tile).min(self.tiles.1 - column).min(TILES);
            let from = self.blocks[block] + row * M * self.input_row + column * M * LANES;
            let to = (block * self.group + tile - first) * LANES;
            let (from, to) = (context.memory(image).wrapping_add(from), scratch.wrapping_add(to));
            // SAFETY: the frame has room for the windows of all tiles; the transformed values of this block and these tiles are
            // this unit's alone.
            unsafe { input_tiles::<S::Widest, P, A, M>(s.widest(), from, self.input_row, to, frequency, count) };
            tile += count;
        }
    }

    /// Multiplies `tiles` tiles at one frequency.
    ///
    /// # Safety
    /// As [`Winograd::run`], for the memory at `scratch`.
    #[inline(always)]
    unsafe fn products<S: Simd>(&self, s: S, frequency: usize, tiles: usize, scratch: *mut f32, context: &Context<'_>) {
        let inputs = scratch.wrapping_add(frequency * self.input_frequency());
        let products = scratch
            .wrapping_add(self.side.frequencies() * self.input_frequency() + frequency * self.output_frequency());
        let plane = self.group * LANES;
        let weights = |block: usize, lanes: usize| {
            let at = block * LANES * self.depth * self.side.frequencies() + frequency * self.depth * lanes;
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
                range: Range::ALL,
                next: (weights(block + blocks, next), next * self.depth),
            };
            // SAFETY: inputs and products of one frequency lie within the scratch memory, the products of this frequency are this
            // unit's alone; weights were packed for these panels, and the zeros are as many as a panel's lanes.
            unsafe {
                multiply(s, &self.runs, inputs, Walk::new(usize::MAX, 0, TILE_STRIDE, TILE_STRIDE), tiles, &panel)
            };
            block += blocks;
        }
    }

    /// Transforms the products of `tiles` back to outputs of one block.
    ///
    /// # Safety
    /// As [`Winograd::run`], for the memory at `scratch`.
    #[inline(always)]
    unsafe fn outputs<S: Simd, P: Points<A, M>, const A: usize, const M: usize>(
        &self,
        s: S,
        block: usize,
        tiles: std::ops::Range<usize>,
        first: usize,
        scratch: *mut f32,
        context: &Context<'_>,
    ) {
        let out = &self.output;
        let frequency = self.output_frequency();
        let products = scratch.wrapping_add(A * A * self.input_frequency());
        // SAFETY: the bias has a value for each lane of each block.
        let bias = unsafe { s.widest().repeat(context.weights(self.bias).wrapping_add(block * LANES)) };
        let mut tile = tiles.start;
        while tile < tiles.end {
            let (image, row, column) = self.locate(tile);
            let count = (tiles.end - tile).min(self.tiles.1 - column).min(TILES);
            let memory = context.memory(image);
            let from = products.wrapping_add((block * self.group + tile - first) * LANES);
            let to = out.origin() + block * out.plane() + row * M * out.row() + column * M * LANES;
            let output = transform::Output {
                to: memory.wrapping_add(to),
                row: out.row(),
                rows: out.size.height - row * M,
                columns: out.size.width - column * M,
            };
            // SAFETY: the products of this block and these tiles are done; rows and columns are those that the map has, and the border
            // is this unit's with the first tile.
            unsafe {
                if row == 0 && column == 0 {
                    out.clear_border(memory, block);
                }
                output_tiles::<S::Widest, P, A, M>(s.widest(), from, frequency, count, &output, bias, self.range);
            }
            tile += count;
        }
    }
}

/// The values in an odd number of cache lines, at least `values`.
fn odd_lines(values: usize) -> usize {
    const LINE: usize = 16;
    (values.div_ceil(LINE) | 1) * LINE
}

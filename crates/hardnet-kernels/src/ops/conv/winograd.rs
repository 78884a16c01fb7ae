//! Winograd's minimal filtering for 3x3 convolutions of stride 1 and padding 1.
//!
//! Four products of a filter of three taps with four inputs give two outputs, where the definition takes six.
//! Winograd's F(m, r) computes `m` outputs of a filter of `r` taps by `m + r - 1` products: filter and inputs are read
//! as polynomials, evaluated at `m + r - 1` points, multiplied there, and interpolated. In two dimensions that is `(m +
//! r - 1)^2` products for `m^2` outputs (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015):
//!
//! ```text
//!              outputs of a tile   products of the definition   products   quotient
//! F(2x2, 3x3)        4                      36                     16         2.25
//! F(4x4, 3x3)       16                     144                     36         4
//! ```
//!
//! Inputs `d` of a tile, taps `g` and outputs `y` are transformed by constant matrices ([`transforms`] has them and
//! their points):
//!
//! ```text
//! y = A^T [ sum over input channels of (G g G^T) * (B^T d B) ] A        * element by element
//!
//!   tile of inputs        transform domain                  tile of outputs
//!   +-------------+  B^T d B  +-------------+  sum over    +-------------+  A^T m A  +-------+
//!   |  6 x 6      |  ------>  | 36 positions|  --------->  | 36 positions| --------> | 4 x 4 |
//!   +-------------+           +-------------+   channels   +-------------+           +-------+
//!    overlap by 2              [position, in / 8, tiles, 8]  [position, out / 8, tiles, 8]
//! ```
//!
//! The sum over channels makes it pay: the transforms are done once for each channel, the products for each pair of
//! channels. At one position of the transform domain the products of all tiles are a matrix product, by the
//! [micro-kernel](crate::gemm) of all convolutions.
//!
//! Two schedules do it. *Per tile block*: one task takes some tiles through all three phases in its thread's scratch
//! memory; for maps of many tiles and small weights, and where the tiles of one image do not fit a cache. *Per phase*:
//! all threads transform, multiply and transform back the tiles of some images together, so that each weight is read
//! once; for deep layers. There, products are divided by position, or, with weights that are transformed [on the
//! fly](on_the_fly), by output channels. This file prepares a layer and divides it into tasks; [`run`] computes them.
#![allow(unsafe_code)]

mod in_register;
mod on_the_fly;
mod pack;
mod run;
mod tiles;
mod transforms;

use hardnet_graph::Padding;
use hardnet_simd::{Isa, LANES};

use crate::exec::buffer::PackedSlice;
use crate::exec::program::Scratch;
use crate::gemm::{Clamp, KSegment, Stride, panels};
use crate::lower::halo;
use crate::map::{ChannelBlocks, Halo, Layout, Shape};
use crate::ops::conv::direct::PackedFilter;
pub(crate) use pack::pack;
use transforms::{F2x2_3x3, F4x4_3x3, WinogradTransform};

/// Values of a tile block in the transform domain: most of a level 2 cache.
const BLOCK_VALUES: usize = 80 << 10;

/// Tiles of a tile block at least, below which weights are read too often.
const BLOCK_TILES: usize = 12;

/// Values between phases that stay in a level 3 cache.
const PHASE_VALUES: usize = 2 << 20;

/// Values between phases, of one image, that do not: tile blocks are then faster, even if they read weights often.
const LARGE_VALUES: usize = 3 << 20;

/// Values and tiles of their tile blocks.
const LARGE_BLOCK_VALUES: usize = 160 << 10;
const LARGE_BLOCK_TILES: usize = 24;

/// From tile to tile in the transform domain.
const TILE_STRIDE: Stride = Stride { row: 0, column: LANES };

/// Side of the outputs of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TileSize {
    Two,
    Four,
}

impl TileSize {
    /// Outputs of a side.
    pub(crate) fn pixels(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// The halo of the inputs of a map of `size`: whole tiles.
    pub(crate) fn input_halo(self, size: Shape) -> Halo {
        let round = |length: usize| length.next_multiple_of(self.pixels());
        let whole = Shape { height: round(size.height), width: round(size.width), ..size };
        halo::reach(whole, 3, 1, Padding::all(1))
    }

    /// Positions of the transform domain.
    fn positions(self) -> usize {
        (self.pixels() + 2).pow(2)
    }
}

/// How tiles are divided into tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedule {
    /// Tasks of this many tiles, through all phases.
    PerTileBlock(usize),
    /// Phases of groups of this many images.
    PerPhase(usize),
}

impl Schedule {
    /// The schedule of images of `count` tiles, each of `per_tile` values in the transform domain.
    fn new(per_tile: usize, count: usize, images: usize, on_the_fly: bool) -> Self {
        let block = match BLOCK_VALUES / per_tile / 12 * 12 {
            block if block < BLOCK_TILES && per_tile * count > LARGE_VALUES => {
                (LARGE_BLOCK_VALUES / per_tile / 12 * 12).max(LARGE_BLOCK_TILES)
            }
            block => block,
        };
        if on_the_fly || block < BLOCK_TILES || count < 4 * BLOCK_TILES {
            return Self::PerPhase((PHASE_VALUES / (per_tile * count)).clamp(1, images));
        }
        let tasks = (count * images).div_ceil(block).next_multiple_of(4);
        Self::PerTileBlock((count * images).div_ceil(tasks).next_multiple_of(6).min(block))
    }
}

/// A convolution ready to run.
#[derive(Debug)]
pub(crate) struct Winograd {
    tile: TileSize,
    /// First pixel of the top left window of each block of inputs.
    blocks: Vec<usize>,
    input_row: usize,
    /// One for each block of inputs, in the transformed inputs of one position.
    segments: Vec<KSegment>,
    output: Layout,
    tiles: (usize, usize),
    panels: Vec<usize>,
    depth: usize,
    weights: PackedSlice,
    bias: PackedSlice,
    /// Zeros to begin products with.
    zeros: PackedSlice,
    clamp: Clamp,
    schedule: Schedule,
    /// Whether weights are transformed as they are read.
    on_the_fly: bool,
    /// How products are divided into tasks then.
    division: on_the_fly::Division,
    /// Tiles that are computed together.
    group: usize,
}

/// A phase: its kind, and where images are divided its first image and the number of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it, for steps of one phase: here the tasks are tile blocks.
    Whole,
    Inputs(usize, usize),
    Products(usize, usize),
    Outputs(usize, usize),
}

/// A convolution to make ready.
pub(crate) struct WinogradSpec {
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
    pub(crate) tile: TileSize,
    /// Whether weights are transformed as they are read.
    pub(crate) on_the_fly: bool,
    pub(crate) filter: PackedFilter,
    pub(crate) zeros: PackedSlice,
}

impl Winograd {
    /// The convolution of the concatenation of `inputs`, whose halos are alike, to `output`.
    pub(crate) fn new(inputs: &[Layout], output: Layout, spec: &WinogradSpec, images: usize) -> Self {
        let side = spec.tile.pixels();
        let tiles = (output.size.height.div_ceil(side), output.size.width.div_ceil(side));
        let count = tiles.0 * tiles.1;
        let mut blocks = Vec::new();
        let mut counts = Vec::new();
        for input in inputs {
            for block in 0..input.planes() {
                // Padding is 1, and the halo has at least that.
                blocks.push(input.origin() + block * input.plane() - input.row() - input.pixel());
                counts.push(LANES.min(input.size.channels - block * LANES));
            }
        }
        let depth = counts.iter().sum();
        let per_tile = spec.tile.positions() * (blocks.len() + output.size.blocks()) * LANES;
        let schedule = Schedule::new(per_tile, count, images, spec.on_the_fly);
        let group = match schedule {
            Schedule::PerTileBlock(tiles) => tiles,
            Schedule::PerPhase(images) => images * count,
        };
        let panels = panels(spec.isa, output.size.blocks(), depth);
        let segments =
            counts.iter().enumerate().map(|(at, &count)| KSegment { offset: at * group * LANES, count }).collect();
        Self {
            tile: spec.tile,
            input_row: inputs[0].row(),
            segments,
            blocks,
            output,
            tiles,
            division: on_the_fly::Division::new(panels.len(), spec.threads),
            panels,
            depth,
            weights: spec.filter.weights,
            bias: spec.filter.bias,
            zeros: spec.zeros,
            clamp: spec.filter.clamp,
            schedule,
            on_the_fly: spec.on_the_fly,
            group,
        }
    }

    /// Values from position to position of the transformed inputs: an odd number of cache lines, since the values of
    /// one tile lie so far apart and a cache's sets repeat at powers of two.
    fn input_position_stride(&self) -> usize {
        odd_lines(self.blocks.len() * self.group * LANES)
    }

    /// Values from position to position of the products.
    fn output_position_stride(&self) -> usize {
        odd_lines(self.output.size.blocks() * self.group * LANES)
    }

    /// The transform domain, and of each thread, weights that are transformed on the fly.
    pub(crate) fn scratch(&self) -> Scratch {
        let shared = self.tile.positions() * (self.input_position_stride() + self.output_position_stride());
        match self.schedule {
            Schedule::PerTileBlock(_) => Scratch { shared: 0, thread: shared },
            Schedule::PerPhase(_) if self.on_the_fly => {
                Scratch { shared, thread: on_the_fly::scratch(self.tile.positions(), &self.panels) }
            }
            Schedule::PerPhase(_) => Scratch::shared(shared),
        }
    }

    /// The phases of a run of `images` images with their tasks.
    pub(crate) fn phases(&self, images: usize, push: &mut dyn FnMut(Part, usize)) {
        let count = self.tiles.0 * self.tiles.1;
        match self.schedule {
            Schedule::PerTileBlock(block) => push(Part::Whole, (count * images).div_ceil(block)),
            Schedule::PerPhase(group) => {
                for first in (0..images).step_by(group) {
                    let group = group.min(images - first);
                    push(Part::Inputs(first, group), group * self.blocks.len());
                    let products = if self.on_the_fly { self.division.tasks() } else { self.tile.positions() };
                    push(Part::Products(first, group), products);
                    push(Part::Outputs(first, group), group * self.output.size.blocks());
                }
            }
        }
    }
}

/// The values in an odd number of cache lines, at least `values`.
fn odd_lines(values: usize) -> usize {
    const LINE: usize = 16;
    (values.div_ceil(LINE) | 1) * LINE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values in the transform domain of a tile of 4x4 outputs.
    fn per_tile(inputs: usize, outputs: usize) -> usize {
        36 * (inputs.next_multiple_of(LANES) + outputs.next_multiple_of(LANES))
    }

    #[test]
    fn the_transform_domain_of_large_maps_is_small() {
        for (inputs, outputs) in [(16, 24), (78, 62), (170, 88), (400, 234)] {
            for count in [1, 49, 196, 512, 2048, 32_768] {
                let schedule = Schedule::new(per_tile(inputs, outputs), count, 1, false);
                let values = match schedule {
                    Schedule::PerTileBlock(tiles) => tiles * per_tile(inputs, outputs),
                    Schedule::PerPhase(images) => images * count * per_tile(inputs, outputs),
                };
                assert!(values <= LARGE_VALUES, "{inputs} to {outputs}, {count} tiles: {schedule:?}");
            }
        }
        // Deep layers of an image of 224x224 pixels read their weights once.
        assert_eq!(Schedule::new(per_tile(228, 118), 196, 1, false), Schedule::PerPhase(1));
        assert_eq!(Schedule::new(per_tile(466, 168), 49, 1, false), Schedule::PerPhase(1));
    }
}

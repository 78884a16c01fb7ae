//! Winograd's F(2x2, 3x3) and F(4x4, 3x3) in integers of 16 bits.
//!
//! Processors multiply half as many values of 16 bits as bytes in an instruction, but tiles of 4x4 outputs need a
//! quarter of the products, those of 2x2 outputs 4 of 9. Filters are transformed by multiples of the usual matrices, so
//! that all values are integers:
//!
//! ```text
//!      2  0  0          1  0 -1  0          1  1  1  0
//! G =  1  1  1    B' =  0  1  1  0    A' =  0  1 -1 -1                        4 y = A' ((G w G') * (B' d B)) A
//!      1 -1  1          0 -1  1  0
//!      0  0  2          0  1  0 -1
//!
//!      6  0  0          4  0 -5  0  1  0
//!     -4 -4 -4          0 -4 -4  1  1  0          1  1  1  1  1  0
//! G = -4  4 -4    B' =  0  4 -4 -1  1  0    A' =  0  1 -1  2 -2  0          576 y = A' ((G w G') * (B' d B)) A
//!      1  2  4          0 -2 -1  2  1  0          0  1  1  4  4  0
//!      1 -2  4          0  2 -1 -2  1  0          0  1 -1  8 -8  4
//!      0  0  6          0  4  0 -5  0  1
//! ```
//!
//! Inputs of 0 to 255 become values of at most 12,750, weights of at most 144 * 127: both fit 16 bits. Sums wrap around
//! at 32 bits, so that `576 y` is known modulo 2^32. Times the inverse of 9 modulo 2^32, it is `64 y`, of which a shift
//! gives `y` if it is less than 2^25. [`fits`] proves that for the weights of every output channel; layers of others
//! are computed directly.
#![allow(unsafe_code)]

mod pack;
mod run;
mod transforms;

use hardnet_graph::Padding;
use hardnet_simd::{BYTE_LANES, Isa, Words, WordsKernel, dispatch_words};

use self::run::WinogradTask;
use super::conv::corner;
use super::pack::PackedBytes;
use crate::algorithm::Algorithm;
use crate::exec::context::Context;
use crate::exec::program::Scratch;
use crate::map::{Layout, Shape};
use crate::ops::depthwise::TAPS;
pub(crate) use pack::pack;

/// Values of 16 bits of the inputs of a task at most, less than a level 2 cache.
const TASK_VALUES: usize = 384 << 10;

/// Pixels of all images from which on tiles of 4x4 outputs are worth their weights, with products of bytes and without.
const MANY_PIXELS: usize = 3000;
const SOME_PIXELS: usize = 196;

/// Input channels whose products take longer than transforms.
const MANY_INPUTS: usize = 40;

/// Tiles of a task at least and at most.
const MIN_TILES: usize = 12;
const MAX_TILES: usize = 56;

/// Most outputs and positions of a tile's side.
const MAX_SIDE: usize = 6;

/// The size of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteTile {
    Two,
    Four,
}

impl ByteTile {
    /// Outputs of a side.
    fn outputs(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Positions of a side of the transform domain.
    fn side(self) -> usize {
        self.outputs() + 2
    }

    fn positions(self) -> usize {
        self.side() * self.side()
    }

    /// The algorithm of f32 with the same tiles.
    pub(crate) fn algorithm(self) -> Algorithm {
        match self {
            Self::Two => Algorithm::Winograd2,
            Self::Four => Algorithm::Winograd4,
        }
    }

    /// A column of a filter, or a row, by the matrix of filters.
    fn line(self, [a, b, c]: [i16; 3]) -> [i16; MAX_SIDE] {
        match self {
            Self::Two => [2 * a, a + b + c, a - b + c, 2 * c, 0, 0],
            Self::Four => [6 * a, -4 * (a + b + c), -4 * (a - b + c), a + 2 * b + 4 * c, a - 2 * b + 4 * c, 6 * c],
        }
    }

    /// The transform of a filter of nine weights, row by row.
    fn transform(self, weights: &[i8; TAPS]) -> [[i16; MAX_SIDE]; MAX_SIDE] {
        let weight = |at: usize| i16::from(weights[at]);
        let columns: [[i16; MAX_SIDE]; 3] =
            std::array::from_fn(|x| self.line([weight(x), weight(3 + x), weight(6 + x)]));
        std::array::from_fn(|y| self.line([columns[0][y], columns[1][y], columns[2][y]]))
    }
}

/// Whether the sums of `weights`, those of an output channel, are known from the bits that tiles leave of them, for any
/// inputs: less than 2^29 of tiles of 2x2 outputs, 2^25 of those of 4x4.
pub(crate) fn fits(tile: ByteTile, weights: &[i8]) -> bool {
    let sum = |positive: bool| -> i64 {
        let weights = weights.iter().map(|&weight| i64::from(weight)).filter(|&weight| (weight > 0) == positive);
        weights.sum::<i64>().abs()
    };
    let bits = if tile == ByteTile::Two { 29 } else { 25 };
    i64::from(u8::MAX) * sum(true).max(sum(false)) < 1 << bits
}

/// The tiles that compute a 3x3 convolution of `channels` input and output channels to maps of `size`, of `images`
/// images at once, earlier than a direct convolution does, the best first.
///
/// Products of bytes, where the processor has them, are as many as those of tiles of 2x2 outputs would be. Transforms
/// take the time of some channels, and transformed weights of tiles of 4x4 outputs are eight times as many bytes: many
/// pixels pay for them, in maps that are not mostly larger with whole tiles.
pub(crate) fn choose(isa: Isa, channels: (usize, usize), size: Shape, images: usize) -> &'static [ByteTile] {
    let pixels = size.height * size.width;
    let whole = size.height.next_multiple_of(4) * size.width.next_multiple_of(4);
    match isa {
        Isa::Portable => &[],
        Isa::AvxVnni(_) | Isa::Avx512Vnni(_) => {
            let (inputs, outputs) = channels;
            let pays = pixels * images >= MANY_PIXELS && whole * 9 <= pixels * 10;
            if pays && inputs >= MANY_INPUTS && outputs > BYTE_LANES { &[ByteTile::Four] } else { &[] }
        }
        _ if pixels * images >= SOME_PIXELS => &[ByteTile::Four, ByteTile::Two],
        _ => &[ByteTile::Two],
    }
}

/// Output channels of each panel of `blocks` blocks on `isa`: as many as one vector has of sums, or two.
fn panels(isa: Isa, blocks: usize) -> Vec<usize> {
    struct Lanes;
    impl WordsKernel for Lanes {
        type Output = usize;

        #[inline(always)]
        fn run<D: Words>(self, _: D) -> usize {
            D::LANES
        }
    }
    let whole = 2 * dispatch_words(isa, Lanes) / BYTE_LANES;
    let mut panels = vec![whole * BYTE_LANES; blocks / whole];
    panels.extend((!blocks.is_multiple_of(whole)).then_some(BYTE_LANES));
    panels
}

/// A block of input channels.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Bytes from the start of the image's memory to the window of the first tile.
    offset: usize,
    /// Pairs of channels.
    pairs: usize,
}

/// A convolution ready to run.
#[derive(Debug)]
pub(crate) struct ByteWinograd {
    isa: Isa,
    tile: ByteTile,
    /// Output channels of each panel.
    panels: Vec<usize>,
    blocks: Vec<Block>,
    /// Bytes from row to row of the inputs.
    row: usize,
    output: Layout,
    filter: PackedBytes,
    /// Input channels of the packed filters.
    depth: usize,
    /// Tiles of a row and of an image, and of a task.
    columns: usize,
    tiles: usize,
    task_tiles: usize,
}

impl ByteWinograd {
    /// The convolution of `inputs`, by 3x3 windows with a padding of 1, to `output`, a map of bytes, of runs of
    /// `images` images on `threads` threads.
    pub(crate) fn new(
        (isa, threads): (Isa, usize),
        tile: ByteTile,
        inputs: &[Layout],
        output: Layout,
        filter: PackedBytes,
        images: usize,
    ) -> Self {
        let mut blocks = Vec::new();
        for layout in inputs {
            for block in 0..layout.planes() {
                let channels = BYTE_LANES.min(layout.size.channels - block * BYTE_LANES);
                let offset = corner(layout, Padding::all(1)) + block * layout.plane();
                blocks.push(Block { offset, pairs: channels.div_ceil(2) });
            }
        }
        let columns = output.size.width.div_ceil(tile.outputs());
        let tiles = columns * output.size.height.div_ceil(tile.outputs());
        let by_cache = TASK_VALUES / (tile.positions() * blocks.len() * BYTE_LANES);
        // Enough tasks for all threads, all alike.
        let by_threads = if threads == 1 { usize::MAX } else { (tiles * images).div_ceil(2 * threads) };
        let most = by_cache.clamp(MIN_TILES, MAX_TILES).min(by_threads.max(MIN_TILES));
        let task_tiles = (tiles * images).div_ceil((tiles * images).div_ceil(most));
        let panels = panels(isa, output.planes());
        let depth = blocks.iter().map(|block| 2 * block.pairs).sum();
        let row = inputs[0].row();
        Self { isa, tile, panels, blocks, row, output, filter, depth, columns, tiles, task_tiles }
    }

    /// Tasks of a run of `images` images.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        (images * self.tiles).div_ceil(self.task_tiles)
    }

    /// Values of 16 bits of the transformed inputs of a tile at a position.
    fn tile_values(&self) -> usize {
        self.blocks.len() * BYTE_LANES
    }

    /// Scratch memory: transformed inputs, and the products of a block of output channels.
    pub(crate) fn scratch(&self) -> Scratch {
        let inputs = (self.tile.positions() * self.task_tiles * self.tile_values()).div_ceil(2);
        let lanes = self.panels.iter().copied().max().unwrap_or(0);
        Scratch { shared: 0, thread: inputs + self.tile.positions() * self.task_tiles * lanes }
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(never)]
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let first = task * self.task_tiles;
        let tiles = first..(first + self.task_tiles).min(context.images * self.tiles);
        for image in tiles.start.div_ceil(self.tiles)..tiles.end.div_ceil(self.tiles) {
            for plane in 0..self.output.planes() {
                // SAFETY: the halo is the task's that has the first tile of the image.
                unsafe { self.output.clear_halo(context.memory(image), plane) };
            }
        }
        // The caller's promises are those of the task.
        dispatch_words(self.isa, WinogradTask { conv: self, tiles, context });
    }

    /// Bytes from the window of an image's first tile to that of `tile`.
    #[inline(always)]
    fn window(&self, tile: usize) -> usize {
        let tile = tile % self.tiles;
        self.tile.outputs() * (tile / self.columns * self.row + tile % self.columns * BYTE_LANES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_direct_where_sums_may_exceed_the_bits_that_are_left() {
        // 255 * 127 * 1_036 is the greatest multiple below 2^25, that of 16_577 the greatest below 2^29.
        for (tile, count) in [(ByteTile::Four, 1_036), (ByteTile::Two, 16_577)] {
            assert!(fits(tile, &vec![127; count]) && !fits(tile, &vec![127; count + 1]));
            assert!(!fits(tile, &vec![-127; count + 1]));
            // Weights of both signs cannot all add up.
            assert!(fits(tile, &[127, -127].repeat(count)));
        }
    }

    #[test]
    fn transforms_fit_16_bits() {
        let mut most = 0;
        for signs in 0..512 {
            let weights = std::array::from_fn(|at| if signs >> at & 1 == 1 { 127 } else { -127 });
            for row in ByteTile::Four.transform(&weights) {
                most = row.into_iter().fold(most, |most: i16, value| most.max(value.abs()));
            }
        }
        assert_eq!(most, 144 * 127);
    }
}

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
//!      1  0  0          4  0 -5  0  1  0
//!      1  1  1          0  4  4 -1 -1  0          6  4  4  1  1  0
//! G =  1 -1  1    B' =  0 -4  4  1 -1  0    A' =  0  4 -4  2 -2  0          576 y = A' ((G w G') * (B' d B)) A
//!      1  2  4          0 -2 -1  2  1  0          0  4  4  4  4  0
//!      1 -2  4          0  2 -1 -2  1  0          0  4 -4  8 -8 24
//!      0  0  1          0  4  0 -5  0  1
//! ```
//!
//! Inputs of 0 to 255 become values of at most 17,340, weights of at most 49 * 127: both fit 16 bits. Sums wrap around
//! at 32 bits, so that `576 y` is known modulo 2^32. Times the inverse of 9 modulo 2^32, it is `64 y`, and a shift
//! gives `y` if it is less than 2^25. [`fits`] proves that for the weights of every output channel; other layers are
//! computed directly.
//!
//! A task takes some tiles through all phases, for a [`Chunk`] of input channels after another:
//!
//! ```text
//! for chunk of input channels {
//!     transform the inputs of the task's tiles
//!     for panel of output channels {
//!         for row of positions { transform the panel's filters; for position { multiply } }
//!         transform products back; add them to the sums of the chunks before, or finish
//!     }
//! }
//! ```
//!
//! so that inputs, filters and products stay in a level 2 cache, and sums of a chunk have fewer bits than those of all
//! channels.
#![allow(unsafe_code)]

mod pack;
mod run;
mod transforms;

use std::ops::Range;

use hardnet_graph::Padding;
use hardnet_simd::{BYTE_LANES, Isa, Words, WordsKernel, dispatch_words};

use self::run::WinogradTask;
use super::conv::corner;
use super::pack::{ByteInput, PackedBytes};
use crate::algorithm::Algorithm;
use crate::exec::buffer::CACHE_LINE;
use crate::exec::context::Context;
use crate::exec::program::Scratch;
use crate::map::{Layout, Shape};
use crate::ops::depthwise::TAPS;
use crate::quantization::QuantizedFilter;
pub(crate) use pack::pack;

/// Values of 16 bits of a chunk's inputs of a task at most: half of a level 2 cache, which also holds filters and
/// products.
const TASK_VALUES: usize = 240 << 10;

/// Blocks of input channels of a chunk at most.
const CHUNK_BLOCKS: usize = 16;

/// Pixels of all images from which on tiles of 4x4 outputs are worth their transforms, with products of bytes and
/// without.
const MANY_PIXELS: usize = 784;
const SOME_PIXELS: usize = 196;

/// Input channels whose products take longer than transforms, and those of maps that are larger with whole tiles, which
/// need more pixels too.
const MANY_INPUTS: usize = 60;
const MOST_INPUTS: usize = 400;
const MOST_PIXELS: usize = 1500;

/// Tiles of a task up to which threads have a task each: more of them transform filters more often.
const FEW_TILES: usize = 28;

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
            Self::Four => [a, a + b + c, a - b + c, a + 2 * b + 4 * c, a - 2 * b + 4 * c, c],
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

/// Input channels that are multiplied together, some blocks of them.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Which blocks.
    blocks: Range<usize>,
    /// Their channels, where each block has an even number.
    channels: Vec<Option<usize>>,
    /// Their number.
    depth: usize,
}

/// The chunks of maps of so many channels.
fn chunks(tile: ByteTile, maps: impl Iterator<Item = usize>) -> Vec<Chunk> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let mut first = 0;
    for channels in maps {
        blocks.extend((0..channels).step_by(BYTE_LANES).map(|at| first + at..first + channels.min(at + BYTE_LANES)));
        first += channels;
    }
    let most = if tile == ByteTile::Two { usize::MAX } else { CHUNK_BLOCKS };
    let size = blocks.len().div_ceil(blocks.len().div_ceil(most));
    let chunks = blocks.chunks(size).enumerate().map(|(nth, blocks_of_it)| {
        let even = |block: &Range<usize>| block.clone().map(Some).chain((block.len() % 2 == 1).then_some(None));
        let channels: Vec<Option<usize>> = blocks_of_it.iter().flat_map(even).collect();
        Chunk { blocks: nth * size..nth * size + blocks_of_it.len(), depth: channels.len(), channels }
    });
    chunks.collect()
}

/// Whether the sums of each chunk of `inputs` are known from the bits that tiles leave of them, for any inputs and for
/// all output channels of `filter`.
pub(crate) fn fits(tile: ByteTile, filter: &QuantizedFilter<'_>, inputs: &[ByteInput]) -> bool {
    let per_output = TAPS * inputs.iter().map(|input| input.channels).sum::<usize>();
    let chunks = chunks(tile, inputs.iter().map(|input| input.channels));
    filter.weights.chunks_exact(per_output.max(1)).all(|weights| {
        chunks.iter().all(|chunk| {
            let channels = chunk.channels.iter().flatten();
            sums_fit(tile, channels.flat_map(|&channel| &weights[channel * TAPS..][..TAPS]))
        })
    })
}

/// Whether all sums of `weights` times bytes are less than 2^29 for tiles of 2x2 outputs, 2^25 for those of 4x4.
fn sums_fit<'a>(tile: ByteTile, weights: impl Iterator<Item = &'a i8>) -> bool {
    let (mut positive, mut negative) = (0_i64, 0_i64);
    for &weight in weights {
        positive += i64::from(weight.max(0));
        negative -= i64::from(weight.min(0));
    }
    let bits = if tile == ByteTile::Two { 29 } else { 25 };
    i64::from(u8::MAX) * positive.max(negative) < 1 << bits
}

/// The tiles that compute a 3x3 convolution of `channels` input and output channels to maps of `size`, of `images`
/// images at once, earlier than a direct convolution does, the best first.
///
/// Products of bytes, where the processor has them, are as many as those of tiles of 2x2 outputs would be. Transforms
/// of inputs and products take the time of some channels, those of filters the time of some pixels: many pixels pay for
/// them, in maps that are not much larger with whole tiles.
pub(crate) fn choose(isa: Isa, channels: (usize, usize), size: Shape, images: usize) -> &'static [ByteTile] {
    let pixels = size.height * size.width;
    let whole = size.height.next_multiple_of(4) * size.width.next_multiple_of(4);
    match isa {
        Isa::Portable => &[],
        Isa::AvxVnni(_) | Isa::Avx512Vnni(_) | Isa::NeonDotprod(_) | Isa::NeonI8mm(_) => {
            let (inputs, outputs) = channels;
            let pays = if whole * 9 <= pixels * 10 {
                pixels * images >= MANY_PIXELS && inputs >= MANY_INPUTS
            } else {
                whole * 3 <= pixels * 4 && pixels * images >= MOST_PIXELS && inputs >= MOST_INPUTS
            };
            if pays && outputs > BYTE_LANES { &[ByteTile::Four] } else { &[] }
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

/// Scratch memory of a thread, in values of f32: transformed inputs, transformed filters of a row of positions, the
/// products of a panel, and the sums of the chunks before.
struct Parts {
    inputs: usize,
    filters: usize,
    products: usize,
    sums: usize,
}

/// A convolution ready to run.
#[derive(Debug)]
pub(crate) struct ByteWinograd {
    isa: Isa,
    tile: ByteTile,
    /// Output channels of each panel.
    panels: Vec<usize>,
    blocks: Vec<Block>,
    chunks: Vec<Chunk>,
    /// Bytes from row to row of the inputs.
    row: usize,
    output: Layout,
    filter: PackedBytes,
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
        let chunks = chunks(tile, inputs.iter().map(|layout| layout.size.channels));
        let columns = output.size.width.div_ceil(tile.outputs());
        let tiles = columns * output.size.height.div_ceil(tile.outputs());
        let largest = chunks.iter().map(|chunk| chunk.blocks.len()).max().unwrap_or(1);
        let by_cache = TASK_VALUES / (tile.positions() * largest * BYTE_LANES);
        // Enough tasks for all threads, all alike.
        let share = (tiles * images).div_ceil(threads);
        let by_threads = match threads {
            1 => usize::MAX,
            _ if share <= FEW_TILES => share,
            _ => share.div_ceil(2),
        };
        let most = by_cache.clamp(MIN_TILES, MAX_TILES).min(by_threads.max(MIN_TILES));
        let task_tiles = (tiles * images).div_ceil((tiles * images).div_ceil(most));
        let panels = panels(isa, output.planes());
        let row = inputs[0].row();
        Self { isa, tile, panels, blocks, chunks, row, output, filter, columns, tiles, task_tiles }
    }

    /// Tasks of a run of `images` images.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        (images * self.tiles).div_ceil(self.task_tiles)
    }

    /// Scratch memory of a thread.
    fn parts(&self) -> Parts {
        let most = |values: fn(&Chunk) -> usize| self.chunks.iter().map(values).max().unwrap_or(0);
        let lanes = self.panels.iter().copied().max().unwrap_or(0);
        let several = self.chunks.len() > 1;
        let outputs = self.tile.outputs() * self.tile.outputs() * self.output.planes() * BYTE_LANES;
        let line = |bytes: usize| bytes.next_multiple_of(CACHE_LINE) / size_of::<f32>();
        let (words, sums) = (size_of::<i16>(), size_of::<i32>());
        let inputs = self.tile.positions() * self.task_tiles * most(|chunk| chunk.blocks.len() * BYTE_LANES);
        let filters = if self.tile == ByteTile::Two { 0 } else { self.tile.side() * most(|chunk| chunk.depth) * lanes };
        Parts {
            inputs: line(inputs * words),
            filters: line(filters * words),
            products: line(self.tile.positions() * self.task_tiles * lanes * sums),
            sums: if several { line(self.task_tiles * outputs * sums) } else { 0 },
        }
    }

    /// Scratch memory.
    pub(crate) fn scratch(&self) -> Scratch {
        let Parts { inputs, filters, products, sums } = self.parts();
        Scratch { shared: 0, thread: inputs + filters + products + sums }
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
            let fits = |weights: &[i8]| sums_fit(tile, weights.iter());
            assert!(fits(&vec![127; count]) && !fits(&vec![127; count + 1]));
            assert!(!fits(&vec![-127; count + 1]));
            // Weights of both signs cannot all add up.
            assert!(fits(&[127, -127].repeat(count)));
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
        assert_eq!(most, 49 * 127);
        // Inputs are not negative: a position is between the sums of its factors of one sign.
        let rows: [[i32; 6]; 6] = [
            [4, 0, -5, 0, 1, 0],
            [0, 4, 4, -1, -1, 0],
            [0, -4, 4, 1, -1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ];
        let pairs = || rows.iter().flat_map(|y| rows.iter().map(move |x| (y, x)));
        let sum = |(y, x): (&[i32; 6], &[i32; 6]), sign: i32| -> i32 {
            y.iter().flat_map(|y| x.iter().map(move |x| (sign * y * x).max(0))).sum()
        };
        let most = pairs().flat_map(|pair| [sum(pair, 1), sum(pair, -1)]).max();
        assert_eq!(most, Some(68));
        assert_eq!(68 * i32::from(u8::MAX), 17_340);
    }

    #[test]
    fn chunks_have_every_channel_once_and_pairs_of_one_block() {
        for maps in [&[1, 16, 17][..], &[700, 3], &[256], &[257, 255, 31], &[20; 40]] {
            for tile in [ByteTile::Two, ByteTile::Four] {
                let chunks = chunks(tile, maps.iter().copied());
                let channels: Vec<usize> =
                    chunks.iter().flat_map(|chunk| chunk.channels.iter().flatten().copied()).collect();
                assert_eq!(channels, (0..maps.iter().sum()).collect::<Vec<_>>(), "{maps:?}");
                let mut block = 0;
                for Chunk { blocks, channels, depth } in &chunks {
                    assert_eq!((blocks.start, channels.len()), (block, *depth), "{maps:?}");
                    assert!(depth % 2 == 0 && !blocks.is_empty(), "{maps:?}");
                    assert!(tile == ByteTile::Two || blocks.len() <= CHUNK_BLOCKS, "{maps:?}");
                    block = blocks.end;
                }
                assert_eq!(block, maps.iter().map(|channels: &usize| channels.div_ceil(BYTE_LANES)).sum::<usize>());
            }
        }
    }
}

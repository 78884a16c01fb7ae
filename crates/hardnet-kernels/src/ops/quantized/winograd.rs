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
#![allow(unsafe_code, clippy::needless_range_loop)]

use std::ops::Range;

use hardnet_graph::Padding;
use hardnet_simd::{BYTE_LANES, Isa, Words, WordsKernel, dispatch_words, unrolled};

use super::bytes;
use super::conv::corner;
use super::pack::{ByteInput, LANE_VALUES, PackedBytes};
use super::tile::Finish;
use crate::algorithm::Algorithm;
use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::exec::context::Context;
use crate::exec::program::Scratch;
use crate::gemm::next_tile_pixels;
use crate::map::{Layout, Shape};
use crate::ops::depthwise::TAPS;
use crate::quantization::QuantizedFilter;

/// [`unrolled`] of at most six turns. Arrays of vectors are not made by functions of the standard library, whose
/// closures would be compiled without the set's instructions.
macro_rules! six {
    ($i:ident in $count:ident, $body:block) => {
        unrolled!($i in $count, $body, 0 1 2 3 4 5)
    };
}

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

/// Packs transformed filters: for each panel of output channels and each position, pairs of input channels by output
/// channels. The channels of an input are filled up to an even number.
pub(crate) fn pack(
    isa: Isa,
    tile: ByteTile,
    filter: &QuantizedFilter<'_>,
    inputs: &[ByteInput],
    packed: &mut PackedWeights,
) -> PackedSlice {
    let per_output: usize = inputs.iter().map(|input| input.channels * TAPS).sum();
    let depth: usize = inputs.iter().map(|input| input.channels.next_multiple_of(2)).sum();
    let channels = filter.bias.len();
    let blocks = channels.div_ceil(BYTE_LANES);
    let values = blocks * tile.positions() * depth * BYTE_LANES;
    packed.push(values.div_ceil(2), |floats| {
        // SAFETY: any 16-bit values are values of f32 and the other way round, whose alignment is larger.
        let words = unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast::<i16>(), 2 * floats.len()) };
        let mut first = 0;
        for lanes in panels(isa, blocks) {
            let panel = &mut words[first * tile.positions() * depth..];
            for channel in first..(first + lanes).min(channels) {
                let weights = &filter.weights[channel * per_output..][..per_output];
                let (mut k, mut source) = (0, 0);
                for input in inputs {
                    for at in 0..input.channels {
                        let weights = &weights[(source + at) * TAPS..][..TAPS];
                        let transformed = tile.transform(weights.try_into().unwrap_or(&[0; TAPS]));
                        let pair = ((k + at) / 2 * lanes + channel - first) * 2 + (k + at) % 2;
                        for y in 0..tile.side() {
                            for x in 0..tile.side() {
                                panel[(y * tile.side() + x) * depth * lanes + pair] = transformed[y][x];
                            }
                        }
                    }
                    k += input.channels.next_multiple_of(2);
                    source += input.channels;
                }
            }
            first += lanes;
        }
    })
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
}

/// A task of a convolution, which is run under the promises of [`ByteWinograd::run`].
struct WinogradTask<'a> {
    conv: &'a ByteWinograd,
    /// Of all images.
    tiles: Range<usize>,
    context: &'a Context<'a>,
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
    if D::LANES == BYTE_LANES {
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

impl ByteWinograd {
    /// Bytes from the window of an image's first tile to that of `tile`.
    #[inline(always)]
    fn window(&self, tile: usize) -> usize {
        let tile = tile % self.tiles;
        self.tile.outputs() * (tile / self.columns * self.row + tile % self.columns * BYTE_LANES)
    }
}

/// A row or a column of inputs by the matrix of inputs.
#[inline(always)]
fn input_line<D: Words, const SIDE: usize>(d: D, v: [D::W; SIDE]) -> [D::W; SIDE] {
    let mut out = v;
    if SIDE == 4 {
        out[0] = d.sub_words(v[0], v[2]);
        out[1] = d.add_words(v[1], v[2]);
        out[2] = d.sub_words(v[2], v[1]);
        out[3] = d.sub_words(v[1], v[3]);
    } else {
        // 4 (v0 - v2) + v4 - v2, and the same one further.
        out[0] = d.add_words(fourfold(d, d.sub_words(v[0], v[2])), d.sub_words(v[SIDE - 2], v[2]));
        out[SIDE - 1] = d.add_words(fourfold(d, d.sub_words(v[1], v[3])), d.sub_words(v[SIDE - 1], v[3]));
        let (even, odd) = (d.sub_words(v[SIDE - 2], fourfold(d, v[2])), d.sub_words(v[3], fourfold(d, v[1])));
        out[1] = d.add_words(even, odd);
        out[2] = d.sub_words(even, odd);
        let (even, half) = (d.sub_words(v[SIDE - 2], v[2]), d.sub_words(v[3], v[1]));
        let odd = d.add_words(half, half);
        out[3] = d.add_words(even, odd);
        out[SIDE - 2] = d.sub_words(even, odd);
    }
    out
}

/// Four times a vector.
#[inline(always)]
fn fourfold<D: Words>(d: D, value: D::W) -> D::W {
    let double = d.add_words(value, value);
    d.add_words(double, double)
}

/// Transforms sixteen channels of a tile, to `to` and `step` values further for each position.
///
/// # Safety
/// The window is valid for reading, all positions for writing.
#[inline(always)]
unsafe fn transform_inputs<D: Words, const SIDE: usize>(d: D, from: *const u8, row: usize, to: *mut i16, step: usize) {
    // SAFETY: the caller's promise.
    let mut rows = [[unsafe { d.widen(from) }; SIDE]; SIDE];
    six!(y in SIDE, {
        six!(x in SIDE, {
            // SAFETY: the caller's promise.
            rows[y][x] = unsafe { d.widen(from.add(y * row + x * BYTE_LANES)) };
        });
        rows[y] = input_line(d, rows[y]);
    });
    six!(x in SIDE, {
        let mut column = rows[0];
        six!(y in SIDE, {
            column[y] = rows[y][x];
        });
        let column = input_line(d, column);
        six!(y in SIDE, {
            // SAFETY: the caller's promise.
            unsafe { d.store_words(to.add((y * SIDE + x) * step), column[y]) };
        });
    });
}

/// A row or a column of products by the matrix of outputs.
#[inline(always)]
fn output_line<D: Words, const M: usize, const SIDE: usize>(d: D, v: [D::Sums; SIDE]) -> [D::Sums; M] {
    let (sum, difference) = (d.add_sums(v[1], v[2]), d.sub_sums(v[1], v[2]));
    let mut out = [sum; M];
    if M == 2 {
        out[0] = d.add_sums(v[0], sum);
        out[1] = d.sub_sums(difference, v[3]);
    } else {
        let (far, half) = (d.add_sums(v[3], v[SIDE - 2]), d.sub_sums(v[3], v[SIDE - 2]));
        let apart = d.add_sums(half, half);
        out[0] = d.add_sums(v[0], d.add_sums(sum, far));
        out[1] = d.add_sums(difference, apart);
        let far = d.add_sums(far, far);
        out[M - 2] = d.add_sums(sum, d.add_sums(far, far));
        let last = d.add_sums(apart, v[SIDE - 1]);
        let last = d.add_sums(last, last);
        out[M - 1] = d.add_sums(difference, d.add_sums(last, last));
    }
    out
}

/// The outputs of a tile as multiples of their sums, column by column, from products `step` values apart.
///
/// # Safety
/// All positions are valid for reading.
#[inline(always)]
unsafe fn transform_products<D: Words, const M: usize, const SIDE: usize>(
    d: D,
    from: *const i32,
    step: usize,
) -> [[D::Sums; M]; M] {
    let mut rows = [[d.no_sums(); M]; SIDE];
    six!(y in SIDE, {
        let mut line = [d.no_sums(); SIDE];
        six!(x in SIDE, {
            // SAFETY: the caller's promise.
            line[x] = unsafe { d.load_sums(from.add((y * SIDE + x) * step)) };
        });
        rows[y] = output_line(d, line);
    });
    let mut columns = [[d.no_sums(); M]; M];
    six!(x in M, {
        let mut line = [d.no_sums(); SIDE];
        six!(y in SIDE, {
            line[y] = rows[y][x];
        });
        columns[x] = output_line(d, line);
    });
    columns
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

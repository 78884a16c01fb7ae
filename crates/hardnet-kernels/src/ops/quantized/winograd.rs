//! Winograd's F(2x2, 3x3) in integers, for processors without dot products of bytes.
//!
//! AVX2 multiplies 16-bit values, sixteen at once; Winograd's tiles need 4 of 9 products. Filters are transformed by
//! twice the usual matrix on either side, so that all values are integers:
//!
//! ```text
//!      2  0  0                1  0 -1  0               1  1  1  0
//! G =  1  1  1          B' =  0  1  1  0         A' =  0  1 -1 -1        4 y = A' ((G w G') * (B' d B)) A
//!      1 -1  1                0 -1  1  0
//!      0  0  2                0  1  0 -1
//! ```
//!
//! Inputs of 0 to 255 become values of at most 4 * 255, weights of at most 9 * 127: both fit 16 bits. Sums wrap around
//! at 32 bits, which changes nothing if the last result, four times that of the convolution, fits. [`fits`] proves it for
//! the weights of every output channel; layers of others are computed directly.
#![allow(unsafe_code)]

use std::ops::Range;

use hardnet_graph::Padding;
use hardnet_simd::{BYTE_LANES, Isa, Words, WordsKernel, dispatch_words};

use super::bytes;
use super::conv::corner;
use super::pack::{ByteInput, LANE_VALUES, PackedBytes};
use super::tile::Finish;
use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::exec::context::Context;
use crate::exec::program::Scratch;
use crate::map::Layout;
use crate::ops::depthwise::TAPS;
use crate::quantization::QuantizedFilter;

/// Rows and columns of the transform domain, and its positions.
const SIDE: usize = 4;
const POSITIONS: usize = SIDE * SIDE;

/// Values of 16 bits of the inputs of a task at most, less than a level 2 cache.
const TASK_VALUES: usize = 128 << 10;

/// Tiles of a task at least and at most.
const MIN_TILES: usize = 12;
const MAX_TILES: usize = 48;

/// Tiles of a register tile.
const REGISTER_TILES: usize = 6;

/// Whether four times the sums of `weights`, those of an output channel, fit 32 bits for any inputs.
pub(crate) fn fits(weights: &[i8]) -> bool {
    let sum = |positive: bool| -> i64 {
        let weights = weights.iter().map(|&weight| i64::from(weight)).filter(|&weight| (weight > 0) == positive);
        weights.sum::<i64>().abs()
    };
    let most = 4 * i64::from(u8::MAX) * sum(true).max(sum(false));
    i32::try_from(most).is_ok()
}

/// The transform of a filter of nine weights.
fn transform(weights: &[i8; TAPS]) -> [i16; POSITIONS] {
    let line = |a: i16, b: i16, c: i16| [2 * a, a + b + c, a - b + c, 2 * c];
    let weight = |at: usize| i16::from(weights[at]);
    let columns: [[i16; SIDE]; 3] = std::array::from_fn(|x| line(weight(x), weight(3 + x), weight(6 + x)));
    let mut out = [0; POSITIONS];
    for y in 0..SIDE {
        out[y * SIDE..][..SIDE].copy_from_slice(&line(columns[0][y], columns[1][y], columns[2][y]));
    }
    out
}

/// Packs transformed filters: for each block of sixteen output channels and each position, pairs of input channels by
/// output channels. The channels of an input are filled up to an even number.
pub(crate) fn pack(filter: &QuantizedFilter<'_>, inputs: &[ByteInput], packed: &mut PackedWeights) -> PackedSlice {
    let per_output: usize = inputs.iter().map(|input| input.channels * TAPS).sum();
    let depth: usize = inputs.iter().map(|input| input.channels.next_multiple_of(2)).sum();
    let channels = filter.bias.len();
    let blocks = channels.div_ceil(BYTE_LANES);
    let values = blocks * POSITIONS * depth * BYTE_LANES;
    packed.push(values.div_ceil(2), |floats| {
        // SAFETY: any 16-bit values are values of f32 and the other way round, whose alignment is larger.
        let words = unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast::<i16>(), 2 * floats.len()) };
        for channel in 0..channels {
            let block = &mut words[channel / BYTE_LANES * POSITIONS * depth * BYTE_LANES..];
            let weights = &filter.weights[channel * per_output..][..per_output];
            let (mut k, mut source) = (0, 0);
            for input in inputs {
                for at in 0..input.channels {
                    let weights = &weights[(source + at) * TAPS..][..TAPS];
                    let transformed = transform(weights.try_into().unwrap_or(&[0; TAPS]));
                    let pair = ((k + at) / 2 * BYTE_LANES + channel % BYTE_LANES) * 2 + (k + at) % 2;
                    for (position, value) in transformed.into_iter().enumerate() {
                        block[position * depth * BYTE_LANES + pair] = value;
                    }
                }
                k += input.channels.next_multiple_of(2);
                source += input.channels;
            }
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
    /// The convolution of `inputs`, by 3x3 windows with a padding of 1, to `output`, a map of bytes, of runs of `images`
    /// images on `threads` threads.
    pub(crate) fn new(
        (isa, threads): (Isa, usize),
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
        let columns = output.size.width.div_ceil(2);
        let tiles = columns * output.size.height.div_ceil(2);
        let by_cache = TASK_VALUES / (POSITIONS * blocks.len() * BYTE_LANES);
        // Enough tasks for all threads.
        let by_threads = if threads == 1 { usize::MAX } else { (tiles * images).div_ceil(4 * threads) };
        let task_tiles = by_cache.clamp(MIN_TILES, MAX_TILES).min(by_threads.max(MIN_TILES));
        let depth = blocks.iter().map(|block| 2 * block.pairs).sum();
        let row = inputs[0].row();
        Self { isa, blocks, row, output, filter, depth, columns, tiles, task_tiles }
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
        let inputs = (POSITIONS * self.task_tiles * self.tile_values()).div_ceil(2);
        Scratch { shared: 0, thread: inputs + POSITIONS * self.task_tiles * BYTE_LANES }
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
        // SAFETY: the caller's promises are those of the task.
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
        let Self { conv, tiles, context } = self;
        let (count, depth) = (tiles.len(), conv.depth);
        let inputs = context.thread_scratch.cast::<i16>();
        let values = conv.tile_values();
        let products = inputs.wrapping_add((POSITIONS * conv.task_tiles * values).next_multiple_of(2)).cast::<i32>();
        for (at, tile) in tiles.clone().enumerate() {
            let from = bytes(context.memory(tile / conv.tiles)).wrapping_add(conv.window(tile));
            for (block, &Block { offset, .. }) in conv.blocks.iter().enumerate() {
                // SAFETY: the window of a tile lies in the inputs' halos; scratch memory has all tiles of a task.
                unsafe {
                    let to = inputs.add(at * values + block * BYTE_LANES);
                    transform_inputs(d, from.add(offset), conv.row, to, conv.task_tiles * values);
                }
            }
        }
        let weights = context.weights(conv.filter.weights).cast::<i16>();
        for block in 0..conv.output.planes() {
            for position in 0..POSITIONS {
                let weights = weights.wrapping_add((block * POSITIONS + position) * depth * BYTE_LANES);
                let mut first = 0;
                while first < count {
                    let left = count - first;
                    // The last two are alike.
                    let all = REGISTER_TILES;
                    let several = if left > all && left < 2 * all { left.div_ceil(2) } else { left.min(all) };
                    let at = position * conv.task_tiles + first;
                    let job = Products {
                        blocks: &conv.blocks,
                        inputs: inputs.wrapping_add(at * values),
                        values,
                        weights,
                        to: products.wrapping_add(at * BYTE_LANES),
                    };
                    match several {
                        1 => d.call_words(Multiply::<1>(job)),
                        2 => d.call_words(Multiply::<2>(job)),
                        3 => d.call_words(Multiply::<3>(job)),
                        4 => d.call_words(Multiply::<4>(job)),
                        5 => d.call_words(Multiply::<5>(job)),
                        _ => d.call_words(Multiply::<6>(job)),
                    }
                    first += several;
                }
            }
            let lanes = context.weights(conv.filter.lanes).wrapping_add(block * LANE_VALUES);
            for first in (0..BYTE_LANES).step_by(D::LANES) {
                // SAFETY: every block has lanes.
                let (start, finish) = unsafe {
                    let bounds = (conv.filter.low, conv.filter.high);
                    (Finish::<D>::first_sums(d, lanes, first), Finish::new(d, lanes, first, bounds))
                };
                for (at, tile) in tiles.clone().enumerate() {
                    // SAFETY: products of the tile, computed just now.
                    let sums = unsafe {
                        transform_products(d, products.add(at * BYTE_LANES + first), conv.task_tiles * BYTE_LANES)
                    };
                    let (out, tile_of_image) = (&conv.output, tile % conv.tiles);
                    let (y, x) = (tile_of_image / conv.columns * 2, tile_of_image % conv.columns * 2);
                    let to = out.origin() + block * out.plane() + y * out.row() + x * BYTE_LANES + first;
                    let to = bytes(context.memory(tile / conv.tiles)).wrapping_add(to);
                    for (pixel, sum) in sums.into_iter().enumerate() {
                        let (dy, dx) = (pixel / 2, pixel % 2);
                        if y + dy < out.size.height && x + dx < out.size.width {
                            let value = finish.results(d, d.add_sums(d.quarter(sum), start));
                            // SAFETY: an output pixel of the tile, which is this task's.
                            unsafe { d.store_bytes(to.add(dy * out.row() + dx * BYTE_LANES), value) };
                        }
                    }
                }
            }
        }
    }
}

impl ByteWinograd {
    /// Bytes from the window of an image's first tile to that of `tile`.
    #[inline(always)]
    fn window(&self, tile: usize) -> usize {
        let tile = tile % self.tiles;
        tile / self.columns * 2 * self.row + tile % self.columns * 2 * BYTE_LANES
    }
}

/// Transforms sixteen channels of a tile, to `to` and `step` values further for each position.
///
/// # Safety
/// The window is valid for reading, all positions for writing.
#[inline(always)]
unsafe fn transform_inputs<D: Words>(d: D, from: *const u8, row: usize, to: *mut i16, step: usize) {
    let line = |v: [D::W; SIDE]| {
        [d.sub_words(v[0], v[2]), d.add_words(v[1], v[2]), d.sub_words(v[2], v[1]), d.sub_words(v[1], v[3])]
    };
    // SAFETY: the caller's promise.
    let rows: [[D::W; SIDE]; SIDE] =
        std::array::from_fn(|y| line(std::array::from_fn(|x| unsafe { d.widen(from.add(y * row + x * BYTE_LANES)) })));
    for x in 0..SIDE {
        let column = line(std::array::from_fn(|y| rows[y][x]));
        for (y, value) in column.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { d.store_words(to.add((y * SIDE + x) * step), value) };
        }
    }
}

/// Four times the sums of the four outputs of a tile, from products `step` values apart.
///
/// # Safety
/// All positions are valid for reading.
#[inline(always)]
unsafe fn transform_products<D: Words>(d: D, from: *const i32, step: usize) -> [D::Sums; 4] {
    let line = |v: [D::Sums; SIDE]| {
        let (a, b) = (d.add_sums(v[1], v[2]), d.sub_sums(v[1], v[2]));
        [d.add_sums(v[0], a), d.sub_sums(b, v[3])]
    };
    // SAFETY: the caller's promise.
    let rows: [[D::Sums; 2]; SIDE] =
        std::array::from_fn(|y| line(std::array::from_fn(|x| unsafe { d.load_sums(from.add((y * SIDE + x) * step)) })));
    let [left, right]: [[D::Sums; 2]; 2] = std::array::from_fn(|x| line(std::array::from_fn(|y| rows[y][x])));
    [left[0], right[0], left[1], right[1]]
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

/// The [`Products`] of `P` tiles. It is run where inputs, weights and products are those of so many.
struct Multiply<'a, const P: usize>(Products<'a>);

impl<const P: usize> WordsKernel for Multiply<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<D: Words>(self, d: D) {
        let Products { blocks, inputs, values, mut weights, to } = self.0;
        let mut sums = [[d.no_sums(); 2]; P];
        for (at, block) in blocks.iter().enumerate() {
            let inputs = inputs.wrapping_add(at * BYTE_LANES);
            for pair in 0..block.pairs {
                // SAFETY: sixteen pairs of weights for each pair of channels, and a pair of each tile.
                unsafe {
                    let row = [d.load_words(weights), d.load_words(weights.add(BYTE_LANES))];
                    for p in 0..P {
                        let value = d.pair(inputs.add(p * values + 2 * pair));
                        sums[p][0] = d.dot_words(sums[p][0], value, row[0]);
                        sums[p][1] = d.dot_words(sums[p][1], value, row[1]);
                    }
                    weights = weights.add(2 * BYTE_LANES);
                }
            }
        }
        for (p, [first, second]) in sums.into_iter().enumerate() {
            // SAFETY: the products of tile `p`.
            unsafe {
                d.store_sums(to.add(p * BYTE_LANES), first);
                d.store_sums(to.add(p * BYTE_LANES + D::LANES), second);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_direct_where_four_times_a_sum_may_overflow() {
        // 4 * 255 * 127 * 16_577 is the greatest multiple below 2^31.
        assert!(fits(&[127; 16_577]) && !fits(&[127; 16_578]));
        assert!(!fits(&[-127; 16_578]));
        // Weights of both signs cannot all add up.
        let mixed: Vec<i8> = [127, -127].repeat(16_577);
        assert!(fits(&mixed));
    }
}

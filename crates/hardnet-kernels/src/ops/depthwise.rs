//! Depthwise 3x3 convolutions: every channel by itself.
//!
//! ```text
//! output[y][x] = sum over i, j of input[y * stride + i][x * stride + j] * weight[i][j]     for eight channels at once
//! ```
//!
//! A vector of eight channels is multiplied by a vector of weights; four neighboring outputs are computed together,
//! since a sum waits for its last product. Wide vectors hold the outputs of two neighboring pixels, whose windows lie
//! side by side where the stride is 1.
#![allow(unsafe_code)]

pub(crate) mod gradient;

use hardnet_graph::Padding;
use hardnet_simd::{LANES, Simd};

use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::exec::context::Context;
use crate::filter::{Filter, rounded};
use crate::gemm::Clamp;
use crate::map::{ChannelBlocks, Layout};

/// Side of the kernel.
pub(crate) const SIDE: usize = 3;

/// Weights of a channel.
pub(crate) const TAPS: usize = SIDE * SIDE;

/// Output pixels of a task at least, so that claiming it costs little.
const TASK_PIXELS: usize = 512;

/// Vectors of outputs computed side by side.
const VECTORS: usize = 4;

/// Packs `[channels / 8, 9, 8]`.
pub(crate) fn pack(filter: &Filter<'_>, packed_weights: &mut PackedWeights) -> PackedSlice {
    let channels = filter.bias.len();
    packed_weights.push(channels.next_multiple_of(LANES) * TAPS, |packed| {
        for (channel, weights) in filter.weights.chunks_exact(TAPS).enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                let at = (channel / LANES * TAPS + tap) * LANES + channel % LANES;
                packed[at] = rounded(f64::from(weight) * filter.scale[channel]);
            }
        }
    })
}

/// Packed weights, `[blocks, 9, 8]`, biases, and what is done to the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DepthwiseFilter {
    pub(crate) weights: PackedSlice,
    pub(crate) bias: PackedSlice,
    pub(crate) clamp: Clamp,
}

/// A depthwise convolution ready to run.
#[derive(Debug)]
pub(crate) struct Depthwise {
    input: Layout,
    output: Layout,
    stride: usize,
    padding: Padding,
    filter: DepthwiseFilter,
    /// Rows of a task, and tasks of a block.
    rows: usize,
    row_tasks: usize,
}

impl Depthwise {
    /// The convolution of `input` to `output`.
    pub(crate) fn new(input: Layout, output: Layout, stride: usize, padding: Padding, filter: DepthwiseFilter) -> Self {
        let rows = TASK_PIXELS.div_ceil(output.size.width).min(output.size.height);
        let row_tasks = output.size.height.div_ceil(rows);
        Self { input, output, stride, padding, filter, rows, row_tasks }
    }

    /// Tasks of a run of `images` images: rows of blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.output.size.blocks() * self.row_tasks
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let (input, out) = (&self.input, &self.output);
        let blocks = out.size.blocks();
        let (task, block) = (task / blocks, task % blocks);
        let (image, row_task) = (task / self.row_tasks, task % self.row_tasks);
        let memory = context.memory(image);
        let first = row_task * self.rows;
        let from = window(input, self.stride, self.padding, block, first);
        let to = out.origin() + block * out.plane();
        // SAFETY: windows of output pixels lie in the input's halo; rows of a task are its alone, and so is the halo
        // with the first. Weights and biases were packed for every block.
        unsafe {
            if row_task == 0 {
                out.clear_halo(memory, block);
            }
            let rows = DepthwiseRows {
                stride: self.stride,
                clamp: self.filter.clamp,
                from: memory.add(from),
                row: input.row(),
                to: memory.add(to + first * out.row()),
                to_row: out.row(),
                count: self.rows.min(out.size.height - first),
                width: out.size.width,
            };
            let weights = context.weights(self.filter.weights).add(block * TAPS * LANES);
            rows.run(s, weights, context.weights(self.filter.bias).add(block * LANES));
        }
    }
}

/// The first value of the window of the first output of row `y` in a block, from the start of the image's memory.
#[inline(always)]
fn window(input: &Layout, stride: usize, padding: Padding, block: usize, y: usize) -> usize {
    input.offset
        + block * input.plane()
        + (input.halo.top - padding.top + y * stride) * input.row()
        + (input.halo.left - padding.left) * LANES
}

/// Rows of outputs in one block.
pub(crate) struct DepthwiseRows {
    /// From window to window, in rows and columns: 1 or 2.
    pub(crate) stride: usize,
    pub(crate) clamp: Clamp,
    /// First value of the first window.
    pub(crate) from: *const f32,
    /// Values from row to row of the input.
    pub(crate) row: usize,
    /// The first output.
    pub(crate) to: *mut f32,
    /// Values from row to row of the output.
    pub(crate) to_row: usize,
    pub(crate) count: usize,
    /// Outputs of a row.
    pub(crate) width: usize,
}

impl DepthwiseRows {
    /// Computes the rows with `weights`, `[9, 8]`, and `bias`, `[8]`.
    ///
    /// # Safety
    /// The windows of all outputs, weights and bias are valid for reading, the outputs for writing.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, weights: *const f32, bias: *const f32) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.stride {
                1 => self.run_for::<S::Widest, 1>(s.widest(), weights, bias),
                // Neighboring windows do not lie side by side.
                _ => self.run_for::<S, 2>(s, weights, bias),
            }
        }
    }

    /// # Safety
    /// As [`DepthwiseRows::run`].
    #[inline(always)]
    unsafe fn run_for<S: Simd, const STRIDE: usize>(&self, s: S, weights: *const f32, bias: *const f32) {
        // SAFETY: the caller's promise; outputs from `x` on are fewer than the width.
        unsafe {
            let taps = std::array::from_fn(|tap| s.repeat(weights.add(tap * LANES)));
            let bias = s.repeat(bias);
            for y in 0..self.count {
                let (from, to) = (self.from.add(y * STRIDE * self.row), self.to.add(y * self.to_row));
                let mut x = 0;
                while x + VECTORS * S::BLOCKS <= self.width {
                    self.vectors::<S, STRIDE, VECTORS>(s, from, to, x, (&taps, bias), S::BLOCKS);
                    x += VECTORS * S::BLOCKS;
                }
                while x < self.width {
                    let blocks = S::BLOCKS.min(self.width - x);
                    self.vectors::<S, STRIDE, 1>(s, from, to, x, (&taps, bias), blocks);
                    x += blocks;
                }
            }
        }
    }

    /// Computes `N` vectors of outputs from `x` on, with `pixels` pixels in the last.
    ///
    /// # Safety
    /// As [`DepthwiseRows::run`] for the row at `from` and `to`, with so many pixels at most the width.
    #[inline(always)]
    unsafe fn vectors<S: Simd, const STRIDE: usize, const N: usize>(
        &self,
        s: S,
        from: *const f32,
        to: *mut f32,
        x: usize,
        (taps, bias): (&[S::V; TAPS], S::V),
        pixels: usize,
    ) {
        let mask = s.mask(pixels);
        let mut sums = [bias; N];
        for row in 0..SIDE {
            for column in 0..SIDE {
                for (n, sum) in sums.iter_mut().enumerate() {
                    let at = row * self.row + ((x + n * S::BLOCKS) * STRIDE + column) * LANES;
                    // SAFETY: values of the windows of these outputs.
                    let value = unsafe {
                        let from = from.add(at);
                        if n + 1 < N { s.load(from) } else { s.load_masked(from, mask) }
                    };
                    *sum = s.fma(value, taps[row * SIDE + column], *sum);
                }
            }
        }
        let (low, high) = (s.splat(self.clamp.low), s.splat(self.clamp.high));
        for (n, &sum) in sums.iter().enumerate() {
            let to = to.wrapping_add((x + n * S::BLOCKS) * LANES);
            let value = s.min(high, s.max(low, sum));
            // SAFETY: outputs of the row.
            unsafe { if n + 1 < N { s.store(to, value) } else { s.store_masked(to, mask, value) } }
        }
    }
}

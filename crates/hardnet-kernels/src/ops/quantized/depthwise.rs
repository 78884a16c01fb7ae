//! Depthwise 3x3 convolutions of maps of bytes.
//!
//! A lane adds four products at once, so that a row of a window is one product: four neighboring pixels of a channel by
//! three weights and a zero. Where the stride is 1, the same four pixels, by a zero and three weights, are the row of
//! the right neighbor.
//!
//! ```text
//! pixels      x  x+1  x+2  x+3      of sixteen channels
//! output x    w0  w1   w2   0
//! output x+1  0   w0   w1   w2
//! ```
#![allow(unsafe_code)]

use hardnet_graph::Padding;
use hardnet_simd::{BYTE_LANES, Dot, DotKernel, Isa, LANES, dispatch_dot};

use super::bytes;
use super::conv::corner;
use super::pack::{DEPTHWISE_VECTORS, GROUP, LANE_VALUES, PackedBytes};
use super::tile::{Finish, Target};
use crate::exec::context::Context;
use crate::map::{Element, Layout};
use crate::ops::depthwise::SIDE;

/// Output pixels of a task at least, so that claiming it costs little.
const TASK_PIXELS: usize = 512;

/// A depthwise convolution of bytes ready to run.
#[derive(Debug)]
pub(crate) struct ByteDepthwise {
    isa: Isa,
    input: Layout,
    output: Layout,
    stride: usize,
    padding: Padding,
    filter: PackedBytes,
    /// Rows of a task, and tasks of a block.
    rows: usize,
    row_tasks: usize,
}

impl ByteDepthwise {
    /// The convolution of `input` to `output`.
    pub(crate) fn new(
        isa: Isa,
        input: Layout,
        output: Layout,
        (stride, padding): (usize, Padding),
        filter: PackedBytes,
    ) -> Self {
        let rows = TASK_PIXELS.div_ceil(output.size.width).min(output.size.height);
        Self { isa, input, output, stride, padding, filter, rows, row_tasks: output.size.height.div_ceil(rows) }
    }

    /// Tasks of a run of `images` images: rows of blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.input.planes() * self.row_tasks
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(never)]
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let (input, out) = (&self.input, &self.output);
        let (task, block) = (task / input.planes(), task % input.planes());
        let (image, row_task) = (task / self.row_tasks, task % self.row_tasks);
        let memory = context.memory(image);
        let planes = BYTE_LANES / out.lanes();
        if row_task == 0 {
            for plane in block * planes..((block + 1) * planes).min(out.planes()) {
                // SAFETY: the halo of a block, which is this task's with the first rows.
                unsafe { out.clear_halo(memory, plane) };
            }
        }
        let first = row_task * self.rows;
        let from = corner(input, self.padding) + block * input.plane() + first * self.stride * input.row();
        let to = out.origin() + block * planes * out.plane() + first * out.row();
        let rows = DepthwiseRows {
            stride: self.stride,
            from: bytes(memory).wrapping_add(from),
            row: input.row(),
            target: match out.element {
                Element::F32 => Target::Floats(memory.wrapping_add(to)),
                Element::U8(_) => Target::Bytes(bytes(memory).wrapping_add(to)),
            },
            to_row: out.row(),
            plane: out.plane(),
            float_blocks: out.planes().saturating_sub(block * BYTE_LANES / LANES),
            count: self.rows.min(out.size.height - first),
            width: out.size.width,
            weights: context.weights(self.filter.weights).cast(),
            lanes: context.weights(self.filter.lanes),
            block,
            bounds: (self.filter.low, self.filter.high),
        };
        // SAFETY: the windows of output pixels lie in the input's halo, and what is read after the last in its place;
        // the outputs are this task's. Weights and lanes were packed for every block.
        dispatch_dot(self.isa, rows);
    }
}

/// Rows of outputs in one block. It is run where the windows of all outputs, and a pixel more, are valid for reading,
/// the outputs for writing, and weights and lanes are those of the block.
pub(crate) struct DepthwiseRows {
    /// From window to window, in rows and columns: 1 or 2.
    pub(super) stride: usize,
    /// The first byte of the first window.
    pub(super) from: *const u8,
    /// Bytes from row to row of the input.
    pub(super) row: usize,
    pub(super) target: Target,
    /// Values from row to row of the output, and from block to block where it is of f32.
    pub(super) to_row: usize,
    pub(super) plane: usize,
    pub(super) float_blocks: usize,
    pub(super) count: usize,
    /// Outputs of a row.
    pub(super) width: usize,
    /// Weights and lanes of block 0.
    pub(super) weights: *const u8,
    pub(super) lanes: *const f32,
    pub(super) block: usize,
    pub(super) bounds: (f32, f32),
}

impl DotKernel for DepthwiseRows {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        for first in (0..BYTE_LANES).step_by(D::LANES) {
            let channel = self.block * BYTE_LANES + first;
            let vector = D::LANES * GROUP * D::WEIGHT_BYTES;
            // SAFETY: the block has weights and lanes.
            let (weights, sums, finish) = unsafe {
                let weights = self.weights.add(channel / D::LANES * DEPTHWISE_VECTORS * vector);
                let weights: [D::Weights; DEPTHWISE_VECTORS] =
                    std::array::from_fn(|at| d.weights(weights.add(at * vector)));
                let lanes = self.lanes.add(self.block * LANE_VALUES);
                (weights, Finish::<D>::first_sums(d, lanes, first), Finish::new(d, lanes, first, self.bounds))
            };
            for y in 0..self.count {
                let mut x = 0;
                while x < self.width {
                    let from =
                        self.from.wrapping_add(y * self.stride * self.row + x * self.stride * BYTE_LANES + first);
                    let pair = self.stride == 1 && x + 1 < self.width;
                    let (mut left, mut right) = (sums, sums);
                    for row in 0..SIDE {
                        // SAFETY: a row of the window of an output, and the pixel after it.
                        let pixels = unsafe { d.pixels(from.add(row * self.row)) };
                        left = d.dot(left, pixels, weights[row]);
                        if pair {
                            right = d.dot(right, pixels, weights[SIDE + row]);
                        }
                    }
                    // SAFETY: outputs `x` and, of a pair, `x + 1`.
                    unsafe {
                        self.store(d, (y, x, first), finish.results(d, left));
                        if pair {
                            self.store(d, (y, x + 1, first), finish.results(d, right));
                        }
                    }
                    x += if pair { 2 } else { 1 };
                }
            }
        }
    }
}

impl DepthwiseRows {
    /// Stores a vector of results from channel `first` of the block on.
    ///
    /// # Safety
    /// The output is one of the rows'.
    #[inline(always)]
    unsafe fn store<D: Dot>(&self, d: D, (y, x, first): (usize, usize, usize), value: D::Floats) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.target {
                Target::Bytes(to) => d.store_bytes(to.add(y * self.to_row + x * BYTE_LANES + first), value),
                Target::Floats(to) => {
                    let blocks = self.float_blocks.saturating_sub(first / LANES).min(D::LANES / LANES);
                    if blocks > 0 {
                        let to = to.add(first / LANES * self.plane + y * self.to_row + x * LANES);
                        d.scatter(to, self.plane, blocks, value);
                    }
                }
            }
        }
    }
}

//! Bilinear interpolation to another size: forward, to a map ([`Upsampling`]) or to the output ([`UpsamplingOutput`]),
//! and the gradient of the input ([`UpsamplingGradient`]).
//!
//! Each output pixel lies between two rows and two columns of the map. Rows are interpolated first; a row's columns are
//! walked from left to right, so that each interpolated pixel of the map is computed once for all output pixels beside
//! it. The reference on Candle is `hardnet-model/src/network/upsample.rs`.
#![allow(unsafe_code)]

mod output;

use std::ops::Range;

use hardnet_graph::Alignment;
use hardnet_simd::{LANES, Simd};

use crate::exec::context::Context;
use crate::map::{ChannelBlocks, Layout};
pub(crate) use output::{SCRATCH as OUTPUT_SCRATCH, UpsamplingOutput};

/// Output pixels of a task at least, so that claiming it costs little.
const TASK_PIXELS: usize = 1024;

/// The two pixels of a side that an output pixel lies between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) first: usize,
    pub(crate) second: usize,
    /// Weights of both.
    pub(crate) weights: (f32, f32),
}

/// The pairs of all output pixels of a side.
pub(crate) fn pairs(alignment: Alignment, output: usize, input: usize) -> Vec<Pair> {
    let pair = |at| {
        let between = alignment.between(at, output, input);
        let weights = ((1.0 - between.weight) as f32, between.weight as f32);
        Pair { first: between.first, second: between.second, weights }
    };
    (0..output).map(pair).collect()
}

/// An interpolation, ready to run.
#[derive(Debug)]
pub(crate) struct Upsampling {
    input: Layout,
    output: Layout,
    rows: Vec<Pair>,
    columns: Vec<Pair>,
    /// Rows of a task, and tasks of a block.
    task_rows: usize,
    row_tasks: usize,
}

impl Upsampling {
    pub(crate) fn new(input: Layout, output: Layout, alignment: Alignment) -> Self {
        let rows = pairs(alignment, output.size.height, input.size.height);
        let columns = pairs(alignment, output.size.width, input.size.width);
        let task_rows = TASK_PIXELS.div_ceil(output.size.width).min(output.size.height);
        Self { input, output, rows, columns, task_rows, row_tasks: output.size.height.div_ceil(task_rows) }
    }

    /// Tasks of a run of `images` images: rows of blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.row_tasks * self.output.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let blocks = self.output.size.blocks();
        let (task, block) = (task / blocks, task % blocks);
        let (image, row_task) = (task / self.row_tasks, task % self.row_tasks);
        let memory = context.memory(image);
        let out = &self.output;
        if row_task == 0 {
            // SAFETY: the halo of this block is that of the task with its first rows.
            unsafe { out.clear_halo(memory, block) };
        }
        let first = row_task * self.task_rows;
        // SAFETY: rows of the output that are this task's.
        unsafe { self.rows(s, memory, block, first..(first + self.task_rows).min(out.size.height)) };
    }

    /// Computes some rows of the output of one block.
    ///
    /// # Safety
    /// The input in `memory` is valid for reading, these rows of the output for writing.
    #[inline(always)]
    pub(crate) unsafe fn rows<S: Simd>(&self, s: S, memory: *mut f32, block: usize, rows: Range<usize>) {
        let (input, out) = (&self.input, &self.output);
        for y in rows {
            let rows = &self.rows[y];
            let row = |y: usize| memory.wrapping_add(input.origin() + block * input.plane() + y * input.row());
            let to = memory.wrapping_add(out.origin() + block * out.plane() + y * out.row());
            // SAFETY: rows of the input by the pairs, which are within it, and one of the output.
            unsafe { self.row(s, (row(rows.first), row(rows.second)), rows.weights, to) };
        }
    }

    /// Computes one row of outputs between two rows of inputs.
    ///
    /// # Safety
    /// The rows are valid for reading, the outputs for writing.
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, s: S, from: (*const f32, *const f32), weights: (f32, f32), to: *mut f32) {
        let weights = (s.splat(weights.0), s.splat(weights.1));
        // SAFETY: columns are within the row.
        let column = |x: usize| unsafe {
            let upper = s.mul(s.load(from.0.add(x * LANES)), weights.0);
            s.fma(s.load(from.1.add(x * LANES)), weights.1, upper)
        };
        let mut left = column(0);
        let mut right = left;
        // The columns that `left` and `right` are of.
        let mut held = (0, 0);
        for (x, &Pair { first, second, weights }) in self.columns.iter().enumerate() {
            if held != (first, second) {
                left = if held.1 == first { right } else { column(first) };
                right = if second == first { left } else { column(second) };
                held = (first, second);
            }
            let value = s.fma(right, s.splat(weights.1), s.mul(left, s.splat(weights.0)));
            // SAFETY: output `x`.
            unsafe { s.store(to.add(x * LANES), value) };
        }
    }
}

/// The gradient of an interpolation's input, ready to run: each output pixel gives its share to the four pixels that it
/// lies between.
#[derive(Debug)]
pub(crate) struct UpsamplingGradient {
    /// The gradient of the output.
    from: Layout,
    /// The gradient of the input, and whether it is added to what is there.
    to: Layout,
    add: bool,
    rows: Vec<Pair>,
    columns: Vec<Pair>,
}

impl UpsamplingGradient {
    pub(crate) fn new(from: Layout, to: Layout, add: bool, alignment: Alignment) -> Self {
        let rows = pairs(alignment, from.size.height, to.size.height);
        let columns = pairs(alignment, from.size.width, to.size.width);
        Self { from, to, add, rows, columns }
    }

    /// Tasks of a pass over `images` images: blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.to.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let blocks = self.to.size.blocks();
        let (image, block) = (task / blocks, task % blocks);
        let memory = context.memory(image);
        let plane = |layout: &Layout| memory.wrapping_add(layout.origin() + block * layout.plane());
        let (from, to) = (plane(&self.from), plane(&self.to));
        // SAFETY: pairs are within the input, whose plane is this task's; gradients of outputs are read only.
        unsafe {
            if !self.add {
                for y in 0..self.to.size.height {
                    to.add(y * self.to.row()).write_bytes(0, self.to.size.width * LANES);
                }
            }
            for (y, rows) in self.rows.iter().enumerate() {
                for (x, columns) in self.columns.iter().enumerate() {
                    let gradient = s.load(from.add(y * self.from.row() + x * LANES));
                    for (row, of_row) in [(rows.first, rows.weights.0), (rows.second, rows.weights.1)] {
                        let share = s.mul(gradient, s.splat(of_row));
                        for (column, weight) in
                            [(columns.first, columns.weights.0), (columns.second, columns.weights.1)]
                        {
                            let at = to.add(row * self.to.row() + column * LANES);
                            s.store(at, s.fma(share, s.splat(weight), s.load(at)));
                        }
                    }
                }
            }
        }
    }
}

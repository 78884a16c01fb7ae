//! Bilinear interpolation of maps of bytes to maps of the same quantization.
//!
//! Interpolated values are computed in f32, rows before columns, each operation rounded, and rounded to bytes half to
//! even. Weights add up to one, so that bytes are interpolated as they are, whatever they stand for.
#![allow(unsafe_code)]

use hardnet_graph::Alignment;
use hardnet_simd::{BYTE_LANES, Dot, DotKernel, Isa, dispatch_dot};

use super::bytes;
use crate::exec::context::Context;
use crate::map::Layout;
use crate::ops::upsample::{Pair, pairs};

/// Output pixels of a task at least, so that claiming it costs little.
const TASK_PIXELS: usize = 1024;

/// An interpolation of bytes, ready to run.
#[derive(Debug)]
pub(crate) struct ByteUpsampling {
    isa: Isa,
    input: Layout,
    output: Layout,
    rows: Vec<Pair>,
    columns: Vec<Pair>,
    /// Rows of a task, and tasks of a block.
    task_rows: usize,
    row_tasks: usize,
}

impl ByteUpsampling {
    /// The interpolation of `input` to `output`.
    pub(crate) fn new(isa: Isa, input: Layout, output: Layout, alignment: Alignment) -> Self {
        let rows = pairs(alignment, output.size.height, input.size.height);
        let columns = pairs(alignment, output.size.width, input.size.width);
        let task_rows = TASK_PIXELS.div_ceil(output.size.width).min(output.size.height);
        Self { isa, input, output, rows, columns, task_rows, row_tasks: output.size.height.div_ceil(task_rows) }
    }

    /// Tasks of a run of `images` images: rows of blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.row_tasks * self.output.planes()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(never)]
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let (input, out) = (&self.input, &self.output);
        let (task, block) = (task / out.planes(), task % out.planes());
        let (image, row_task) = (task / self.row_tasks, task % self.row_tasks);
        let memory = context.memory(image);
        if row_task == 0 {
            // SAFETY: the halo of this block is that of the task with its first rows.
            unsafe { out.clear_halo(memory, block) };
        }
        let from = |y: usize| bytes(memory).wrapping_add(input.origin() + block * input.plane() + y * input.row());
        let first = row_task * self.task_rows;
        for (y, rows) in self.rows.iter().enumerate().skip(first).take(self.task_rows) {
            let to = bytes(memory).wrapping_add(out.origin() + block * out.plane() + y * out.row());
            let from = (from(rows.first).cast_const(), from(rows.second).cast_const());
            // SAFETY: rows and columns of the pairs are within the input; the output's row is this task's.
            dispatch_dot(self.isa, UpsampleRow { from, weights: rows.weights, columns: &self.columns, to });
        }
    }
}

/// A row of a block of sixteen channels, between two rows of the input. It is run where these are valid for reading,
/// and the outputs for writing.
struct UpsampleRow<'a> {
    from: (*const u8, *const u8),
    weights: (f32, f32),
    columns: &'a [Pair],
    to: *mut u8,
}

impl DotKernel for UpsampleRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        let zero = d.splat(0.0);
        let (upper, lower) = (d.splat(self.weights.0), d.splat(self.weights.1));
        for lanes in (0..BYTE_LANES).step_by(D::LANES) {
            let column = |x: usize| {
                let at = x * BYTE_LANES + lanes;
                // SAFETY: lanes of pixel `x` of both rows.
                let (first, second) = unsafe { (d.load_bytes(self.from.0.add(at)), d.load_bytes(self.from.1.add(at))) };
                d.mul_add(second, lower, d.mul_add(first, upper, zero))
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
                let value = d.mul_add(right, d.splat(weights.1), d.mul_add(left, d.splat(weights.0), zero));
                let value = d.clamp(value, zero, d.splat(255.0));
                // SAFETY: lanes of output `x`, clamped.
                unsafe { d.store_bytes(self.to.add(x * BYTE_LANES + lanes), value) };
            }
        }
    }
}

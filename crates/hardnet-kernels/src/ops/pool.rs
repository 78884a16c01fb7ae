//! Max pooling (PyTorch's `MaxPool2d`) and average pooling (`AvgPool2d`): forward ([`Pooling`]) and the gradient of the
//! input ([`PoolGradient`]). The mean of a whole map, global average pooling, is a window as large as the map.
//!
//! The reference on Candle is `hardnet-model/src/network/windows.rs`.
#![allow(unsafe_code)]

use std::ops::Range;

use hardnet_graph::{Padding, Pool, PoolKind};
use hardnet_simd::{LANES, Simd};

use crate::exec::context::Context;
use crate::map::{ChannelBlocks, Layout, Shape};

/// Output pixels of a task at least, so that claiming it costs little.
const TASK_PIXELS: usize = 256;

/// The windows of a pool, which may be the whole map.
#[derive(Clone, Copy, Debug)]
struct Windows {
    kind: PoolKind,
    /// Rows and columns of a window, and what its sum is divided by.
    size: (usize, usize),
    stride: usize,
    padding: Padding,
}

impl From<&Pool> for Windows {
    fn from(pool: &Pool) -> Self {
        let (kind, stride, padding) = (pool.kind, pool.stride, pool.padding);
        Self { kind, size: (pool.kernel, pool.kernel), stride, padding }
    }
}

impl Windows {
    /// One window over a map of `size`, whose values are averaged.
    fn mean(size: Shape) -> Self {
        let size = (size.height, size.width);
        Self { kind: PoolKind::Average, size, stride: 1, padding: Padding::default() }
    }

    /// The rows of a map of `length` rows that the windows of output row `y` have.
    #[inline(always)]
    fn rows(&self, y: usize, length: usize) -> Range<usize> {
        clip(y * self.stride, self.size.0, self.padding.top, length)
    }

    /// The columns of a map of `length` columns that the windows of output column `x` have.
    #[inline(always)]
    fn columns(&self, x: usize, length: usize) -> Range<usize> {
        clip(x * self.stride, self.size.1, self.padding.left, length)
    }
}

/// The part of a window of `size` at `start` that is in a map of `length` with `padding` before it.
#[inline(always)]
fn clip(start: usize, size: usize, padding: usize, length: usize) -> Range<usize> {
    start.saturating_sub(padding).min(length)..(start + size).saturating_sub(padding).min(length)
}

/// A pool, forward, ready to run: the maximum or the mean of each window.
#[derive(Debug)]
pub(crate) struct Pooling {
    input: Layout,
    output: Layout,
    windows: Windows,
    /// Rows of a task, and tasks of a block.
    rows: usize,
    row_tasks: usize,
}

impl Pooling {
    /// The pool of `input` to `output`.
    pub(crate) fn pool(input: Layout, output: Layout, pool: &Pool) -> Self {
        Self::new(input, output, pool.into())
    }

    /// The means of the channels of `input`.
    pub(crate) fn mean(input: Layout, output: Layout) -> Self {
        Self::new(input, output, Windows::mean(input.size))
    }

    fn new(input: Layout, output: Layout, windows: Windows) -> Self {
        let rows = TASK_PIXELS.div_ceil(output.size.width).min(output.size.height);
        Self { input, output, windows, rows, row_tasks: output.size.height.div_ceil(rows) }
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
        let first = row_task * self.rows;
        let memory = context.memory(image);
        let (input, out) = (&self.input, &self.output);
        // SAFETY: rows are clipped to those of the input, outputs are those of this task's rows and block, and so is
        // the halo with the first.
        unsafe {
            if row_task == 0 {
                out.clear_halo(memory, block);
            }
            for y in first..(first + self.rows).min(out.size.height) {
                let rows = self.windows.rows(y, input.size.height);
                let row = PoolRow {
                    from: memory.add(input.origin() + block * input.plane() + rows.start * input.row()),
                    row: input.row(),
                    rows: rows.len(),
                    columns: input.size.width,
                    to: memory.add(out.origin() + block * out.plane() + y * out.row()),
                    width: out.size.width,
                };
                let Windows { kind, size, stride, padding } = self.windows;
                row.run(s, kind, size, stride, padding.left);
            }
        }
    }
}

/// A row of outputs in one block.
pub(crate) struct PoolRow {
    /// The first pixel of the first row of the windows.
    pub(crate) from: *const f32,
    /// Values from row to row.
    pub(crate) row: usize,
    /// Rows that the windows have of the map.
    pub(crate) rows: usize,
    /// Pixels of a row of the map.
    pub(crate) columns: usize,
    /// The first output.
    pub(crate) to: *mut f32,
    /// Number of outputs.
    pub(crate) width: usize,
}

impl PoolRow {
    /// Computes the row with windows of `window` rows and columns, `stride` pixels apart, the first `left` pixels
    /// before the map.
    ///
    /// # Safety
    /// The rows and columns of the map are valid for reading, the outputs for writing.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, kind: PoolKind, window: (usize, usize), stride: usize, left: usize) {
        let reciprocal = s.splat(1.0 / (window.0 * window.1) as f32);
        for x in 0..self.width {
            let columns = clip(x * stride, window.1, left, self.columns);
            let mut total = s.splat(if kind == PoolKind::Max { f32::NEG_INFINITY } else { 0.0 });
            for y in 0..self.rows {
                let mut sum = s.splat(0.0);
                for x in columns.clone() {
                    // SAFETY: a pixel of the map.
                    let value = unsafe { s.load(self.from.add(y * self.row + x * LANES)) };
                    match kind {
                        PoolKind::Max => total = s.max(total, value),
                        PoolKind::Average => sum = s.add(sum, value),
                    }
                }
                if kind == PoolKind::Average {
                    total = s.add(total, sum);
                }
            }
            if kind == PoolKind::Average {
                total = s.mul(total, reciprocal);
            }
            // SAFETY: output `x`.
            unsafe { s.store(self.to.add(x * LANES), total) };
        }
    }
}

/// The gradient of a pool's input, ready to run.
///
/// Of max pooling, the first of a window's equal maxima takes the gradient of the output; of average pooling, all
/// pixels of the window share it.
///
/// Passes in training do not store which pixel won: the maximum is found again.
#[derive(Debug)]
pub(crate) struct PoolGradient {
    input: Layout,
    /// The gradient of the output.
    from: Layout,
    /// The gradient of the input, and whether it is added to what is there.
    to: Layout,
    add: bool,
    windows: Windows,
}

impl PoolGradient {
    /// The gradient `to` of `input` by that of the pool's output, `from`.
    pub(crate) fn pool(input: Layout, from: Layout, to: Layout, add: bool, pool: &Pool) -> Self {
        Self { input, from, to, add, windows: pool.into() }
    }

    /// The gradient `to` by that of the means of its map's channels, `from`.
    pub(crate) fn mean(from: Layout, to: Layout, add: bool) -> Self {
        Self { input: to, from, to, add, windows: Windows::mean(to.size) }
    }

    /// Tasks of a pass over `images` images: blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.input.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let blocks = self.input.size.blocks();
        let (image, block) = (task / blocks, task % blocks);
        let memory = context.memory(image);
        let plane = |layout: &Layout| memory.wrapping_add(layout.origin() + block * layout.plane());
        let (input, from, to) = (plane(&self.input), plane(&self.from), plane(&self.to));
        let size = self.input.size;
        let reciprocal = s.splat(1.0 / (self.windows.size.0 * self.windows.size.1) as f32);
        // SAFETY: rows and columns are clipped to those of the input, whose planes are this task's.
        unsafe {
            if !self.add {
                for y in 0..size.height {
                    to.add(y * self.to.row()).write_bytes(0, size.width * LANES);
                }
            }
            for y in 0..self.from.size.height {
                let rows = self.windows.rows(y, size.height);
                for x in 0..self.from.size.width {
                    let columns = self.windows.columns(x, size.width);
                    let gradient = s.load(from.add(y * self.from.row() + x * LANES));
                    if self.windows.kind == PoolKind::Average {
                        let share = s.mul(gradient, reciprocal);
                        for y in rows.clone() {
                            for x in columns.clone() {
                                let at = to.add(y * self.to.row() + x * LANES);
                                s.store(at, s.add(s.load(at), share));
                            }
                        }
                        continue;
                    }
                    let mut most = s.splat(f32::NEG_INFINITY);
                    for y in rows.clone() {
                        for x in columns.clone() {
                            most = s.max(most, s.load(input.add(y * self.input.row() + x * LANES)));
                        }
                    }
                    // The first of equal maxima takes all, as in PyTorch.
                    let mut rest = gradient;
                    for y in rows.clone() {
                        for x in columns.clone() {
                            let value = s.load(input.add(y * self.input.row() + x * LANES));
                            let share = s.where_equal(value, most, rest);
                            rest = s.sub(rest, share);
                            let at = to.add(y * self.to.row() + x * LANES);
                            s.store(at, s.add(s.load(at), share));
                        }
                    }
                }
            }
        }
    }
}

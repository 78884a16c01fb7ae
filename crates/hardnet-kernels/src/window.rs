//! Maxima and means over windows of a map.
#![allow(unsafe_code)]

use hardnet_graph::{Padding, Pool, PoolKind};

use crate::context::Context;
use crate::map::Layout;
use hardnet_simd::{LANES, Simd};

/// A pool ready to run; a mean over the whole map is one whose window is the map.
#[derive(Debug)]
pub(crate) struct Window {
    input: Layout,
    output: Layout,
    kind: PoolKind,
    /// Rows and columns of the window, and what its sum is divided by.
    window: (usize, usize),
    stride: usize,
    padding: Padding,
    /// Rows of a unit, and units of a block.
    rows: usize,
    row_units: usize,
}

/// Output pixels of a unit at least, so that claiming it costs little.
const UNIT: usize = 256;

impl Window {
    /// The pool of `input` to `output`.
    pub(crate) fn pool(input: Layout, output: Layout, pool: &Pool) -> Self {
        Self::new(input, output, pool.kind, (pool.kernel, pool.kernel), pool.stride, pool.padding)
    }

    /// The means of the channels of `input`.
    pub(crate) fn mean(input: Layout, output: Layout) -> Self {
        let window = (input.size.height, input.size.width);
        Self::new(input, output, PoolKind::Average, window, 1, Padding::default())
    }

    fn new(
        input: Layout,
        output: Layout,
        kind: PoolKind,
        window: (usize, usize),
        stride: usize,
        padding: Padding,
    ) -> Self {
        let rows = UNIT.div_ceil(output.size.width).min(output.size.height);
        let row_units = output.size.height.div_ceil(rows);
        Self { input, output, kind, window, stride, padding, rows, row_units }
    }

    /// Units of a run of `images` images: rows of blocks.
    pub(crate) fn units(&self, images: usize) -> usize {
        images * self.row_units * self.output.size.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, and no other thread has this unit of this step.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let blocks = self.output.size.blocks();
        let (unit, block) = (unit / blocks, unit % blocks);
        let (image, row_unit) = (unit / self.row_units, unit % self.row_units);
        let first = row_unit * self.rows;
        let memory = context.memory(image);
        let (input, out) = (&self.input, &self.output);
        // SAFETY: rows are cut to those of the input, outputs are those of this unit's rows and block, and so is the border with the
        // first.
        unsafe {
            if row_unit == 0 {
                out.clear_border(memory, block);
            }
            for y in first..(first + self.rows).min(out.size.height) {
                let rows = clip(y * self.stride, self.window.0, self.padding.top, input.size.height);
                let line = Line {
                    from: memory.add(input.origin() + block * input.plane() + rows.start * input.row()),
                    row: input.row(),
                    rows: rows.len(),
                    columns: input.size.width,
                    to: memory.add(out.origin() + block * out.plane() + y * out.row()),
                    width: out.size.width,
                };
                line.run(s, self.kind, self.window, self.stride, self.padding.left);
            }
        }
    }
}

/// A row of outputs in one block.
pub(crate) struct Line {
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

impl Line {
    /// Computes the row with windows of `window` rows and columns, `stride` pixels apart, the first `left` pixels before the map.
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

/// What the windows of a chain's last layer are, in rows and columns alike, but for the padding above and on the left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) top: usize,
    pub(crate) left: usize,
}

/// The part of a window of `size` at `start` that is in a map of `length` with `padding` before it.
fn clip(start: usize, size: usize, padding: usize, length: usize) -> std::ops::Range<usize> {
    start.saturating_sub(padding).min(length)..(start + size).saturating_sub(padding).min(length)
}

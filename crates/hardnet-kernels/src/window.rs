//! Maxima and means over windows of a map.
#![allow(unsafe_code)]

use crate::context::Context;
use crate::map::{Layout, Padding};
use crate::simd::{LANES, Simd};

/// Which value of a window is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The greatest; padding never wins.
    Max,
    /// The mean; padding counts as zeros.
    Average,
}

/// A pool over square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Pool {
    /// Greatest or mean.
    pub kind: PoolKind,
    /// Side of the window.
    pub kernel: usize,
    /// Step in rows and columns.
    pub stride: usize,
    /// What is added around the map, less than a window.
    pub padding: Padding,
}

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
}

impl Window {
    /// The pool of `input` to `output`.
    pub(crate) fn pool(input: Layout, output: Layout, pool: &Pool) -> Self {
        let window = (pool.kernel, pool.kernel);
        Self { input, output, kind: pool.kind, window, stride: pool.stride, padding: pool.padding }
    }

    /// The means of the channels of `input`.
    pub(crate) fn mean(input: Layout, output: Layout) -> Self {
        let window = (input.size.height, input.size.width);
        let kind = PoolKind::Average;
        Self { input, output, kind, window, stride: 1, padding: Padding::default() }
    }

    /// Units of a run of `images` images: blocks.
    pub(crate) fn units(&self, images: usize) -> usize {
        images * self.output.size.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, and no other thread has this unit of this step.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let blocks = self.output.size.blocks();
        let (image, block) = (unit / blocks, unit % blocks);
        let memory = context.memory(image);
        let (input, out) = (&self.input, &self.output);
        let (from, to) = (input.origin() + block * input.plane(), out.origin() + block * out.plane());
        let reciprocal = s.splat(1.0 / (self.window.0 * self.window.1) as f32);
        // SAFETY: rows and columns are cut to those of the input, outputs are those of this unit's block.
        unsafe {
            out.clear_border(memory, block);
            for y in 0..out.size.height {
                let rows = clip(y * self.stride, self.window.0, self.padding.top, input.size.height);
                for x in 0..out.size.width {
                    let columns = clip(x * self.stride, self.window.1, self.padding.left, input.size.width);
                    let at = |y, x| memory.add(from + y * input.row() + x * LANES);
                    let mut total = s.splat(if self.kind == PoolKind::Max { f32::NEG_INFINITY } else { 0.0 });
                    for y in rows.clone() {
                        let mut sum = s.splat(0.0);
                        for x in columns.clone() {
                            let value = s.load(at(y, x));
                            match self.kind {
                                PoolKind::Max => total = s.max(total, value),
                                PoolKind::Average => sum = s.add(sum, value),
                            }
                        }
                        if self.kind == PoolKind::Average {
                            total = s.add(total, sum);
                        }
                    }
                    if self.kind == PoolKind::Average {
                        total = s.mul(total, reciprocal);
                    }
                    s.store(memory.add(to + y * out.row() + x * LANES), total);
                }
            }
        }
    }
}

/// The part of a window of `size` at `start` that is in a map of `length` with `padding` before it.
fn clip(start: usize, size: usize, padding: usize, length: usize) -> std::ops::Range<usize> {
    start.saturating_sub(padding).min(length)..(start + size).saturating_sub(padding).min(length)
}

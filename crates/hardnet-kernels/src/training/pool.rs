//! Gradients of maxima and means over windows.
#![allow(unsafe_code)]

use hardnet_graph::{Padding, Pool, PoolKind};

use super::context::Context;
use crate::map::Layout;
use hardnet_simd::{LANES, Simd};

/// The gradient of a pool's input ready to run; a mean over the whole map is one whose window is the map.
#[derive(Debug)]
pub(super) struct PoolGradient {
    input: Layout,
    /// The gradient of the output.
    from: Layout,
    /// The gradient of the input, and whether it is added to what is there.
    to: Layout,
    add: bool,
    kind: PoolKind,
    window: (usize, usize),
    stride: usize,
    padding: Padding,
}

impl PoolGradient {
    /// The gradient `to` of `input` by that of the pool's output, `from`.
    pub(super) fn pool(input: Layout, from: Layout, to: Layout, add: bool, pool: &Pool) -> Self {
        let window = (pool.kernel, pool.kernel);
        Self { input, from, to, add, kind: pool.kind, window, stride: pool.stride, padding: pool.padding }
    }

    /// The gradient `to` of `input` by that of its channels' means, `from`.
    pub(super) fn mean(input: Layout, from: Layout, to: Layout, add: bool) -> Self {
        let window = (input.size.height, input.size.width);
        Self { input, from, to, add, kind: PoolKind::Average, window, stride: 1, padding: Padding::default() }
    }

    /// Units of a pass over `images` images: blocks.
    pub(super) fn units(&self, images: usize) -> usize {
        images * self.input.size.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, and no other thread has this unit of this step.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let blocks = self.input.size.blocks();
        let (image, block) = (unit / blocks, unit % blocks);
        let memory = context.memory(image);
        let plane = |layout: &Layout| memory.wrapping_add(layout.origin() + block * layout.plane());
        let (input, from, to) = (plane(&self.input), plane(&self.from), plane(&self.to));
        let size = self.input.size;
        let reciprocal = s.splat(1.0 / (self.window.0 * self.window.1) as f32);
        // SAFETY: rows and columns are cut to those of the input, whose planes are this unit's.
        unsafe {
            if !self.add {
                for y in 0..size.height {
                    to.add(y * self.to.row()).write_bytes(0, size.width * LANES);
                }
            }
            for y in 0..self.from.size.height {
                let rows = clip(y * self.stride, self.window.0, self.padding.top, size.height);
                for x in 0..self.from.size.width {
                    let columns = clip(x * self.stride, self.window.1, self.padding.left, size.width);
                    let gradient = s.load(from.add(y * self.from.row() + x * LANES));
                    if self.kind == PoolKind::Average {
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

/// The part of a window of `size` at `start` that is in a map of `length` with `padding` before it.
fn clip(start: usize, size: usize, padding: usize, length: usize) -> std::ops::Range<usize> {
    start.saturating_sub(padding).min(length)..(start + size).saturating_sub(padding).min(length)
}

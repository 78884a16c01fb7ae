//! Interpolation that writes a program's output, `[C, H, W]`, without a map of that size in between.
//!
//! Columns are interpolated first, for each row of the small map, and turned into rows of single channels; output rows
//! are then sums of two of these, in vectors along the row.

use hardnet_graph::Alignment;
use hardnet_simd::{LANES, Simd};

use super::{Pair, pairs};
use crate::exec::context::Context;
use crate::map::{ChannelBlocks, Layout, Shape};
use crate::ops::store::transpose;

/// Columns of a tile: two rows of eight channels lie in a level 1 cache.
const COLUMNS: usize = 512;

/// Output rows of a task: the rows of the map between tasks are interpolated twice.
const ROWS: usize = 32;

/// Values of thread scratch memory: two rows of a tile, and eight pixels.
pub(crate) const SCRATCH: usize = 2 * LANES * COLUMNS + LANES * LANES;

/// An interpolation to the output, ready to run.
#[derive(Debug)]
pub(crate) struct UpsamplingOutput {
    input: Layout,
    size: Shape,
    /// Values of an image's output, and of those before this map's.
    image: usize,
    first: usize,
    rows: Vec<Pair>,
    columns: Vec<Pair>,
}

impl UpsamplingOutput {
    /// The interpolation of `input` to `size`, behind the `first` values of each image's output, which has `image`.
    pub(crate) fn new(input: Layout, size: Shape, alignment: Alignment, (image, first): (usize, usize)) -> Self {
        let rows = pairs(alignment, size.height, input.size.height);
        let columns = pairs(alignment, size.width, input.size.width);
        Self { input, size, image, first, rows, columns }
    }

    /// Tasks of a run of `images` images: rows of blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.size.height.div_ceil(ROWS) * self.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let (size, row_tasks) = (self.size, self.size.height.div_ceil(ROWS));
        let (task, block) = (task / size.blocks(), task % size.blocks());
        let (image, row_task) = (task / row_tasks, task % row_tasks);
        let from = context.memory(image).wrapping_add(self.input.origin() + block * self.input.plane());
        let plane = size.height * size.width;
        let to = context.lists.outputs.wrapping_add(image * self.image + self.first + block * LANES * plane);
        let lanes = LANES.min(size.channels - block * LANES);
        let rows = row_task * ROWS..((row_task + 1) * ROWS).min(size.height);
        for left in (0..size.width).step_by(COLUMNS) {
            let columns = &self.columns[left..(left + COLUMNS).min(size.width)];
            // Row `y` of the map is held at `y % 2`: an output row lies between neighbors.
            let slot = |y: usize| context.thread_scratch.wrapping_add(y % 2 * LANES * COLUMNS);
            let mut held = [usize::MAX; 2];
            for y in rows.clone() {
                let Pair { first, second, weights } = self.rows[y];
                for row in [first, second] {
                    if held[row % 2] != row {
                        // SAFETY: a row of the map, to the place of one in this thread's memory.
                        unsafe { self.interpolate(s, from.add(row * self.input.row()), columns, slot(row), context) };
                        held[row % 2] = row;
                    }
                }
                for lane in 0..lanes {
                    let rows = (slot(first).wrapping_add(lane * COLUMNS), slot(second).wrapping_add(lane * COLUMNS));
                    let to = to.wrapping_add(lane * plane + y * size.width + left);
                    // SAFETY: rows interpolated above, of whole vectors; a part of an output row of this task.
                    unsafe { between(s.widest(), rows, weights, to, columns.len()) };
                }
            }
        }
    }

    /// Interpolates a row of the map in one block at `columns`, to rows of single channels.
    ///
    /// # Safety
    /// `from` is valid for reading a row, `to` for writing those of a tile.
    #[inline(always)]
    unsafe fn interpolate<S: Simd>(
        &self,
        s: S,
        from: *const f32,
        columns: &[Pair],
        to: *mut f32,
        context: &Context<'_>,
    ) {
        let pixels = context.thread_scratch.wrapping_add(2 * LANES * COLUMNS);
        for (group, columns) in columns.chunks(LANES).enumerate() {
            for (x, &Pair { first, second, weights }) in columns.iter().enumerate() {
                // SAFETY: columns of the row by the pairs, and one of eight pixels.
                unsafe {
                    let left = s.mul(s.load(from.add(first * LANES)), s.splat(weights.0));
                    let value = s.fma(s.load(from.add(second * LANES)), s.splat(weights.1), left);
                    s.store(pixels.add(x * LANES), value);
                }
            }
            // SAFETY: eight pixels, some of which may be of the group before, to the columns of the tile.
            unsafe { transpose(pixels, to.add(group * LANES), COLUMNS, (LANES, LANES)) };
        }
    }
}

/// Writes `count` values between two rows, which are readable in whole vectors.
///
/// # Safety
/// The rows are valid for reading, `count` values for writing.
#[inline(always)]
unsafe fn between<S: Simd>(s: S, rows: (*mut f32, *mut f32), weights: (f32, f32), to: *mut f32, count: usize) {
    let lanes = S::BLOCKS * LANES;
    let weights = (s.splat(weights.0), s.splat(weights.1));
    // SAFETY: a vector of both rows.
    let value = |x: usize| unsafe {
        let upper = s.mul(s.load(rows.0.add(x)), weights.0);
        s.fma(s.load(rows.1.add(x)), weights.1, upper)
    };
    let whole = count / lanes * lanes;
    for x in (0..whole).step_by(lanes) {
        // SAFETY: values below `count`.
        unsafe { s.store(to.add(x), value(x)) };
    }
    if whole < count {
        let mut last = [0.0; 2 * LANES];
        // SAFETY: the array has room for the widest vector, and the row for what is left.
        unsafe {
            s.store(last.as_mut_ptr(), value(whole));
            to.add(whole).copy_from_nonoverlapping(last.as_ptr(), count - whole);
        }
    }
}

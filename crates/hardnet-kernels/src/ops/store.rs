//! The exit of values: maps copied out of their blocks to a program's output, `[C, H, W]`.
#![allow(unsafe_code)]

use hardnet_simd::{LANES, Simd};

use crate::exec::context::Context;
use crate::map::{ChannelBlocks, Layout};

/// Pixels of a task at least, so that claiming it costs little.
const TASK_PIXELS: usize = 2048;

/// The step that copies a map of f32 to the output.
#[derive(Debug)]
pub(crate) struct Store {
    map: Layout,
    /// Values of an image's output, and of those before this map's.
    image: usize,
    first: usize,
    /// Rows of a task, and tasks of a block.
    rows: usize,
    row_tasks: usize,
}

impl Store {
    /// The copy of `map` behind the `first` values of each image's output, which has `image` values.
    pub(crate) fn new(map: Layout, image: usize, first: usize) -> Self {
        let rows = TASK_PIXELS.div_ceil(map.size.width).min(map.size.height);
        Self { map, image, first, rows, row_tasks: map.size.height.div_ceil(rows) }
    }

    /// Tasks of a run of `images` images: rows of blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.row_tasks * self.map.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, _: S, task: usize, context: &Context<'_>) {
        let (map, size) = (&self.map, self.map.size);
        let (task, block) = (task / size.blocks(), task % size.blocks());
        let (image, row_task) = (task / self.row_tasks, task % self.row_tasks);
        let first = row_task * self.rows;
        let plane = size.height * size.width;
        let lanes = LANES.min(size.channels - block * LANES);
        let to = context.lists.outputs.wrapping_add(image * self.image + self.first + block * LANES * plane);
        for y in first..(first + self.rows).min(size.height) {
            let from = context.memory(image).wrapping_add(map.origin() + block * map.plane() + y * map.row());
            for x in (0..size.width).step_by(LANES) {
                let pixels = LANES.min(size.width - x);
                // SAFETY: pixels of a row of the map, and their places in the output, which are this task's.
                unsafe { transpose(from.add(x * LANES), to.add(y * size.width + x), plane, (pixels, lanes)) };
            }
        }
    }
}

/// Copies the first `lanes` values of each of `pixels` pixels, which lie side by side in a block, to rows `step` values
/// apart, one for each channel. There are at most [`LANES`] of both.
///
/// # Safety
/// The pixels are valid for reading, as many values of each row for writing.
#[inline(always)]
pub(crate) unsafe fn transpose(from: *const f32, to: *mut f32, step: usize, (pixels, lanes): (usize, usize)) {
    debug_assert!(pixels <= LANES && lanes <= LANES);
    for lane in 0..lanes {
        // SAFETY: the caller's promises.
        unsafe {
            let to = to.add(lane * step);
            if pixels == LANES {
                let row: [f32; LANES] = std::array::from_fn(|x| *from.add(x * LANES + lane));
                to.cast::<[f32; LANES]>().write_unaligned(row);
            } else {
                (0..pixels).for_each(|x| *to.add(x) = *from.add(x * LANES + lane));
            }
        }
    }
}

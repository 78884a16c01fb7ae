//! The entry of values: images, and in training the gradient of the outputs.
#![allow(unsafe_code)]

use hardnet_simd::LANES;

use crate::exec::context::Context;
use crate::filter::flushed;
use crate::map::{ChannelBlocks, Layout, Shape};

/// Rows of a task.
const ROWS: usize = 16;

/// The step that writes the image, `[C, H, W]`, as an interleaved map, with denormals flushed to zero.
#[derive(Debug)]
pub(crate) struct Load {
    output: Layout,
}

impl Load {
    pub(crate) fn new(output: Layout) -> Self {
        Self { output }
    }

    /// Tasks of a run of `images` images.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.output.size.height.div_ceil(ROWS)
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let out = &self.output;
        let tasks = out.size.height.div_ceil(ROWS);
        let (image, first) = (task / tasks, task % tasks * ROWS);
        let memory = context.memory(image);
        if first == 0 {
            // SAFETY: the halo is this task's.
            unsafe { out.clear_halo(memory, 0) };
        }
        for y in first..(first + ROWS).min(out.size.height) {
            // SAFETY: row `y` of the map; rows are this task's.
            unsafe { load_row(out.size, context.pixels[image], y, memory.wrapping_add(out.origin() + y * out.row())) };
        }
    }
}

/// Writes row `y` of an image of `size`, `[C, H, W]`, as pixels from `to` on.
///
/// # Safety
/// The values of a row are valid for writing at `to`.
#[inline(always)]
pub(crate) unsafe fn load_row(size: Shape, image: &[f32], y: usize, to: *mut f32) {
    for channel in 0..size.channels {
        let row = &image[(channel * size.height + y) * size.width..][..size.width];
        for (x, &value) in row.iter().enumerate() {
            // SAFETY: channel `channel` of pixel `x` of the row.
            unsafe { *to.add(x * size.channels + channel) = flushed(value) };
        }
    }
}

/// The step that writes planes of single channels, `[C, H, W]`, as blocks: the image in training, or the gradient of
/// the outputs.
#[derive(Debug)]
pub(crate) struct LoadBlocks {
    pub(crate) to: Layout,
    /// Whether it is the outputs' gradient rather than the images, and whether it is added to what is there.
    pub(crate) gradient: bool,
    pub(crate) add: bool,
    /// Values of one image, and of those before this map's.
    pub(crate) image: usize,
    pub(crate) first: usize,
}

impl LoadBlocks {
    /// Tasks of a pass over `images` images: blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.to.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let size = self.to.size;
        let (image, block) = (task / size.blocks(), task % size.blocks());
        let source = if self.gradient {
            &context.lists.output_gradient[image * self.image..][..self.image]
        } else {
            context.pixels[image]
        };
        let source = &source[self.first..][..size.count()];
        let memory = context.memory(image);
        // SAFETY: pixels of this task's plane and its halo.
        unsafe {
            if !self.add {
                self.to.clear_halo(memory, block);
            }
            let plane = memory.add(self.to.origin() + block * self.to.plane());
            for y in 0..size.height {
                for lane in 0..LANES {
                    let channel = block * LANES + lane;
                    let row = |x: usize| plane.add(y * self.to.row() + x * LANES + lane);
                    if channel >= size.channels {
                        if !self.add {
                            (0..size.width).for_each(|x| *row(x) = 0.0);
                        }
                        continue;
                    }
                    let values = &source[(channel * size.height + y) * size.width..][..size.width];
                    for (x, &value) in values.iter().enumerate() {
                        *row(x) = if self.add { *row(x) + value } else { value };
                    }
                }
            }
        }
    }
}

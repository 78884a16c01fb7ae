//! The image: from planes of channels to pixels, with zeros for values too small to be normal numbers.
#![allow(unsafe_code)]

use crate::context::Context;
use crate::filter::flushed;
use crate::map::{Layout, Size};

/// Rows of a unit.
const ROWS: usize = 16;

/// The step that writes the image, `[C, H, W]`, as an interleaved map.
#[derive(Debug)]
pub(crate) struct Load {
    output: Layout,
}

impl Load {
    pub(crate) fn new(output: Layout) -> Self {
        Self { output }
    }

    /// Units of a run of `images` images.
    pub(crate) fn units(&self, images: usize) -> usize {
        images * self.output.size.height.div_ceil(ROWS)
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layout lies in the memory of each image of `context`, whose images have the layout's size, and no other thread has
    /// this unit of this step.
    pub(crate) unsafe fn run(&self, unit: usize, context: &Context<'_>) {
        let out = &self.output;
        let units = out.size.height.div_ceil(ROWS);
        let (image, first) = (unit / units, unit % units * ROWS);
        let memory = context.memory(image);
        if first == 0 {
            // SAFETY: the border is this unit's.
            unsafe { out.clear_border(memory, 0) };
        }
        for y in first..(first + ROWS).min(out.size.height) {
            // SAFETY: row `y` of the map; rows are this unit's.
            unsafe { load_row(out.size, context.pixels[image], y, memory.wrapping_add(out.origin() + y * out.row())) };
        }
    }
}

/// Writes row `y` of an image of `size`, `[C, H, W]`, as pixels from `to` on.
///
/// # Safety
/// The values of a row are valid for writing at `to`.
#[inline(always)]
pub(crate) unsafe fn load_row(size: Size, image: &[f32], y: usize, to: *mut f32) {
    for channel in 0..size.channels {
        let row = &image[(channel * size.height + y) * size.width..][..size.width];
        for (x, &value) in row.iter().enumerate() {
            // SAFETY: channel `channel` of pixel `x` of the row.
            unsafe { *to.add(x * size.channels + channel) = flushed(value) };
        }
    }
}

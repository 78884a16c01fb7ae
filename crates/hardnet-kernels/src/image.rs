//! The image: from planes of channels to pixels.
#![allow(unsafe_code)]

use crate::context::Context;
use crate::map::Layout;

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
        let (size, pixels) = (out.size, context.pixels[image]);
        for y in first..(first + ROWS).min(size.height) {
            for channel in 0..size.channels {
                let row = &pixels[(channel * size.height + y) * size.width..][..size.width];
                let to = memory.wrapping_add(out.origin() + y * out.row() + channel);
                for (x, &value) in row.iter().enumerate() {
                    // SAFETY: channel `channel` of pixel `(y, x)` of the map; rows are this unit's.
                    unsafe { *to.add(x * size.channels) = value };
                }
            }
        }
    }
}

//! Where values enter: images, and the gradient of the outputs; and the gradient of biases.
#![allow(unsafe_code)]

use super::context::Context;
use crate::map::Layout;
use hardnet_simd::LANES;

/// The copying of planes of single channels into blocks, ready to run.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) to: Layout,
    /// Whether it is the outputs' gradient rather than the images, and whether it is added to what is there.
    pub(super) gradient: bool,
    pub(super) add: bool,
    /// Values of one image, and those before this map's.
    pub(super) image: usize,
    pub(super) first: usize,
}

impl Load {
    /// Units of a pass over `images` images: blocks.
    pub(super) fn units(&self, images: usize) -> usize {
        images * self.to.size.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layout lies in the memory of each image of `context`, and no other thread has this unit of this step.
    pub(super) unsafe fn run(&self, unit: usize, context: &Context<'_>) {
        let size = self.to.size;
        let (image, block) = (unit / size.blocks(), unit % size.blocks());
        let source = if self.gradient { context.output_gradient } else { context.pixels };
        let source = &source[image * self.image + self.first..][..size.count()];
        let memory = context.memory(image);
        // SAFETY: pixels of this unit's plane and its border.
        unsafe {
            if !self.add {
                self.to.clear_border(memory, block);
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

/// The gradient of a linear layer's biases, ready to run.
#[derive(Debug)]
pub(super) struct BiasGradient {
    /// The gradient of the output.
    pub(super) from: Layout,
    pub(super) parameter: usize,
}

impl BiasGradient {
    /// Units: blocks.
    pub(super) fn units(&self) -> usize {
        self.from.size.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layout lies in the memory of each image of `context`; gradients have room for all parameters.
    pub(super) unsafe fn run(&self, block: usize, context: &Context<'_>) {
        for lane in 0..LANES.min(self.from.size.channels - block * LANES) {
            let at = self.from.origin() + block * self.from.plane() + lane;
            // SAFETY: a value of the map of each image; this block's parameters are this unit's.
            unsafe {
                let values = (0..context.images()).map(|image| f64::from(*context.memory(image).add(at)));
                *context.gradients.add(self.parameter + block * LANES + lane) = values.sum::<f64>() as f32;
            }
        }
    }
}

//! Linear layers: products whose pixels are the images of the batch.
//!
//! A map of one pixel has one value for each channel, so a linear layer is a 1x1 convolution of it. Each weight would
//! then be read for one pixel; with the images as the pixels it is read once for several. The gradient of the input is
//! the same product by the transposed weights, and that of the weights a [`WeightGradient`] over images.
#![allow(unsafe_code)]

use hardnet_graph::Padding;
use hardnet_simd::{Isa, LANES};

use super::conv::direct::{ConvGemm, ConvInput, Direct, PackedFilter, RowOrder};
use super::conv::pack::Source;
use super::conv::weight_gradient::WeightGradient;
use crate::exec::context::Context;
use crate::map::{ChannelBlocks, Layout};

fn input(layout: Layout) -> ConvInput {
    ConvInput { layout, kernel: 1, padding: Padding::default() }
}

/// The linear layer from `from` to `to`, maps of one pixel of images `image_stride` values apart.
pub(crate) fn linear(isa: Isa, from: Layout, to: Layout, filter: PackedFilter, image_stride: usize) -> Direct {
    let inputs = [input(from)];
    let gemm = ConvGemm::new(isa, &inputs, RowOrder::Taps, 1, to.size.blocks(), filter);
    Direct::across_images(isa, &inputs, gemm, to, image_stride)
}

/// The gradient of a linear layer's weights, by its input and the gradient of its output.
pub(crate) fn weight_gradient(
    isa: Isa,
    source: Source,
    from: Layout,
    gradient: Layout,
    image_stride: usize,
) -> WeightGradient {
    WeightGradient::across_images(isa, source, &[input(from)], gradient, image_stride)
}

/// The gradient of a linear layer's biases, ready to run.
#[derive(Debug)]
pub(crate) struct BiasGradient {
    /// The gradient of the output.
    pub(crate) from: Layout,
    pub(crate) parameter: usize,
}

impl BiasGradient {
    /// Tasks: blocks.
    pub(crate) fn tasks(&self) -> usize {
        self.from.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    pub(crate) unsafe fn run(&self, block: usize, context: &Context<'_>) {
        for lane in 0..LANES.min(self.from.size.channels - block * LANES) {
            let at = self.from.origin() + block * self.from.plane() + lane;
            // SAFETY: a value of the map of each image; this block's parameters are this task's.
            unsafe {
                let values = (0..context.images).map(|image| f64::from(*context.memory(image).add(at)));
                *context.lists.gradients.add(self.parameter + block * LANES + lane) = values.sum::<f64>() as f32;
            }
        }
    }
}

//! Convolutions as they are defined: any kernel, stride and padding, over any list of maps.
#![allow(unsafe_code)]

use hardnet_graph::Padding;
use hardnet_simd::Isa;

use crate::context::Context;
use crate::gemm::{Panel, Range, Run, Stride, Walk, most, multiply, panels};
use crate::map::Layout;
use crate::memory::Piece;
use hardnet_simd::{LANES, Simd, widest_blocks};

/// Values of input that the panels of one unit read again and again: half of a level 2 cache of 512 KiB, and of four times as many where
/// vectors are wide.
const UNIT_INPUTS: usize = 48 << 10;

/// Units below which panels are shared out too.
const UNITS: usize = 16;

/// The sums of a convolution: where the values of a pixel lie and what they are multiplied by.
#[derive(Debug)]
pub(crate) struct Sums {
    pub(crate) runs: Vec<Run>,
    /// The input of output pixel 0, and the steps from one to the next.
    pub(crate) input: (usize, Stride),
    /// Vectors of each panel of output channels.
    pub(crate) panels: Vec<usize>,
    /// Products of a sum.
    pub(crate) depth: usize,
    weights: Piece,
    bias: Piece,
    range: Range,
}

/// A convolution ready to run.
#[derive(Debug)]
pub(crate) struct Direct {
    sums: Sums,
    output: Layout,
    /// Pixels of a unit, units of an image's pixels, panels of a unit, units of the panels.
    pixels: usize,
    pixel_units: usize,
    unit_panels: usize,
    panel_units: usize,
    /// Values from image to image where the images are the pixels of one map.
    images: Option<usize>,
}

/// What [`Sums`] are of.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) isa: Isa,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: Padding,
    pub(crate) range: Range,
    pub(crate) weights: Piece,
    pub(crate) bias: Piece,
}

impl Sums {
    /// Over the concatenation of `inputs`, whose frames are alike, for `blocks` blocks of output channels.
    pub(crate) fn new(inputs: &[Layout], blocks: usize, spec: &Spec) -> Self {
        let first = &inputs[0];
        let mut runs = Vec::new();
        for y in 0..spec.kernel {
            if first.interleaved {
                runs.push(Run { offset: y * first.row(), count: spec.kernel * first.pixel() });
                continue;
            }
            for x in 0..spec.kernel {
                for input in inputs {
                    for block in 0..input.planes() {
                        let from_first = input.offset + block * input.plane();
                        let offset = from_first + y * input.row() + x * input.pixel();
                        runs.push(Run { offset, count: LANES.min(input.size.channels - block * LANES) });
                    }
                }
            }
        }
        let frame = first.frame;
        let corner = (frame.top - spec.padding.top) * first.row() + (frame.left - spec.padding.left) * first.pixel();
        let start = if first.interleaved { first.offset + corner } else { corner };
        let step = Stride { row: spec.stride * first.row(), column: spec.stride * first.pixel() };
        let depth: usize = runs.iter().map(|run| run.count).sum();
        let panels = panels(spec.isa, blocks, depth);
        let Spec { weights, bias, range, .. } = *spec;
        Self { runs, input: (start, step), panels, depth, weights, bias, range }
    }

    /// The panel of `blocks` blocks from `block` on, whose first output is at `output`.
    #[inline(always)]
    pub(crate) fn panel(
        &self,
        context: &Context<'_>,
        blocks: usize,
        block: usize,
        output: *mut f32,
        plane: usize,
    ) -> Panel {
        let weights = |block: usize| context.weights(self.weights).wrapping_add(block * LANES * self.depth);
        Panel {
            blocks,
            weights: weights(block),
            bias: context.weights(self.bias).wrapping_add(block * LANES),
            output,
            plane,
            range: self.range,
            next: (weights(block + blocks), blocks * LANES * self.depth),
        }
    }
}

impl Direct {
    /// The convolution of the concatenation of `inputs`, whose frames are alike, to `output`.
    pub(crate) fn new(inputs: &[Layout], output: Layout, spec: &Spec) -> Self {
        let sums = Sums::new(inputs, output.size.blocks(), spec);
        let count = output.size.height * output.size.width;
        let per_pixel = sums.depth / (spec.kernel * spec.kernel) * spec.stride * spec.stride;
        // A unit's inputs fit a cache; few panels are no work for several threads, so their pixels are shared out.
        let least = UNITS.div_ceil(sums.panels.len());
        let wide = widest_blocks(spec.isa);
        let units = count.div_ceil((UNIT_INPUTS * wide * wide / per_pixel.max(1)).max(1)).max(least);
        let pixels = count.div_ceil(units).next_multiple_of(most(wide, 2)).min(count);
        let pixel_units = count.div_ceil(pixels);
        let panel_units = UNITS.div_ceil(pixel_units).min(sums.panels.len());
        let unit_panels = sums.panels.len().div_ceil(panel_units);
        let panel_units = sums.panels.len().div_ceil(unit_panels);
        Self { sums, output, pixels, pixel_units, unit_panels, panel_units, images: None }
    }

    /// The linear layer from `input` to `output`, maps of one pixel, with the images `image` values apart as the pixels.
    pub(crate) fn linear(inputs: &[Layout], output: Layout, spec: &Spec, image: usize) -> Self {
        Self { images: Some(image), ..Self::new(inputs, output, spec) }
    }

    /// Units of a run of `images` images.
    pub(crate) fn units(&self, images: usize) -> usize {
        let images = if self.images.is_some() { 1 } else { images };
        images * self.pixel_units * self.panel_units
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, and no other thread has this unit of this step.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (unit, panel_unit) = (unit / self.panel_units, unit % self.panel_units);
        let (image, pixel_unit) = (unit / self.pixel_units, unit % self.pixel_units);
        let memory = context.memory(image);
        let out = &self.output;
        let first = pixel_unit * self.pixels;
        let (walk, count) = match self.images {
            Some(image) => {
                let step = Stride { row: 0, column: image };
                (Walk::new(usize::MAX, 0, step, step), context.images)
            }
            None => {
                let walk = Walk::new(out.size.width, first, self.sums.input.1, out.stride());
                (walk, self.pixels.min(out.size.height * out.size.width - first))
            }
        };
        let from = panel_unit * self.unit_panels;
        let mut block: usize = self.sums.panels[..from].iter().sum();
        for &blocks in self.sums.panels.iter().skip(from).take(self.unit_panels) {
            let output = memory.wrapping_add(out.origin() + block * out.plane());
            let panel = self.sums.panel(context, blocks, block, output, out.plane());
            // SAFETY: a window of an output pixel lies in the inputs' frames, which were made for it; outputs of the walk lie in
            // the output's map, and units have different pixels or panels. Weights were packed for these panels.
            unsafe {
                if pixel_unit == 0 {
                    (block..block + blocks).for_each(|block| out.clear_border(memory, block));
                }
                multiply(s, &self.sums.runs, memory.wrapping_add(self.sums.input.0), walk, count, &panel);
            }
            block += blocks;
        }
    }
}

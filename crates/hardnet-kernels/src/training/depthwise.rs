//! Depthwise 3x3 convolutions, forward and backward.
#![allow(unsafe_code)]

use hardnet_graph::Padding;

use super::context::Context;
use crate::depthwise::{Rows, SIDE};
use crate::gemm::Range;
use crate::map::Layout;
use crate::memory::Piece;
use hardnet_simd::{LANES, Simd};

/// Weights of a channel.
const TAPS: usize = SIDE * SIDE;

/// A depthwise convolution ready to run.
#[derive(Debug)]
pub(super) struct Depthwise {
    pub(super) input: Layout,
    /// The output, later its gradient.
    pub(super) raw: Layout,
    /// The gradient of the input, and whether it is added to what is there.
    pub(super) gradient: Layout,
    pub(super) add: bool,
    pub(super) stride: usize,
    pub(super) padding: Padding,
    pub(super) parameter: usize,
    /// `[blocks, 9, 8]`.
    pub(super) weights: Piece,
}

impl Depthwise {
    fn blocks(&self) -> usize {
        self.input.size.blocks()
    }

    /// Units of the passes over maps: a block of an image.
    pub(super) fn plane_units(&self, images: usize) -> usize {
        images * self.blocks()
    }

    /// Units of the passes over channels: a block.
    pub(super) fn block_units(&self) -> usize {
        self.blocks()
    }

    /// Values of scratch memory for `images` images.
    pub(super) fn scratch(&self, images: usize) -> usize {
        images * self.blocks() * TAPS * LANES
    }

    /// Packs the weights of one block.
    ///
    /// # Safety
    /// No other thread has this unit of this step.
    pub(super) unsafe fn pack(&self, block: usize, context: &Context<'_>) {
        for lane in 0..LANES.min(self.input.size.channels - block * LANES) {
            for tap in 0..TAPS {
                let weight = context.parameters[self.parameter + (block * LANES + lane) * TAPS + tap];
                // SAFETY: the piece has every tap of every block.
                unsafe { *context.at(self.weights).add((block * TAPS + tap) * LANES + lane) = weight };
            }
        }
    }

    /// The window of the first output pixel of a row of a block, in values from the start of the image's memory.
    fn window(&self, block: usize, y: usize) -> usize {
        let (input, padding) = (&self.input, self.padding);
        input.offset
            + block * input.plane()
            + (input.frame.top - padding.top + y * self.stride) * input.row()
            + (input.frame.left - padding.left) * LANES
    }

    /// The outputs of one plane.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, and no other thread has this unit of this step.
    #[inline(always)]
    pub(super) unsafe fn forward<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (image, block) = (unit / self.blocks(), unit % self.blocks());
        let memory = context.memory(image);
        let out = &self.raw;
        // SAFETY: windows of output pixels lie in the input's frame.
        unsafe {
            let rows = Rows {
                stride: self.stride,
                range: Range::ALL,
                from: memory.add(self.window(block, 0)),
                row: self.input.row(),
                to: memory.add(out.origin() + block * out.plane()),
                to_row: out.row(),
                count: out.size.height,
                width: out.size.width,
            };
            rows.run(s, context.at(self.weights).add(block * TAPS * LANES), [0.0; LANES].as_ptr());
        }
    }

    /// The gradient of the input for one plane.
    ///
    /// # Safety
    /// As [`Self::forward`]; the output's map holds its gradient.
    #[inline(always)]
    pub(super) unsafe fn input_gradient<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (image, block) = (unit / self.blocks(), unit % self.blocks());
        let memory = context.memory(image);
        let (out, to) = (&self.raw, &self.gradient);
        let from = out.origin() + block * out.plane();
        // SAFETY: windows of a stride of 1 lie in the frame of the output's gradient, and taps of other strides are taken only where there
        // is an output.
        unsafe {
            let weights = context.at(self.weights).add(block * TAPS * LANES);
            if self.stride == 1 && !self.add {
                let mut turned = weights.cast::<[[f32; LANES]; TAPS]>().read();
                turned.reverse();
                let top = self.padding.top * out.row() + self.padding.left * LANES;
                let rows = Rows {
                    stride: 1,
                    range: Range::ALL,
                    from: memory.add(from + top - (SIDE - 1) * (out.row() + LANES)),
                    row: out.row(),
                    to: memory.add(to.origin() + block * to.plane()),
                    to_row: to.row(),
                    count: to.size.height,
                    width: to.size.width,
                };
                rows.run(s, turned.as_ptr().cast(), [0.0; LANES].as_ptr());
                return;
            }
            let weights: [S::V; TAPS] = std::array::from_fn(|tap| s.load(weights.add(tap * LANES)));
            for y in 0..to.size.height {
                let row = memory.add(to.origin() + block * to.plane() + y * to.row());
                for x in 0..to.size.width {
                    let at = row.add(x * LANES);
                    let mut sum = if self.add { s.load(at) } else { s.splat(0.0) };
                    for i in 0..SIDE {
                        let Some(i_out) = self.output_of(y + self.padding.top, i, out.size.height) else { continue };
                        for j in 0..SIDE {
                            let Some(j_out) = self.output_of(x + self.padding.left, j, out.size.width) else {
                                continue;
                            };
                            let value = s.load(memory.add(from + i_out * out.row() + j_out * LANES));
                            sum = s.fma(value, weights[i * SIDE + j], sum);
                        }
                    }
                    s.store(at, sum);
                }
            }
        }
    }

    /// The output, of `length`, whose tap `tap` is at the padded position `at`.
    #[inline(always)]
    fn output_of(&self, at: usize, tap: usize, length: usize) -> Option<usize> {
        let first = at.checked_sub(tap)?;
        (first.is_multiple_of(self.stride) && first / self.stride < length).then(|| first / self.stride)
    }

    /// Sums the gradient of the weights over one plane.
    ///
    /// # Safety
    /// As [`Self::input_gradient`]; scratch memory is as large as [`Self::scratch`].
    #[inline(always)]
    pub(super) unsafe fn weight_gradient<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (image, block) = (unit / self.blocks(), unit % self.blocks());
        let memory = context.memory(image);
        let out = &self.raw;
        let step = self.stride * LANES;
        let mut sums = [s.splat(0.0); TAPS];
        // SAFETY: windows of output pixels lie in the input's frame; the sums of this plane are this unit's.
        unsafe {
            for y in 0..out.size.height {
                let from = memory.add(self.window(block, y));
                let gradient = memory.add(out.origin() + block * out.plane() + y * out.row());
                for x in 0..out.size.width {
                    let value = s.load(gradient.add(x * LANES));
                    for i in 0..SIDE {
                        for j in 0..SIDE {
                            let input = s.load(from.add(i * self.input.row() + x * step + j * LANES));
                            sums[i * SIDE + j] = s.fma(value, input, sums[i * SIDE + j]);
                        }
                    }
                }
            }
            let to = context.base.scratch.add(unit * TAPS * LANES);
            for (tap, &sum) in sums.iter().enumerate() {
                s.store(to.add(tap * LANES), sum);
            }
        }
    }

    /// Writes the gradients of one block's weights.
    ///
    /// # Safety
    /// As [`Self::weight_gradient`], of all of whose units the sums are there; gradients have room for all parameters.
    pub(super) unsafe fn finish(&self, block: usize, context: &Context<'_>) {
        for lane in 0..LANES.min(self.input.size.channels - block * LANES) {
            for tap in 0..TAPS {
                // SAFETY: written by the units of `weight_gradient`; this block's parameters are this unit's.
                unsafe {
                    let partial = |image: usize| {
                        let unit = image * self.blocks() + block;
                        f64::from(*context.base.scratch.add((unit * TAPS + tap) * LANES + lane))
                    };
                    let sum: f64 = (0..context.images()).map(partial).sum();
                    *context.gradients.add(self.parameter + (block * LANES + lane) * TAPS + tap) = sum as f32;
                }
            }
        }
    }
}

//! Gradients of depthwise 3x3 convolutions, and their packing in training.
#![allow(unsafe_code)]

use hardnet_graph::Padding;
use hardnet_simd::{LANES, Simd};

use super::{DepthwiseRows, SIDE, TAPS, window};
use crate::exec::buffer::PackedSlice;
use crate::exec::context::Context;
use crate::gemm::Clamp;
use crate::map::{ChannelBlocks, Layout};

/// The parts of a depthwise convolution's passes that inference does not have, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct DepthwiseTraining {
    pub(crate) input: Layout,
    /// The gradient of the output.
    pub(crate) output_gradient: Layout,
    /// The gradient of the input, and whether it is added to what is there.
    pub(crate) input_gradient: Layout,
    pub(crate) add: bool,
    pub(crate) stride: usize,
    pub(crate) padding: Padding,
    pub(crate) parameter: usize,
    /// `[blocks, 9, 8]`.
    pub(crate) weights: PackedSlice,
}

impl DepthwiseTraining {
    fn blocks(&self) -> usize {
        self.input.size.blocks()
    }

    /// Tasks of the gradients: a block of an image.
    pub(crate) fn plane_tasks(&self, images: usize) -> usize {
        images * self.blocks()
    }

    /// Tasks of [`Self::pack`] and [`Self::finish`]: a block.
    pub(crate) fn block_tasks(&self) -> usize {
        self.blocks()
    }

    /// Values of scratch memory that all threads share, for `images` images.
    pub(crate) fn scratch(&self, images: usize) -> usize {
        images * self.blocks() * TAPS * LANES
    }

    /// Packs the weights of one block.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    pub(crate) unsafe fn pack(&self, block: usize, context: &Context<'_>) {
        for lane in 0..LANES.min(self.input.size.channels - block * LANES) {
            for tap in 0..TAPS {
                let weight = context.lists.parameters[self.parameter + (block * LANES + lane) * TAPS + tap];
                // SAFETY: the slice has every tap of every block.
                unsafe { *context.weights_mut(self.weights).add((block * TAPS + tap) * LANES + lane) = weight };
            }
        }
    }

    /// The gradient of the input for one plane.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn input_gradient<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let (image, block) = (task / self.blocks(), task % self.blocks());
        let memory = context.memory(image);
        let (out, to) = (&self.output_gradient, &self.input_gradient);
        let from = out.origin() + block * out.plane();
        // SAFETY: windows of a stride of 1 lie in the halo of the output's gradient, and taps of other strides are read
        // only where there is an output.
        unsafe {
            let weights = context.weights(self.weights).add(block * TAPS * LANES);
            if self.stride == 1 && !self.add {
                let mut rotated = weights.cast::<[[f32; LANES]; TAPS]>().read();
                rotated.reverse();
                let top = self.padding.top * out.row() + self.padding.left * LANES;
                let rows = DepthwiseRows {
                    stride: 1,
                    clamp: Clamp::NONE,
                    from: memory.add(from + top - (SIDE - 1) * (out.row() + LANES)),
                    row: out.row(),
                    to: memory.add(to.origin() + block * to.plane()),
                    to_row: to.row(),
                    count: to.size.height,
                    width: to.size.width,
                };
                rows.run(s, rotated.as_ptr().cast(), [0.0; LANES].as_ptr());
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
    pub(crate) unsafe fn weight_gradient<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let (image, block) = (task / self.blocks(), task % self.blocks());
        let memory = context.memory(image);
        let out = &self.output_gradient;
        let step = self.stride * LANES;
        let mut sums = [s.splat(0.0); TAPS];
        // SAFETY: windows of output pixels lie in the input's halo; the sums of this plane are this task's.
        unsafe {
            for y in 0..out.size.height {
                let from = memory.add(window(&self.input, self.stride, self.padding, block, y));
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
            let to = context.scratch.add(task * TAPS * LANES);
            for (tap, &sum) in sums.iter().enumerate() {
                s.store(to.add(tap * LANES), sum);
            }
        }
    }

    /// Writes the gradients of one block's weights.
    ///
    /// # Safety
    /// As [`Self::weight_gradient`], of all of whose tasks the sums are there; gradients have room for all parameters.
    pub(crate) unsafe fn finish(&self, block: usize, context: &Context<'_>) {
        for lane in 0..LANES.min(self.input.size.channels - block * LANES) {
            for tap in 0..TAPS {
                // SAFETY: written by the tasks of `weight_gradient`; this block's parameters are this task's.
                unsafe {
                    let partial = |image: usize| {
                        let task = image * self.blocks() + block;
                        f64::from(*context.scratch.add((task * TAPS + tap) * LANES + lane))
                    };
                    let sum: f64 = (0..context.images).map(partial).sum();
                    *context.lists.gradients.add(self.parameter + (block * LANES + lane) * TAPS + tap) = sum as f32;
                }
            }
        }
    }
}

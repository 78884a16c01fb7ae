//! Batch normalization by the batch's statistics and the activation after it, forward and backward.
//!
//! Of a convolution's outputs `z`, with mean `m` and variance `v` of a channel over the batch:
//!
//! ```text
//! forward     inverse = 1 / sqrt(v + eps), scale = weight * inverse
//!             y = clamp((z - m) * scale + bias)
//! backward    g = dy where y is within its bounds, else 0
//!             dbias = sum(g), dweight = sum(g * (z - m)) * inverse
//!             dz = scale * (g - mean(g) - (z - m) * inverse^2 * mean(g * (z - m)))
//! ```
//!
//! Each direction takes three steps: sums of each plane of an image, in tasks; sums over images, in f64 and in the
//! order of images; and a pass over the pixels with what they gave. `y` is computed again from `z`, and `dz` overwrites
//! `z`.
//!
//! Where a program computes a part of a batch, mean, variance and the two means of the backward pass are those of the
//! whole batch, while `dbias` and `dweight` are the sums of the part. The parts exchange sums of `z` and of its
//! squares; in f64, what cancels in the difference of the two is far below the rounding of `z`.
#![allow(unsafe_code)]

mod plane;

use hardnet_graph::BatchNorm;
use hardnet_simd::{LANES, Simd};

use crate::exec::buffer::PackedSlice;
use crate::exec::context::Context;
use crate::gemm::Clamp;
use crate::map::{ChannelBlocks, Layout};
use plane::{GradientProducts, Plane, Squares, Values};

/// Vectors that are saved of each block for later steps.
pub(crate) const SAVED: usize = 6;

/// One of the [`SAVED`] vectors of a block.
#[derive(Clone, Copy)]
enum Saved {
    Mean,
    Scale,
    Bias,
    /// One over the deviation.
    Inverse,
    /// Subtracted from the gradient: once, and for each unit of distance from the mean.
    Offset,
    Slope,
}

/// A normalization ready to run.
#[derive(Debug)]
pub(crate) struct Norm {
    /// The convolution's output before normalization, later its gradient.
    pub(crate) pre_norm: Layout,
    /// The layer's output.
    pub(crate) map: Layout,
    /// The gradient of the layer's output.
    pub(crate) gradient: Layout,
    pub(crate) clamp: Clamp,
    /// [`SAVED`] vectors for each block.
    pub(crate) saved: PackedSlice,
    /// The parameter of the weights, which the biases follow, and the means in the statistics, which the variances
    /// follow.
    pub(crate) parameter: usize,
    pub(crate) statistics: usize,
}

impl Norm {
    /// Values of scratch memory that all threads share, for `images` images: two vectors for every block.
    pub(crate) fn scratch(&self, images: usize) -> usize {
        images * self.blocks() * 2 * LANES
    }

    fn blocks(&self) -> usize {
        self.pre_norm.size.blocks()
    }

    /// Tasks of the passes over maps: a block of an image.
    pub(crate) fn plane_tasks(&self, images: usize) -> usize {
        images * self.blocks()
    }

    /// Tasks of the passes over channels: a block.
    pub(crate) fn block_tasks(&self) -> usize {
        self.blocks()
    }

    fn pixels(&self) -> usize {
        self.pre_norm.size.height * self.pre_norm.size.width
    }

    /// Where a task's two partial results lie.
    fn partial(&self, task: usize, context: &Context<'_>) -> *mut f32 {
        context.scratch.wrapping_add(task * 2 * LANES)
    }

    /// A partial result of a channel of an image, in f64.
    ///
    /// # Safety
    /// The tasks of the last step, which wrote it, are done.
    unsafe fn result(&self, image: usize, row: usize, channel: usize, context: &Context<'_>) -> f64 {
        let at = self.partial(image * self.blocks() + channel / LANES, context);
        // SAFETY: the caller's promise.
        f64::from(unsafe { *at.add(row * LANES + channel % LANES) })
    }

    /// The sums of all values of each channel, and of their squares: `[2, channels]`.
    ///
    /// # Safety
    /// As [`Self::scale`].
    pub(crate) unsafe fn moments(&self, context: &Context<'_>) -> Vec<f64> {
        let (channels, pixels) = (self.pre_norm.size.channels, self.pixels() as f64);
        let images = 0..context.images;
        // SAFETY: the caller's promise.
        let partial = |image: usize, row: usize, channel: usize| unsafe { self.result(image, row, channel, context) };
        let sum = |channel| pixels * images.clone().map(|image| partial(image, 0, channel)).sum::<f64>();
        let square = |image, channel| partial(image, 1, channel) + pixels * partial(image, 0, channel).powi(2);
        let squares = |channel| images.clone().map(|image| square(image, channel)).sum::<f64>();
        (0..channels).map(sum).chain((0..channels).map(squares)).collect()
    }

    /// The sums of the gradients of each channel, and of their products with the distances from the mean:
    /// `[2, channels]`.
    ///
    /// # Safety
    /// As [`Self::combine`].
    pub(crate) unsafe fn gradient_sums(&self, context: &Context<'_>) -> Vec<f64> {
        let channels = self.pre_norm.size.channels;
        // SAFETY: the caller's promise.
        let partial = |image: usize, row: usize, channel: usize| unsafe { self.result(image, row, channel, context) };
        let sum = |row, channel| (0..context.images).map(|image| partial(image, row, channel)).sum::<f64>();
        (0..channels).map(|channel| sum(0, channel)).chain((0..channels).map(|channel| sum(1, channel))).collect()
    }

    fn saved(&self, block: usize, row: Saved, context: &Context<'_>) -> *mut f32 {
        context.weights_mut(self.saved).wrapping_add((block * SAVED + row as usize) * LANES)
    }

    /// The mean of one plane and the sum of squares about it.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn measure<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let plane = Plane::new(&self.pre_norm, task, self.blocks(), context);
        // SAFETY: pixels of the plane, which the caller says is there.
        unsafe {
            let [sum] = plane.sums(&plane, s, &Values);
            let mean = sum.map(|sum| (sum / self.pixels() as f64) as f32);
            let [squares] = plane.sums(&plane, s, &Squares::<S> { mean: s.load(mean.as_ptr()) });
            let to = self.partial(task, context);
            for lane in 0..LANES {
                *to.add(lane) = mean[lane];
                *to.add(LANES + lane) = squares[lane] as f32;
            }
        }
    }

    /// Statistics of one block, and its saved vectors.
    ///
    /// # Safety
    /// As [`Self::measure`], of all of whose tasks the results are there; statistics have room for this layer's.
    pub(crate) unsafe fn scale(&self, block: usize, context: &Context<'_>) {
        let (images, channels) = (context.images, self.pre_norm.size.channels);
        let pixels = self.pixels() as f64;
        for lane in 0..LANES.min(channels - block * LANES) {
            let channel = block * LANES + lane;
            let (count, mean, squares) = match context.lists.whole {
                Some(whole) => {
                    let count = whole.images as f64 * pixels;
                    let mean = whole.sums[channel] / count;
                    let squares = whole.sums[channels + channel] - count * mean.powi(2);
                    // Rounding may give less than 0; what is not a number stays so.
                    (count, mean, if squares < 0.0 { 0.0 } else { squares })
                }
                None => {
                    // SAFETY: written by the tasks of `measure`.
                    let partial = |image: usize, row: usize| unsafe { self.result(image, row, channel, context) };
                    let mean = (0..images).map(|image| partial(image, 0)).sum::<f64>() / images as f64;
                    let about = |image: usize| partial(image, 1) + pixels * (partial(image, 0) - mean).powi(2);
                    (images as f64 * pixels, mean, (0..images).map(about).sum::<f64>())
                }
            };
            let inverse = 1.0 / (squares / count + BatchNorm::DEFAULT.eps).sqrt();
            let weight = context.lists.parameters[self.parameter + channel];
            let bias = context.lists.parameters[self.parameter + channels + channel];
            let rows = [
                (Saved::Mean, mean),
                (Saved::Scale, f64::from(weight) * inverse),
                (Saved::Bias, f64::from(bias)),
                (Saved::Inverse, inverse),
            ];
            // SAFETY: saved vectors and statistics of this block are this task's.
            unsafe {
                for (row, value) in rows {
                    *self.saved(block, row, context).add(lane) = value as f32;
                }
                let to = context.lists.statistics.add(self.statistics + channel);
                *to = mean as f32;
                *to.add(channels) = (squares / (count - 1.0)) as f32;
            }
        }
    }

    /// The layer's output for one plane.
    ///
    /// # Safety
    /// As [`Self::measure`]; the saved vectors of the block are there.
    #[inline(always)]
    pub(crate) unsafe fn normalize<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let (image, block) = (task / self.blocks(), task % self.blocks());
        let (from, to) = (
            Plane::new(&self.pre_norm, task, self.blocks(), context),
            Plane::new(&self.map, task, self.blocks(), context),
        );
        let (low, high) = (s.splat(self.clamp.low), s.splat(self.clamp.high));
        // SAFETY: pixels of the planes, and saved vectors that are there.
        unsafe {
            self.map.clear_halo(context.memory(image), block);
            let [mean, scale, bias] =
                [Saved::Mean, Saved::Scale, Saved::Bias].map(|row| s.load(self.saved(block, row, context)));
            for y in 0..from.height {
                let (from, to) = (from.at(y), to.at(y));
                for x in (0..self.pre_norm.size.width).map(|x| x * LANES) {
                    let value = s.fma(s.sub(s.load(from.add(x)), mean), scale, bias);
                    s.store(to.add(x), s.min(high, s.max(low, value)));
                }
            }
        }
    }

    /// Sums over one plane of the gradient and of its products with the distances from the mean.
    ///
    /// # Safety
    /// As [`Self::normalize`].
    #[inline(always)]
    pub(crate) unsafe fn reduce<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let block = task % self.blocks();
        let pre_norm = Plane::new(&self.pre_norm, task, self.blocks(), context);
        let gradient = Plane::new(&self.gradient, task, self.blocks(), context);
        let (low, high) = (s.splat(self.clamp.low), s.splat(self.clamp.high));
        // SAFETY: pixels of the planes, and saved vectors that are there.
        unsafe {
            let [mean, scale, bias] =
                [Saved::Mean, Saved::Scale, Saved::Bias].map(|row| s.load(self.saved(block, row, context)));
            let inputs = GradientProducts::<S> { mean, scale, bias, low, high };
            let [sum, products] = pre_norm.sums(&gradient, s, &inputs);
            let to = self.partial(task, context);
            for lane in 0..LANES {
                *to.add(lane) = sum[lane] as f32;
                *to.add(LANES + lane) = products[lane] as f32;
            }
        }
    }

    /// Gradients of the weights and biases of one block, and the saved vectors for the gradient of its pixels.
    ///
    /// # Safety
    /// As [`Self::scale`], after all tasks of [`Self::reduce`]; gradients have room for all parameters.
    pub(crate) unsafe fn combine(&self, block: usize, context: &Context<'_>) {
        let (images, channels) = (context.images, self.pre_norm.size.channels);
        let whole = context.lists.whole;
        let count = (whole.map_or(images, |whole| whole.images) * self.pixels()) as f64;
        for lane in 0..LANES.min(channels - block * LANES) {
            let channel = block * LANES + lane;
            // SAFETY: written by the tasks of `reduce`.
            let partial = |image: usize, row: usize| unsafe { self.result(image, row, channel, context) };
            let sum = |row: usize| (0..images).map(|image| partial(image, row)).sum::<f64>();
            let of_whole = |row: usize, own: f64| whole.map_or(own, |whole| whole.sums[row * channels + channel]);
            // SAFETY: saved vectors of this block, and its parameters, are this task's.
            unsafe {
                let row = |row| self.saved(block, row, context).add(lane);
                let (scale, inverse) = (f64::from(*row(Saved::Scale)), f64::from(*row(Saved::Inverse)));
                let (bias, products) = (sum(0), sum(1));
                let weight = products * inverse;
                let (of_bias, of_weight) = (of_whole(0, bias), of_whole(1, products) * inverse);
                *row(Saved::Offset) = (scale * of_bias / count) as f32;
                *row(Saved::Slope) = (scale * inverse * of_weight / count) as f32;
                let to = context.lists.gradients.add(self.parameter + channel);
                *to = weight as f32;
                *to.add(channels) = bias as f32;
            }
        }
    }

    /// Overwrites one plane of the convolution's output by its gradient.
    ///
    /// # Safety
    /// As [`Self::normalize`], after [`Self::combine`].
    #[inline(always)]
    pub(crate) unsafe fn apply<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let (image, block) = (task / self.blocks(), task % self.blocks());
        let pre_norm = Plane::new(&self.pre_norm, task, self.blocks(), context);
        let gradient = Plane::new(&self.gradient, task, self.blocks(), context);
        let (low, high) = (s.splat(self.clamp.low), s.splat(self.clamp.high));
        // SAFETY: pixels of the planes, and saved vectors that are there.
        unsafe {
            self.pre_norm.clear_halo(context.memory(image), block);
            let rows = [Saved::Mean, Saved::Scale, Saved::Bias, Saved::Offset, Saved::Slope];
            let [mean, scale, bias, offset, slope] = rows.map(|row| s.load(self.saved(block, row, context)));
            for y in 0..pre_norm.height {
                let (pre_norm, gradient) = (pre_norm.at(y), gradient.at(y));
                for x in (0..self.pre_norm.size.width).map(|x| x * LANES) {
                    let distance = s.sub(s.load(pre_norm.add(x)), mean);
                    let value = s.fma(distance, scale, bias);
                    let gradient = s.between(value, low, high, s.load(gradient.add(x)));
                    let rest = s.fma(distance, slope, offset);
                    s.store(pre_norm.add(x), s.sub(s.mul(gradient, scale), rest));
                }
            }
        }
    }
}

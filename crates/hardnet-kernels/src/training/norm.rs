//! Batch normalisation by the batch's statistics with the activation behind it, forward and backward.
//!
//! Of a map of convolution outputs `z`, means
//! `m` and deviations `d`, the layer's output is `clamp((z - m) * scale + bias)` with `scale = weight / d`; backward, with `g`
//! the gradient where the output is within its bounds and 0 elsewhere, that of `z` is
//! `scale * (g - mean(g) - (z - m) / d * mean(g * (z - m) / d))`.
#![allow(unsafe_code)]

use hardnet_graph::BatchNorm;

use super::context::Context;
use super::plane::{GradientProducts, Plane, Squares, Values};
use crate::gemm::Range;
use crate::map::Layout;
use crate::memory::Piece;
use hardnet_simd::{LANES, Simd};

/// Vectors that are kept of each block between passes.
pub(super) const KEPT: usize = 6;

/// A row of [`KEPT`].
#[derive(Clone, Copy)]
enum Row {
    Mean,
    Scale,
    Bias,
    /// One over the deviation.
    Inverse,
    /// What is taken from the gradient, and for each unit from the mean.
    Offset,
    Slope,
}

/// A normalisation ready to run.
#[derive(Debug)]
pub(super) struct Norm {
    /// The convolution's output, later its gradient.
    pub(super) raw: Layout,
    /// The layer's output.
    pub(super) map: Layout,
    /// The gradient of the layer's output.
    pub(super) gradient: Layout,
    pub(super) range: Range,
    /// [`KEPT`] vectors for each block.
    pub(super) kept: Piece,
    /// The parameter of the weights, which the biases follow, and the means in the statistics, which the variances follow.
    pub(super) parameter: usize,
    pub(super) statistics: usize,
}

impl Norm {
    /// Values of scratch memory for `images` images: two vectors of f32 pairs for every block.
    pub(super) fn scratch(&self, images: usize) -> usize {
        images * self.blocks() * 2 * LANES
    }

    fn blocks(&self) -> usize {
        self.raw.size.blocks()
    }

    /// Units of the passes over maps: a block of an image.
    pub(super) fn plane_units(&self, images: usize) -> usize {
        images * self.blocks()
    }

    /// Units of the passes over channels: a block.
    pub(super) fn block_units(&self) -> usize {
        self.blocks()
    }

    fn pixels(&self) -> usize {
        self.raw.size.height * self.raw.size.width
    }

    /// Where a unit's two partial results lie.
    fn partial(&self, unit: usize, context: &Context<'_>) -> *mut f32 {
        context.base.scratch.wrapping_add(unit * 2 * LANES)
    }

    fn row(&self, block: usize, row: Row, context: &Context<'_>) -> *mut f32 {
        context.at(self.kept).wrapping_add((block * KEPT + row as usize) * LANES)
    }

    /// The mean of one plane and the sum of squares about it.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, scratch memory is as large as [`Self::scratch`], and no other
    /// thread has this unit of this step.
    #[inline(always)]
    pub(super) unsafe fn measure<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let plane = Plane::of(&self.raw, unit, self.blocks(), context);
        // SAFETY: pixels of the plane, which the caller says is there.
        unsafe {
            let [sum] = plane.sums(&plane, s, &Values);
            let mean = sum.map(|sum| (sum / self.pixels() as f64) as f32);
            let [squares] = plane.sums(&plane, s, &Squares::<S> { mean: s.load(mean.as_ptr()) });
            let to = self.partial(unit, context);
            for lane in 0..LANES {
                *to.add(lane) = mean[lane];
                *to.add(LANES + lane) = squares[lane] as f32;
            }
        }
    }

    /// Statistics of one block, and what its channels are multiplied by.
    ///
    /// # Safety
    /// As [`Self::measure`], of all of whose units the results are there; statistics have room for this layer's.
    pub(super) unsafe fn scale(&self, block: usize, context: &Context<'_>) {
        let (images, channels) = (context.images(), self.raw.size.channels);
        let pixels = self.pixels() as f64;
        for lane in 0..LANES.min(channels - block * LANES) {
            let partial = |image: usize, row: usize| {
                let at = self.partial(image * self.blocks() + block, context);
                // SAFETY: written by the units of `measure`.
                f64::from(unsafe { *at.add(row * LANES + lane) })
            };
            let mean = (0..images).map(|image| partial(image, 0)).sum::<f64>() / images as f64;
            let squares = (0..images).map(|image| partial(image, 1) + pixels * (partial(image, 0) - mean).powi(2));
            let squares = squares.sum::<f64>();
            let count = images as f64 * pixels;
            let inverse = 1.0 / (squares / count + BatchNorm::DEFAULT.eps).sqrt();
            let channel = block * LANES + lane;
            let weight = context.parameters[self.parameter + channel];
            let bias = context.parameters[self.parameter + channels + channel];
            let rows = [
                (Row::Mean, mean),
                (Row::Scale, f64::from(weight) * inverse),
                (Row::Bias, f64::from(bias)),
                (Row::Inverse, inverse),
            ];
            // SAFETY: rows and statistics of this block are this unit's.
            unsafe {
                for (row, value) in rows {
                    *self.row(block, row, context).add(lane) = value as f32;
                }
                let to = context.statistics.add(self.statistics + channel);
                *to = mean as f32;
                *to.add(channels) = (squares / (count - 1.0)) as f32;
            }
        }
    }

    /// The layer's output for one plane.
    ///
    /// # Safety
    /// As [`Self::measure`]; the rows of the block are there.
    #[inline(always)]
    pub(super) unsafe fn normalise<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (image, block) = (unit / self.blocks(), unit % self.blocks());
        let (from, to) =
            (Plane::of(&self.raw, unit, self.blocks(), context), Plane::of(&self.map, unit, self.blocks(), context));
        let (low, high) = (s.splat(self.range.low), s.splat(self.range.high));
        // SAFETY: pixels of the planes, and rows that are there.
        unsafe {
            self.map.clear_border(context.memory(image), block);
            let [mean, scale, bias] =
                [Row::Mean, Row::Scale, Row::Bias].map(|row| s.load(self.row(block, row, context)));
            for y in 0..from.height {
                let (from, to) = (from.at(y), to.at(y));
                for x in (0..self.raw.size.width).map(|x| x * LANES) {
                    let value = s.fma(s.sub(s.load(from.add(x)), mean), scale, bias);
                    s.store(to.add(x), s.min(high, s.max(low, value)));
                }
            }
        }
    }

    /// Sums over one plane of the gradient and of its products with the distances from the mean.
    ///
    /// # Safety
    /// As [`Self::normalise`].
    #[inline(always)]
    pub(super) unsafe fn reduce<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let block = unit % self.blocks();
        let raw = Plane::of(&self.raw, unit, self.blocks(), context);
        let gradient = Plane::of(&self.gradient, unit, self.blocks(), context);
        let (low, high) = (s.splat(self.range.low), s.splat(self.range.high));
        // SAFETY: pixels of the planes, and rows that are there.
        unsafe {
            let [mean, scale, bias] =
                [Row::Mean, Row::Scale, Row::Bias].map(|row| s.load(self.row(block, row, context)));
            let terms = GradientProducts::<S> { mean, scale, bias, low, high };
            let [sum, products] = raw.sums(&gradient, s, &terms);
            let to = self.partial(unit, context);
            for lane in 0..LANES {
                *to.add(lane) = sum[lane] as f32;
                *to.add(LANES + lane) = products[lane] as f32;
            }
        }
    }

    /// Gradients of the weights and biases of one block, and what the gradient of its pixels needs of the sums.
    ///
    /// # Safety
    /// As [`Self::scale`], after all units of [`Self::reduce`]; gradients have room for all parameters.
    pub(super) unsafe fn combine(&self, block: usize, context: &Context<'_>) {
        let (images, channels) = (context.images(), self.raw.size.channels);
        let count = (images * self.pixels()) as f64;
        for lane in 0..LANES.min(channels - block * LANES) {
            let sum = |row: usize| {
                let partial = |image| self.partial(image * self.blocks() + block, context);
                // SAFETY: written by the units of `reduce`.
                (0..images).map(|image| f64::from(unsafe { *partial(image).add(row * LANES + lane) })).sum::<f64>()
            };
            // SAFETY: rows of this block, and its parameters, are this unit's.
            unsafe {
                let row = |row| self.row(block, row, context).add(lane);
                let (scale, inverse) = (f64::from(*row(Row::Scale)), f64::from(*row(Row::Inverse)));
                let (bias, weight) = (sum(0), sum(1) * inverse);
                *row(Row::Offset) = (scale * bias / count) as f32;
                *row(Row::Slope) = (scale * inverse * weight / count) as f32;
                let to = context.gradients.add(self.parameter + block * LANES + lane);
                *to = weight as f32;
                *to.add(channels) = bias as f32;
            }
        }
    }

    /// Overwrites one plane of the convolution's output by its gradient.
    ///
    /// # Safety
    /// As [`Self::normalise`], after [`Self::combine`].
    #[inline(always)]
    pub(super) unsafe fn apply<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (image, block) = (unit / self.blocks(), unit % self.blocks());
        let raw = Plane::of(&self.raw, unit, self.blocks(), context);
        let gradient = Plane::of(&self.gradient, unit, self.blocks(), context);
        let (low, high) = (s.splat(self.range.low), s.splat(self.range.high));
        // SAFETY: pixels of the planes, and rows that are there.
        unsafe {
            self.raw.clear_border(context.memory(image), block);
            let rows = [Row::Mean, Row::Scale, Row::Bias, Row::Offset, Row::Slope];
            let [mean, scale, bias, offset, slope] = rows.map(|row| s.load(self.row(block, row, context)));
            for y in 0..raw.height {
                let (raw, gradient) = (raw.at(y), gradient.at(y));
                for x in (0..self.raw.size.width).map(|x| x * LANES) {
                    let distance = s.sub(s.load(raw.add(x)), mean);
                    let value = s.fma(distance, scale, bias);
                    let gradient = s.between(value, low, high, s.load(gradient.add(x)));
                    let rest = s.fma(distance, slope, offset);
                    s.store(raw.add(x), s.sub(s.mul(gradient, scale), rest));
                }
            }
        }
    }
}

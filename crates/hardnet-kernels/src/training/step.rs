//! The steps of training: parts of a layer's forward or backward pass.
#![allow(unsafe_code)]

use hardnet_simd::Simd;

use crate::exec::context::Context;
use crate::exec::program::{self, Scratch};
use crate::ops::batch_norm::Norm;
use crate::ops::conv::direct::Direct;
use crate::ops::conv::pack::Pack;
use crate::ops::conv::spread::Spread;
use crate::ops::conv::weight_gradient::WeightGradient;
use crate::ops::depthwise::Depthwise;
use crate::ops::depthwise::gradient::DepthwiseTraining;
use crate::ops::dropout::Dropout;
use crate::ops::linear::BiasGradient;
use crate::ops::load::LoadBlocks;
use crate::ops::pool::{PoolGradient, Pooling};
use crate::ops::upsample::{Upsampling, UpsamplingGradient};

/// A step ready to run, of one phase.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub(crate) enum Step {
    Load(LoadBlocks),
    Pack(Pack),
    /// A convolution, a linear layer, or the gradient of the input of some.
    Conv(Direct),
    Measure(Norm),
    Scale(Norm),
    Normalize(Norm),
    DepthwisePack(DepthwiseTraining),
    Depthwise(Depthwise),
    Pool(Pooling),
    Dropout(Dropout),
    Reduce(Norm),
    Combine(Norm),
    Apply(Norm),
    WeightGradient(WeightGradient),
    WeightFinish(WeightGradient),
    DepthwiseInput(DepthwiseTraining),
    DepthwiseWeights(DepthwiseTraining),
    DepthwiseFinish(DepthwiseTraining),
    PoolGradient(PoolGradient),
    Spread(Spread),
    Upsample(Upsampling),
    UpsampleGradient(UpsamplingGradient),
    BiasGradient(BiasGradient),
}

impl Step {
    /// Name of its kind, for reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Pack(_) | Self::DepthwisePack(_) => "pack weights",
            Self::Conv(_) => "convolution",
            Self::Measure(_) | Self::Scale(_) => "statistics",
            Self::Normalize(_) => "normalization",
            Self::Depthwise(_) => "depthwise",
            Self::Pool(_) => "pool",
            Self::Dropout(_) => "dropout",
            Self::Reduce(_) | Self::Combine(_) => "statistics of gradients",
            Self::Apply(_) => "gradient of normalization",
            Self::WeightGradient(_) => "gradient of weights",
            Self::WeightFinish(_) => "unpack gradients",
            Self::DepthwiseInput(_) => "gradient of depthwise input",
            Self::DepthwiseWeights(_) | Self::DepthwiseFinish(_) => "gradient of depthwise weights",
            Self::PoolGradient(_) => "gradient of pool",
            Self::Spread(_) => "spread gradient",
            Self::Upsample(_) => "upsample",
            Self::UpsampleGradient(_) => "gradient of upsample",
            Self::BiasGradient(_) => "gradient of biases",
        }
    }

    /// Whether it uses sums over all images of a batch.
    pub(crate) fn uses_sums(&self) -> bool {
        matches!(self, Self::Scale(_) | Self::Combine(_))
    }

    /// These sums over the images of a run, none if it uses none.
    ///
    /// # Safety
    /// The step before this one was run last, in the memory of `context`.
    pub(crate) unsafe fn sums(&self, context: &Context<'_>) -> Vec<f64> {
        // SAFETY: the caller's promise; the step before has the partial results of this one.
        unsafe {
            match self {
                Self::Scale(norm) => norm.moments(context),
                Self::Combine(norm) => norm.gradient_sums(context),
                _ => Vec::new(),
            }
        }
    }
}

impl program::Step for Step {
    type Part = ();

    fn phases(&self, images: usize, push: &mut dyn FnMut((), usize)) {
        let tasks = match self {
            Self::Load(load) => load.tasks(images),
            Self::Pack(pack) => pack.tasks(),
            Self::Conv(conv) => conv.tasks(images),
            Self::Measure(norm) | Self::Normalize(norm) | Self::Reduce(norm) | Self::Apply(norm) => {
                norm.plane_tasks(images)
            }
            Self::Scale(norm) | Self::Combine(norm) => norm.block_tasks(),
            Self::DepthwisePack(depthwise) | Self::DepthwiseFinish(depthwise) => depthwise.block_tasks(),
            Self::Depthwise(depthwise) => depthwise.tasks(images),
            Self::DepthwiseInput(depthwise) | Self::DepthwiseWeights(depthwise) => depthwise.plane_tasks(images),
            Self::Pool(pool) => pool.tasks(images),
            Self::Dropout(dropout) => dropout.tasks(images),
            Self::WeightGradient(gradient) => gradient.tasks(),
            Self::WeightFinish(gradient) => gradient.finish_tasks(),
            Self::PoolGradient(pool) => pool.tasks(images),
            Self::Spread(spread) => spread.tasks(images),
            Self::Upsample(upsampling) => upsampling.tasks(images),
            Self::UpsampleGradient(upsampling) => upsampling.tasks(images),
            Self::BiasGradient(bias) => bias.tasks(),
        };
        push((), tasks);
    }

    fn scratch(&self, images: usize) -> Scratch {
        match self {
            Self::Measure(norm) | Self::Reduce(norm) => Scratch::shared(norm.scratch(images)),
            Self::WeightGradient(gradient) => Scratch::shared(gradient.scratch()),
            Self::DepthwiseWeights(depthwise) => Scratch::shared(depthwise.scratch(images)),
            _ => Scratch::default(),
        }
    }

    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, (): (), task: usize, context: &Context<'_>) {
        // SAFETY: the caller's promises are those of every step.
        unsafe {
            match self {
                Self::Load(load) => load.run(task, context),
                Self::Pack(pack) => pack.run(task, context),
                Self::Conv(conv) => conv.run(s, task, context),
                Self::Measure(norm) => norm.measure(s, task, context),
                Self::Scale(norm) => norm.scale(task, context),
                Self::Normalize(norm) => norm.normalize(s, task, context),
                Self::DepthwisePack(depthwise) => depthwise.pack(task, context),
                Self::Depthwise(depthwise) => depthwise.run(s, task, context),
                Self::Pool(pool) => pool.run(s, task, context),
                Self::Dropout(dropout) => dropout.run(task, context),
                Self::Reduce(norm) => norm.reduce(s, task, context),
                Self::Combine(norm) => norm.combine(task, context),
                Self::Apply(norm) => norm.apply(s, task, context),
                Self::WeightGradient(gradient) => gradient.run(s, task, context),
                Self::WeightFinish(gradient) => gradient.finish(task, context),
                Self::DepthwiseInput(depthwise) => depthwise.input_gradient(s, task, context),
                Self::DepthwiseWeights(depthwise) => depthwise.weight_gradient(s, task, context),
                Self::DepthwiseFinish(depthwise) => depthwise.finish(task, context),
                Self::PoolGradient(pool) => pool.run(s, task, context),
                Self::Spread(spread) => spread.run(s, task, context),
                Self::Upsample(upsampling) => upsampling.run(s, task, context),
                Self::UpsampleGradient(upsampling) => upsampling.run(s, task, context),
                Self::BiasGradient(bias) => bias.run(task, context),
            }
        }
    }
}

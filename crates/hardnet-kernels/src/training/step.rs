//! One part of a layer's forward or backward pass.
#![allow(unsafe_code)]

use super::context::Context;
use super::depthwise::Depthwise;
use super::dropout::Dropout;
use super::edge::{BiasGradient, Load};
use super::norm::Norm;
use super::pack::Pack;
use super::pool::PoolGradient;
use super::product::Product;
use super::weight_gradient::WeightGradient;
use crate::window::Window;
use hardnet_simd::{Kernel, Simd};

/// A step ready to run: units that may run at the same time.
#[derive(Debug)]
pub(super) enum Step {
    Load(Load),
    Pack(Pack),
    Product(Product),
    Measure(Norm),
    Scale(Norm),
    Normalise(Norm),
    DepthwisePack(Depthwise),
    Depthwise(Depthwise),
    Window(Window),
    Dropout(Dropout),
    Reduce(Norm),
    Combine(Norm),
    Apply(Norm),
    WeightGradient(WeightGradient),
    WeightFinish(WeightGradient),
    DepthwiseInput(Depthwise),
    DepthwiseWeights(Depthwise),
    DepthwiseFinish(Depthwise),
    PoolGradient(PoolGradient),
    BiasGradient(BiasGradient),
}

impl Step {
    /// Units of a pass over `images` images.
    pub(super) fn units(&self, images: usize) -> usize {
        match self {
            Self::Load(load) => load.units(images),
            Self::Pack(pack) => pack.units(),
            Self::Product(product) => product.units(images),
            Self::Measure(norm) | Self::Normalise(norm) | Self::Reduce(norm) | Self::Apply(norm) => {
                norm.plane_units(images)
            }
            Self::Scale(norm) | Self::Combine(norm) => norm.block_units(),
            Self::DepthwisePack(depthwise) | Self::DepthwiseFinish(depthwise) => depthwise.block_units(),
            Self::Depthwise(depthwise) | Self::DepthwiseInput(depthwise) | Self::DepthwiseWeights(depthwise) => {
                depthwise.plane_units(images)
            }
            Self::Window(window) => window.units(images),
            Self::Dropout(dropout) => dropout.units(images),
            Self::WeightGradient(gradient) => gradient.units(),
            Self::WeightFinish(gradient) => gradient.finish_units(),
            Self::PoolGradient(pool) => pool.units(images),
            Self::BiasGradient(bias) => bias.units(),
        }
    }

    /// What it does, for reports.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Pack(_) | Self::DepthwisePack(_) => "pack weights",
            Self::Product(_) => "convolution",
            Self::Measure(_) | Self::Scale(_) => "statistics",
            Self::Normalise(_) => "normalisation",
            Self::Depthwise(_) => "depthwise",
            Self::Window(_) => "pool",
            Self::Dropout(_) => "dropout",
            Self::Reduce(_) | Self::Combine(_) => "statistics of gradients",
            Self::Apply(_) => "gradient of normalisation",
            Self::WeightGradient(_) => "gradient of weights",
            Self::WeightFinish(_) => "unpack gradients",
            Self::DepthwiseInput(_) => "gradient of depthwise input",
            Self::DepthwiseWeights(_) | Self::DepthwiseFinish(_) => "gradient of depthwise weights",
            Self::PoolGradient(_) => "gradient of pool",
            Self::BiasGradient(_) => "gradient of biases",
        }
    }
}

/// One unit of a step. To be made where the promises of the steps hold.
pub(super) struct Unit<'a> {
    pub(super) step: &'a Step,
    pub(super) unit: usize,
    pub(super) context: &'a Context<'a>,
}

impl Kernel for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { step, unit, context } = self;
        // SAFETY: promised by the maker of this unit.
        unsafe {
            match step {
                Step::Load(load) => load.run(unit, context),
                Step::Pack(pack) => pack.run(unit, context),
                Step::Product(product) => product.run(s, unit, context),
                Step::Measure(norm) => norm.measure(s, unit, context),
                Step::Scale(norm) => norm.scale(unit, context),
                Step::Normalise(norm) => norm.normalise(s, unit, context),
                Step::DepthwisePack(depthwise) => depthwise.pack(unit, context),
                Step::Depthwise(depthwise) => depthwise.forward(s, unit, context),
                Step::Window(window) => window.run(s, unit, &context.base),
                Step::Dropout(dropout) => dropout.run(unit, context),
                Step::Reduce(norm) => norm.reduce(s, unit, context),
                Step::Combine(norm) => norm.combine(unit, context),
                Step::Apply(norm) => norm.apply(s, unit, context),
                Step::WeightGradient(gradient) => gradient.run(s, unit, context),
                Step::WeightFinish(gradient) => gradient.finish(unit, context),
                Step::DepthwiseInput(depthwise) => depthwise.input_gradient(s, unit, context),
                Step::DepthwiseWeights(depthwise) => depthwise.weight_gradient(s, unit, context),
                Step::DepthwiseFinish(depthwise) => depthwise.finish(unit, context),
                Step::PoolGradient(pool) => pool.run(s, unit, context),
                Step::BiasGradient(bias) => bias.run(unit, context),
            }
        }
    }
}

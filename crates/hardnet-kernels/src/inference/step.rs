//! The steps of inference.
#![allow(unsafe_code)]

use hardnet_simd::Simd;

use crate::exec::context::Context;
use crate::exec::program::{self, Scratch};
use crate::ops::conv::direct::Direct;
use crate::ops::conv::interpolated::InterpolatedConv;
use crate::ops::conv::winograd::{Part, Winograd};
use crate::ops::depthwise::Depthwise;
use crate::ops::fused::FusedGroup;
use crate::ops::load::Load;
use crate::ops::pool::Pooling;
use crate::ops::quantized::conv::ByteConv;
use crate::ops::quantized::convert::Convert;
use crate::ops::quantized::depthwise::ByteDepthwise;
use crate::ops::quantized::pool::{ByteMean, BytePool};
use crate::ops::quantized::upsample::ByteUpsampling;
use crate::ops::quantized::winograd::ByteWinograd;
use crate::ops::store::Store;
use crate::ops::upsample::{OUTPUT_SCRATCH, Upsampling, UpsamplingOutput};

/// Description of a step, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepInfo {
    /// The kernel that computes it.
    pub kernel: &'static str,
    /// Multiply-adds of its definition for one image, however it is computed.
    pub macs: u64,
    /// Bytes of the maps that it reads and writes for one image.
    pub bytes: u64,
    /// Bytes of its packed weights, read once for a batch.
    pub weights: u64,
    /// The later step that computes this layer with its own and has its counts.
    pub fused_into: Option<usize>,
    /// The output, by its position, that it copies out of its map.
    pub stores: Option<usize>,
}

impl StepInfo {
    /// A step of `kernel` without counts.
    pub(crate) const fn new(kernel: &'static str) -> Self {
        Self { kernel, macs: 0, bytes: 0, weights: 0, fused_into: None, stores: None }
    }
}

/// A layer ready to run.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub(crate) enum Step {
    Load(Load),
    /// A convolution as it is defined, or a linear layer.
    Conv(Direct),
    /// A 1x1 convolution of maps, some of them interpolated.
    InterpolatedConv(InterpolatedConv),
    Winograd(Winograd),
    Depthwise(Depthwise),
    Pool(Pooling),
    Upsample(Upsampling),
    /// An interpolation whose map is the output alone.
    UpsampleOutput(UpsamplingOutput),
    /// The copy of a map to the output.
    Store(Store),
    Fused(FusedGroup),
    ByteConv(ByteConv),
    ByteWinograd(ByteWinograd),
    ByteDepthwise(ByteDepthwise),
    BytePool(BytePool),
    ByteUpsample(ByteUpsampling),
    ByteMean(ByteMean),
    Convert(Convert),
    /// A layer that a later step computes.
    FusedIntoLater,
}

impl program::Step for Step {
    type Part = Part;

    fn phases(&self, images: usize, push: &mut dyn FnMut(Part, usize)) {
        match self {
            Self::Load(load) => push(Part::Whole, load.tasks(images)),
            Self::Conv(conv) => push(Part::Whole, conv.tasks(images)),
            Self::InterpolatedConv(conv) => conv.phases(images, push),
            Self::Winograd(winograd) => winograd.phases(images, push),
            Self::Depthwise(depthwise) => push(Part::Whole, depthwise.tasks(images)),
            Self::Pool(pool) => push(Part::Whole, pool.tasks(images)),
            Self::Upsample(upsampling) => push(Part::Whole, upsampling.tasks(images)),
            Self::UpsampleOutput(upsampling) => push(Part::Whole, upsampling.tasks(images)),
            Self::Store(store) => push(Part::Whole, store.tasks(images)),
            Self::Fused(group) => push(Part::Whole, group.tasks(images)),
            Self::ByteConv(conv) => push(Part::Whole, conv.tasks(images)),
            Self::ByteWinograd(winograd) => push(Part::Whole, winograd.tasks(images)),
            Self::ByteDepthwise(depthwise) => push(Part::Whole, depthwise.tasks(images)),
            Self::BytePool(pool) => push(Part::Whole, pool.tasks(images)),
            Self::ByteUpsample(upsample) => push(Part::Whole, upsample.tasks(images)),
            Self::ByteMean(mean) => push(Part::Whole, mean.tasks(images)),
            Self::Convert(convert) => push(Part::Whole, convert.tasks(images)),
            Self::FusedIntoLater => {}
        }
    }

    fn scratch(&self, _images: usize) -> Scratch {
        match self {
            Self::Winograd(winograd) => winograd.scratch(),
            Self::ByteWinograd(winograd) => winograd.scratch(),
            Self::Fused(group) => Scratch { shared: 0, thread: group.scratch() },
            Self::UpsampleOutput(_) => Scratch { shared: 0, thread: OUTPUT_SCRATCH },
            _ => Scratch::default(),
        }
    }

    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, part: Part, task: usize, context: &Context<'_>) {
        // SAFETY: the caller's promises are those of every step.
        unsafe {
            match self {
                Self::Load(load) => load.run(task, context),
                Self::Conv(conv) => conv.run(s, task, context),
                Self::InterpolatedConv(conv) => conv.run(s, part, task, context),
                Self::Winograd(winograd) => winograd.run(s, part, task, context),
                Self::Depthwise(depthwise) => depthwise.run(s, task, context),
                Self::Pool(pool) => pool.run(s, task, context),
                Self::Upsample(upsampling) => upsampling.run(s, task, context),
                Self::UpsampleOutput(upsampling) => upsampling.run(s, task, context),
                Self::Store(store) => store.run(s, task, context),
                Self::Fused(group) => group.run(s, task, context),
                Self::ByteConv(conv) => conv.run(task, context),
                Self::ByteWinograd(winograd) => winograd.run(task, context),
                Self::ByteDepthwise(depthwise) => depthwise.run(task, context),
                Self::BytePool(pool) => pool.run(task, context),
                Self::ByteUpsample(upsample) => upsample.run(task, context),
                Self::ByteMean(mean) => mean.run(task, context),
                Self::Convert(convert) => convert.run(task, context),
                Self::FusedIntoLater => {}
            }
        }
    }
}

//! One layer of a program.
#![allow(unsafe_code)]

use crate::chain::Chain;
use crate::context::Context;
use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::image::Load;
use crate::window::Window;
use crate::winograd::{self, Winograd};
use hardnet_simd::{Kernel, Simd};

/// What a step does, for reports.
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
}

impl StepInfo {
    /// Of a layer that a later step computes.
    pub(crate) const LATER: Self = Self { kernel: "in the next", macs: 0, bytes: 0, weights: 0 };

    /// Whether the next step computes this layer with its own, and has its counts.
    pub fn is_in_the_next(&self) -> bool {
        self.kernel == Self::LATER.kernel
    }
}

/// A layer ready to run.
#[derive(Debug)]
pub(crate) enum Step {
    Load(Load),
    Direct(Direct),
    Winograd(Winograd),
    Depthwise(Depthwise),
    Window(Window),
    Chain(Chain),
    /// What a later step computes.
    Later,
}

/// A part of a step whose units may run at the same time, after the part before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) step: usize,
    pub(crate) units: usize,
    winograd: winograd::Phase,
}

impl Step {
    /// The phases of a run of `images` images; `step` is this step's number.
    pub(crate) fn phases(&self, step: usize, images: usize, phases: &mut Vec<Phase>) {
        let whole = winograd::Phase::Strips;
        let mut push = |winograd, units| phases.push(Phase { step, units, winograd });
        match self {
            Self::Load(load) => push(whole, load.units(images)),
            Self::Direct(direct) => push(whole, direct.units(images)),
            Self::Winograd(winograd) => winograd.phases(images, push),
            Self::Depthwise(depthwise) => push(whole, depthwise.units(images)),
            Self::Window(window) => push(whole, window.units(images)),
            Self::Chain(chain) => push(whole, chain.units(images)),
            Self::Later => {}
        }
    }

    /// Values that the step needs between its phases: shared by all threads, of each thread.
    pub(crate) fn scratch(&self) -> (usize, usize) {
        match self {
            Self::Winograd(winograd) => winograd.scratch(),
            Self::Chain(chain) => (0, chain.scratch()),
            _ => (0, 0),
        }
    }
}

/// One unit of a step. To be made where the promises of the steps' `run` hold.
pub(crate) struct Unit<'a> {
    pub(crate) step: &'a Step,
    pub(crate) phase: Phase,
    pub(crate) unit: usize,
    pub(crate) context: &'a Context<'a>,
}

impl Kernel for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { step, phase, unit, context } = self;
        // SAFETY: promised by the maker of this unit.
        unsafe {
            match step {
                Step::Load(load) => load.run(unit, context),
                Step::Direct(direct) => direct.run(s, unit, context),
                Step::Winograd(winograd) => winograd.run(s, phase.winograd, unit, context),
                Step::Depthwise(depthwise) => depthwise.run(s, unit, context),
                Step::Window(window) => window.run(s, unit, context),
                Step::Chain(chain) => chain.run(s, unit, context),
                Step::Later => {}
            }
        }
    }
}

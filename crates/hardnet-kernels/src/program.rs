//! A network ready to run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hardnet_simd::Isa;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::map::{Layout, Size};
use crate::memory::{Region, Store};
use crate::shares::Shares;
use crate::step::{Phase, Step, StepInfo, Unit};
use crate::team::Team;
use hardnet_simd::{LANES, dispatch};

/// A network with its weights, memory and threads.
#[derive(Debug)]
pub struct Program {
    isa: Isa,
    team: Team,
    store: Store,
    steps: Vec<Step>,
    infos: Vec<StepInfo>,
    input: Size,
    outputs: Vec<Layout>,
    /// Maps of all images, then what steps need between phases: shared, and of each thread.
    memory: Region,
    image: usize,
    images: usize,
    scratch: (usize, usize),
    /// The phases of a run of as many images.
    phases: (usize, Vec<Phase>),
    shares: Shares,
}

/// Bytes that a program holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Packed weights.
    pub weights: usize,
    /// Maps of all images that are computed at once.
    pub maps: usize,
    /// Maps of one image if each had memory of its own.
    pub maps_apart: usize,
    /// Values between the phases of a step.
    pub scratch: usize,
}

impl Program {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        isa: Isa,
        team: Team,
        store: Store,
        steps: Vec<Step>,
        infos: Vec<StepInfo>,
        input: Size,
        outputs: Vec<Layout>,
        image: usize,
        images: usize,
    ) -> Self {
        let pad = |values: usize| values.next_multiple_of(32);
        let scratch = steps.iter().map(Step::scratch);
        let scratch = scratch.fold((0, 0), |most, need| (most.0.max(pad(need.0)), most.1.max(pad(need.1))));
        let memory = Region::zeroed(image * images + scratch.0 + scratch.1 * team.size());
        Self {
            isa,
            team,
            store,
            steps,
            infos,
            input,
            outputs,
            memory,
            image,
            images,
            scratch,
            phases: (0, Vec::new()),
            shares: Shares::default(),
        }
    }

    /// Computes every image, each `[C, H, W]`, and writes their outputs, each `[C, H, W]`, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for an image or an output of another size.
    pub fn run<I: AsRef<[f32]>>(&mut self, images: &[I], output: &mut [f32]) -> Result<()> {
        self.run_with(images, output, None)
    }

    /// As [`Program::run`], and adds the time of each step to `times`, which are as many as [`Program::steps`].
    ///
    /// # Errors
    ///
    /// As [`Program::run`]; [`Error::Length`] for another number of times.
    pub fn profile<I: AsRef<[f32]>>(&mut self, images: &[I], output: &mut [f32], times: &mut [Duration]) -> Result<()> {
        length("the list of times", times.len(), self.steps.len())?;
        let nanos: Vec<AtomicU64> = times.iter().map(|_| AtomicU64::new(0)).collect();
        self.run_with(images, output, Some(&nanos))?;
        for (time, nanos) in times.iter_mut().zip(nanos) {
            *time += Duration::from_nanos(nanos.into_inner());
        }
        Ok(())
    }

    /// What every step does, in the order in which the builder was given them; the first loads the image.
    pub fn steps(&self) -> &[StepInfo] {
        &self.infos
    }

    /// Bytes that the program holds.
    pub fn memory(&self) -> Memory {
        let bytes = |values: usize| values * size_of::<f32>();
        let apart = self.infos.iter().map(|info| info.bytes).sum::<u64>();
        Memory {
            weights: bytes(self.store.len()),
            maps: bytes(self.image * self.images),
            maps_apart: apart as usize,
            scratch: bytes(self.scratch.0 + self.scratch.1 * self.team.size()),
        }
    }

    /// Values of one image.
    pub fn input_len(&self) -> usize {
        self.input.count()
    }

    /// Values of one image's output.
    pub fn output_len(&self) -> usize {
        self.outputs.iter().map(|layout| layout.size.count()).sum()
    }

    /// Images that are computed at once; more are computed in turns.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Threads of the program, the caller's among them.
    pub fn threads(&self) -> usize {
        self.team.size()
    }

    /// The instruction set of its kernels.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    fn run_with<I: AsRef<[f32]>>(
        &mut self,
        images: &[I],
        output: &mut [f32],
        times: Option<&[AtomicU64]>,
    ) -> Result<()> {
        length("the output", output.len(), images.len() * self.output_len())?;
        let images: Vec<&[f32]> = images.iter().map(AsRef::as_ref).collect();
        for image in &images {
            length("an image", image.len(), self.input_len())?;
        }
        let outputs = output.chunks_mut((self.images * self.output_len()).max(1));
        for (images, output) in images.chunks(self.images).zip(outputs) {
            self.compute(images, times);
            self.unpack(images.len(), output);
        }
        Ok(())
    }

    /// Computes at most as many images as there is memory for.
    #[allow(unsafe_code)]
    fn compute(&mut self, pixels: &[&[f32]], times: Option<&[AtomicU64]>) {
        if self.phases.0 != pixels.len() {
            self.phases = (pixels.len(), Vec::new());
            for (at, step) in self.steps.iter().enumerate() {
                step.phases(at, pixels.len(), &mut self.phases.1);
            }
        }
        self.shares.begin(self.phases.1.len(), self.team.size());
        let maps = self.memory.as_ptr();
        let scratch = maps.wrapping_add(self.image * self.images);
        let context = Context {
            maps,
            image: self.image,
            images: pixels.len(),
            scratch,
            own: scratch.wrapping_add(self.scratch.0),
            store: &self.store,
            pixels,
        };
        let shared = Shared(context);
        let (isa, steps, phases, shares) = (self.isa, &self.steps, &self.phases.1, &self.shares);
        let own = self.scratch.1;
        self.team.run(&|member| {
            let shared = &shared;
            let context = Context { own: shared.0.own.wrapping_add(member.index() * own), ..shared.0 };
            let mut before = times.map(|_| Instant::now());
            for (at, phase) in phases.iter().enumerate() {
                while let Some(unit) = shares.take(at, phase.units, member.index()) {
                    // Layouts were placed in `image` values, and `memory` holds them for every image; the number of a unit is taken
                    // once, so its promises hold.
                    dispatch(isa, Unit { step: &steps[phase.step], phase: *phase, unit, context: &context });
                }
                member.wait();
                shares.give_back(at, member.index());
                if let (Some(times), Some(before), 0) = (times, &mut before, member.index()) {
                    let now = Instant::now();
                    times[phase.step].fetch_add((now - *before).as_nanos() as u64, Ordering::Relaxed);
                    *before = now;
                }
            }
        });
        self.shares.end();
    }

    /// Copies the outputs of `images` images out of their blocks.
    fn unpack(&self, images: usize, output: &mut [f32]) {
        let mut to = output.iter_mut();
        for image in 0..images {
            let memory = &self.memory[image * self.image..(image + 1) * self.image];
            for layout in &self.outputs {
                let size = layout.size;
                for channel in 0..size.channels {
                    let (block, lane) =
                        if layout.interleaved { (0, channel) } else { (channel / LANES, channel % LANES) };
                    for y in 0..size.height {
                        let row = layout.origin() + block * layout.plane() + y * layout.row() + lane;
                        for x in 0..size.width {
                            if let Some(to) = to.next() {
                                *to = memory[row + x * layout.pixel()];
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A context that threads share: they write to parts of its memory that are theirs by their units.
struct Shared<'a>(Context<'a>);

// SAFETY: the pointers are to memory of the program, which is borrowed mutably during the run; who writes where is settled by the
// claims on units.
#[allow(unsafe_code)]
unsafe impl Sync for Shared<'_> {}

fn length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}

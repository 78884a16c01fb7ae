//! Both passes of a network, ready to run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hardnet_simd::Isa;

use super::compile::Plan;
use super::context::{Context, Shared};
use super::step::Unit;
use crate::error::{Error, Result};
use crate::memory::Region;
use crate::team::{Line, Team};
use hardnet_simd::{LANES, dispatch};

/// A network with its memory and threads, for training.
pub struct Program {
    isa: Isa,
    team: Team,
    plan: Plan,
    /// Maps of all images, then scratch memory.
    memory: Region,
    images: usize,
    parameters: usize,
    statistics: usize,
    claims: Vec<Line<AtomicUsize>>,
    /// Images and seed of the forward pass that the maps are of, until its backward pass.
    ready: Option<(usize, u64)>,
    /// Time of each step, where it is asked for.
    times: Option<Vec<Duration>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("isa", &self.isa).field("images", &self.images).finish_non_exhaustive()
    }
}

/// What a pass reads and writes apart from maps.
struct Pass<'a> {
    steps: std::ops::Range<usize>,
    images: usize,
    pixels: &'a [f32],
    parameters: &'a [f32],
    output_gradient: &'a [f32],
    gradients: *mut f32,
    statistics: *mut f32,
    seed: u64,
}

impl Program {
    pub(super) fn new(isa: Isa, team: Team, plan: Plan, images: usize, parameters: usize, statistics: usize) -> Self {
        let memory = Region::zeroed(plan.image * images + plan.scratch);
        Self { isa, team, plan, memory, images, parameters, statistics, claims: vec![], ready: None, times: None }
    }

    /// Computes the outputs of images, `[N, C, H, W]`, by the batch's statistics, which are written too. What dropout drops
    /// follows from `seed` by [`kept`](super::kept).
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for a list of another length than the network's, or for no images or more than there is memory for.
    pub fn forward(
        &mut self,
        pixels: &[f32],
        parameters: &[f32],
        seed: u64,
        outputs: &mut [f32],
        statistics: &mut [f32],
    ) -> Result<()> {
        let image = self.plan.input.count();
        let images = (pixels.len() / image).clamp(1, self.images);
        length("the list of images", pixels.len(), images * image)?;
        length("the list of parameters", parameters.len(), self.parameters)?;
        length("the list of outputs", outputs.len(), images * self.output_len())?;
        length("the list of statistics", statistics.len(), self.statistics)?;
        self.ready = None;
        self.run(&Pass {
            steps: 0..self.plan.forward,
            images,
            pixels,
            parameters,
            output_gradient: &[],
            gradients: std::ptr::null_mut(),
            statistics: statistics.as_mut_ptr(),
            seed,
        });
        self.unpack(images, outputs);
        self.ready = Some((images, seed));
        Ok(())
    }

    /// Computes the gradients of all parameters by that of the outputs of the last [forward pass](Self::forward), which had the same
    /// parameters. It can be done once for each forward pass.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for a list of another length, [`Error::NotForwarded`] without a forward pass before it.
    pub fn backward(&mut self, parameters: &[f32], output_gradient: &[f32], gradients: &mut [f32]) -> Result<()> {
        let (images, seed) = self.ready.ok_or(Error::NotForwarded)?;
        length("the list of parameters", parameters.len(), self.parameters)?;
        length("the gradient of the outputs", output_gradient.len(), images * self.output_len())?;
        length("the list of gradients", gradients.len(), self.parameters)?;
        self.ready = None;
        self.run(&Pass {
            steps: self.plan.forward..self.plan.steps.len(),
            images,
            pixels: &[],
            parameters,
            output_gradient,
            gradients: gradients.as_mut_ptr(),
            statistics: std::ptr::null_mut(),
            seed,
        });
        Ok(())
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Number of statistics.
    pub fn statistics(&self) -> usize {
        self.statistics
    }

    /// Images of a batch at most.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Values of one image's outputs.
    pub fn output_len(&self) -> usize {
        self.plan.outputs.iter().map(|layout| layout.size.count()).sum()
    }

    /// Bytes of maps, scratch memory and packed weights.
    pub fn memory(&self) -> usize {
        size_of::<f32>() * (self.memory.len() + self.plan.store.len())
    }

    /// Measures the time of every step from now on.
    pub fn measure(&mut self) {
        self.times = Some(vec![Duration::ZERO; self.plan.steps.len()]);
    }

    /// What the steps of each kind took together since [`Self::measure`], forward and backward, longest first.
    pub fn times(&self) -> Vec<(&'static str, bool, Duration)> {
        let mut kinds: Vec<(&'static str, bool, Duration)> = Vec::new();
        for (at, (step, &time)) in self.plan.steps.iter().zip(self.times.iter().flatten()).enumerate() {
            let backward = at >= self.plan.forward;
            match kinds.iter_mut().find(|kind| (kind.0, kind.1) == (step.name(), backward)) {
                Some(kind) => kind.2 += time,
                None => kinds.push((step.name(), backward, time)),
            }
        }
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.2));
        kinds
    }

    #[allow(unsafe_code)]
    fn run(&mut self, pass: &Pass<'_>) {
        let steps = &self.plan.steps[pass.steps.clone()];
        let units: Vec<usize> = steps.iter().map(|step| step.units(pass.images)).collect();
        self.claims.resize_with(self.claims.len().max(steps.len()), Line::default);
        self.claims.iter_mut().for_each(|claim| *claim.0.get_mut() = 0);
        let maps = self.memory.as_ptr();
        let scratch = maps.wrapping_add(self.plan.image * self.images);
        let base = crate::context::Context {
            maps,
            image: self.plan.image,
            images: pass.images,
            scratch,
            own: scratch,
            store: &self.plan.store,
            pixels: &[],
        };
        let &Pass { pixels, parameters, output_gradient, gradients, statistics, seed, .. } = pass;
        let context = Context { base, pixels, parameters, output_gradient, gradients, statistics, seed };
        let shared = Shared(context);
        let (isa, claims) = (self.isa, &self.claims);
        let times: Option<Vec<AtomicUsize>> =
            self.times.as_ref().map(|_| steps.iter().map(|_| AtomicUsize::new(0)).collect());
        self.team.run(&|member| {
            let shared = &shared;
            let mut before = times.as_ref().map(|_| Instant::now());
            for (at, (step, &units)) in steps.iter().zip(&units).enumerate() {
                loop {
                    let unit = claims[at].0.fetch_add(1, Ordering::Relaxed);
                    if unit >= units {
                        break;
                    }
                    // Layouts were placed in `image` values, and `memory` holds them for every image; lists have the lengths that
                    // steps were made for; the number of a unit is claimed once. So its promises hold.
                    dispatch(isa, Unit { step, unit, context: &shared.0 });
                }
                member.wait();
                if let (Some(times), Some(before), 0) = (&times, &mut before, member.index()) {
                    let now = Instant::now();
                    times[at].store((now - *before).as_nanos() as usize, Ordering::Relaxed);
                    *before = now;
                }
            }
        });
        if let (Some(times), Some(totals)) = (times, &mut self.times) {
            for (total, time) in totals[pass.steps.clone()].iter_mut().zip(times) {
                *total += Duration::from_nanos(time.into_inner() as u64);
            }
        }
    }

    /// Copies the outputs of `images` images out of their blocks.
    fn unpack(&self, images: usize, outputs: &mut [f32]) {
        let mut to = outputs.iter_mut();
        for image in 0..images {
            let memory = &self.memory[image * self.plan.image..(image + 1) * self.plan.image];
            for layout in &self.plan.outputs {
                let size = layout.size;
                for (channel, y) in (0..size.channels).flat_map(|channel| (0..size.height).map(move |y| (channel, y))) {
                    let row = layout.origin() + channel / LANES * layout.plane() + y * layout.row() + channel % LANES;
                    let values = memory[row..].iter().step_by(LANES).take(size.width);
                    values.zip(&mut to).for_each(|(&value, to)| *to = value);
                }
            }
        }
    }
}

fn length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}

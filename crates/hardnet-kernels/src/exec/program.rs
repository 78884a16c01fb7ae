//! The run loop of inference and training.
#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hardnet_simd::{Isa, Kernel, Simd, dispatch};

use super::buffer::{AlignedBuffer, PackedWeights};
use super::context::{Context, Lists, Shared};
use super::scheduler::WorkQueue;
use super::thread_pool::ThreadPool;
use crate::error::{Error, Result};
use crate::map::{Element, Layout};

/// A layer or a part of one, ready to run: phases one after the other, each of tasks that may run at the same time.
pub(crate) trait Step: Send + Sync {
    /// Distinguishes the phases of a step.
    type Part: Copy + Send + Sync;

    /// Calls `push` with each phase of a run of `images` images and the number of its tasks.
    fn phases(&self, images: usize, push: &mut dyn FnMut(Self::Part, usize));

    /// Memory that the step needs in addition to maps, for at most `images` images.
    fn scratch(&self, images: usize) -> Scratch;

    /// Computes one task; to be `#[inline(always)]`.
    ///
    /// # Safety
    /// * The step's layouts lie in the memory of each image of `context`, its packed slices in the weights, and scratch
    ///   memory has the values of [`Step::scratch`].
    /// * The lists of `context` have the lengths that the step was made for.
    /// * The phases before this one are done, and no other thread runs this task of it.
    unsafe fn run<S: Simd>(&self, s: S, part: Self::Part, task: usize, context: &Context<'_>);
}

/// Values of scratch memory that a step needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scratch {
    /// For all threads together.
    pub(crate) shared: usize,
    /// For each thread.
    pub(crate) thread: usize,
}

impl Scratch {
    /// Shared values only.
    pub(crate) const fn shared(values: usize) -> Self {
        Self { shared: values, thread: 0 }
    }

    /// Enough for either of two steps.
    fn union(self, other: Self) -> Self {
        Self { shared: self.shared.max(other.shared), thread: self.thread.max(other.thread) }
    }

    /// Whole pairs of cache lines.
    fn padded(self) -> Self {
        Self { shared: self.shared.next_multiple_of(32), thread: self.thread.next_multiple_of(32) }
    }

    /// Values for a number of threads.
    fn total(self, threads: usize) -> usize {
        self.shared + self.thread * threads
    }
}

/// A phase of one of the steps.
#[derive(Clone, Copy, Debug)]
struct Phase<P> {
    step: usize,
    part: P,
    tasks: usize,
}

/// The phases of some steps for a number of images.
#[derive(Debug)]
struct Phases<P> {
    steps: Range<usize>,
    images: usize,
    list: Vec<Phase<P>>,
}

/// Lists of phases that are kept: those of forward passes and of parts of backward passes, of a whole batch and of a
/// smaller one.
const KEPT_PHASES: usize = 40;

/// Steps with their weights, memory and threads.
#[derive(Debug)]
pub(crate) struct Executor<T: Step> {
    isa: Isa,
    pool: ThreadPool,
    weights: PackedWeights,
    steps: Vec<T>,
    /// Maps of all images, then scratch memory: shared, and of each thread.
    memory: AlignedBuffer,
    image_stride: usize,
    max_images: usize,
    scratch: Scratch,
    phases: Vec<Phases<T::Part>>,
    queue: WorkQueue,
}

impl<T: Step> Executor<T> {
    /// Allocates the memory of `max_images` images, of `image_stride` values each, and what the steps need in addition.
    ///
    /// # Safety
    /// * All layouts of the steps lie within `image_stride` values, and all packed slices are of `weights`.
    /// * Maps that are used after the step that writes them do not overlap with maps written in the meantime.
    /// * The tasks of a phase write to different values, and no other task of the phase reads them.
    pub(crate) unsafe fn new(
        isa: Isa,
        pool: ThreadPool,
        weights: PackedWeights,
        steps: Vec<T>,
        image_stride: usize,
        max_images: usize,
    ) -> Self {
        let needs = steps.iter().map(|step| step.scratch(max_images).padded());
        let scratch = needs.fold(Scratch::default(), Scratch::union);
        let memory = AlignedBuffer::zeroed(image_stride * max_images + scratch.total(pool.size()));
        let (phases, queue) = (Vec::new(), WorkQueue::default());
        Self { isa, pool, weights, steps, memory, image_stride, max_images, scratch, phases, queue }
    }

    /// Runs some of the steps for `pixels`, at most as many images as there is memory for, and adds the time of each
    /// step to `times`, which are as many as all steps.
    ///
    /// # Safety
    /// The lists have the lengths that the steps were made for; the steps before these were run for as many images.
    pub(crate) unsafe fn run(
        &mut self,
        steps: Range<usize>,
        pixels: &[&[f32]],
        images: usize,
        lists: Lists<'_>,
        times: Option<&mut [Duration]>,
    ) {
        assert!(images <= self.max_images, "more images than there is memory for");
        let phases = phases(&mut self.phases, &self.steps, steps, images);
        self.queue.begin(phases.len(), self.pool.size());
        let memory = (self.memory.as_ptr(), self.image_stride, self.max_images, self.scratch.shared);
        let shared = Shared(context(memory, &self.weights, pixels, images, lists));
        let (isa, steps, queue, per_thread) = (self.isa, &self.steps, &self.queue, self.scratch.thread);
        let nanos: Vec<AtomicU64> = times.iter().flat_map(|times| times.iter()).map(|_| AtomicU64::new(0)).collect();
        self.pool.run(&|worker| {
            let shared = &shared;
            let thread_scratch = shared.0.thread_scratch.wrapping_add(worker.index() * per_thread);
            let context = Context { thread_scratch, ..shared.0 };
            let mut clock = Clock::start(&nanos, worker.index());
            for (at, phase) in phases.iter().enumerate() {
                let step = &steps[phase.step];
                while let Some(number) = queue.next_task(at, phase.tasks, worker.index()) {
                    // SAFETY: layouts, slices and scratch memory are as the caller of `new` promised, lists as the
                    // caller of this function; a barrier lies between phases, and the queue gives each number once.
                    let task = unsafe { Task::new(step, phase.part, number, &context) };
                    dispatch(isa, task);
                }
                worker.barrier();
                queue.reset(at, worker.index());
                clock.stop(phase.step);
            }
        });
        self.queue.end();
        for (time, nanos) in times.into_iter().flatten().zip(nanos) {
            *time += Duration::from_nanos(nanos.into_inner());
        }
    }

    /// The memory between two runs for `images` images, as the steps of the last one left it.
    pub(crate) fn context(&self, images: usize) -> Context<'_> {
        let memory = (self.memory.as_ptr(), self.image_stride, self.max_images, self.scratch.shared);
        context(memory, &self.weights, &[], images, Lists::NONE)
    }

    /// Copies maps out of their blocks to `to`, the output of some images of `values` values each: the maps of
    /// `layouts`, `[C, H, W]`, each behind so many values of its image.
    pub(crate) fn unpack(&self, layouts: &[(usize, Layout)], values: usize, to: &mut [f32]) {
        for (image, to) in to.chunks_exact_mut(values.max(1)).enumerate() {
            let memory = &self.memory[image * self.image_stride..(image + 1) * self.image_stride];
            for (first, layout) in layouts {
                let mut to = to[*first..].iter_mut();
                let size = layout.size;
                for channel in 0..size.channels {
                    let (block, lane) = if layout.interleaved {
                        (0, channel)
                    } else {
                        (channel / layout.lanes(), channel % layout.lanes())
                    };
                    for y in 0..size.height {
                        let row = layout.origin() + block * layout.plane() + y * layout.row() + lane;
                        let values = (0..size.width).map(|x| row + x * layout.pixel());
                        match layout.element {
                            Element::F32 => values.zip(&mut to).for_each(|(at, to)| *to = memory[at]),
                            Element::U8(quantization) => values.zip(&mut to).for_each(|(at, to)| {
                                let byte = memory[at / 4].to_ne_bytes()[at % 4];
                                *to = quantization.value(byte);
                            }),
                        }
                    }
                }
            }
        }
    }

    /// The steps, in order.
    pub(crate) fn steps(&self) -> &[T] {
        &self.steps
    }

    /// The instruction set of the kernels.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// Threads, the caller's among them.
    pub(crate) fn threads(&self) -> usize {
        self.pool.size()
    }

    /// Images that there is memory for.
    pub(crate) fn max_images(&self) -> usize {
        self.max_images
    }

    /// Values of packed weights.
    pub(crate) fn weights_len(&self) -> usize {
        self.weights.len()
    }

    /// Values of the maps of all images.
    pub(crate) fn maps_len(&self) -> usize {
        self.image_stride * self.max_images
    }

    /// Values of scratch memory.
    pub(crate) fn scratch_len(&self) -> usize {
        self.scratch.total(self.pool.size())
    }
}

/// The context of a run in a `memory`: its start, values of an image, images at most, and values of scratch memory that
/// all threads share.
fn context<'a>(
    (maps, image_stride, max_images, shared): (*mut f32, usize, usize, usize),
    weights: &'a PackedWeights,
    pixels: &'a [&'a [f32]],
    images: usize,
    lists: Lists<'a>,
) -> Context<'a> {
    let scratch = maps.wrapping_add(image_stride * max_images);
    let thread_scratch = scratch.wrapping_add(shared);
    Context { maps, image_stride, images, scratch, thread_scratch, weights, pixels, lists }
}

/// The phases of some of `all` steps for `images` images, of those kept or made now.
fn phases<'a, T: Step>(
    kept: &'a mut Vec<Phases<T::Part>>,
    all: &[T],
    steps: Range<usize>,
    images: usize,
) -> &'a [Phase<T::Part>] {
    let found = kept.iter().position(|phases| (&phases.steps, phases.images) == (&steps, images));
    let at = found.unwrap_or_else(|| {
        let mut list = Vec::new();
        for step in steps.clone() {
            all[step].phases(images, &mut |part, tasks| list.push(Phase { step, part, tasks }));
        }
        if kept.len() == KEPT_PHASES {
            kept.remove(0);
        }
        kept.push(Phases { steps, images, list });
        kept.len() - 1
    });
    &kept[at].list
}

/// One task of a step.
struct Task<'a, T: Step> {
    step: &'a T,
    part: T::Part,
    number: usize,
    context: &'a Context<'a>,
}

impl<'a, T: Step> Task<'a, T> {
    /// # Safety
    /// The contract of [`Step::run`] holds when the task is run, which is once.
    unsafe fn new(step: &'a T, part: T::Part, number: usize, context: &'a Context<'a>) -> Self {
        Self { step, part, number, context }
    }
}

impl<T: Step> Kernel for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: the caller of `new` promised the contract.
        unsafe { self.step.run(s, self.part, self.number, self.context) };
    }
}

/// Measures the time of steps on the first worker, where times are requested.
struct Clock<'a> {
    nanos: &'a [AtomicU64],
    before: Option<Instant>,
}

impl<'a> Clock<'a> {
    fn start(nanos: &'a [AtomicU64], worker: usize) -> Self {
        Self { nanos, before: (worker == 0 && !nanos.is_empty()).then(Instant::now) }
    }

    /// Counts the time since the last stop for `step`.
    fn stop(&mut self, step: usize) {
        if let Some(before) = &mut self.before {
            let now = Instant::now();
            self.nanos[step].fetch_add((now - *before).as_nanos() as u64, Ordering::Relaxed);
            *before = now;
        }
    }
}

/// Checks the length of a list of values.
pub(crate) fn check_length(what: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}

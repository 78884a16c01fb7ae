//! Dense convolutions of maps of bytes: any kernel, stride and padding, over any list of maps.
#![allow(unsafe_code)]

use std::ops::Range;

use hardnet_graph::Padding;
use hardnet_simd::{BYTE_LANES, Dot, DotKernel, Isa, LANES, dispatch_dot};

use super::bytes;
use super::pack::{GROUP, LANE_VALUES, PackedBytes, panels};
use super::tile::{Panel, Target, multiply};
use crate::exec::context::Context;
use crate::gemm::{KSegment, Stride, TileCursor};
use crate::map::{Element, Layout};
use crate::ops::conv::direct::ConvInput;

/// Bytes of input that the panels of a task read again and again: half of a level 2 cache.
const TASK_INPUTS: usize = 384 << 10;

/// Pixels of a task at least, taken from several images where maps are small, so that weights are read for many pixels.
const TASK_PIXELS: usize = 128;

/// Tasks for each thread, so that all are done at about the same time.
const THREAD_TASKS: usize = 8;

/// How a convolution is divided into tasks: parts of an image's pixels, or pixels of several images, by parts of the
/// panels.
#[derive(Debug)]
struct Tasks {
    pixels: usize,
    pixel_tasks: usize,
    images: usize,
    panels: usize,
    panel_tasks: usize,
}

impl Tasks {
    /// The tasks of `images` images of `count` pixels, each of `per_pixel` bytes of input, by `panels` panels.
    fn new(threads: usize, images: usize, count: usize, per_pixel: usize, panels: usize) -> Self {
        let wanted = if threads == 1 { 1 } else { threads * THREAD_TASKS };
        let parts = (count * per_pixel).div_ceil(TASK_INPUTS).max(1);
        let task_images = if parts == 1 { TASK_PIXELS.div_ceil(count).min(images) } else { 1 };
        let units = parts * images.div_ceil(task_images);
        let panel_tasks = wanted.div_ceil(units).min(panels);
        let parts = if task_images == 1 { parts * wanted.div_ceil(units * panel_tasks) } else { parts };
        let pixels = count.div_ceil(parts).next_multiple_of(14).min(count);
        let task_panels = panels.div_ceil(panel_tasks);
        Self {
            pixels,
            pixel_tasks: count.div_ceil(pixels),
            images: task_images,
            panels: task_panels,
            panel_tasks: panels.div_ceil(task_panels),
        }
    }
}

/// A dense convolution of bytes as a matrix product.
#[derive(Debug)]
pub(crate) struct ByteGemm {
    segments: Vec<KSegment>,
    /// Bytes from the window of one output pixel to the next's.
    pub(crate) stride: Stride,
    /// Blocks of each panel.
    pub(crate) panels: Vec<usize>,
    /// Bytes of packed weights of a block.
    block: usize,
    filter: PackedBytes,
}

impl ByteGemm {
    /// The sum over `inputs`, whose rows are alike, with windows `stride` pixels apart, to a map of `output`'s size.
    pub(crate) fn new(isa: Isa, inputs: &[ConvInput], stride: usize, output: &Layout, filter: PackedBytes) -> Self {
        let first = &inputs[0].layout;
        let mut segments = Vec::new();
        for tap in 0..inputs[0].kernel * inputs[0].kernel {
            for ConvInput { layout, kernel, padding } in inputs {
                let (y, x) = (tap / kernel, tap % kernel);
                let at = corner(layout, *padding) + y * layout.row() + x * layout.pixel();
                for block in 0..layout.planes() {
                    let channels = BYTE_LANES.min(layout.size.channels - block * BYTE_LANES);
                    segments.push(KSegment { offset: at + block * layout.plane(), count: channels.div_ceil(GROUP) });
                }
            }
        }
        let blocks = output.size.channels.div_ceil(BYTE_LANES);
        Self {
            segments,
            stride: Stride { row: stride * first.row(), column: stride * first.pixel() },
            panels: panels(isa, blocks),
            block: filter.weights.len() * size_of::<f32>() / blocks,
            filter,
        }
    }

    /// The panel of `blocks` blocks from `block` on, whose first output is at `target`, for a map of `float_blocks`
    /// blocks if it is of f32.
    #[inline(always)]
    fn panel(&self, context: &Context<'_>, (block, blocks): (usize, usize), target: Target, output: &Layout) -> Panel {
        let weights = context.weights(self.filter.weights).cast::<u8>();
        let (weights, next) =
            (weights.wrapping_add(block * self.block), weights.wrapping_add((block + blocks) * self.block));
        Panel {
            blocks,
            float_blocks: output.planes().saturating_sub(block * BYTE_LANES / LANES),
            weights,
            lanes: context.weights(self.filter.lanes).wrapping_add(block * LANE_VALUES),
            target,
            plane: output.plane(),
            bounds: (self.filter.low, self.filter.high),
            prefetch: (next, blocks * self.block),
        }
    }
}

/// The first byte of the window of output pixel 0, from the start of the image's memory.
pub(super) fn corner(layout: &Layout, padding: Padding) -> usize {
    let halo = layout.halo;
    layout.start() + (halo.top - padding.top) * layout.row() + (halo.left - padding.left) * layout.pixel()
}

/// A dense convolution of bytes ready to run.
#[derive(Debug)]
pub(crate) struct ByteConv {
    isa: Isa,
    gemm: ByteGemm,
    output: Layout,
    tasks: Tasks,
}

impl ByteConv {
    /// The convolution of `inputs`, with windows `stride` pixels apart, to `output`, of runs of `images` images.
    pub(crate) fn new(
        (isa, threads): (Isa, usize),
        inputs: &[ConvInput],
        stride: usize,
        output: Layout,
        filter: PackedBytes,
        images: usize,
    ) -> Self {
        let gemm = ByteGemm::new(isa, inputs, stride, &output, filter);
        let channels: usize = inputs.iter().map(|input| input.layout.size.channels).sum();
        let count = output.size.height * output.size.width;
        let tasks = Tasks::new(threads, images, count, channels * stride * stride, gemm.panels.len());
        Self { isa, gemm, output, tasks }
    }

    /// Tasks of a run of `images` images.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images.div_ceil(self.tasks.images) * self.tasks.pixel_tasks * self.tasks.panel_tasks
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(never)]
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        // SAFETY: the caller's promises are those of the task.
        dispatch_dot(self.isa, ConvTask { conv: self, task, context });
    }

    /// Writes zeros around the outputs of some blocks of an image.
    ///
    /// # Safety
    /// As [`Self::run`], for a task that has these blocks.
    #[inline(always)]
    unsafe fn clear_halos(&self, memory: *mut f32, blocks: Range<usize>) {
        let planes = BYTE_LANES / self.output.lanes();
        for plane in blocks.start * planes..(blocks.end * planes).min(self.output.planes()) {
            // SAFETY: the halo of a block that this task alone writes.
            unsafe { self.output.clear_halo(memory, plane) };
        }
    }
}

/// A task of a convolution, which is run under the promises of [`ByteConv::run`].
struct ConvTask<'a> {
    conv: &'a ByteConv,
    task: usize,
    context: &'a Context<'a>,
}

impl DotKernel for ConvTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        let Self { conv, task, context } = self;
        let (tasks, gemm, out) = (&conv.tasks, &conv.gemm, &conv.output);
        let (task, panel_task) = (task / tasks.panel_tasks, task % tasks.panel_tasks);
        let (group, pixel_task) = (task / tasks.pixel_tasks, task % tasks.pixel_tasks);
        let first = pixel_task * tasks.pixels;
        let cursor = TileCursor::new(out.size.width, first, gemm.stride, out.stride());
        let count = tasks.pixels.min(out.size.height * out.size.width - first);
        let images = group * tasks.images..((group + 1) * tasks.images).min(context.images);
        let from = panel_task * tasks.panels;
        let mut block: usize = gemm.panels[..from].iter().sum();
        for &blocks in gemm.panels.iter().skip(from).take(tasks.panels) {
            for image in images.clone() {
                let memory = context.memory(image);
                let output = out.origin() + block * (BYTE_LANES / out.lanes()) * out.plane();
                let target = match out.element {
                    Element::F32 => Target::Floats(memory.wrapping_add(output)),
                    Element::U8(_) => Target::Bytes(bytes(memory).wrapping_add(output)),
                };
                let mut panel = gemm.panel(context, (block, blocks), target, out);
                if image + 1 != images.end {
                    panel.prefetch.1 = 0;
                }
                // SAFETY: the window of an output pixel lies in the inputs' halos, which were made for it; outputs of
                // the cursor lie in the output's map, and tasks have different pixels, images or panels. Weights were
                // packed for these panels.
                unsafe {
                    if pixel_task == 0 {
                        conv.clear_halos(memory, block..block + blocks);
                    }
                    multiply(d, &gemm.segments, bytes(memory), cursor, count, &panel);
                }
            }
            block += blocks;
        }
    }
}

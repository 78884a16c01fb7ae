//! Convolutions as they are defined: any kernel, stride and padding, over any list of maps.
//!
//! One matrix product computes all of them, [`ConvGemm`]: forward in inference and training, linear layers, whose
//! pixels are the images, and gradients of inputs, which are [convolutions by rotated filters](super::input_gradient).
#![allow(unsafe_code)]

use std::ops::Range;

use hardnet_graph::Padding;
use hardnet_simd::{Isa, LANES, Simd, widest_blocks, widest_tiles};

use crate::exec::buffer::PackedSlice;
use crate::exec::context::Context;
use crate::gemm::{Clamp, KSegment, Panel, Stride, TileCursor, multiply, panels};
use crate::map::Layout;

/// Values of input that the panels of one task read again and again: half of a level 2 cache of 512 KiB, and of four
/// times as many where vectors are wide.
const TASK_INPUTS: usize = 48 << 10;

/// Tasks of an image below which its pixels and panels are divided further.
const IMAGE_TASKS: usize = 16;

/// Tasks of an image of a batch below which its panels are divided further.
const BATCH_TASKS: usize = 8;

/// Pixels of a task at least in a batch, taken from several images where maps are small, so that weights are read for
/// many pixels.
const BATCH_PIXELS: usize = 128;

/// One of the maps that a convolution reads, by windows of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvInput {
    pub(crate) layout: Layout,
    pub(crate) kernel: usize,
    pub(crate) padding: Padding,
}

impl ConvInput {
    /// The first value of the window of output pixel 0, from the start of the image's memory.
    pub(crate) fn corner(&self) -> usize {
        let (layout, padding) = (&self.layout, self.padding);
        layout.offset
            + (layout.halo.top - padding.top) * layout.row()
            + (layout.halo.left - padding.left) * layout.pixel()
    }

    /// Adds the segments of one tap for output pixel 0.
    fn tap_segments(&self, tap: usize, segments: &mut Vec<KSegment>) {
        let layout = &self.layout;
        let (y, x) = (tap / self.kernel, tap % self.kernel);
        let first = self.corner() + y * layout.row() + x * layout.pixel();
        for block in 0..layout.planes() {
            let count = LANES.min(layout.size.channels - block * LANES);
            segments.push(KSegment { offset: first + block * layout.plane(), count });
        }
    }

    /// Adds the segments of the windows' rows, for an interleaved image.
    fn row_segments(&self, segments: &mut Vec<KSegment>) {
        for y in 0..self.kernel {
            let offset = self.corner() + y * self.layout.row();
            segments.push(KSegment { offset, count: self.kernel * self.layout.pixel() });
        }
    }
}

/// The order of the rows of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// Tap, input, channel, for inputs of one kernel.
    Taps,
    /// Input, tap, channel.
    Inputs,
}

/// Packed weights and what is done to the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedFilter {
    /// Panels of rows in the order of the sums.
    pub(crate) weights: PackedSlice,
    pub(crate) bias: PackedSlice,
    pub(crate) clamp: Clamp,
}

/// A convolution as a matrix product: where the values of a pixel lie, and the panels of what they are multiplied by.
#[derive(Debug)]
pub(crate) struct ConvGemm {
    pub(crate) segments: Vec<KSegment>,
    /// Values from the window of one output pixel to the next's.
    pub(crate) stride: Stride,
    /// Blocks of each panel of output channels.
    pub(crate) panels: Vec<usize>,
    /// Products of a sum.
    pub(crate) depth: usize,
    /// Rows of the packed weights, and of those before the first that is multiplied.
    rows: usize,
    first: usize,
    filter: PackedFilter,
}

impl ConvGemm {
    /// The sum over `inputs`, whose rows are alike, with windows `stride` pixels apart, for `blocks` blocks of output
    /// channels.
    pub(crate) fn new(
        isa: Isa,
        inputs: &[ConvInput],
        order: RowOrder,
        stride: usize,
        blocks: usize,
        filter: PackedFilter,
    ) -> Self {
        let first = &inputs[0].layout;
        debug_assert!(inputs.iter().all(|input| input.layout.row() == first.row()));
        let mut segments = Vec::new();
        let taps = |input: &ConvInput| input.kernel * input.kernel;
        if first.interleaved {
            inputs[0].row_segments(&mut segments);
        } else if order == RowOrder::Inputs {
            for input in inputs {
                (0..taps(input)).for_each(|tap| input.tap_segments(tap, &mut segments));
            }
        } else {
            for tap in 0..taps(&inputs[0]) {
                inputs.iter().for_each(|input| input.tap_segments(tap, &mut segments));
            }
        }
        let depth: usize = segments.iter().map(|segment| segment.count).sum();
        let stride = Stride { row: stride * first.row(), column: stride * first.pixel() };
        Self { segments, stride, panels: panels(isa, blocks, depth), depth, rows: depth, first: 0, filter }
    }

    /// The same where the weights were packed for `rows` rows and `blocks` blocks, of which the sum has those from
    /// `first` on.
    pub(crate) fn of_rows(self, isa: Isa, blocks: usize, first: usize, rows: usize) -> Self {
        debug_assert!(first + self.depth <= rows);
        Self { panels: panels(isa, blocks, rows), rows, first, ..self }
    }

    /// The panel of `blocks` blocks from `block` on, whose first output is at `output`; `prefetch` says whether the
    /// next panel's weights are to be prefetched.
    #[inline(always)]
    pub(crate) fn panel(
        &self,
        context: &Context<'_>,
        (block, blocks): (usize, usize),
        output: *mut f32,
        plane: usize,
        prefetch: bool,
    ) -> Panel {
        let weights = |block: usize| context.weights(self.filter.weights).wrapping_add(block * LANES * self.rows);
        Panel {
            blocks,
            weights: weights(block).wrapping_add(self.first * blocks * LANES),
            bias: context.weights(self.filter.bias).wrapping_add(block * LANES),
            output,
            plane,
            clamp: self.filter.clamp,
            prefetch: (weights(block + blocks), if prefetch { blocks * LANES * self.depth } else { 0 }),
        }
    }
}

/// Aim of the division of a convolution into tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Division {
    /// The time of one image: enough tasks for all threads.
    Image,
    /// The time of a batch: images are enough tasks, and small maps of several images are one.
    Batch,
}

/// How a convolution is divided into tasks: parts of an image's pixels, or pixels of several images, by parts of the
/// panels.
#[derive(Debug)]
struct Tasks {
    /// Pixels of a task, and tasks of an image's pixels.
    pixels: usize,
    pixel_tasks: usize,
    /// Images of a task.
    images: usize,
    /// Panels of a task, and tasks of all panels.
    panels: usize,
    panel_tasks: usize,
}

impl Tasks {
    /// The tasks of `count` pixels, each of `per_pixel` values of input.
    fn new(isa: Isa, division: Division, count: usize, per_pixel: usize, panels: usize) -> Self {
        let widest = widest_blocks(isa);
        // The inputs of a task fit a cache.
        let by_cache = count.div_ceil((TASK_INPUTS * widest * widest / per_pixel.max(1)).max(1));
        let (least, wanted) = match division {
            // Few panels are no work for several threads, so their pixels are divided.
            Division::Image => (IMAGE_TASKS.div_ceil(panels), IMAGE_TASKS),
            Division::Batch => (1, BATCH_TASKS),
        };
        let tile = widest_tiles(isa)[..2].iter().copied().filter(|&pixels| pixels > 0).min().unwrap_or(1);
        let pixels = count.div_ceil(by_cache.max(least)).next_multiple_of(tile).min(count);
        let pixel_tasks = count.div_ceil(pixels);
        let task_panels = panels.div_ceil(wanted.div_ceil(pixel_tasks).min(panels));
        Self {
            pixels,
            pixel_tasks,
            images: if division == Division::Batch { BATCH_PIXELS.div_ceil(pixels) } else { 1 },
            panels: task_panels,
            panel_tasks: panels.div_ceil(task_panels),
        }
    }
}

/// A convolution ready to run.
#[derive(Debug)]
pub(crate) struct Direct {
    gemm: ConvGemm,
    output: Layout,
    tasks: Tasks,
    /// Values from image to image where the images are the pixels of one map.
    image_stride: Option<usize>,
    clear_halo: bool,
}

impl Direct {
    /// The convolution `gemm` of `inputs` to `output`.
    pub(crate) fn new(isa: Isa, inputs: &[ConvInput], gemm: ConvGemm, output: Layout, division: Division) -> Self {
        let channels: usize = inputs.iter().map(|input| input.layout.size.channels).sum();
        let stride = gemm.stride.column / inputs[0].layout.pixel();
        let count = output.size.height * output.size.width;
        let tasks = Tasks::new(isa, division, count, channels * stride * stride, gemm.panels.len());
        Self { gemm, output, tasks, image_stride: None, clear_halo: true }
    }

    /// The same where maps have one pixel and the images, `image_stride` values apart, are the pixels.
    pub(crate) fn across_images(
        isa: Isa,
        inputs: &[ConvInput],
        gemm: ConvGemm,
        output: Layout,
        image_stride: usize,
    ) -> Self {
        Self { image_stride: Some(image_stride), ..Self::new(isa, inputs, gemm, output, Division::Image) }
    }

    /// The same where the halo of the output is not read before another step clears it.
    pub(crate) fn leave_halo(self) -> Self {
        Self { clear_halo: false, ..self }
    }

    /// Tasks of a run of `images` images.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        let groups = if self.image_stride.is_some() { 1 } else { images.div_ceil(self.tasks.images) };
        groups * self.tasks.pixel_tasks * self.tasks.panel_tasks
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let tasks = &self.tasks;
        let (task, panel_task) = (task / tasks.panel_tasks, task % tasks.panel_tasks);
        let (group, pixel_task) = (task / tasks.pixel_tasks, task % tasks.pixel_tasks);
        let out = &self.output;
        let first = pixel_task * tasks.pixels;
        let (images, cursor, count) = match self.image_stride {
            Some(stride) => {
                let step = Stride { row: 0, column: stride };
                (0..1, TileCursor::new(usize::MAX, 0, step, step), context.images)
            }
            None => {
                let cursor = TileCursor::new(out.size.width, first, self.gemm.stride, out.stride());
                let images = group * tasks.images..((group + 1) * tasks.images).min(context.images);
                (images, cursor, tasks.pixels.min(out.size.height * out.size.width - first))
            }
        };
        let from = panel_task * tasks.panels;
        let mut block: usize = self.gemm.panels[..from].iter().sum();
        for &blocks in self.gemm.panels.iter().skip(from).take(tasks.panels) {
            for image in images.clone() {
                let memory = context.memory(image);
                let output = memory.wrapping_add(out.origin() + block * out.plane());
                let prefetch = image + 1 == images.end;
                let panel = self.gemm.panel(context, (block, blocks), output, out.plane(), prefetch);
                // SAFETY: the window of an output pixel lies in the inputs' halos, which were made for it; outputs of
                // the cursor lie in the output's map, and tasks have different pixels, images or panels. Weights were
                // packed for these panels.
                unsafe {
                    if pixel_task == 0 && self.clear_halo {
                        self.clear_halos(image, block..block + blocks, context);
                    }
                    multiply(s, &self.gemm.segments, memory, cursor, count, &panel);
                }
            }
            block += blocks;
        }
    }

    /// Zeros around the outputs of some blocks of an image, or of all images where they are the pixels.
    ///
    /// # Safety
    /// As [`Self::run`], for a task that has these blocks.
    #[inline(always)]
    unsafe fn clear_halos(&self, image: usize, blocks: Range<usize>, context: &Context<'_>) {
        let images = if self.image_stride.is_some() { 0..context.images } else { image..image + 1 };
        for image in images {
            for block in blocks.clone() {
                // SAFETY: the halo of a block that this task alone writes.
                unsafe { self.output.clear_halo(context.memory(image), block) };
            }
        }
    }
}

//! The gradient of a convolution's weights: products of its output's gradient and its input, summed over pixels.
//!
//! ```text
//! for output channel, input channel, tap {
//!     gradient = sum over images and pixels of output_gradient[pixel] * input[pixel + tap]
//! }
//! ```
//!
//! The sum runs over pixels, so both factors change with each product. A [`Tile`] holds the sums of some input channels
//! by some vectors of output channels for one tap in registers over a stretch of pixels, which stays in a level 1 cache
//! while all taps and channels pass over it. Sums over stretches are kept in scratch memory, `[panel][block of
//! inputs][tap][8 inputs][vectors][8 outputs]`, and copied to the gradients by a step of its own.
#![allow(unsafe_code)]

use hardnet_simd::{Kernel, LANES, Simd};

use super::direct::ConvInput;
use super::pack::Source;
use crate::exec::context::Context;
use crate::map::Layout;

/// Pixels of a stretch: those of three blocks of outputs and one of inputs take half of a level 1 cache.
const PIXELS: usize = 128;

/// Tasks that a layer is divided into at least, where it has as many.
const TASKS: usize = 12;

/// Channels of input of a tile: with three vectors of outputs the sums, values and weights fill 16 registers.
const CHANNELS: usize = 4;

/// The gradient of weights ready to run.
#[derive(Debug)]
pub(crate) struct WeightGradient {
    source: Source,
    output: Layout,
    /// The first value of the window of output pixel 0 in each block of inputs, its first channel and how many it has.
    blocks: Vec<Block>,
    /// Values from row to row and from pixel to pixel of the input's windows.
    row: usize,
    column: usize,
    /// Values from tap to tap, downwards and to the right.
    tap: (usize, usize),
    kernel: usize,
    panels: Vec<usize>,
    /// Blocks of inputs of a task, and tasks of them.
    group: usize,
    groups: usize,
    /// Parts of the batch that are summed apart.
    splits: usize,
    /// Values from image to image where the images are the pixels of one map.
    image_stride: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    at: usize,
    first: usize,
    count: usize,
}

impl WeightGradient {
    /// The gradient of the weights of the convolution of `inputs` with windows `stride` pixels apart, where `output` is
    /// the gradient of its output, for at most `images` images.
    pub(crate) fn new(source: Source, inputs: &[ConvInput], stride: usize, output: Layout, images: usize) -> Self {
        let mut blocks = Vec::new();
        let mut first = 0;
        for input in inputs {
            let layout = &input.layout;
            for block in 0..layout.planes() {
                let count = LANES.min(layout.size.channels - block * LANES);
                blocks.push(Block { at: input.corner() + block * layout.plane(), first, count });
                first += count;
            }
        }
        let panels = panels(output.size.blocks());
        let group = blocks.len().div_ceil(TASKS.div_ceil(panels.len()));
        let groups = blocks.len().div_ceil(group);
        let splits = (TASKS / 2).div_ceil(groups * panels.len()).min(images);
        let layout = &inputs[0].layout;
        Self {
            source,
            output,
            row: stride * layout.row(),
            column: stride * LANES,
            tap: (layout.row(), LANES),
            kernel: inputs[0].kernel,
            blocks,
            panels,
            group,
            groups,
            splits,
            image_stride: None,
        }
    }

    /// The same where maps have one pixel and the images, `image_stride` values apart, are the pixels.
    pub(crate) fn across_images(source: Source, inputs: &[ConvInput], output: Layout, image_stride: usize) -> Self {
        let gradient = Self::new(source, inputs, 1, output, 1);
        Self { image_stride: Some(image_stride), splits: 1, column: image_stride, ..gradient }
    }

    /// Values of scratch memory that all threads share.
    pub(crate) fn scratch(&self) -> usize {
        self.splits * self.split()
    }

    fn split(&self) -> usize {
        self.output.size.blocks() * LANES * self.blocks.len() * self.source.taps * LANES
    }

    pub(crate) fn tasks(&self) -> usize {
        self.splits * self.panels.len() * self.groups
    }

    /// The first block of a panel of outputs.
    fn panel(&self, panel: usize) -> usize {
        self.panels[..panel].iter().sum()
    }

    /// Sums one task into scratch memory.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let (task, group) = (task / self.groups, task % self.groups);
        let (split, panel) = (task / self.panels.len(), task % self.panels.len());
        let (images, size) = (context.images, self.output.size);
        let block = self.panel(panel);
        let vectors = self.panels[panel];
        let (height, width, step, images) = match self.image_stride {
            Some(stride) => (1, images, stride, 0..1),
            None => {
                let share = images.div_ceil(self.splits);
                (size.height, size.width, LANES, (split * share).min(images)..((split + 1) * share).min(images))
            }
        };
        let taps = self.source.taps;
        let sums = split * self.split() + block * LANES * self.blocks.len() * taps * LANES;
        // SAFETY: scratch memory has all splits and panels.
        let sums = unsafe { context.scratch.add(sums) };
        let (first, last) = (images.start * height * width, images.end * height * width);
        let mut pixels = [(0, 0); PIXELS];
        let mut at = first;
        // A part without images is zero.
        let mut empty = first == last;
        while at < last || std::mem::take(&mut empty) {
            let count = PIXELS.min(last - at);
            let (mut row, mut x) = (at / width, at % width);
            let mut start = (0, 0);
            for (to, pixel) in pixels.iter_mut().zip(0..count) {
                if pixel == 0 || x == width {
                    (row, x) = (row + x / width, x % width);
                    let (image, y) = (row / height, row % height);
                    let memory = image * context.image_stride;
                    start = (memory + y * self.output.row(), memory + y * self.row);
                }
                *to = (start.0 + x * step, start.1 + x * self.column);
                x += 1;
            }
            let stretch = Stretch {
                pixels: &pixels[..count],
                output: context.memory(0).wrapping_add(self.output.origin() + block * self.output.plane()),
                plane: self.output.plane(),
                add: at > first,
            };
            let blocks = self.blocks.iter().enumerate().skip(group * self.group).take(self.group);
            for (input, inputs) in blocks {
                for tap in 0..taps {
                    let (y, x) = (tap / self.kernel, tap % self.kernel);
                    let from = inputs.at + y * self.tap.0 + x * self.tap.1;
                    for half in (0..inputs.count).step_by(CHANNELS) {
                        let sum = ((input * taps + tap) * LANES + half) * vectors * LANES;
                        // SAFETY: windows of the rows' pixels lie in the input's halo, outputs in the output's map; the
                        // sums of this panel and these blocks are this task's.
                        unsafe {
                            let (input, sums) = (context.memory(0).add(from + half), sums.add(sum));
                            match vectors {
                                1 => s.call(Tile::<1>::new(&stretch, input, sums)),
                                2 => s.call(Tile::<2>::new(&stretch, input, sums)),
                                _ => s.call(Tile::<3>::new(&stretch, input, sums)),
                            }
                        }
                    }
                }
            }
            at += count;
        }
    }

    /// Tasks of [`Self::finish`]: a block of inputs of a panel.
    pub(crate) fn finish_tasks(&self) -> usize {
        self.panels.len() * self.blocks.len()
    }

    /// Writes one task's sums to the gradients.
    ///
    /// # Safety
    /// As [`Self::run`], of all of whose tasks the sums are done; gradients have room for all weights.
    pub(crate) unsafe fn finish(&self, task: usize, context: &Context<'_>) {
        let (panel, input) = (task / self.blocks.len(), task % self.blocks.len());
        let Source { parameter, outputs, inputs, taps } = self.source;
        let first = self.panel(panel) * LANES;
        let lanes = self.panels[panel] * LANES;
        let block = self.blocks[input];
        let from = first * self.blocks.len() * taps * LANES + input * taps * LANES * lanes;
        for lane in 0..lanes.min(outputs - first) {
            let to = parameter + ((first + lane) * inputs + block.first) * taps;
            for channel in 0..block.count {
                for tap in 0..taps {
                    let at = from + (tap * LANES + channel) * lanes + lane;
                    // SAFETY: the sums of every split were written; this output channel and these inputs are this
                    // task's.
                    unsafe {
                        let sums = (0..self.splits).map(|split| *context.scratch.add(split * self.split() + at));
                        *context.lists.gradients.add(to + channel * taps + tap) = sums.sum();
                    }
                }
            }
        }
    }
}

/// Vectors of each panel of `blocks` blocks of outputs: triples, and pairs where there is a rest.
fn panels(blocks: usize) -> Vec<usize> {
    let mut panels = vec![3; blocks / 3];
    match (blocks % 3, panels.pop()) {
        (1, Some(_)) => panels.extend([2, 2]),
        (rest, last) => panels.extend(last.into_iter().chain((rest > 0).then_some(rest))),
    }
    panels
}

/// Pixels that tiles are summed over.
struct Stretch<'a> {
    /// Offsets of each pixel in output and input.
    pixels: &'a [(usize, usize)],
    output: *const f32,
    /// Values from one vector of outputs to the next.
    plane: usize,
    /// Whether sums are added to those that are there.
    add: bool,
}

/// [`CHANNELS`] channels of input by `V` vectors of outputs.
struct Tile<'a, const V: usize> {
    stretch: &'a Stretch<'a>,
    input: *const f32,
    sums: *mut f32,
}

impl<'a, const V: usize> Tile<'a, V> {
    /// # Safety
    /// Until the tile is run, for each pixel of `stretch`:
    /// * `input` plus the pixel's offset is valid for reading [`CHANNELS`] values,
    /// * `stretch.output` plus the pixel's offset plus `stretch.plane` times each of `V` vectors is valid for reading
    ///   [`LANES`] values.
    ///
    /// `sums` is valid for writing `CHANNELS * V * LANES` values, which no other thread reads or writes, and which are
    /// set where `stretch.add`.
    #[inline(always)]
    unsafe fn new(stretch: &'a Stretch<'a>, input: *const f32, sums: *mut f32) -> Self {
        Self { stretch, input, sums }
    }
}

impl<const V: usize> Kernel for Tile<'_, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let stretch = self.stretch;
        let mut sums = [[s.splat(0.0); V]; CHANNELS];
        for &(output, input) in stretch.pixels {
            // SAFETY: the caller of `new` promised it for each pixel.
            unsafe {
                let (output, input) = (stretch.output.add(output), self.input.add(input));
                let row: [S::V; V] = std::array::from_fn(|v| s.load(output.add(v * stretch.plane)));
                for (channel, sums) in sums.iter_mut().enumerate() {
                    let value = s.splat(*input.add(channel));
                    for v in 0..V {
                        sums[v] = s.fma(row[v], value, sums[v]);
                    }
                }
            }
        }
        for (at, &sum) in sums.iter().flatten().enumerate() {
            // SAFETY: the caller of `new` promised it.
            unsafe {
                let to = self.sums.add(at * LANES);
                let sum = if stretch.add { s.add(s.load(to), sum) } else { sum };
                s.store(to, sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_have_all_blocks() {
        for blocks in 1..40 {
            let panels = panels(blocks);
            assert_eq!(panels.iter().sum::<usize>(), blocks);
            assert!(panels.iter().all(|panel| (1..=3).contains(panel)) && (blocks == 1 || !panels.contains(&1)));
        }
    }
}

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
//! while all taps and channels pass over it. Sums over stretches are kept in scratch memory,
//! `[panel][block of inputs][tap][8 inputs][blocks of the panel][8 outputs]`, and copied to the gradients by a step of
//! its own. Each is a sum over the pixels in order, whatever the vectors are.
#![allow(unsafe_code, clippy::needless_range_loop)]

use hardnet_simd::{Isa, Kernel, LANES, Simd, unrolled, widest_blocks};

use super::direct::ConvInput;
use super::pack::Source;
use crate::exec::context::Context;
use crate::map::{ChannelBlocks, Layout};

/// Pixels of a stretch: those of three blocks of outputs and one of inputs take half of a level 1 cache.
const PIXELS: usize = 128;

/// Tasks that a layer is divided into at least, where it has as many.
const TASKS: usize = 12;

/// Most vectors of outputs in a tile.
const MAX_VECTORS: usize = 3;

/// Blocks of outputs for each part of the batch that is summed apart: a number of the layer, not of the vectors.
const SPLIT_BLOCKS: usize = 3;

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
    /// Blocks of outputs of each panel.
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
    pub(crate) fn new(
        isa: Isa,
        source: Source,
        inputs: &[ConvInput],
        stride: usize,
        output: Layout,
        images: usize,
    ) -> Self {
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
        let panels = panels(widest_blocks(isa), output.size.blocks());
        let (group, groups) = divide(blocks.len(), panels.len());
        let splits = splits(blocks.len(), output.size.blocks()).min(images);
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
    pub(crate) fn across_images(
        isa: Isa,
        source: Source,
        inputs: &[ConvInput],
        output: Layout,
        image_stride: usize,
    ) -> Self {
        let gradient = Self::new(isa, source, inputs, 1, output, 1);
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
        let s = s.widest();
        let block = self.panel(panel);
        let blocks = self.panels[panel];
        let vectors = blocks.div_ceil(S::Widest::BLOCKS);
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
                last: blocks - (vectors - 1) * S::Widest::BLOCKS,
                add: at > first,
            };
            let group = self.blocks.iter().enumerate().skip(group * self.group).take(self.group);
            for (input, inputs) in group {
                for tap in 0..taps {
                    let (y, x) = (tap / self.kernel, tap % self.kernel);
                    let from = inputs.at + y * self.tap.0 + x * self.tap.1;
                    let sum = (input * taps + tap) * LANES * blocks * LANES;
                    // SAFETY: windows of the rows' pixels lie in the input's halo, outputs in the output's map; the
                    // sums of this panel and these blocks are this task's.
                    unsafe {
                        let (input, sums) = (context.memory(0).add(from), sums.add(sum));
                        match vectors {
                            1 => stretch.sum::<_, 1>(s, input, sums, inputs.count),
                            2 => stretch.sum::<_, 2>(s, input, sums, inputs.count),
                            _ => stretch.sum::<_, 3>(s, input, sums, inputs.count),
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

/// Blocks of each panel of `blocks` blocks of outputs, for vectors of `widest` blocks: as many vectors as a tile has,
/// and alike where there is a rest.
fn panels(widest: usize, blocks: usize) -> Vec<usize> {
    let vectors = blocks.div_ceil(widest);
    let count = vectors.div_ceil(MAX_VECTORS);
    let mut left = blocks;
    let panel = |at| {
        let blocks = (vectors / count + usize::from(at < vectors % count)) * widest;
        let blocks = blocks.min(left);
        left -= blocks;
        blocks
    };
    (0..count).map(panel).collect()
}

/// Blocks of inputs of a task, and tasks of them, where there are `panels` panels of outputs.
fn divide(blocks: usize, panels: usize) -> (usize, usize) {
    let group = blocks.div_ceil(TASKS.div_ceil(panels));
    (group, blocks.div_ceil(group))
}

/// Parts of the batch for layers of few channels. It decides the order of sums, so it depends on the layer alone.
fn splits(inputs: usize, outputs: usize) -> usize {
    let panels = outputs.div_ceil(SPLIT_BLOCKS);
    let (_, groups) = divide(inputs, panels);
    (TASKS / 2).div_ceil(groups * panels)
}

/// Pixels that tiles are summed over.
struct Stretch<'a> {
    /// Offsets of each pixel in output and input.
    pixels: &'a [(usize, usize)],
    output: *const f32,
    /// Values from one block of outputs to the next.
    plane: usize,
    /// Blocks of the last vector of outputs.
    last: usize,
    /// Whether sums are added to those that are there.
    add: bool,
}

impl Stretch<'_> {
    /// Sums the first `count` channels of a block of inputs by `V` vectors of outputs: eight at a time where registers
    /// hold so many sums, else four.
    ///
    /// # Safety
    /// As [`Tile::new`], for all channels of the block.
    #[inline(always)]
    unsafe fn sum<S: Simd, const V: usize>(&self, s: S, input: *const f32, sums: *mut f32, count: usize) {
        // SAFETY: the caller's promise for each of the two halves.
        unsafe {
            if S::BLOCKS > 1 {
                return s.call(Tile::<V, 8>::new(self, input, sums));
            }
            s.call(Tile::<V, 4>::new(self, input, sums));
            if count > 4 {
                s.call(Tile::<V, 4>::new(self, input.add(4), sums.add(4 * V * LANES)));
            }
        }
    }
}

/// `C` channels of input by `V` vectors of outputs: with three vectors, sums, values and weights of four channels fill
/// 16 registers, of eight 28.
struct Tile<'a, const V: usize, const C: usize> {
    stretch: &'a Stretch<'a>,
    input: *const f32,
    sums: *mut f32,
}

impl<'a, const V: usize, const C: usize> Tile<'a, V, C> {
    /// # Safety
    /// Until the tile is run, for each pixel of `stretch`:
    /// * `input` plus the pixel's offset is valid for reading `C` values,
    /// * `stretch.output` plus the pixel's offset plus `stretch.plane` times each block of `V` vectors, of which the
    ///   last has `stretch.last` blocks, is valid for reading [`LANES`] values.
    ///
    /// `sums` is valid for writing [`LANES`] values for each of the `C` channels and each of those blocks, which no
    /// other thread reads or writes, and which are set where `stretch.add`.
    #[inline(always)]
    unsafe fn new(stretch: &'a Stretch<'a>, input: *const f32, sums: *mut f32) -> Self {
        Self { stretch, input, sums }
    }
}

impl<const V: usize, const C: usize> Kernel for Tile<'_, V, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let stretch = self.stretch;
        let blocks = |v: usize| if v + 1 < V { S::BLOCKS } else { stretch.last };
        let step = S::BLOCKS * stretch.plane;
        let mut sums = [[s.splat(0.0); V]; C];
        for &(output, input) in stretch.pixels {
            // SAFETY: the caller of `new` promised it for each pixel.
            unsafe {
                let (output, input) = (stretch.output.add(output), self.input.add(input));
                let row: [S::V; V] =
                    std::array::from_fn(|v| s.gather(output.wrapping_add(v * step), stretch.plane, blocks(v)));
                unrolled!(channel in C, {
                    let value = s.splat(*input.add(channel));
                    for v in 0..V {
                        sums[channel][v] = s.fma(row[v], value, sums[channel][v]);
                    }
                });
            }
        }
        let mask = s.mask(stretch.last);
        let len = ((V - 1) * S::BLOCKS + stretch.last) * LANES;
        unrolled!(channel in C, {
            for v in 0..V {
                let mut sum = sums[channel][v];
                // SAFETY: the caller of `new` promised it.
                unsafe {
                    let to = self.sums.add(channel * len + v * S::BLOCKS * LANES);
                    if v + 1 < V {
                        if stretch.add {
                            sum = s.add(s.load(to), sum);
                        }
                        s.store(to, sum);
                    } else {
                        if stretch.add {
                            sum = s.add(s.load_masked(to, mask), sum);
                        }
                        s.store_masked(to, mask, sum);
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_have_all_blocks() {
        for widest in [1, 2] {
            for blocks in 1..40 {
                let panels = panels(widest, blocks);
                assert_eq!(panels.iter().sum::<usize>(), blocks);
                assert!(panels.iter().all(|panel| (1..=MAX_VECTORS).contains(&panel.div_ceil(widest))));
            }
        }
        assert_eq!((panels(1, 7), panels(2, 7)), (vec![3, 2, 2], vec![4, 3]));
    }
}

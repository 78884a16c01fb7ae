//! A convolution of several maps by one micro-kernel: forward, and backward to the map that several convolutions read.
#![allow(unsafe_code)]

use hardnet_graph::Padding;

use super::context::Context;
use crate::gemm::{Panel, Range, Run, Stride, Walk, multiply};
use crate::map::Layout;
use crate::memory::Piece;
use hardnet_simd::{LANES, Simd};

/// Values of input that the panels of one unit read again and again: half of a level 2 cache.
const UNIT_INPUTS: usize = 48 << 10;

/// Units of an image's output below which panels are shared out too.
const UNITS: usize = 8;

/// Pixels of a unit at least, taken from several images where maps are small, so that weights are read for many pixels.
const PIXELS: usize = 128;

/// One of the maps that are read, by windows of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) layout: Layout,
    pub(super) kernel: usize,
    pub(super) padding: Padding,
}

/// Where weights lie, packed in panels of rows in the order of the terms, their taps and channels, and biases.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// Blocks of each panel.
    pub(super) panels: Vec<usize>,
    pub(super) weights: Piece,
    pub(super) bias: Piece,
}

/// A sum of convolutions ready to run.
#[derive(Debug)]
pub(super) struct Product {
    runs: Vec<Run>,
    input: Stride,
    output: Layout,
    depth: usize,
    weights: Weights,
    /// Pixels of a unit, units of an image's pixels, images of a unit, panels of a unit, units of the panels.
    pixels: usize,
    pixel_units: usize,
    group: usize,
    unit_panels: usize,
    panel_units: usize,
    /// Values from image to image where the images are the pixels of one map.
    images: Option<usize>,
}

impl Product {
    /// The sum over `terms`, which are alike in their rows, with windows `stride` pixels apart.
    ///
    /// The rows of weights have, for a list of terms of one kernel, the order tap, term, channel, and otherwise term, tap,
    /// channel.
    pub(super) fn new(terms: &[Term], by_term: bool, stride: usize, output: Layout, weights: Weights) -> Self {
        let mut runs = Vec::new();
        if by_term {
            terms.iter().for_each(|term| (0..term.kernel * term.kernel).for_each(|tap| term.runs(tap, &mut runs)));
        } else {
            let taps = terms[0].kernel * terms[0].kernel;
            (0..taps).for_each(|tap| terms.iter().for_each(|term| term.runs(tap, &mut runs)));
        }
        let first = &terms[0].layout;
        debug_assert!(terms.iter().all(|term| term.layout.row() == first.row()));
        let depth: usize = runs.iter().map(|run| run.count).sum();
        let panels = weights.panels.len();
        let count = output.size.height * output.size.width;
        let channels: usize = terms.iter().map(|term| term.layout.size.channels).sum();
        let pixels = (UNIT_INPUTS / (channels * stride * stride)).min(count).next_multiple_of(12).min(count);
        let pixel_units = count.div_ceil(pixels);
        let panel_units = UNITS.div_ceil(pixel_units).min(panels);
        let unit_panels = panels.div_ceil(panel_units);
        Self {
            runs,
            input: Stride { row: stride * first.row(), column: stride * first.pixel() },
            output,
            depth,
            weights,
            pixels,
            pixel_units,
            group: PIXELS.div_ceil(pixels),
            unit_panels,
            panel_units: panels.div_ceil(unit_panels),
            images: None,
        }
    }

    /// The same where the maps have one pixel and the images, `image` values apart, are the pixels.
    pub(super) fn across(terms: &[Term], output: Layout, weights: Weights, image: usize) -> Self {
        let product = Self::new(terms, false, 1, output, weights);
        Self { images: Some(image), unit_panels: 1, panel_units: product.weights.panels.len(), ..product }
    }

    /// Units of a pass over `images` images.
    pub(super) fn units(&self, images: usize) -> usize {
        let groups = if self.images.is_some() { 1 } else { images.div_ceil(self.group) };
        groups * self.pixel_units * self.panel_units
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, and no other thread has this unit of this step.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (unit, panel_unit) = (unit / self.panel_units, unit % self.panel_units);
        let (group, pixel_unit) = (unit / self.pixel_units, unit % self.pixel_units);
        let out = &self.output;
        let first = pixel_unit * self.pixels;
        let (images, walk, count) = match self.images {
            Some(image) => {
                let step = Stride { row: 0, column: image };
                (0..1, Walk::new(usize::MAX, 0, step, step), context.images())
            }
            None => {
                let walk = Walk::new(out.size.width, first, self.input, out.stride());
                let images = group * self.group..((group + 1) * self.group).min(context.images());
                (images, walk, self.pixels.min(out.size.height * out.size.width - first))
            }
        };
        let from = panel_unit * self.unit_panels;
        let mut block: usize = self.weights.panels[..from].iter().sum();
        let (weights, bias) = (context.at(self.weights.weights), context.at(self.weights.bias));
        for &blocks in self.weights.panels.iter().skip(from).take(self.unit_panels) {
            let lane = block * LANES;
            let own = weights.wrapping_add(lane * self.depth);
            for image in images.clone() {
                let memory = context.memory(image);
                let ahead = if image + 1 == images.end { blocks * LANES * self.depth } else { 0 };
                let panel = Panel {
                    blocks,
                    weights: own,
                    bias: bias.wrapping_add(lane),
                    output: memory.wrapping_add(out.origin() + block * out.plane()),
                    plane: out.plane(),
                    range: Range::ALL,
                    next: (own.wrapping_add(blocks * LANES * self.depth), ahead),
                };
                // SAFETY: a window of an output pixel lies in the terms' frames, which were made for it; outputs of the walk lie
                // in the output's map, and units have different pixels, images or panels. Weights are packed for these panels.
                unsafe { multiply(s, &self.runs, memory, walk, count, &panel) };
            }
            block += blocks;
        }
    }
}

impl Term {
    /// Adds the runs of one tap, in values from the start of the image's memory for output pixel 0.
    fn runs(&self, tap: usize, runs: &mut Vec<Run>) {
        let (layout, padding) = (&self.layout, self.padding);
        let (y, x) = (tap / self.kernel, tap % self.kernel);
        let corner = layout.offset
            + (layout.frame.top + y - padding.top) * layout.row()
            + (layout.frame.left + x - padding.left) * LANES;
        for block in 0..layout.planes() {
            let count = LANES.min(layout.size.channels - block * LANES);
            runs.push(Run { offset: corner + block * layout.plane(), count });
        }
    }
}

//! Depthwise 3x3 convolutions: every channel by itself.
#![allow(unsafe_code)]

use crate::context::Context;
use crate::filter::Filter;
use crate::gemm::Range;
use crate::map::{Layout, Padding};
use crate::memory::{Piece, Store};
use crate::simd::{LANES, Simd};

/// Side of the kernel.
pub(crate) const SIDE: usize = 3;

/// Output pixels of a unit at least, so that claiming it costs little.
const UNIT: usize = 512;

/// Output pixels computed side by side.
const PIXELS: usize = 4;

/// Packs `[channels / 8, 9, 8]`.
pub(crate) fn pack(filter: &Filter<'_>, store: &mut Store) -> Piece {
    let channels = filter.bias.len();
    store.push(channels.next_multiple_of(LANES) * SIDE * SIDE, |packed| {
        for (channel, weights) in filter.weights.chunks_exact(SIDE * SIDE).enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                let at = (channel / LANES * SIDE * SIDE + tap) * LANES + channel % LANES;
                packed[at] = (f64::from(weight) * filter.scale[channel]) as f32;
            }
        }
    })
}

/// The filter of one block, with its bias.
pub(crate) struct Taps<S: Simd> {
    pub(crate) weights: [S::V; SIDE * SIDE],
    pub(crate) bias: S::V,
}

impl<S: Simd> Taps<S> {
    /// Block `block` of packed `weights` and `bias`.
    ///
    /// # Safety
    /// Both were packed for more blocks than `block`.
    #[inline(always)]
    pub(crate) unsafe fn new(s: S, weights: *const f32, bias: *const f32, block: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let weights = weights.add(block * SIDE * SIDE * LANES);
            Self {
                weights: std::array::from_fn(|tap| s.load(weights.add(tap * LANES))),
                bias: s.load(bias.add(block * LANES)),
            }
        }
    }
}

/// A depthwise convolution ready to run.
#[derive(Debug)]
pub(crate) struct Depthwise {
    /// First value of the first window in each block, and the steps in rows and columns between windows.
    blocks: Vec<usize>,
    row: usize,
    stride: usize,
    output: Layout,
    weights: Piece,
    bias: Piece,
    range: Range,
    rows: usize,
    row_units: usize,
}

/// What a [`Depthwise`] computes.
pub(crate) struct Spec {
    pub(crate) stride: usize,
    pub(crate) padding: Padding,
    pub(crate) range: Range,
    pub(crate) weights: Piece,
    pub(crate) bias: Piece,
}

impl Depthwise {
    /// The convolution of `input` to `output`.
    pub(crate) fn new(input: Layout, output: Layout, spec: &Spec) -> Self {
        let corner = input.offset
            + (input.frame.top - spec.padding.top) * input.row()
            + (input.frame.left - spec.padding.left) * LANES;
        let rows = UNIT.div_ceil(output.size.width).min(output.size.height);
        Self {
            blocks: (0..input.planes()).map(|block| corner + block * input.plane()).collect(),
            row: input.row(),
            stride: spec.stride,
            output,
            weights: spec.weights,
            bias: spec.bias,
            range: spec.range,
            rows,
            row_units: output.size.height.div_ceil(rows),
        }
    }

    /// Units of a run of `images` images.
    pub(crate) fn units(&self, images: usize) -> usize {
        images * self.blocks.len() * self.row_units
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, and no other thread has this unit of this step.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (unit, block) = (unit / self.blocks.len(), unit % self.blocks.len());
        let (image, row_unit) = (unit / self.row_units, unit % self.row_units);
        let memory = context.memory(image);
        let out = &self.output;
        let first = row_unit * self.rows;
        let to = out.origin() + block * out.plane();
        // SAFETY: windows of output pixels lie in the input's frame; rows of a unit are its alone, and so is the border with the
        // first. Weights and biases were packed for every block.
        unsafe {
            if row_unit == 0 {
                out.clear_border(memory, block);
            }
            let taps = Taps::new(s, context.weights(self.weights), context.weights(self.bias), block);
            for y in first..(first + self.rows).min(out.size.height) {
                let from = memory.add(self.blocks[block] + y * self.stride * self.row);
                let line = Line { from, row: self.row, to: memory.add(to + y * out.row()), width: out.size.width };
                line.run(s, self.stride, &taps, self.range);
            }
        }
    }
}

/// A row of outputs.
pub(crate) struct Line {
    /// First value of the first window.
    pub(crate) from: *const f32,
    /// Values from row to row of the input.
    pub(crate) row: usize,
    /// The first output.
    pub(crate) to: *mut f32,
    /// Number of outputs.
    pub(crate) width: usize,
}

impl Line {
    /// Computes the row with windows `stride` pixels apart, 1 or 2.
    ///
    /// # Safety
    /// The windows of all outputs are valid for reading, the outputs for writing.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, stride: usize, taps: &Taps<S>, range: Range) {
        // SAFETY: the caller's promise.
        unsafe {
            match stride {
                1 => self.run_for::<S, 1>(s, taps, range),
                _ => self.run_for::<S, 2>(s, taps, range),
            }
        }
    }

    /// # Safety
    /// As [`Line::run`].
    #[inline(always)]
    unsafe fn run_for<S: Simd, const STRIDE: usize>(&self, s: S, taps: &Taps<S>, range: Range) {
        let mut x = 0;
        // SAFETY: outputs from `x` on are fewer than the width.
        unsafe {
            while x + PIXELS <= self.width {
                self.pixels::<S, STRIDE, PIXELS>(s, x, taps, range);
                x += PIXELS;
            }
            while x < self.width {
                self.pixels::<S, STRIDE, 1>(s, x, taps, range);
                x += 1;
            }
        }
    }

    /// Computes `N` outputs from `x` on.
    ///
    /// # Safety
    /// As [`Line::run`], with `x + N` at most the width.
    #[inline(always)]
    unsafe fn pixels<S: Simd, const STRIDE: usize, const N: usize>(
        &self,
        s: S,
        x: usize,
        taps: &Taps<S>,
        range: Range,
    ) {
        let mut sums = [taps.bias; N];
        for row in 0..SIDE {
            for column in 0..SIDE {
                for (n, sum) in sums.iter_mut().enumerate() {
                    let at = row * self.row + ((x + n) * STRIDE + column) * LANES;
                    // SAFETY: a value of the window of output `x + n`.
                    let value = unsafe { s.load(self.from.add(at)) };
                    *sum = s.fma(value, taps.weights[row * SIDE + column], *sum);
                }
            }
        }
        let (low, high) = (s.splat(range.low), s.splat(range.high));
        for (n, &sum) in sums.iter().enumerate() {
            // SAFETY: output `x + n`.
            unsafe { s.store(self.to.add((x + n) * LANES), s.min(high, s.max(low, sum))) };
        }
    }
}

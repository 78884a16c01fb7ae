//! Depthwise 3x3 convolutions: every channel by itself.
#![allow(unsafe_code)]

use hardnet_graph::Padding;

use crate::context::Context;
use crate::filter::{Filter, rounded};
use crate::gemm::Range;
use crate::map::Layout;
use crate::memory::{Piece, Store};
use hardnet_simd::{LANES, Simd};

/// Side of the kernel.
pub(crate) const SIDE: usize = 3;

/// Output pixels of a unit at least, so that claiming it costs little.
const UNIT: usize = 512;

/// Vectors of outputs computed side by side.
const VECTORS: usize = 4;

/// Packs `[channels / 8, 9, 8]`.
pub(crate) fn pack(filter: &Filter<'_>, store: &mut Store) -> Piece {
    let channels = filter.bias.len();
    store.push(channels.next_multiple_of(LANES) * SIDE * SIDE, |packed| {
        for (channel, weights) in filter.weights.chunks_exact(SIDE * SIDE).enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                let at = (channel / LANES * SIDE * SIDE + tap) * LANES + channel % LANES;
                packed[at] = rounded(f64::from(weight) * filter.scale[channel]);
            }
        }
    })
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
            let rows = Rows {
                stride: self.stride,
                range: self.range,
                from: memory.add(self.blocks[block] + first * self.stride * self.row),
                row: self.row,
                to: memory.add(to + first * out.row()),
                to_row: out.row(),
                count: self.rows.min(out.size.height - first),
                width: out.size.width,
            };
            let weights = context.weights(self.weights).add(block * SIDE * SIDE * LANES);
            rows.run(s, weights, context.weights(self.bias).add(block * LANES));
        }
    }
}

/// Rows of outputs in one block.
pub(crate) struct Rows {
    /// From window to window, in rows and columns: 1 or 2.
    pub(crate) stride: usize,
    pub(crate) range: Range,
    /// First value of the first window.
    pub(crate) from: *const f32,
    /// Values from row to row of the input.
    pub(crate) row: usize,
    /// The first output.
    pub(crate) to: *mut f32,
    /// Values from row to row of the output.
    pub(crate) to_row: usize,
    pub(crate) count: usize,
    /// Outputs of a row.
    pub(crate) width: usize,
}

impl Rows {
    /// Computes the rows with `weights`, `[9, 8]`, and `bias`, `[8]`.
    ///
    /// # Safety
    /// The windows of all outputs, weights and bias are valid for reading, the outputs for writing.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, weights: *const f32, bias: *const f32) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.stride {
                1 => self.run_for::<S::Widest, 1>(s.widest(), weights, bias),
                // Neighbouring windows do not lie side by side.
                _ => self.run_for::<S, 2>(s, weights, bias),
            }
        }
    }

    /// # Safety
    /// As [`Rows::run`].
    #[inline(always)]
    unsafe fn run_for<S: Simd, const STRIDE: usize>(&self, s: S, weights: *const f32, bias: *const f32) {
        // SAFETY: the caller's promise; outputs from `x` on are fewer than the width.
        unsafe {
            let taps = std::array::from_fn(|tap| s.repeat(weights.add(tap * LANES)));
            let bias = s.repeat(bias);
            for y in 0..self.count {
                let (from, to) = (self.from.add(y * STRIDE * self.row), self.to.add(y * self.to_row));
                let mut x = 0;
                while x + VECTORS * S::BLOCKS <= self.width {
                    self.vectors::<S, STRIDE, VECTORS>(s, from, to, x, (&taps, bias), S::BLOCKS);
                    x += VECTORS * S::BLOCKS;
                }
                while x < self.width {
                    let blocks = S::BLOCKS.min(self.width - x);
                    self.vectors::<S, STRIDE, 1>(s, from, to, x, (&taps, bias), blocks);
                    x += blocks;
                }
            }
        }
    }

    /// Computes `N` vectors of outputs from `x` on, with `pixels` pixels in the last.
    ///
    /// # Safety
    /// As [`Rows::run`] for the row at `from` and `to`, with so many pixels at most the width.
    #[inline(always)]
    unsafe fn vectors<S: Simd, const STRIDE: usize, const N: usize>(
        &self,
        s: S,
        from: *const f32,
        to: *mut f32,
        x: usize,
        (taps, bias): (&[S::V; SIDE * SIDE], S::V),
        pixels: usize,
    ) {
        let mask = s.mask(pixels);
        let mut sums = [bias; N];
        for row in 0..SIDE {
            for column in 0..SIDE {
                for (n, sum) in sums.iter_mut().enumerate() {
                    let at = row * self.row + ((x + n * S::BLOCKS) * STRIDE + column) * LANES;
                    // SAFETY: values of the windows of these outputs.
                    let value = unsafe {
                        let from = from.add(at);
                        if n + 1 < N { s.load(from) } else { s.load_masked(from, mask) }
                    };
                    *sum = s.fma(value, taps[row * SIDE + column], *sum);
                }
            }
        }
        let (low, high) = (s.splat(self.range.low), s.splat(self.range.high));
        for (n, &sum) in sums.iter().enumerate() {
            let to = to.wrapping_add((x + n * S::BLOCKS) * LANES);
            let value = s.min(high, s.max(low, sum));
            // SAFETY: outputs of the row.
            unsafe { if n + 1 < N { s.store(to, value) } else { s.store_masked(to, mask, value) } }
        }
    }
}

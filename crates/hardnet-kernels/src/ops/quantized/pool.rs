//! Pools of maps of bytes to maps of the same quantization, and the mean of every channel.
#![allow(unsafe_code)]

use hardnet_graph::{Pool, PoolKind};
use hardnet_simd::{BYTE_LANES, LANES};

use super::bytes;
use crate::exec::context::Context;
use crate::map::Layout;
use crate::quantization::Quantization;

/// Output pixels of a task at least, so that claiming it costs little.
const TASK_PIXELS: usize = 512;

/// A pool of bytes, ready to run: the maximum of each window, or its mean, rounded half to even.
#[derive(Debug)]
pub(crate) struct BytePool {
    input: Layout,
    output: Layout,
    pool: Pool,
    zero_point: u8,
    /// Rows of a task, and tasks of a block.
    rows: usize,
    row_tasks: usize,
}

impl BytePool {
    /// The pool of `input` to `output`, maps of this zero point.
    pub(crate) fn new(input: Layout, output: Layout, pool: &Pool, zero_point: u8) -> Self {
        let rows = TASK_PIXELS.div_ceil(output.size.width).min(output.size.height);
        Self { input, output, pool: *pool, zero_point, rows, row_tasks: output.size.height.div_ceil(rows) }
    }

    /// Tasks of a run of `images` images: rows of blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.row_tasks * self.output.planes()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(never)]
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let (input, out, pool) = (&self.input, &self.output, &self.pool);
        let (task, block) = (task / out.planes(), task % out.planes());
        let (image, row_task) = (task / self.row_tasks, task % self.row_tasks);
        let first = row_task * self.rows;
        let memory = context.memory(image);
        let clip = |at: usize, padding: usize, length: usize| {
            let start = at * pool.stride;
            start.saturating_sub(padding).min(length)..(start + pool.kernel).saturating_sub(padding).min(length)
        };
        // SAFETY: rows and columns are clipped to those of the input, outputs are those of this task's rows and block,
        // and so is the halo with the first.
        unsafe {
            if row_task == 0 {
                out.clear_halo(memory, block);
            }
            let from = bytes(memory).add(input.origin() + block * input.plane());
            let to = bytes(memory).add(out.origin() + block * out.plane());
            for y in first..(first + self.rows).min(out.size.height) {
                let rows = clip(y, pool.padding.top, input.size.height);
                for x in 0..out.size.width {
                    let columns = clip(x, pool.padding.left, input.size.width);
                    let pixels = rows.clone().flat_map(|row| {
                        let row = from.add(row * input.row());
                        columns.clone().map(move |column| row.add(column * BYTE_LANES).cast::<Pixel>().read())
                    });
                    let pixel = match pool.kind {
                        PoolKind::Max => pixels.fold([0; BYTE_LANES], |most, pixel| {
                            std::array::from_fn(|lane| pixel[lane].max(most[lane]))
                        }),
                        PoolKind::Average => mean(pixels, pool.kernel * pool.kernel, self.zero_point),
                    };
                    to.add(y * out.row() + x * BYTE_LANES).cast::<Pixel>().write(pixel);
                }
            }
        }
    }
}

/// The channels of a block in one pixel.
type Pixel = [u8; BYTE_LANES];

/// The mean of a window of `count` pixels, rounded half to even; those that are not in `pixels` are zero, which
/// `zero_point` stands for.
#[inline(always)]
fn mean(pixels: impl Iterator<Item = Pixel>, count: usize, zero_point: u8) -> Pixel {
    let (mut sums, mut found) = ([0_u32; BYTE_LANES], 0);
    for pixel in pixels {
        sums = std::array::from_fn(|lane| sums[lane] + u32::from(pixel[lane]));
        found += 1;
    }
    if (found, count) == (4, 4) {
        // Half of 4, less one where the quotient is even.
        return sums.map(|sum| ((sum + 1 + (sum >> 2 & 1)) >> 2) as u8);
    }
    // In f64, the quotient of a tie is exact, and any other is far from one.
    let zeros = (count - found) as f64 * f64::from(zero_point);
    sums.map(|sum| ((f64::from(sum) + zeros) / count as f64).round_ties_even() as u8)
}

/// The mean of every channel of a map of bytes, to a map of f32.
#[derive(Debug)]
pub(crate) struct ByteMean {
    input: Layout,
    output: Layout,
    quantization: Quantization,
}

impl ByteMean {
    /// The means of the channels of `input`, a map of bytes of this quantization.
    pub(crate) fn new(input: Layout, output: Layout, quantization: Quantization) -> Self {
        Self { input, output, quantization }
    }

    /// Tasks of a run of `images` images: blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.input.planes()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(never)]
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let (input, out) = (&self.input, &self.output);
        let (image, block) = (task / input.planes(), task % input.planes());
        let memory = context.memory(image);
        let count = (input.size.height * input.size.width) as u64;
        let mut sums = [0_u64; BYTE_LANES];
        for y in 0..input.size.height {
            // Some hundred bytes at a time fit 16 bits.
            for first in (0..input.size.width).step_by(u8::MAX as usize) {
                let mut row = [0_u16; BYTE_LANES];
                for x in first..(first + u8::MAX as usize).min(input.size.width) {
                    let at = input.origin() + block * input.plane() + y * input.row() + x * BYTE_LANES;
                    // SAFETY: a pixel of the map.
                    let pixel = unsafe { bytes(memory).add(at).cast::<[u8; BYTE_LANES]>().read() };
                    row = std::array::from_fn(|lane| row[lane] + u16::from(pixel[lane]));
                }
                sums = std::array::from_fn(|lane| sums[lane] + u64::from(row[lane]));
            }
        }
        let zero = f64::from(self.quantization.zero_point);
        let unit = f64::from(self.quantization.scale) / count as f64;
        for (lane, sum) in sums.into_iter().enumerate() {
            let channel = block * BYTE_LANES + lane;
            if channel / LANES < out.planes() {
                let value = if channel < out.size.channels { (sum as f64 - zero * count as f64) * unit } else { 0.0 };
                let at = out.origin() + channel / LANES * out.plane() + channel % LANES;
                // SAFETY: a value of this block's channels, in the map of one pixel.
                unsafe { *memory.add(at) = value as f32 };
            }
        }
        let planes = BYTE_LANES / LANES;
        for plane in block * planes..((block + 1) * planes).min(out.planes()) {
            // SAFETY: the halo of a block that this task alone writes.
            unsafe { out.clear_halo(memory, plane) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_rounded_half_to_even() {
        for sum in 0..=4 * 255_u32 {
            let parts: Vec<Pixel> = (0..4).map(|at| [((sum + at) / 4) as u8; BYTE_LANES]).collect();
            assert_eq!(parts.iter().map(|part| u32::from(part[0])).sum::<u32>(), sum);
            let expected = (f64::from(sum) / 4.0).round_ties_even() as u8;
            assert_eq!(mean(parts.into_iter(), 4, 7), [expected; BYTE_LANES], "{sum}");
        }
        // Three pixels of nine: the others are zero, which 128 stands for.
        let parts = [[255; BYTE_LANES], [128; BYTE_LANES], [10; BYTE_LANES]];
        assert_eq!(mean(parts.into_iter(), 9, 128), [129; BYTE_LANES]);
        assert_eq!(mean([[3; BYTE_LANES], [2; BYTE_LANES]].into_iter(), 2, 0), [2; BYTE_LANES]);
    }
}

//! Cubic interpolation, with a = -3/4.
//!
//! [`Own`](Arithmetic::Own) arithmetic rounds weights to units of 1/2048 and sums a row horizontally in integers. The
//! vertical pass rounds in two ways: eight samples at a time in f32, `round(b[0] * row 0 + (b[1] * row 1 + ...))` with
//! weights in units of 2^-22, and what is left at the end of a row in integers, `(sum + 2^21) >> 22`.
//!
//! [`Ipp`](Arithmetic::Ipp) computes both passes in f32 with weights that are not rounded, and with fused products,
//! which are faster and as near to what IPP computes.
//!
//! Rows between the passes are f32, which holds the integers of the first exactly.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::ops::Range;

use hardnet_simd::{Kernel, Simd, dispatch};

use super::Job;
use super::positions::{Scale, Taps, fixed_point};
use super::rows::{RowCache, lanes};

/// How weights and sums are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// OpenCV's.
    Own,
    /// That of Intel's IPP, but for rare samples.
    Ipp,
}

/// Samples that OpenCV computes together in the vertical pass.
const GROUP: usize = 8;

/// Units of the product of two rounded weights.
const UNIT: f32 = 1.0 / (1 << 22) as f32;

/// Memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Memory {
    columns: Taps<4, f32>,
    rows: RowCache<4, f32>,
    output: Vec<u8>,
}

impl Memory {
    pub(super) fn run(&mut self, job: &Job<'_>, arithmetic: Arithmetic, each: &mut dyn FnMut(usize, &[u8])) {
        // OpenCV leaves to IPP what has at least four pixels along each axis.
        let small = job.columns.input < 4 || job.rows.input < 4;
        let arithmetic = if small { Arithmetic::Own } else { arithmetic };
        self.columns.plan(job.window.0.clone(), |index| tap(&job.columns, index, arithmetic));
        let (channels, count) = (job.channels(), self.columns.pixels.len());
        self.rows.reset(count * lanes(channels));
        self.output.resize(job.length() + PADDING, 0);
        // The samples of the window that lie in whole groups of the resized row.
        let groups = job.columns.output as usize * channels / GROUP * GROUP;
        let grouped = groups.saturating_sub(job.window.0.start as usize * channels).min(job.length());
        for (index, row) in job.window_rows() {
            let (wanted, weights) = tap(&job.rows, row, arithmetic);
            let interpolate = |input: &[u8], values: &mut [f32]| {
                let mut done = 0..0;
                #[cfg(target_arch = "x86_64")]
                if channels == 3 {
                    done = match (job.isa.avx512(), job.isa.avx2()) {
                        (Some(token), _) => avx512::horizontal(token, &self.columns, input, values),
                        (_, Some(token)) => avx2::horizontal(token, &self.columns, input, values),
                        _ => done,
                    };
                }
                dispatch(job.isa, Rest { channels, arithmetic, columns: &self.columns, done, input, values });
            };
            let rows = self.rows.get(wanted, job, interpolate);
            vertical(job, rows, weights, arithmetic, &mut self.output);
            if arithmetic == Arithmetic::Own {
                integers(channels, rows, weights, grouped..job.length(), &mut self.output);
            }
            each(index, &self.output[..job.length()]);
        }
    }
}

/// Samples after an output row that a kernel may overwrite.
const PADDING: usize = 32;

/// Pixels and weights of an output pixel; weights are integers in units of 1/2048 in OpenCV's own arithmetic.
fn tap(scale: &Scale, index: u64, arithmetic: Arithmetic) -> ([usize; 4], [f32; 4]) {
    let (pixel, weights) = match arithmetic {
        Arithmetic::Own => {
            let (pixel, fraction) = scale.position(index);
            (pixel, rounded_weights(fraction))
        }
        Arithmetic::Ipp => {
            let (pixel, fraction) = scale.exact_position(index);
            (pixel, weights(fraction))
        }
    };
    (std::array::from_fn(|tap| scale.clamp(pixel - 1 + tap as i64)), weights)
}

/// Keys' cubic at distances `x + 1`, `x`, `1 - x` and, by what is left to 1, `2 - x`, in units of 1/2048 (Keys 1981,
/// "Cubic convolution interpolation for digital image processing").
fn rounded_weights(x: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let inner = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let first = ((A * (x + 1.0) - 5.0 * A) * (x + 1.0) + 8.0 * A) * (x + 1.0) - 4.0 * A;
    let (second, third) = (inner(x), inner(1.0 - x));
    [first, second, third, 1.0 - first - second - third].map(|weight| f32::from(fixed_point(weight)))
}

/// The same, not rounded.
fn weights(x: f64) -> [f32; 4] {
    const A: f64 = -0.75;
    let inner = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let outer = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [outer(x + 1.0), inner(x), inner(1.0 - x), outer(2.0 - x)].map(|weight| weight as f32)
}

/// The columns of a row that are not `done`, compiled for each instruction set: some have fused products.
struct Rest<'a> {
    channels: usize,
    arithmetic: Arithmetic,
    columns: &'a Taps<4, f32>,
    done: Range<usize>,
    input: &'a [u8],
    values: &'a mut [f32],
}

impl Kernel for Rest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Rest { channels, arithmetic, columns, done, input, values } = self;
        if channels == 3 {
            horizontal(3, arithmetic, columns, done, input, values);
        } else {
            horizontal(1, arithmetic, columns, done, input, values);
        }
    }
}

/// Interpolates the columns of a row that are not `done`.
#[inline(always)]
fn horizontal(
    channels: usize,
    arithmetic: Arithmetic,
    columns: &Taps<4, f32>,
    done: Range<usize>,
    input: &[u8],
    values: &mut [f32],
) {
    let lanes = lanes(channels);
    for column in (0..done.start).chain(done.end..columns.pixels.len()) {
        let (pixels, weights) = (columns.pixels[column], columns.weights[column]);
        for channel in 0..channels {
            let samples = pixels.map(|pixel| f32::from(input[pixel * channels + channel]));
            values[column * lanes + channel] = match arithmetic {
                // Integers, which f32 holds in any order.
                Arithmetic::Own => {
                    let [a, b, c, d] = std::array::from_fn(|tap| samples[tap] * weights[tap]);
                    (a + b) + (c + d)
                }
                Arithmetic::Ipp => {
                    let [a, b, c, d] = samples;
                    d.mul_add(weights[3], c.mul_add(weights[2], b.mul_add(weights[1], a * weights[0])))
                }
            };
        }
    }
}

/// Interpolates between four rows in f32.
fn vertical(job: &Job<'_>, rows: [&[f32]; 4], weights: [f32; 4], arithmetic: Arithmetic, output: &mut [u8]) {
    let weights = match arithmetic {
        Arithmetic::Own => weights.map(|weight| weight * UNIT),
        Arithmetic::Ipp => weights,
    };
    let channels = job.channels();
    #[cfg(target_arch = "x86_64")]
    if channels == 3 {
        match (job.isa.avx512(), job.isa.avx2()) {
            (Some(token), _) => return avx512::vertical(token, arithmetic, rows, weights, output),
            (_, Some(token)) => return avx2::vertical(token, arithmetic, rows, weights, output),
            _ => {}
        }
    }
    let lanes = lanes(channels);
    for (pixel, output) in output.chunks_exact_mut(channels).take(rows[0].len() / lanes).enumerate() {
        for channel in 0..channels {
            let [a, b, c, d] = rows.map(|row| row[pixel * lanes + channel]);
            let sum = match arithmetic {
                Arithmetic::Own => a * weights[0] + (b * weights[1] + (c * weights[2] + d * weights[3])),
                Arithmetic::Ipp => a.mul_add(weights[0], b.mul_add(weights[1], c.mul_add(weights[2], d * weights[3]))),
            };
            output[channel] = sum.round_ties_even() as u8;
        }
    }
}

/// Interpolates `samples` of a row in integers.
fn integers(channels: usize, rows: [&[f32]; 4], weights: [f32; 4], samples: Range<usize>, output: &mut [u8]) {
    let lanes = lanes(channels);
    for sample in samples {
        let at = sample / channels * lanes + sample % channels;
        let sum: i32 = (0..4).map(|row| rows[row][at] as i32 * weights[row] as i32).sum();
        output[sample] = ((sum + (1 << 21)) >> 22).clamp(0, 255) as u8;
    }
}

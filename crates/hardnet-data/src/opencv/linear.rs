//! Linear interpolation.
//!
//! A row is interpolated horizontally in integers: `sum = a[0] * left + a[1] * right`, with weights in units of 1/2048.
//! In [`Short`](Arithmetic::Short) arithmetic, the vertical pass keeps 16 bits of what it multiplies and of the
//! products, so that a vector holds as many values as possible:
//!
//! ```text
//! output = (((b[0] * (upper sum >> 4)) >> 16) + ((b[1] * (lower sum >> 4)) >> 16) + 2) >> 2
//! ```
//!
//! Rows between the passes therefore hold `sum >> 4`, at most 32,640.
//!
//! [`Exact`](Arithmetic::Exact) arithmetic has weights in units of 1/256, drops nothing and rounds once, half up:
//!
//! ```text
//! output = (b[0] * upper sum + b[1] * lower sum + 2^15) >> 16
//! ```
//!
//! Rows between the passes hold the sums, at most 65,280.

#[cfg(target_arch = "x86_64")]
mod avx2;

use std::ops::Range;

use super::Job;
use super::positions::{Scale, Taps};
use super::rows::{RowCache, lanes};

/// How weights and sums are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arithmetic {
    /// Short factors and products.
    Short,
    /// Sums of all bits.
    Exact,
}

/// Memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Memory {
    columns: Taps<2, i16>,
    #[cfg(target_arch = "x86_64")]
    vectors: avx2::Vectors,
    rows: RowCache<2, u16>,
    output: Vec<u8>,
}

impl Memory {
    /// Resamples by [`Linear`](super::Interpolation::Linear), or with other positions.
    pub(super) fn run(
        &mut self,
        job: &Job<'_>,
        position: fn(&Scale, u64) -> (i64, f32),
        each: &mut dyn FnMut(usize, &[u8]),
    ) {
        let position = |scale: &Scale, index| {
            let (pixel, fraction) = position(scale, index);
            (pixel, rounded([1.0 - fraction, fraction]))
        };
        self.interpolate(job, Arithmetic::Short, position, each);
    }

    /// Resamples by [`LinearExact`](super::Interpolation::LinearExact).
    pub(super) fn run_exact(&mut self, job: &Job<'_>, each: &mut dyn FnMut(usize, &[u8])) {
        let position = |scale: &Scale, index| {
            let (pixel, fraction) = scale.exact_position(index);
            let second = (fraction * 256.0).round_ties_even() as i16;
            // Before the first and after the last pixel, that pixel counts alone: the other one of the two is the same.
            (pixel, [256 - second, second])
        };
        self.interpolate(job, Arithmetic::Exact, position, each);
    }

    /// Resamples with the first pixel and the weights of two by `position`.
    fn interpolate(
        &mut self,
        job: &Job<'_>,
        arithmetic: Arithmetic,
        position: impl Fn(&Scale, u64) -> (i64, [i16; 2]),
        each: &mut dyn FnMut(usize, &[u8]),
    ) {
        let last = job.columns.input as i64 - 1;
        let one = if arithmetic == Arithmetic::Exact { 256 } else { 2048 };
        self.columns.plan(job.window.0.clone(), |index| {
            // Outside the image the first or last pixel counts alone.
            let (pixel, weights) = match position(&job.columns, index) {
                (pixel, _) if pixel < 0 => (0, [one, 0]),
                (pixel, _) if pixel >= last => (last, [one, 0]),
                inside => inside,
            };
            ([pixel, pixel + 1].map(|pixel| job.columns.clamp(pixel)), weights)
        });
        #[cfg(target_arch = "x86_64")]
        self.vectors.plan(&self.columns);
        let (channels, count) = (job.channels(), self.columns.pixels.len());
        self.rows.reset(count * lanes(channels));
        self.output.resize(job.length() + PADDING, 0);
        for (index, row) in job.window_rows() {
            let (pixel, weights) = position(&job.rows, row);
            let wanted = [pixel, pixel + 1].map(|pixel| job.rows.clamp(pixel));
            let interpolate = |input: &[u8], values: &mut [u16]| {
                let mut done = 0..0;
                #[cfg(target_arch = "x86_64")]
                if let (3, Some(token)) = (channels, job.isa.avx2()) {
                    done = avx2::horizontal(token, arithmetic, &self.columns, &self.vectors, input, values);
                }
                horizontal(channels, arithmetic, &self.columns, done, input, values);
            };
            let rows = self.rows.get(wanted, job, interpolate);
            vertical(job, arithmetic, rows, weights, &mut self.output);
            each(index, &self.output[..job.length()]);
        }
    }
}

/// Samples after an output row that a kernel may overwrite.
const PADDING: usize = 32;

/// Weights in units of 1/2048.
fn rounded(weights: [f32; 2]) -> [i16; 2] {
    weights.map(super::positions::fixed_point)
}

/// Interpolates the columns of a row that are not `done`.
fn horizontal(
    channels: usize,
    arithmetic: Arithmetic,
    columns: &Taps<2, i16>,
    done: Range<usize>,
    input: &[u8],
    values: &mut [u16],
) {
    let lanes = lanes(channels);
    let dropped = if arithmetic == Arithmetic::Exact { 0 } else { 4 };
    for column in (0..done.start).chain(done.end..columns.pixels.len()) {
        let ([left, right], [a, b]) = (columns.pixels[column], columns.weights[column]);
        for channel in 0..channels {
            let [left, right] = [left, right].map(|pixel| i32::from(input[pixel * channels + channel]));
            values[column * lanes + channel] = ((left * i32::from(a) + right * i32::from(b)) >> dropped) as u16;
        }
    }
}

/// Interpolates between two rows.
fn vertical(job: &Job<'_>, arithmetic: Arithmetic, [upper, lower]: [&[u16]; 2], weights: [i16; 2], output: &mut [u8]) {
    let channels = job.channels();
    #[cfg(target_arch = "x86_64")]
    if let (3, Some(token)) = (channels, job.isa.avx2()) {
        return match arithmetic {
            Arithmetic::Short => avx2::vertical(token, [upper, lower], weights, output),
            Arithmetic::Exact => avx2::vertical_exact(token, [upper, lower], weights, output),
        };
    }
    let lanes = lanes(channels);
    let products = |upper: u16, lower: u16| {
        [(upper, weights[0]), (lower, weights[1])].map(|(value, weight)| i32::from(value) * i32::from(weight))
    };
    let pixels = upper.chunks_exact(lanes).zip(lower.chunks_exact(lanes));
    for (output, (upper, lower)) in output.chunks_exact_mut(channels).zip(pixels) {
        for channel in 0..channels {
            let [a, b] = products(upper[channel], lower[channel]);
            output[channel] = match arithmetic {
                Arithmetic::Short => ((a >> 16) + (b >> 16) + 2) >> 2,
                Arithmetic::Exact => (a + b + (1 << 15)) >> 16,
            }
            .clamp(0, 255) as u8;
        }
    }
}

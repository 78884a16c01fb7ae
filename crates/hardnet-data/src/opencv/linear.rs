//! Linear interpolation.
//!
//! A row is interpolated horizontally in integers: `sum = a[0] * left + a[1] * right`, with weights in units of 1/2048.
//! The vertical pass keeps 16 bits of what it multiplies and of the products, so that a vector holds as many values as
//! possible:
//!
//! ```text
//! output = (((b[0] * (upper sum >> 4)) >> 16) + ((b[1] * (lower sum >> 4)) >> 16) + 2) >> 2
//! ```
//!
//! Rows between the passes therefore hold `sum >> 4`, at most 32,640.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::positions::{Scale, Taps, fixed_point};
use super::rows::{RowCache, lanes};
use std::ops::Range;

use super::Job;

/// Memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Memory {
    columns: Taps<2, i16>,
    #[cfg(target_arch = "x86_64")]
    groups: avx2::Groups,
    rows: RowCache<2, i16>,
    output: Vec<u8>,
}

impl Memory {
    /// Resamples with positions by `position`.
    pub(super) fn run(
        &mut self,
        job: &Job<'_>,
        position: fn(&Scale, u64) -> (i64, f32),
        each: &mut dyn FnMut(usize, &[u8]),
    ) {
        let last = job.columns.input as i64 - 1;
        self.columns.plan(job.window.0.clone(), |index| {
            // Outside the image the first or last pixel counts alone.
            let (pixel, fraction) = match position(&job.columns, index) {
                (pixel, _) if pixel < 0 => (0, 0.0),
                (pixel, _) if pixel >= last => (last, 0.0),
                inside => inside,
            };
            ([pixel, pixel + 1].map(|pixel| job.columns.clamp(pixel)), weights(fraction))
        });
        #[cfg(target_arch = "x86_64")]
        self.groups.plan(&self.columns);
        let (channels, count) = (job.channels(), self.columns.pixels.len());
        self.rows.reset(count * lanes(channels));
        self.output.resize(job.length() + PADDING, 0);
        for (index, row) in job.window_rows() {
            let (pixel, fraction) = position(&job.rows, row);
            let wanted = [pixel, pixel + 1].map(|pixel| job.rows.clamp(pixel));
            let interpolate = |input: &[u8], values: &mut [i16]| {
                let mut done = 0..0;
                #[cfg(target_arch = "x86_64")]
                if let (3, Some(token)) = (channels, job.isa.avx2()) {
                    done = avx2::horizontal(token, &self.columns, &self.groups, input, values);
                }
                horizontal(channels, &self.columns, done, input, values);
            };
            let rows = self.rows.get(wanted, job, interpolate);
            vertical(job, rows, weights(fraction), &mut self.output);
            each(index, &self.output[..job.length()]);
        }
    }
}

/// Samples after an output row that a kernel may overwrite.
const PADDING: usize = 32;

/// Rounded weights of two pixels, where `fraction` is the second's.
fn weights(fraction: f32) -> [i16; 2] {
    [1.0 - fraction, fraction].map(fixed_point)
}

/// Interpolates the columns of a row that are not `done`.
fn horizontal(channels: usize, columns: &Taps<2, i16>, done: Range<usize>, input: &[u8], values: &mut [i16]) {
    let lanes = lanes(channels);
    for column in (0..done.start).chain(done.end..columns.pixels.len()) {
        let ([left, right], [a, b]) = (columns.pixels[column], columns.weights[column]);
        for channel in 0..channels {
            let [left, right] = [left, right].map(|pixel| i32::from(input[pixel * channels + channel]));
            values[column * lanes + channel] = ((left * i32::from(a) + right * i32::from(b)) >> 4) as i16;
        }
    }
}

/// Interpolates between two rows.
fn vertical(job: &Job<'_>, [upper, lower]: [&[i16]; 2], weights: [i16; 2], output: &mut [u8]) {
    let channels = job.channels();
    #[cfg(target_arch = "x86_64")]
    if let (3, Some(token)) = (channels, job.isa.avx2()) {
        return avx2::vertical(token, [upper, lower], weights, output);
    }
    let lanes = lanes(channels);
    let high = |value: i16, weight: i16| (i32::from(value) * i32::from(weight)) >> 16;
    let pixels = upper.chunks_exact(lanes).zip(lower.chunks_exact(lanes));
    for (output, (upper, lower)) in output.chunks_exact_mut(channels).zip(pixels) {
        for channel in 0..channels {
            let sum = high(upper[channel], weights[0]) + high(lower[channel], weights[1]);
            output[channel] = ((sum + 2) >> 2).clamp(0, 255) as u8;
        }
    }
}

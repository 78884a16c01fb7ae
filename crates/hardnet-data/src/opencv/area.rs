//! Averages of the area that an output pixel covers.
//!
//! Where both scales are whole numbers, the area is a block of whole pixels: its sum is an integer, which is multiplied
//! by the f32 nearest to one part of the area and rounded half to even; the average of 2x2 pixels is rounded half up.
//! Otherwise pixels at the edges count in part. A table gives each pixel's weight along an axis in f32, where a part of
//! less than one in a thousand pixels is dropped; sums are f32, along rows first, in the order of the tables.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::Job;
use super::positions::Scale;
use super::rows::lanes;

/// Memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Memory {
    columns: Table,
    rows: Table,
    /// An input row, averaged horizontally.
    row: Vec<f32>,
    sums: Vec<f32>,
    counts: Vec<u32>,
    output: Vec<u8>,
}

/// Input pixels and their weights for each output pixel.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<(usize, f32)>,
    /// The end of each output pixel's entries.
    ends: Vec<usize>,
}

impl Table {
    fn plan(&mut self, scale: &Scale, window: std::ops::Range<u64>) {
        const LEAST: f64 = 1e-3;
        self.entries.clear();
        self.ends.clear();
        for index in window {
            let start = index as f64 * scale.scale;
            let end = start + scale.scale;
            let width = scale.scale.min(scale.input as f64 - start);
            let last = (end.floor() as usize).min(scale.input - 1);
            let first = (start.ceil() as usize).min(last);
            if first as f64 - start > LEAST {
                self.entries.push((first - 1, ((first as f64 - start) / width) as f32));
            }
            self.entries.extend((first..last).map(|pixel| (pixel, (1.0 / width) as f32)));
            if end - last as f64 > LEAST {
                self.entries.push((last, ((end - last as f64).min(1.0).min(width) / width) as f32));
            }
            self.ends.push(self.entries.len());
        }
    }

    fn pixels(&self) -> impl Iterator<Item = &[(usize, f32)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.entries[start..end])
    }
}

impl Memory {
    pub(super) fn run(&mut self, job: &Job<'_>, each: &mut dyn FnMut(usize, &[u8])) {
        match (job.columns.integral(), job.rows.integral()) {
            (Some(width), Some(height)) => self.blocks(job, (width, height), each),
            _ => self.parts(job, each),
        }
    }

    /// Averages blocks of `width` x `height` pixels.
    fn blocks(&mut self, job: &Job<'_>, (width, height): (usize, usize), each: &mut dyn FnMut(usize, &[u8])) {
        let channels = job.channels();
        let part = 1.0 / (width * height) as f32;
        let first = job.window.0.start as usize * width * channels;
        let length = job.length() * width;
        self.output.resize(job.length() + PADDING, 0);
        for (index, row) in job.window_rows() {
            let row = row as usize * height;
            let mut done = 0;
            #[cfg(target_arch = "x86_64")]
            if let (2, 2, 3, Some(token)) = (width, height, channels, job.isa.avx2()) {
                let rows = [row, row + 1].map(|row| &job.rows_from(row)[first..]);
                done = avx2::halve(token, rows, job.length() / channels, &mut self.output);
            }
            let begin = done * width * channels;
            self.counts.clear();
            self.counts.resize(length - begin, 0);
            for row in row..row + height {
                for (sum, &sample) in self.counts.iter_mut().zip(&job.row(row)[first..][begin..length]) {
                    *sum += u32::from(sample);
                }
            }
            let blocks = self.counts.chunks_exact(width * channels);
            let pixels = self.output[..job.length()].chunks_exact_mut(channels).skip(done);
            for (block, output) in blocks.zip(pixels) {
                for channel in 0..channels {
                    let sum: u32 = block[channel..].iter().step_by(channels).sum();
                    output[channel] = match (width, height) {
                        (2, 2) => ((sum + 2) >> 2) as u8,
                        _ => (sum as f32 * part).round_ties_even() as u8,
                    };
                }
            }
            each(index, &self.output[..job.length()]);
        }
    }

    /// Averages pixels and parts of pixels.
    fn parts(&mut self, job: &Job<'_>, each: &mut dyn FnMut(usize, &[u8])) {
        let channels = job.channels();
        self.columns.plan(&job.columns, job.window.0.clone());
        self.rows.plan(&job.rows, job.window.1.clone());
        let length = self.columns.ends.len() * lanes(channels);
        self.row.resize(length, 0.0);
        self.sums.resize(length, 0.0);
        self.output.resize(job.length() + PADDING, 0);
        let mut averaged = None;
        for (index, entries) in self.rows.pixels().enumerate() {
            for (number, &(row, weight)) in entries.iter().enumerate() {
                // The last row of an output row's area often is the first of the next one's.
                if averaged != Some(row) {
                    average(job, &self.columns, job.rows_from(row), &mut self.row);
                    averaged = Some(row);
                }
                accumulate(job, weight, &self.row, number > 0, &mut self.sums);
            }
            round(job, &self.sums, &mut self.output);
            each(index, &self.output[..job.length()]);
        }
    }
}

/// Samples after an output row that a kernel may overwrite.
const PADDING: usize = 32;

/// Averages the row that `input` begins with horizontally.
fn average(job: &Job<'_>, columns: &Table, input: &[u8], values: &mut [f32]) {
    let channels = job.channels();
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if let (3, Some(token)) = (channels, job.isa.avx2()) {
        done = avx2::average(token, columns, input, values);
    }
    let lanes = lanes(channels);
    for (entries, values) in columns.pixels().zip(values.chunks_exact_mut(lanes)).skip(done) {
        values.fill(0.0);
        for &(pixel, weight) in entries {
            for (value, &sample) in values.iter_mut().zip(&input[pixel * channels..][..channels]) {
                *value += f32::from(sample) * weight;
            }
        }
    }
}

/// `sums = weight * row`, or where `add`, `sums += weight * row`.
fn accumulate(job: &Job<'_>, weight: f32, row: &[f32], add: bool, sums: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = job.isa.avx2() {
        return avx2::accumulate(token, weight, row, add, sums);
    }
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum = if add { *sum + weight * value } else { weight * value };
    }
}

/// Rounds sums to samples.
fn round(job: &Job<'_>, sums: &[f32], output: &mut [u8]) {
    let channels = job.channels();
    #[cfg(target_arch = "x86_64")]
    if let (3, Some(token)) = (channels, job.isa.avx2()) {
        return super::avx2::round(token, sums, output);
    }
    for (sums, output) in sums.chunks_exact(lanes(channels)).zip(output.chunks_exact_mut(channels)) {
        for (output, sum) in output.iter_mut().zip(sums) {
            *output = sum.round_ties_even() as u8;
        }
    }
}

//! The nearest pixel.

use super::Job;

/// Memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The first sample of each output column's pixel.
    columns: Vec<usize>,
    row: Vec<u8>,
}

impl Memory {
    pub(super) fn run(&mut self, job: &Job<'_>, each: &mut dyn FnMut(usize, &[u8])) {
        let channels = job.channels();
        let pixel = |scale: &super::Scale, index: u64| ((index as f64 * scale.scale) as usize).min(scale.input - 1);
        self.columns.clear();
        self.columns.extend(job.window.0.clone().map(|index| pixel(&job.columns, index) * channels));
        self.row.resize(job.length(), 0);
        for (index, row) in job.window_rows() {
            let input = job.row(pixel(&job.rows, row));
            match channels {
                3 => gather::<3>(input, &self.columns, &mut self.row),
                _ => gather::<1>(input, &self.columns, &mut self.row),
            }
            each(index, &self.row);
        }
    }
}

/// Copies the `C` samples from each of `columns` on.
fn gather<const C: usize>(input: &[u8], columns: &[usize], output: &mut [u8]) {
    for (output, &at) in output.as_chunks_mut::<C>().0.iter_mut().zip(columns) {
        if let Some(pixel) = input[at..].first_chunk() {
            *output = *pixel;
        }
    }
}

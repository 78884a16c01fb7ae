//! The two passes a few rows at a time, so that what lies between them stays in the cache.
//!
//! Neither a row of the horizontal pass nor a column of the vertical one depends on its neighbors: the first pass makes
//! only what the second reads, and shortly before.

use super::kernels::{Axis, BATCH, PADDING, SampleRows};
use crate::image::Channels;

/// Rows between the passes beyond those of one window, so that they are moved to the front of their buffer now and then
/// only.
const SLACK: usize = 2 * BATCH;

/// Buffers of the passes.
#[derive(Default)]
pub(super) struct Buffers {
    /// Rows between the passes.
    between: Vec<u8>,
    /// Finished rows.
    finished: Vec<u8>,
}

/// Both axes of a resize; the source begins with the first row and column that their windows read.
pub(super) struct Passes<'a> {
    pub(super) channels: Channels,
    pub(super) source: SampleRows<'a>,
    pub(super) columns: &'a Axis,
    pub(super) rows: &'a Axis,
}

impl Passes<'_> {
    /// Horizontal pass first; `each` gets the number and the samples of every finished row, in order.
    pub(super) fn columns_first(&self, source_rows: usize, buffers: &mut Buffers, mut each: impl FnMut(usize, &[u8])) {
        let windows = self.rows.windows();
        let length = self.columns.windows().len() * self.channels.count();
        let stride = length + PADDING;
        let capacity = windows.longest() + SLACK.max(windows.longest());
        let between = sized(&mut buffers.between, capacity * stride);
        let finished = sized(&mut buffers.finished, length);

        // The source rows whose narrowed forms lie at the front of `between`.
        let mut held = 0..0;
        for (index, window) in windows.windows().enumerate() {
            let end = window.start + window.weights.len();
            if end > held.end {
                let batches = (end - held.end).next_multiple_of(BATCH);
                let until = (held.end + batches).min(source_rows);
                if until - held.start > capacity {
                    let kept = window.start.min(held.end);
                    between.copy_within((kept - held.start) * stride..(held.end - held.start) * stride, 0);
                    held.start = kept;
                }
                let until = until.min(held.start + capacity);
                let output = &mut between[(held.end - held.start) * stride..];
                self.columns.horizontal(self.channels, self.source.from(held.end), until - held.end, output, stride);
                held.end = until;
            }
            let narrowed = SampleRows { samples: &between[(window.start - held.start) * stride..], stride };
            self.rows.vertical(index, narrowed, finished);
            each(index, finished);
        }
    }

    /// Vertical pass first; `source_columns` are those that the windows of the columns read, in pixels.
    pub(super) fn rows_first(&self, source_columns: usize, buffers: &mut Buffers, mut each: impl FnMut(usize, &[u8])) {
        let windows = self.rows.windows();
        let lowered_length = source_columns * self.channels.count();
        let length = self.columns.windows().len() * self.channels.count();
        let stride = length + PADDING;
        let between = sized(&mut buffers.between, BATCH * lowered_length);
        let finished = sized(&mut buffers.finished, BATCH * stride);

        for first in (0..windows.len()).step_by(BATCH) {
            let count = BATCH.min(windows.len() - first);
            for (index, lowered) in (first..first + count).zip(between.chunks_exact_mut(lowered_length)) {
                self.rows.vertical(index, self.source.from(windows.window(index).start), lowered);
            }
            let lowered = SampleRows { samples: between, stride: lowered_length };
            self.columns.horizontal(self.channels, lowered, count, finished, stride);
            for (index, row) in (first..first + count).zip(finished.chunks_exact(stride)) {
                each(index, &row[..length]);
            }
        }
    }
}

/// The first `length` elements of `buffer`, which grows if it must.
fn sized(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

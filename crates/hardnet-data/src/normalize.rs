//! From rows of 8-bit samples to the planes of a tensor.

use crate::image::Channels;
use crate::pipeline::Pipeline;

/// A tensor `[3, rows, columns]` in the making: each row of samples is written to its three planes at once.
pub(crate) struct TensorWriter<'a> {
    channels: Channels,
    /// Whether the first plane is blue and the last red.
    is_bgr: bool,
    /// The value of each of the 256 levels in the first, second and third plane.
    levels: [[f32; 256]; 3],
    planes: [&'a mut [f32]; 3],
    /// Columns of the planes, if rows are written between borders.
    columns: Option<usize>,
    /// Columns and rows before the first sample.
    offset: (usize, usize),
}

impl<'a> TensorWriter<'a> {
    /// Prepares to write rows of `channels` to `out`, three planes of one length.
    pub(crate) fn new(pipeline: &Pipeline, channels: Channels, out: &'a mut [f32]) -> Self {
        let Pipeline { mean, std, convention, .. } = pipeline;
        let levels = std::array::from_fn(|plane| {
            std::array::from_fn(|level| convention.value(level as u8, mean[plane], std[plane]))
        });
        let (first, rest) = out.split_at_mut(out.len() / 3);
        let (second, third) = rest.split_at_mut(rest.len() / 2);
        Self {
            channels,
            is_bgr: convention.is_bgr(),
            levels,
            planes: [first, second, third],
            columns: None,
            offset: (0, 0),
        }
    }

    /// Fills the planes, which have `columns`, with a color of these levels of red, green and blue. Rows are written
    /// from the column and row `offset` on.
    pub(crate) fn draw_border(&mut self, levels: [u8; 3], columns: usize, (left, top): (u64, u64)) {
        let order = if self.is_bgr { [2, 1, 0] } else { [0, 1, 2] };
        for ((plane, values), channel) in self.planes.iter_mut().zip(&self.levels).zip(order) {
            plane.fill(values[usize::from(levels[channel])]);
        }
        (self.columns, self.offset) = (Some(columns), (left as usize, top as usize));
    }

    /// Writes row `index`; every row has the same length.
    pub(crate) fn write(&mut self, index: usize, samples: &[u8]) {
        let length = samples.len() / self.channels.count();
        let start = (self.offset.1 + index) * self.columns.unwrap_or(length) + self.offset.0;
        let [first, second, third] = self.planes.each_mut().map(|plane| &mut plane[start..][..length]);
        let values = first.iter_mut().zip(second).zip(third);
        let [firsts, seconds, thirds] = &self.levels;
        match self.channels {
            Channels::Gray => {
                for (((first, second), third), &gray) in values.zip(samples) {
                    let level = usize::from(gray);
                    (*first, *second, *third) = (firsts[level], seconds[level], thirds[level]);
                }
            }
            Channels::Rgb if self.is_bgr => {
                for (((first, second), third), &[r, g, b]) in values.zip(samples.as_chunks().0) {
                    *first = firsts[usize::from(b)];
                    *second = seconds[usize::from(g)];
                    *third = thirds[usize::from(r)];
                }
            }
            Channels::Rgb => {
                for (((first, second), third), &[r, g, b]) in values.zip(samples.as_chunks().0) {
                    *first = firsts[usize::from(r)];
                    *second = seconds[usize::from(g)];
                    *third = thirds[usize::from(b)];
                }
            }
        }
    }
}

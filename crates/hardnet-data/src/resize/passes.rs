//! The two passes: plain loops over 8-bit samples with i32 accumulators.
//!
//! Samples are `[rows, columns, channels]`; `input` may hold a part of the picture, and indices of windows count from its
//! first pixel. The sum of `255 * |weight|` over a window stays below 2^31 for every filter
//! (tested with the weights), so the accumulators cannot overflow.

use std::ops::Range;

use super::weights::{AxisPlan, PRECISION_BITS, Window};
use crate::image::Channels;

/// Half a unit of the result, so that the shift in [`to_u8`] rounds half up.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Every row of `input`, which holds the picture's `columns`, resampled to the planned columns.
pub(super) fn horizontal(input: &[u8], channels: Channels, columns: Range<usize>, plan: &AxisPlan) -> Vec<u8> {
    match channels {
        Channels::Grey => horizontal_of::<1>(input, columns, plan),
        Channels::Rgb => horizontal_of::<3>(input, columns, plan),
    }
}

fn horizontal_of<const CHANNELS: usize>(input: &[u8], columns: Range<usize>, plan: &AxisPlan) -> Vec<u8> {
    let windows: Vec<Window> = plan.windows().collect();
    let (pixels, _) = input.as_chunks::<CHANNELS>();
    let mut output = vec![0; pixels.len() / columns.len() * windows.len() * CHANNELS];
    let (results, _) = output.as_chunks_mut::<CHANNELS>();
    for (pixels, results) in pixels.chunks_exact(columns.len()).zip(results.chunks_exact_mut(windows.len())) {
        for (window, result) in windows.iter().zip(results) {
            let mut sums = [HALF; CHANNELS];
            for (pixel, &weight) in pixels[window.start - columns.start..].iter().zip(window.weights) {
                for (sum, &sample) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(sample) * weight;
                }
            }
            *result = sums.map(to_u8);
        }
    }
    output
}

/// The planned rows of the samples `kept` of each row of `input`: rows of `stride` samples, of which the first is row
/// `first_row` of the picture.
pub(super) fn vertical(input: &[u8], stride: usize, first_row: usize, kept: Range<usize>, plan: &AxisPlan) -> Vec<u8> {
    let mut output = vec![0; plan.len() * kept.len()];
    let mut sums = vec![0_i32; kept.len()];
    for (window, output) in plan.windows().zip(output.chunks_exact_mut(kept.len())) {
        sums.fill(HALF);
        let rows = input[(window.start - first_row) * stride..].chunks_exact(stride);
        for (row, &weight) in rows.zip(window.weights) {
            for (sum, &sample) in sums.iter_mut().zip(&row[kept.clone()]) {
                *sum += i32::from(sample) * weight;
            }
        }
        for (result, &sum) in output.iter_mut().zip(&sums) {
            *result = to_u8(sum);
        }
    }
    output
}

/// A fixed-point sum as a sample: shifted down and clipped to 0..=255.
fn to_u8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

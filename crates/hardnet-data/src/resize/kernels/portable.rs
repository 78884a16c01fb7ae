//! The two passes in plain Rust, which the compiler vectorizes for the least processor of the target.

use super::{HALF, SampleRows};
use crate::image::Channels;
use crate::resize::weights::{AxisPlan, PRECISION_BITS};

/// The planned columns from `from` on of one row, whose first pixel is the first of `pixels`.
pub(super) fn horizontal(channels: Channels, pixels: &[u8], plan: &AxisPlan, from: usize, results: &mut [u8]) {
    match channels {
        Channels::Gray => horizontal_channels::<1>(pixels, plan, from, results),
        Channels::Rgb => horizontal_channels::<3>(pixels, plan, from, results),
    }
}

fn horizontal_channels<const CHANNELS: usize>(pixels: &[u8], plan: &AxisPlan, from: usize, results: &mut [u8]) {
    let (pixels, _) = pixels.as_chunks::<CHANNELS>();
    let (results, _) = results.as_chunks_mut::<CHANNELS>();
    for (column, result) in results.iter_mut().enumerate().skip(from) {
        let window = plan.window(column);
        let mut sums = [HALF; CHANNELS];
        for (pixel, &weight) in pixels[window.start..].iter().zip(window.weights) {
            for (sum, &sample) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(sample) * weight;
            }
        }
        *result = sums.map(to_u8);
    }
}

/// Samples whose sums are held together.
const BLOCK: usize = 64;

/// The sum of the rows of `input`, one for each weight, into the whole of `output`.
pub(super) fn vertical(input: SampleRows<'_>, weights: &[i32], output: &mut [u8]) {
    let (blocks, rest) = output.as_chunks_mut::<BLOCK>();
    let done = blocks.len() * BLOCK;
    for (index, block) in blocks.iter_mut().enumerate() {
        let mut sums = [HALF; BLOCK];
        for (row, &weight) in weights.iter().enumerate() {
            let samples = &input.samples[row * input.stride + index * BLOCK..][..BLOCK];
            for (sum, &sample) in sums.iter_mut().zip(samples) {
                *sum += i32::from(sample) * weight;
            }
        }
        *block = sums.map(to_u8);
    }
    let mut sums = [HALF; BLOCK];
    for (row, &weight) in weights.iter().enumerate() {
        let samples = &input.samples[row * input.stride + done..][..rest.len()];
        for (sum, &sample) in sums.iter_mut().zip(samples) {
            *sum += i32::from(sample) * weight;
        }
    }
    for (result, sum) in rest.iter_mut().zip(sums) {
        *result = to_u8(sum);
    }
}

/// A fixed-point sum as a sample: shifted down and clipped to 0..=255.
fn to_u8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

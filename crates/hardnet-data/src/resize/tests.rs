//! Whole resizes, on every instruction set, against both passes written plainly.

use super::kernels::{Noise, naive};
use super::weights::AxisPlan;
use super::*;
use crate::Channels;

/// The window by two passes over whole images, in the order that [`rows_first`] asks for.
fn plain(image: &Image, size: (u64, u64), window: (Range<u64>, Range<u64>), interpolation: Interpolation) -> Vec<u8> {
    let count = image.channels().count();
    let (mut columns, mut rows) = (AxisPlan::default(), AxisPlan::default());
    let first_column = columns.plan(image.width(), size.0, window.0, interpolation).start;
    let first_row = rows.plan(image.height(), size.1, window.1, interpolation).start;
    let horizontal = |input: &[u8], width: usize| {
        let mut output = Vec::new();
        for row in input.chunks_exact(width * count) {
            for window in columns.windows() {
                for channel in 0..count {
                    let taps = row[(first_column + window.start) * count + channel..].iter().step_by(count).copied();
                    output.push(naive(taps.zip(window.weights.iter().copied())));
                }
            }
        }
        output
    };
    let vertical = |input: &[u8], width: usize| {
        let mut output = Vec::new();
        for window in rows.windows() {
            for x in 0..width * count {
                let taps = input[(first_row + window.start) * width * count + x..].iter().step_by(width * count);
                output.push(naive(taps.copied().zip(window.weights.iter().copied())));
            }
        }
        output
    };
    if rows_first((image.width() as u64, image.height() as u64), size) {
        horizontal(&vertical(image.samples(), image.width()), image.width())
    } else {
        vertical(&horizontal(image.samples(), image.width()), columns.len())
    }
}

#[test]
fn windows_of_random_sizes_equal_plain_passes() {
    let mut noise = Noise(3);
    // One for each set, for all cases: what is left of one image must not show in the next.
    let mut resizers: Vec<_> = Isa::of_f32().into_iter().map(Resizer::with_isa).collect();
    let mut orders = [0, 0];
    for _ in 0..400 {
        let mut side = |most: u64| 1 + [noise.below(6), noise.below(most)][noise.below(3).min(1) as usize];
        let (width, height, size) = (side(150), side(150), (side(120), side(120)));
        let mut part = |size: u64| {
            let start = noise.below(size);
            start..start + 1 + noise.below(size - start)
        };
        let window = (part(size.0), part(size.1));
        let channels = [Channels::Gray, Channels::Rgb][noise.below(2) as usize];
        let samples = noise.bytes((width * height) as usize * channels.count());
        let image = Image::new(width as usize, height as usize, channels, samples).unwrap();
        let interpolation = Interpolation::ALL[noise.below(5) as usize];
        orders[usize::from(rows_first((width, height), size))] += 1;
        let expected = plain(&image, size, window.clone(), interpolation);
        for resizer in &mut resizers {
            let found = resizer.window(&image, size, window.clone(), interpolation.into()).unwrap();
            let equal = found.samples() == expected;
            assert!(equal, "{resizer:?} {image:?} to {size:?} {window:?} {interpolation}");
        }
    }
    assert!(orders.iter().all(|&count| count > 80), "{orders:?}");
}

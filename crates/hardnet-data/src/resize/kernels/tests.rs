//! Each loop of each instruction set against sums in 64 bits.

use super::*;

/// Bytes that look like noise, the same for the same seed.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        // Many extremes, so that sums leave 0..=255 on both sides.
        (0..count).map(|_| [0, 255, self.below(256) as u8][self.below(3) as usize]).collect()
    }
}

/// The sample that `taps` with their weights make, by sums that cannot overflow.
pub(crate) fn naive(taps: impl Iterator<Item = (u8, i32)>) -> u8 {
    let sum: i64 = taps.map(|(sample, weight)| i64::from(sample) * i64::from(weight)).sum();
    ((sum + (1 << 21)) >> 22).clamp(0, 255) as u8
}

/// Scales that give windows of 1 to 40 taps, enlarging and shrinking.
const AXES: [(usize, u64); 9] = [(1, 1), (1, 9), (9, 9), (7, 40), (40, 7), (41, 28), (33, 32), (64, 5), (200, 30)];

#[test]
fn vertical_equals_sums_in_64_bits() {
    let mut noise = Noise(1);
    for isa in Isa::of_f32() {
        for (input, output) in AXES {
            for interpolation in Interpolation::ALL {
                let mut axis = Axis::new(isa);
                let read = axis.plan(input, output, 0..output, interpolation);
                for length in [1, 2, 7, 31, 32, 33, 63, 64, 65, 96, 127] {
                    let stride = length + noise.below(3) as usize;
                    // The last row ends with the slice, as the last row of an image does.
                    let samples = noise.bytes((read.len() - 1) * stride + length);
                    let rows = SampleRows { samples: &samples, stride };
                    for (index, window) in axis.windows().windows().enumerate() {
                        let mut found = vec![7; length];
                        axis.vertical(index, rows.from(window.start), &mut found);
                        for (x, &found) in found.iter().enumerate() {
                            let column = samples[window.start * stride + x..].iter().step_by(stride).copied();
                            let expected = naive(column.zip(window.weights.iter().copied()));
                            assert_eq!(found, expected, "{isa} {input}->{output} {interpolation} {length} {index} {x}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn horizontal_equals_sums_in_64_bits() {
    let mut noise = Noise(2);
    for isa in Isa::of_f32() {
        for (input, output) in AXES {
            for interpolation in Interpolation::ALL {
                for channels in [Channels::Gray, Channels::Rgb] {
                    let mut axis = Axis::new(isa);
                    let read = axis.plan(input, output, 0..output, interpolation);
                    for count in [1, 2, 3, 4, 5, 7, 8, 9, 17] {
                        check_horizontal(&axis, channels, read.len(), count, &mut noise);
                    }
                }
            }
        }
    }
}

fn check_horizontal(axis: &Axis, channels: Channels, columns: usize, count: usize, noise: &mut Noise) {
    let samples = channels.count();
    let (row, length) = (columns * samples, axis.windows().len() * samples);
    let stride = row + noise.below(3) as usize;
    let input = noise.bytes((count - 1) * stride + row);
    let output_stride = length + PADDING + noise.below(3) as usize;
    let mut found = vec![7; count * output_stride + 5];
    axis.horizontal(channels, SampleRows { samples: &input, stride }, count, &mut found, output_stride);
    for y in 0..count {
        for (x, window) in axis.windows().windows().enumerate() {
            for channel in 0..samples {
                let first = y * stride + window.start * samples + channel;
                let taps = input[first..].iter().step_by(samples).copied();
                let expected = naive(taps.zip(window.weights.iter().copied()));
                let found = found[y * output_stride + x * samples + channel];
                assert_eq!(found, expected, "{} {channels} {columns} columns, {count} rows: {x} {y}", axis.isa());
            }
        }
        let behind = y * output_stride + length + PADDING..(y + 1) * output_stride;
        assert!(found[behind].iter().all(|&sample| sample == 7), "written behind row {y}");
    }
    assert_eq!(found[count * output_stride..], [7; 5]);
}

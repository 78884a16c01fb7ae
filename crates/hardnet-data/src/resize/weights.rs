//! Filters, windows and fixed-point weights of one axis.

use std::f64::consts::PI;
use std::ops::Range;

use crate::interpolation::Interpolation;

/// Fraction bits of a weight. A weighted sum of 8-bit samples then needs 22 + 8 bits, and the two remaining bits of an
/// i32 hold the sign and the overshoot of filters with negative lobes.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Which input pixels make which output pixels along one axis, and with what weights.
///
/// Weights of all windows lie one after the other; window `i` covers `starts[i]..` for `offsets[i + 1] - offsets[i]` input
/// pixels.
pub(super) struct AxisPlan {
    starts: Vec<usize>,
    offsets: Vec<usize>,
    weights: Vec<i32>,
}

/// One output pixel: the first input pixel it reads and the weights from there on.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) start: usize,
    pub(super) weights: &'a [i32],
}

impl AxisPlan {
    /// Plans the output pixels `kept` out of `output` for an axis of `input` pixels (all at least 1).
    pub(super) fn new(input: usize, output: u64, kept: Range<u64>, interpolation: Interpolation) -> AxisPlan {
        let filter = Filter::of(interpolation);
        // Pillow passes the source box as C floats; above 2^24 pixels that rounds.
        let scale = f64::from(input as f32) / output as f64;
        let stretch = scale.max(1.0);
        let support = filter.support * stretch;
        let shrink = 1.0 / stretch;

        let count = (kept.end - kept.start) as usize;
        let mut plan =
            AxisPlan { starts: Vec::with_capacity(count), offsets: Vec::with_capacity(count + 1), weights: Vec::new() };
        plan.offsets.push(0);
        let mut exact = Vec::new();
        for index in kept {
            let centre = (index as f64 + 0.5) * scale;
            // Truncation after adding a half, then clamping, is Pillow's rounding of both ends; `as` saturates below 0.
            let start = ((centre - support + 0.5) as usize).min(input - 1);
            let end = ((centre + support + 0.5) as usize).clamp(start + 1, input);

            exact.clear();
            exact.extend((start..end).map(|x| (filter.curve)((x as f64 - centre + 0.5) * shrink)));
            let sum: f64 = exact.iter().sum();
            let normalised = exact.iter().map(|weight| if sum == 0.0 { *weight } else { weight / sum });
            plan.weights.extend(normalised.map(fixed_point));
            plan.starts.push(start);
            plan.offsets.push(plan.weights.len());
        }
        plan
    }

    /// Number of output pixels.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The windows in output order.
    pub(super) fn windows(&self) -> impl Iterator<Item = Window<'_>> {
        self.starts
            .iter()
            .zip(self.offsets.windows(2))
            .map(|(&start, ends)| Window { start, weights: &self.weights[ends[0]..ends[1]] })
    }

    /// The input pixels that some window reads.
    pub(super) fn input_range(&self) -> Range<usize> {
        let start = self.windows().map(|window| window.start).min().unwrap_or(0);
        let end = self.windows().map(|window| window.start + window.weights.len()).max().unwrap_or(0);
        start..end
    }
}

/// `weight` in units of 2^-22, rounded half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// A filter curve and the distance from its centre beyond which it is zero, in pixels of the coarser picture.
struct Filter {
    support: f64,
    curve: fn(f64) -> f64,
}

impl Filter {
    fn of(interpolation: Interpolation) -> Filter {
        match interpolation {
            Interpolation::Box => Filter { support: 0.5, curve: boxcar },
            Interpolation::Bilinear => Filter { support: 1.0, curve: triangle },
            Interpolation::Hamming => Filter { support: 1.0, curve: hamming },
            Interpolation::Bicubic => Filter { support: 2.0, curve: cubic },
            Interpolation::Lanczos => Filter { support: 3.0, curve: lanczos },
        }
    }
}

fn boxcar(x: f64) -> f64 {
    if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn hamming(x: f64) -> f64 {
    let x = x.abs();
    if x >= 1.0 {
        return 0.0;
    }
    // Pillow writes the two constants as C floats.
    sinc(x) * (f64::from(0.54_f32) + f64::from(0.46_f32) * (x * PI).cos())
}

/// Keys' cubic convolution with a = -1/2 (Keys 1981, "Cubic convolution interpolation for digital image processing").
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_in_the_input_and_weights_sum_to_one() {
        for interpolation in Interpolation::ALL {
            for input in [1, 2, 3, 7, 100, 333] {
                for output in [1_u64, 2, 3, 5, 64, 1000] {
                    let plan = AxisPlan::new(input, output, 0..output, interpolation);
                    assert_eq!(plan.len() as u64, output);
                    for window in plan.windows() {
                        assert!(!window.weights.is_empty() && window.start + window.weights.len() <= input);
                        let sum: i64 = window.weights.iter().map(|&weight| i64::from(weight)).sum();
                        let error = (sum - (1 << PRECISION_BITS)).abs();
                        assert!(error <= window.weights.len() as i64, "{interpolation} {input}->{output}: {error}");
                        // The bound that keeps a sum of 255 * weight inside an i32.
                        let size: i64 = window.weights.iter().map(|&weight| i64::from(weight).abs()).sum();
                        assert!(size * 255 + (1 << 21) < i64::from(i32::MAX), "{interpolation} {input}->{output}");
                    }
                }
            }
        }
    }

    #[test]
    fn kept_windows_equal_the_same_part_of_the_whole_plan() {
        for interpolation in Interpolation::ALL {
            let whole = AxisPlan::new(341, 256, 0..256, interpolation);
            let part = AxisPlan::new(341, 256, 16..240, interpolation);
            for (a, b) in whole.windows().skip(16).zip(part.windows()) {
                assert_eq!((a.start, a.weights), (b.start, b.weights));
            }
            assert_eq!(part.len(), 224);
        }
    }

    #[test]
    fn equal_sizes_give_the_identity() {
        for interpolation in Interpolation::ALL {
            let plan = AxisPlan::new(9, 9, 0..9, interpolation);
            for (index, window) in plan.windows().enumerate() {
                for (x, &weight) in (window.start..).zip(window.weights) {
                    assert_eq!(weight, if x == index { 1 << PRECISION_BITS } else { 0 }, "{interpolation}");
                }
            }
        }
    }

    #[test]
    fn fixed_point_rounds_half_away_from_zero() {
        let unit = 1.0 / f64::from(1 << PRECISION_BITS);
        for (units, expected) in [(0.5, 1), (-0.5, -1), (0.49, 0), (-0.49, 0), (1.5, 2), (-1.5, -2)] {
            assert_eq!(fixed_point(units * unit), expected);
        }
    }
}

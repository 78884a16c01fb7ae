//! Filters, windows and fixed-point weights of one axis.

use std::f64::consts::PI;
use std::ops::Range;

use crate::interpolation::Interpolation;

/// Fraction bits of a weight. A weighted sum of 8-bit samples then needs 22 + 8 bits, and the two remaining bits of an
/// i32 hold the sign and the overshoot of filters with negative lobes.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Which input pixels make which output pixels along one axis, and with what weights.
///
/// Weights of all windows lie one after the other; window `i` covers `starts[i]..` for `offsets[i + 1] - offsets[i]`
/// input pixels. Starts ascend and count from the first pixel that any window reads.
#[derive(Default)]
pub(super) struct AxisPlan {
    starts: Vec<usize>,
    offsets: Vec<usize>,
    weights: Vec<i32>,
    longest: usize,
    /// The weights of one window before they are rounded.
    exact: Vec<f64>,
}

/// One output pixel: the first input pixel it reads and the weights from there on.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) start: usize,
    pub(super) weights: &'a [i32],
}

impl AxisPlan {
    /// Plans the output pixels `kept` (at least one) out of `output` for an axis of `input` pixels (both at least 1).
    ///
    /// Returns the input pixels that the windows read; starts count from the first of these.
    pub(super) fn plan(
        &mut self,
        input: usize,
        output: u64,
        kept: Range<u64>,
        interpolation: Interpolation,
    ) -> Range<usize> {
        self.clear();
        match interpolation {
            Interpolation::Box => self.sample(0.5, boxcar, input, output, kept),
            Interpolation::Bilinear => self.sample(1.0, triangle, input, output, kept),
            Interpolation::Hamming => self.sample(1.0, hamming, input, output, kept),
            Interpolation::Bicubic => self.sample(2.0, cubic, input, output, kept),
            Interpolation::Lanczos => self.sample(3.0, lanczos, input, output, kept),
        }
        let first = self.starts.first().copied().unwrap_or(0);
        let end = self.windows().map(|window| window.start + window.weights.len()).max().unwrap_or(first);
        self.starts.iter_mut().for_each(|start| *start -= first);
        first..end
    }

    fn clear(&mut self) {
        self.starts.clear();
        self.offsets.clear();
        self.offsets.push(0);
        self.weights.clear();
        self.longest = 0;
    }

    /// Appends the windows of `kept` for a filter `curve` that is zero beyond `support` pixels of the coarser image.
    fn sample(&mut self, support: f64, curve: impl Fn(f64) -> f64, input: usize, output: u64, kept: Range<u64>) {
        // Pillow passes the source box as C floats; above 2^24 pixels that rounds.
        let scale = f64::from(input as f32) / output as f64;
        let stretch = scale.max(1.0);
        let support = support * stretch;
        let shrink = 1.0 / stretch;

        for index in kept {
            let center = (index as f64 + 0.5) * scale;
            // Truncation after adding a half, then clamping, is Pillow's rounding of both ends; `as` saturates below 0.
            let start = ((center - support + 0.5) as usize).min(input - 1);
            let end = ((center + support + 0.5) as usize).clamp(start + 1, input);

            self.exact.clear();
            self.exact.extend((start..end).map(|x| curve((x as f64 - center + 0.5) * shrink)));
            let sum: f64 = self.exact.iter().sum();
            let normalized = self.exact.iter().map(|weight| if sum == 0.0 { *weight } else { weight / sum });
            self.weights.extend(normalized.map(fixed_point));
            self.starts.push(start);
            self.offsets.push(self.weights.len());
            self.longest = self.longest.max(end - start);
        }
    }

    /// Number of output pixels.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Input pixels of the longest window.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The first input pixel of each window, ascending.
    pub(super) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The window of output pixel `index`.
    pub(super) fn window(&self, index: usize) -> Window<'_> {
        Window { start: self.starts[index], weights: &self.weights[self.offsets[index]..self.offsets[index + 1]] }
    }

    /// The windows in output order.
    pub(super) fn windows(&self) -> impl Iterator<Item = Window<'_>> {
        (0..self.len()).map(|index| self.window(index))
    }
}

/// `weight` in units of 2^-22, rounded half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
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

    /// The plan, and the first input pixel it reads.
    fn plan(input: usize, output: u64, kept: Range<u64>, interpolation: Interpolation) -> (AxisPlan, usize) {
        let mut plan = AxisPlan::default();
        let read = plan.plan(input, output, kept, interpolation);
        assert_eq!(read.len(), plan.windows().map(|window| window.start + window.weights.len()).max().unwrap());
        (plan, read.start)
    }

    #[test]
    fn windows_lie_in_the_input_and_weights_sum_to_one() {
        for interpolation in Interpolation::ALL {
            for input in [1, 2, 3, 7, 100, 333] {
                for output in [1_u64, 2, 3, 5, 64, 1000] {
                    let (plan, first) = plan(input, output, 0..output, interpolation);
                    assert_eq!(plan.len() as u64, output);
                    for window in plan.windows() {
                        assert!(!window.weights.is_empty() && first + window.start + window.weights.len() <= input);
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
            let (whole, whole_first) = plan(341, 256, 0..256, interpolation);
            let (part, part_first) = plan(341, 256, 16..240, interpolation);
            for (a, b) in whole.windows().skip(16).zip(part.windows()) {
                assert_eq!((whole_first + a.start, a.weights), (part_first + b.start, b.weights));
            }
            assert_eq!(part.len(), 224);
        }
    }

    #[test]
    fn equal_sizes_give_the_identity() {
        for interpolation in Interpolation::ALL {
            let (plan, _) = plan(9, 9, 0..9, interpolation);
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

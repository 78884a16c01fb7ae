//! Moments of a normal variable that is cut off on both sides.

use std::f64::consts::TAU;

/// The density of the standard normal distribution.
fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / TAU.sqrt()
}

/// The probability that a standard normal variable is below `x`, with an error below 1e-14 (Marsaglia 2004).
fn distribution(x: f64) -> f64 {
    if x.abs() > 8.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut sum, mut term, mut at) = (x, x, 1.0);
    while term != 0.0 {
        at += 2.0;
        term *= x * x / at;
        if sum + term == sum {
            break;
        }
        sum += term;
    }
    (0.5 + sum * density(x)).clamp(0.0, 1.0)
}

/// Mean and variance of `min(max(x, low), high)` where `x` is normal with this mean and standard deviation. Bounds may
/// be infinite.
pub(crate) fn clipped(mean: f64, deviation: f64, low: f64, high: f64) -> (f64, f64) {
    if deviation <= 0.0 {
        return (mean.clamp(low, high), 0.0);
    }
    // In units of the deviation, around the mean: what is left is a difference of numbers of the same size.
    let (a, b) = ((low - mean) / deviation, (high - mean) / deviation);
    let (below, above) = (distribution(a), distribution(-b));
    let times = |bound: f64, probability: f64| if probability == 0.0 { 0.0 } else { bound * probability };
    let (at_low, at_high) = (density(a), density(b));
    let first = times(a, below) + times(b, above) + at_low - at_high;
    let inside = 1.0 - below - above;
    let second = times(a * a, below) + times(b * b, above) + inside + times(a, at_low) - times(b, at_high);
    (mean + deviation * first, deviation * deviation * (second - first * first).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_that_of_tables() {
        // Python's 0.5 * math.erfc(-x / math.sqrt(2)).
        let cases = [(0.0, 0.5), (1.0, 0.841_344_746_068_542_9), (-2.5, 0.006_209_665_325_776_132)];
        for (x, expected) in cases {
            assert!((distribution(x) - expected).abs() < 1e-14, "{x}");
        }
        assert!((distribution(6.0) - (1.0 - 9.865_876_450_377e-10)).abs() < 1e-14);
        assert_eq!([-9.0, 9.0, f64::INFINITY, f64::NEG_INFINITY].map(distribution), [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn moments_are_those_of_a_sum_over_the_density() {
        let cases = [(0.3, 1.2, 0.0, 6.0), (-4.0, 1.0, 0.0, 6.0), (5.0, 3.0, 0.0, 6.0), (0.1, 0.2, -0.1, 0.15)];
        for (mean, deviation, low, high) in cases {
            let (steps, reach) = (400_000, 10.0);
            let (mut sums, width) = ([0.0; 3], 2.0 * reach / f64::from(steps));
            for step in 0..steps {
                let z = -reach + (f64::from(step) + 0.5) * width;
                let (x, p) = ((mean + deviation * z).clamp(low, high), density(z) * width);
                for (power, sum) in sums.iter_mut().enumerate() {
                    *sum += p * x.powi(power as i32);
                }
            }
            let (found, variance) = clipped(mean, deviation, low, high);
            assert!((found - sums[1]).abs() < 1e-8, "{found} {sums:?}");
            assert!((variance - (sums[2] - sums[1] * sums[1])).abs() < 1e-7, "{variance} {sums:?}");
        }
    }

    #[test]
    fn without_bounds_or_without_spread_nothing_is_cut_off() {
        let (mean, variance) = clipped(-3.0, 2.0, f64::NEG_INFINITY, f64::INFINITY);
        assert!((mean + 3.0).abs() < 1e-12 && (variance - 4.0).abs() < 1e-12);
        assert_eq!(clipped(7.0, 0.0, 0.0, 6.0), (6.0, 0.0));
        let (mean, variance) = clipped(-1e6, 1.0, 0.0, 6.0);
        assert_eq!((mean.abs() < 1e-9, variance), (true, 0.0));
    }
}

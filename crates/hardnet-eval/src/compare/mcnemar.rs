//! McNemar's test in its exact form: a binomial test of the images that only one of two runs gets right.
//!
//! If both runs were equally good, each such image would be as likely the first's as the second's. The probability of
//! so uneven a split is a tail of the binomial distribution with `p = 1/2`, whose largest term is computed as C. Loader
//! does ("Fast and Accurate Computation of Binomial Probabilities", 2000): from the remainders of Stirling's formula
//! for the three log-gamma functions and from deviances. Differences of log-gamma functions of large counts would
//! cancel.

/// The exact two-sided p-value of McNemar's test, for `only_first` images that only the first run gets right and
/// `only_second` that only the second does.
///
/// It is the probability of a split at least as uneven if both runs are equally good, 1 without any image. It is exact
/// for every count; below the range of `f64` it is 0.
///
/// Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
/// Psychometrika 12, 1947.
///
/// ```
/// use hardnet_eval::compare::mcnemar_p_value;
///
/// // 2 (C(10, 0) + C(10, 1) + C(10, 2)) / 2^10
/// assert!((mcnemar_p_value(8, 2) - 0.109375).abs() < 1e-15);
/// ```
pub fn mcnemar_p_value(only_first: usize, only_second: usize) -> f64 {
    let (fewer, all) = (only_first.min(only_second), only_first + only_second);
    if only_first.abs_diff(only_second) <= 1 {
        return 1.0;
    }
    // The terms of the tail, each divided by the largest, fall faster than a geometric series.
    let (mut term, mut sum) = (1.0, 1.0);
    for k in (1..=fewer).rev() {
        term *= k as f64 / (all - k + 1) as f64;
        sum += term;
        if term < sum * (f64::EPSILON / 16.0) {
            break;
        }
    }
    (2.0 * probability(fewer, all) * sum).min(1.0)
}

/// The probability of `k` heads in `n` throws of a fair coin.
fn probability(k: usize, n: usize) -> f64 {
    if k == 0 || k == n {
        return (-(n as f64)).exp2();
    }
    let (heads, tails, throws) = (k as f64, (n - k) as f64, n as f64);
    let stirling = stirling_remainder(n) - stirling_remainder(k) - stirling_remainder(n - k);
    let deviances = deviance(heads, throws / 2.0) + deviance(tails, throws / 2.0);
    (stirling - deviances).exp() * (throws / (std::f64::consts::TAU * heads * tails)).sqrt()
}

/// ln(n!) less Stirling's formula for it, `(n + 1/2) ln n - n + ln(2 pi) / 2`, for `n` from 1.
fn stirling_remainder(n: usize) -> f64 {
    let x = n as f64;
    if n <= 15 {
        let factorial: f64 = (1..=n).map(|factor| factor as f64).product();
        return factorial.ln() - (x + 0.5) * x.ln() + x - 0.5 * std::f64::consts::TAU.ln();
    }
    let square = x * x;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square) / square)
        / x
}

/// `x ln(x / mean) + mean - x`, without cancellation where `x` is near `mean`.
fn deviance(x: f64, mean: f64) -> f64 {
    if (x - mean).abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() + mean - x;
    }
    let v = (x - mean) / (x + mean);
    let (mut sum, mut power) = ((x - mean) * v, 2.0 * x * v);
    for odd in (3u32..).step_by(2) {
        power *= v * v;
        let next = sum + power / f64::from(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By integers: all probabilities of up to 60 throws are multiples of 2^-60.
    #[test]
    fn p_values_of_small_counts_are_exact() {
        let mut row = vec![1u64];
        for n in 1..=60usize {
            row = (0..=n).map(|k| row.get(k).unwrap_or(&0) + k.checked_sub(1).map_or(0, |k| row[k])).collect();
            for k in 0..=n {
                let fewer = k.min(n - k);
                let tail: u64 = row[..=fewer].iter().sum();
                let expected = (2.0 * tail as f64 / (n as f64).exp2()).min(1.0);
                let found = mcnemar_p_value(k, n - k);
                assert!((found - expected).abs() <= 1e-13 * expected, "{k} of {n}: {found}, {expected}");
            }
        }
        assert_eq!(mcnemar_p_value(0, 0), 1.0);
    }

    #[test]
    fn p_values_of_huge_counts_take_no_time_and_are_probabilities() {
        for (first, second) in [(1 << 22, (1 << 22) + 2), (1 << 40, 1 << 40), (1 << 40, (1 << 40) + 3), (0, 1 << 40)] {
            let found = mcnemar_p_value(first, second);
            assert!((0.0..=1.0).contains(&found), "{found}");
        }
        assert_eq!(mcnemar_p_value(0, 2000), 0.0);
        assert!(mcnemar_p_value(0, 1000) > 0.0);
    }
}

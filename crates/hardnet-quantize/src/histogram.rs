//! The distribution of a channel's values, in memory that does not grow with their number.

/// Bins of a histogram.
const BINS: usize = 512;

/// Counts of values in bins of equal width around zero, or from zero on for values that are never negative.
///
/// The width is a power of two. When a value lies outside, it doubles and pairs of bins become one.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    /// The width of a bin; 0 before the first value that is not zero.
    width: f64,
    signed: bool,
    pub(crate) least: f32,
    pub(crate) most: f32,
    count: u64,
    sum: f64,
    squares: f64,
}

impl Histogram {
    /// An empty histogram of values of both signs, or of values that are never negative.
    pub(crate) fn new(signed: bool) -> Self {
        let (least, most) = (f32::INFINITY, f32::NEG_INFINITY);
        Self { counts: vec![0; BINS], width: 0.0, signed, least, most, count: 0, sum: 0.0, squares: 0.0 }
    }

    /// Adds finite values. Whether all were finite.
    pub(crate) fn add(&mut self, values: &[f32]) -> bool {
        let (mut least, mut most, mut sum, mut squares) = (self.least, self.most, 0.0, 0.0);
        for &value in values {
            least = least.min(value);
            most = most.max(value);
            let value = f64::from(value);
            sum += value;
            squares += value * value;
        }
        // Not finite if one of the values is not.
        if !sum.is_finite() || !squares.is_finite() {
            return false;
        }
        (self.least, self.most) = (least, most);
        self.count += values.len() as u64;
        self.sum += sum;
        self.squares += squares;
        self.widen(f64::from(least.abs().max(most.abs())));
        let (inverse, first) = (if self.width > 0.0 { 1.0 / self.width } else { 0.0 }, self.first());
        for &value in values {
            let bin = (f64::from(value) * inverse).floor() as i64 - first;
            self.counts[bin.clamp(0, BINS as i64 - 1) as usize] += 1;
        }
        true
    }

    /// The number of the first bin, where the bin that begins at zero is 0.
    fn first(&self) -> i64 {
        if self.signed { -(BINS as i64) / 2 } else { 0 }
    }

    /// Makes bins so wide that they hold `magnitude`.
    fn widen(&mut self, magnitude: f64) {
        let bins = (BINS as i64 + self.first()) as f64;
        if magnitude == 0.0 {
            return;
        }
        // All values so far are zero, and in the bin that begins at zero whatever the width.
        if self.width == 0.0 {
            self.width = (magnitude / bins).log2().ceil().exp2();
        }
        while self.width * bins <= magnitude {
            let (old, zero) = (std::mem::replace(&mut self.counts, vec![0; BINS]), self.first());
            for (bin, count) in old.into_iter().enumerate() {
                self.counts[((bin as i64 + zero).div_euclid(2) - zero) as usize] += count;
            }
            self.width *= 2.0;
        }
    }

    /// Mean and variance.
    pub(crate) fn moments(&self) -> (f64, f64) {
        let count = (self.count as f64).max(1.0);
        let mean = self.sum / count;
        (mean, (self.squares / count - mean * mean).max(0.0))
    }

    /// The least and the greatest value, 0 of none.
    pub(crate) fn range(&self) -> (f64, f64) {
        if self.count == 0 { (0.0, 0.0) } else { (f64::from(self.least), f64::from(self.most)) }
    }

    /// The value below which a share of `share` lies, by the bins' edges and even distribution in a bin.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let (low, high) = self.range();
        let (wanted, mut below) = (share * self.count as f64, 0.0);
        for (bin, &count) in self.counts.iter().enumerate() {
            let count = count as f64;
            if count > 0.0 && below + count >= wanted {
                let inside = ((wanted - below) / count).clamp(0.0, 1.0);
                return (((bin as i64 + self.first()) as f64 + inside) * self.width).clamp(low, high);
            }
            below += count;
        }
        high
    }

    /// The range whose 256 steps have the least mean square error: values inside are rounded, those outside cut off.
    pub(crate) fn least_error(&self) -> (f64, f64) {
        let (low, high) = self.range();
        if low >= high {
            return (low, high);
        }
        let error = |low: f64, high: f64| self.error(low, high);
        // One end after the other: the optimum of one hardly depends on the other.
        let shares = || (8..=128).map(|step| f64::from(step) / 128.0);
        let center = low.max(0.0).min(high);
        let best = |ends: &mut dyn Iterator<Item = (f64, f64)>| {
            ends.map(|(low, high)| (error(low, high), (low, high)))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map_or((low, high), |(_, ends)| ends)
        };
        let (_, high) = best(&mut shares().map(|share| (low, center + share * (high - center))));
        if !self.signed {
            return (low.min(0.0), high);
        }
        best(&mut shares().map(|share| (center + share * (low - center), high)))
    }

    /// The sum of the square errors of values in steps from `low` to `high`.
    fn error(&self, low: f64, high: f64) -> f64 {
        let low = if self.signed { low } else { 0.0 };
        let step = (high - low) / 255.0;
        let rounded = step * step / 12.0;
        let bins = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let errors = bins.map(|(bin, &count)| {
            let value = ((bin as i64 + self.first()) as f64 + 0.5) * self.width;
            let outside = (value - high).max(low - value).max(0.0);
            count as f64 * if outside > 0.0 { outside * outside } else { rounded }
        });
        errors.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: u32, value: impl Fn(f64) -> f64) -> Vec<f32> {
        (0..count).map(|at| value((f64::from(at) + 0.5) / f64::from(count)) as f32).collect()
    }

    #[test]
    fn quantiles_are_those_of_the_values_however_they_come() {
        let all = values(10_000, |u| 5.0 * u * u - 1.0);
        let mut ascending = Histogram::new(true);
        all.chunks(7).for_each(|part| assert!(ascending.add(part)));
        let mut descending = Histogram::new(true);
        all.rchunks(1000).for_each(|part| assert!(descending.add(part)));
        for found in [&ascending, &descending] {
            for share in [0.001, 0.1, 0.5, 0.9, 0.999] {
                let expected = 5.0 * share * share - 1.0;
                assert!((found.quantile(share) - expected).abs() <= 2.0 * found.width, "{share}");
            }
            assert_eq!(found.range(), (f64::from(all[0]), f64::from(all[9999])));
            let (mean, variance) = found.moments();
            assert!((mean - (5.0 / 3.0 - 1.0)).abs() < 1e-6 && (variance - 25.0 * (0.2 - 1.0 / 9.0)).abs() < 1e-5);
        }
        assert_eq!(ascending.counts.iter().sum::<u64>(), 10_000);
        assert_eq!(ascending.counts, descending.counts);
    }

    #[test]
    fn zeros_before_anything_else_stay_zeros() {
        for signed in [false, true] {
            let mut found = Histogram::new(signed);
            assert!(found.add(&[0.0; 90]) && found.add(&[6.0; 10]));
            let (half, most) = (found.quantile(0.5), found.quantile(0.95));
            assert!(half.abs() <= found.width && (most - 6.0).abs() <= found.width, "{half} {most}");
            let mut zeros = Histogram::new(signed);
            zeros.add(&[0.0; 5]);
            assert_eq!((zeros.range(), zeros.quantile(0.99), zeros.least_error()), ((0.0, 0.0), 0.0, (0.0, 0.0)));
        }
    }

    #[test]
    fn values_that_are_not_finite_are_told() {
        let mut found = Histogram::new(true);
        assert!(!found.add(&[1.0, f32::NAN]) && !found.add(&[f32::NEG_INFINITY]));
        assert_eq!(found.count, 0);
    }

    /// Against the quantizer itself: every value rounded, every range tried.
    #[test]
    fn the_range_of_the_least_error_is_nearly_the_best() {
        // Mostly small, one in a thousand up to 8.
        let all = values(20_000, |u| if u > 0.999 { 8.0 * u } else { 3.0 * u * u });
        let mut found = Histogram::new(false);
        found.add(&all);
        let exact = |high: f64| {
            let step = high / 255.0;
            let rounded = |x: f64| step * (x / step).round().clamp(0.0, 255.0);
            all.iter().map(|&x| (f64::from(x) - rounded(f64::from(x))).powi(2)).sum::<f64>()
        };
        let least = (1..=800).map(|at| exact(f64::from(at) / 100.0)).fold(f64::INFINITY, f64::min);
        let (low, high) = found.least_error();
        assert!(low == 0.0 && exact(high) < 1.1 * least, "{high}: {} of {least}", exact(high));
    }
}

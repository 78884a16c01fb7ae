//! Counters and histograms, as Prometheus takes them.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Returns the count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of observations in buckets.
///
/// ```
/// use hardnet_serve::Histogram;
///
/// let sizes = Histogram::new(&[1.0, 8.0]);
/// [1.0, 3.0, 100.0].map(|size| sizes.observe(size));
/// assert_eq!(sizes.cumulative(), [1, 2, 3]);
/// assert_eq!((sizes.count(), sizes.sum()), (3, 104.0));
/// ```
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// A bucket for each bound, and one for what exceeds all.
    buckets: Box<[AtomicU64]>,
    /// The sum, as bits of an f64.
    sum: AtomicU64,
}

impl Histogram {
    /// Bounds for times in seconds.
    pub const SECONDS: &[f64] =
        &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

    /// Makes an empty one with the largest value of each bucket in `bounds`, in ascending order.
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum: AtomicU64::new(0.0f64.to_bits()) }
    }

    /// Counts `value`.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Returns the bounds.
    pub fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Returns the number of values up to each bound, and of all.
    pub fn cumulative(&self) -> Vec<u64> {
        let mut sum = 0;
        let add = |bucket: &AtomicU64| {
            sum += bucket.load(Ordering::Relaxed);
            sum
        };
        self.buckets.iter().map(add).collect()
    }

    /// Returns the number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Returns the sum of the values.
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Ordering::Relaxed))
    }
}

//! Tango's score interval for the difference of two proportions of the same images.
//!
//! T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
//! Statistics in Medicine 17, 1998. The interval holds the differences that a score test does not reject; for the
//! difference 0 that test is McNemar's asymptotic one. M. Fagerland, S. Lydersen, P. Laake recommend it ("Recommended
//! tests and confidence intervals for paired binomial proportions", Statistics in Medicine 33, 2014).

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Halvings of an interval of at most 2: enough for neighboring numbers.
const HALVINGS: usize = 64;

/// The 95 % confidence interval of the second run's accuracy less the first's, -1 to 1, over `images` images of which
/// only the first gets `only_first` right and only the second `only_second`; none without images.
///
/// ```
/// use hardnet_eval::compare::tango_interval95;
///
/// // 44 images, of which the second run loses one.
/// let (low, high) = tango_interval95(1, 0, 44).unwrap();
/// assert!((low + 0.118).abs() < 5e-4 && (high - 0.059).abs() < 5e-4, "{low} {high}");
/// ```
pub fn tango_interval95(only_first: usize, only_second: usize, images: usize) -> Option<(f64, f64)> {
    if images == 0 {
        return None;
    }
    let score = Score { gained: only_second as f64, lost: only_first as f64, images: images as f64 };
    let observed = (score.gained - score.lost) / score.images;
    Some((score.bound(observed, -1.0), score.bound(observed, 1.0)))
}

struct Score {
    gained: f64,
    lost: f64,
    images: f64,
}

impl Score {
    /// The difference farthest from `observed`, towards `end`, that is not rejected.
    fn bound(&self, observed: f64, end: f64) -> f64 {
        let (mut inside, mut outside) = (observed, end);
        if !self.rejects(end) {
            return end;
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (inside + outside);
            if self.rejects(middle) { outside = middle } else { inside = middle }
        }
        inside
    }

    /// Whether the score test rejects the difference `delta`.
    fn rejects(&self, delta: f64) -> bool {
        let Self { gained, lost, images: n } = *self;
        let residual = gained - lost - n * delta;
        let variance = n * (2.0 * self.share_lost(delta) + delta * (1.0 - delta));
        residual * residual > Z * Z * variance.max(0.0)
    }

    /// The most likely share of images that only the first run gets right, if the difference is `delta`: the greater
    /// root of `a q^2 + b q + c`.
    fn share_lost(&self, delta: f64) -> f64 {
        let Self { gained, lost, images: n } = *self;
        let a = 2.0 * n;
        let b = (2.0 * n - gained + lost) * delta - gained - lost;
        let c = -lost * delta * (1.0 - delta);
        let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
        // The form that does not subtract numbers that are nearly equal.
        if b <= 0.0 { (root - b) / (2.0 * a) } else { -2.0 * c / (root + b) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interval holds the difference, changes its sign with the order of the runs, and narrows with more images.
    #[test]
    fn intervals_are_consistent() {
        for images in [1usize, 2, 9, 50_000, 1 << 40] {
            for lost in [0, 1, images / 7, images / 2] {
                for gained in [0, 1, images / 9, images - lost] {
                    if lost + gained > images {
                        continue;
                    }
                    let (low, high) = tango_interval95(lost, gained, images).unwrap();
                    let observed = (gained as f64 - lost as f64) / images as f64;
                    let what = format!("{lost}, {gained} of {images}: {low} to {high}");
                    assert!(-1.0 <= low && low <= observed && observed <= high && high <= 1.0, "{what}");
                    let (low_back, high_back) = tango_interval95(gained, lost, images).unwrap();
                    assert!((low + high_back).abs() < 1e-9 && (high + low_back).abs() < 1e-9, "{what}");
                }
            }
        }
        assert_eq!(tango_interval95(0, 0, 0), None);
    }
}

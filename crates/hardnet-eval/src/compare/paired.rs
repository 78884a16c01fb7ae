//! Images by which of two runs gets them right.

use super::interval::tango_interval95;
use super::mcnemar::mcnemar_p_value;
use crate::tally::Proportion;

/// Images by whether a first and a second run get them right.
///
/// ```
/// use hardnet_eval::compare::PairedCounts;
///
/// let mut counts = PairedCounts::default();
/// for (first, second) in [(true, true), (true, false), (true, false), (false, false)] {
///     counts.add(first, second);
/// }
/// assert_eq!((counts.only_first, counts.only_second), (2, 0));
/// assert_eq!(counts.difference(), Some(-0.5));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairedCounts {
    /// Images that both get right.
    pub both: usize,
    /// Images that only the first gets right.
    pub only_first: usize,
    /// Images that only the second gets right.
    pub only_second: usize,
    /// Images that neither gets right.
    pub neither: usize,
}

impl PairedCounts {
    /// Counts an image that the first and the second run get right or not.
    pub fn add(&mut self, first: bool, second: bool) {
        *match (first, second) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.only_first,
            (false, true) => &mut self.only_second,
            (false, false) => &mut self.neither,
        } += 1;
    }

    /// All images.
    pub fn images(&self) -> usize {
        self.both + self.only_first + self.only_second + self.neither
    }

    /// Images that exactly one of the runs gets right.
    pub fn flips(&self) -> usize {
        self.only_first + self.only_second
    }

    /// The accuracy of the first run.
    pub fn first(&self) -> Proportion {
        Proportion::new(self.both + self.only_first, self.images())
    }

    /// The accuracy of the second run.
    pub fn second(&self) -> Proportion {
        Proportion::new(self.both + self.only_second, self.images())
    }

    /// How many more images the second run gets right.
    pub fn net(&self) -> i64 {
        self.only_second as i64 - self.only_first as i64
    }

    /// The second accuracy less the first, -1 to 1; none without images.
    pub fn difference(&self) -> Option<f64> {
        (self.images() > 0).then(|| self.net() as f64 / self.images() as f64)
    }

    /// The 95 % confidence interval of the difference: [`tango_interval95`].
    pub fn interval95(&self) -> Option<(f64, f64)> {
        tango_interval95(self.only_first, self.only_second, self.images())
    }

    /// The exact two-sided p-value of McNemar's test: [`mcnemar_p_value`].
    pub fn p_value(&self) -> f64 {
        mcnemar_p_value(self.only_first, self.only_second)
    }
}

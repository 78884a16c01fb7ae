//! The trait of everything that is counted over a data set.

/// A measure that is counted sample by sample and merges with that of other samples.
///
/// [`Tally`](crate::Tally) and [`Breakdown`](crate::Breakdown) measure classification: a sample's target is the index
/// of its class. Another task has another target, for example a mask of the image for segmentation.
pub trait Metric {
    /// The truth about a sample.
    type Target: ?Sized;

    /// Counts the sample with the network's output `output` and the truth `target`.
    ///
    /// `sample` is the caller's number for it; metrics that name samples report this number.
    fn add(&mut self, sample: usize, output: &[f32], target: &Self::Target);

    /// Adds the counts of `other`, which was counted over other samples.
    ///
    /// Counts are exact in any order; sums of floating-point numbers may differ in the last bits.
    fn merge(&mut self, other: &Self);
}

//! Uneven classes: weights of classes, and how samples are drawn.

use hardnet_data::Sample;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Weights of the classes in the cross entropy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClassWeights {
    /// For each class, the number of training images divided by the number of classes that have images and by the
    /// number of its images: scikit-learn's `balanced`. The weight of a class without images is 1.
    Balanced,
    /// These, in the order of the classes.
    Values(Vec<f64>),
}

impl ClassWeights {
    /// The weight of each class, for classes with `counts` training images.
    ///
    /// # Errors
    ///
    /// [`Error::ClassWeights`] for another number of weights than classes, [`Error::Recipe`] for a weight out of range.
    pub fn resolve(&self, counts: &[usize]) -> Result<Vec<f64>> {
        match self {
            Self::Balanced => {
                let images = counts.iter().sum::<usize>() as f64;
                let classes = counts.iter().filter(|&&count| count > 0).count() as f64;
                let weight = |&count: &usize| if count > 0 { images / (classes * count as f64) } else { 1.0 };
                Ok(counts.iter().map(weight).collect())
            }
            Self::Values(values) if values.len() != counts.len() => {
                Err(Error::ClassWeights { found: values.len(), classes: counts.len() })
            }
            Self::Values(values) => {
                self.validate()?;
                Ok(values.clone())
            }
        }
    }

    /// Checks that each weight is a number above 0.
    pub(crate) fn validate(&self) -> Result<()> {
        let Self::Values(values) = self else { return Ok(()) };
        match values.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
            Some(wrong) => {
                let expected = "numbers above 0";
                Err(Error::Recipe { field: "class_weights", found: wrong.to_string(), expected })
            }
            None => Ok(()),
        }
    }
}

/// How the training images of an epoch are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sampler {
    /// Each once, in random order.
    #[default]
    Shuffled,
    /// As many as there are, with replacement, each class equally likely:
    /// [`TrainingEpoch::balanced`](hardnet_data::TrainingEpoch::balanced).
    Balanced,
}

/// The number of samples of each class. Samples without a label and labels from `classes` on are not counted.
pub fn class_counts(samples: &[Sample], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for label in samples.iter().filter_map(Sample::label) {
        if let Some(count) = counts.get_mut(label as usize) {
            *count += 1;
        }
    }
    counts
}

/// The classes with the fewest and the most images, of those that have images, if the latter has at least five times as
/// many as the former: so uneven that [`ClassWeights`] or [`Sampler::Balanced`] deserve a thought.
pub fn uneven(counts: &[usize]) -> Option<(usize, usize)> {
    const RATIO: usize = 5;
    let with_images = || (0..counts.len()).filter(|&class| counts[class] > 0);
    let fewest = with_images().min_by_key(|&class| counts[class])?;
    // The first of several.
    let most = with_images().rev().max_by_key(|&class| counts[class])?;
    (counts[most] >= RATIO * counts[fewest]).then_some((fewest, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        // compute_class_weight("balanced", classes=[0, 1, 2], y=[0] * 6 + [1] * 3 + [2] * 1) of scikit-learn 1.7.
        let weights = ClassWeights::Balanced.resolve(&[6, 3, 1]).unwrap();
        for (weight, expected) in weights.iter().zip([0.555_555_555_6, 1.111_111_111_1, 3.333_333_333_3]) {
            assert!((weight - expected).abs() < 1e-9, "{weights:?}");
        }
        assert_eq!(ClassWeights::Balanced.resolve(&[4, 0, 4]).unwrap(), [1.0; 3]);
    }

    #[test]
    fn each_class_needs_a_weight_above_0() {
        let told = |values: &[f64]| ClassWeights::Values(values.into()).resolve(&[5, 5]).map_err(|e| e.to_string());
        assert_eq!(told(&[1.0, 0.5]), Ok(vec![1.0, 0.5]));
        assert_eq!(told(&[1.0]).unwrap_err(), "1 class weights, expected one for each of 2 classes");
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let expected = format!("`class_weights` is {wrong}, expected numbers above 0");
            assert_eq!(told(&[1.0, wrong]).unwrap_err(), expected);
        }
    }

    #[test]
    fn classes_are_uneven_from_a_ratio_of_five() {
        assert_eq!(uneven(&[10, 0, 49]), None);
        assert_eq!(uneven(&[50, 0, 10, 50]), Some((2, 0)));
        assert_eq!(uneven(&[0, 0]), None);
        assert_eq!(uneven(&[7]), None);
    }
}

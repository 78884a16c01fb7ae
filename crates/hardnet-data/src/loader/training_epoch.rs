//! Which samples an epoch of training loads, in which order.

use std::collections::BTreeMap;

use crate::{Augmentation, Purpose, RandomStream};

/// One pass over a training set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainingEpoch {
    /// The samples to load and their order, as indices.
    pub order: Vec<u32>,
    /// How often each entry's sample occurs before it in the epoch; empty if no sample occurs twice. Each occurrence
    /// has its own random numbers.
    pub repeats: Vec<u32>,
    /// Random changes to them.
    pub augmentation: Augmentation,
    /// Random seed.
    pub seed: u64,
    /// Number of the epoch; every sample has its own random numbers in each.
    pub number: u32,
}

impl TrainingEpoch {
    /// Epoch `number` over `count` samples: every sample once, in an order that depends on `seed` and `number`.
    pub fn new(augmentation: Augmentation, count: usize, seed: u64, number: u32) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let order = RandomStream::new(seed, Purpose::Order, [number, 0]).permutation(count);
        Self { order, repeats: Vec::new(), augmentation, seed, number }
    }

    /// Epoch `number` over the samples with these `labels`: as many draws as there are samples, each of a random class
    /// that has samples, and of a random sample of it, with replacement.
    ///
    /// Draws have the distribution of PyTorch's `WeightedRandomSampler` with one over the size of a sample's class for
    /// its weight. They depend on `labels`, `seed` and `number`.
    pub fn balanced(augmentation: Augmentation, labels: impl IntoIterator<Item = u32>, seed: u64, number: u32) -> Self {
        let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut count = 0;
        for label in labels {
            classes.entry(label).or_default().push(count);
            count += 1;
        }
        let classes: Vec<Vec<u32>> = classes.into_values().collect();
        let mut random = RandomStream::new(seed, Purpose::Sampling, [number, 0]);
        let mut draw = |_| {
            let class = &classes[random.below(classes.len() as u32) as usize];
            class[random.below(class.len() as u32) as usize]
        };
        let order: Vec<u32> = (0..count).map(&mut draw).collect();
        let mut drawn = vec![0; count as usize];
        let repeat = |&sample: &u32| {
            drawn[sample as usize] += 1;
            drawn[sample as usize] - 1
        };
        let repeats = order.iter().map(repeat).collect();
        Self { order, repeats, augmentation, seed, number }
    }

    /// Keeps the first `count` entries.
    pub fn truncate(&mut self, count: usize) {
        self.order.truncate(count);
        self.repeats.truncate(count);
    }

    /// Leaves out the first `count` entries.
    pub fn skip(&mut self, count: usize) {
        self.order.drain(..count.min(self.order.len()));
        self.repeats.drain(..count.min(self.repeats.len()));
    }
}

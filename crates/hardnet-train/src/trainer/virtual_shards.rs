//! A step whose batch is divided into virtual shards.
//!
//! Each shard has batch statistics of its own, so that a shard can be computed anywhere. Gradients, changes of running
//! statistics and losses are weighted by the images of their shards and added up in one binary tree over the shards:
//! the sums do not depend on who computed which shard, or when.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use hardnet_data::Batch;

use super::Trainer;
use super::step::Gradients;
use crate::error::Result;

/// The weighted sums of one shard or of several.
struct Sums {
    gradients: GradStore,
    /// Changes of the running statistics, times images.
    statistics: Vec<Tensor>,
    /// Weight of the loss: images, or the sum of the weights of their classes.
    weight: f64,
    /// Mean losses times weights.
    loss: f64,
    correct: usize,
    images: usize,
}

impl Trainer {
    /// Runs a step with the shards of a batch and returns the mean loss of their images.
    ///
    /// A shard with fewer than two readable images is skipped, because it has no statistics.
    pub(super) fn sharded_step(&mut self, shards: &[&Batch], learning_rate: f64) -> Result<f32> {
        let running: Vec<Var> =
            self.weights.entries().filter(|(param, _)| !param.kind.is_trained()).map(|(_, var)| var.clone()).collect();
        let before: Vec<Tensor> =
            running.iter().map(|var| var.as_detached_tensor().copy()).collect::<candle_core::Result<_>>()?;
        let mut tree = Tree::default();
        for (number, shard) in shards.iter().enumerate() {
            let sums = match self.gradients(shard, self.dropout_seed(number))? {
                None => None,
                Some(found) => Some(self.weighted(found, shard, &running, &before)?),
            };
            for (var, before) in running.iter().zip(&before) {
                var.set(before)?;
            }
            tree.push(sums, |left, right| self.add(left, right))?;
        }
        let Some(mut sums) = tree.finish(|left, right| self.add(left, right))?.flatten() else { return Ok(0.0) };
        for var in self.optimizer.values() {
            if let Some(gradient) = sums.gradients.remove(var) {
                sums.gradients.insert(var, (gradient * (1.0 / sums.weight))?);
            }
        }
        for ((var, before), change) in running.iter().zip(&before).zip(&sums.statistics) {
            var.set(&(before + (change * (1.0 / sums.images as f64))?)?)?;
        }
        self.update(&sums.gradients, learning_rate)?;
        let loss = (sums.loss / sums.weight) as f32;
        self.state.totals.add(loss, sums.correct, sums.images);
        self.state.steps += 1;
        Ok(loss)
    }

    /// The sums of one shard. Its running statistics started as `before`.
    fn weighted(&self, found: Gradients, shard: &Batch, running: &[Var], before: &[Tensor]) -> Result<Sums> {
        let Gradients { mut gradients, loss, correct } = found;
        let images = shard.samples.len();
        let weight = match &self.class_weights {
            None => images as f64,
            Some(weights) => {
                let weights = weights.to_vec1::<f32>()?;
                self.labels(shard)?.iter().map(|&label| f64::from(weights[label as usize])).sum()
            }
        };
        for var in self.optimizer.values() {
            if let Some(gradient) = gradients.remove(var) {
                gradients.insert(var, (gradient.detach() * weight)?);
            }
        }
        let change = |(var, before): (&Var, &Tensor)| (var.as_detached_tensor() - before)? * images as f64;
        let statistics = running.iter().zip(before).map(change).collect::<candle_core::Result<_>>()?;
        Ok(Sums { gradients, statistics, weight, loss: f64::from(loss) * weight, correct, images })
    }

    /// Adds two nodes of the tree; a skipped shard adds nothing.
    fn add(&self, left: Option<Sums>, right: Option<Sums>) -> Result<Option<Sums>> {
        let (mut left, mut right) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return Ok(left.or(right)),
        };
        for var in self.optimizer.values() {
            // The network is the same for all shards: the same variables have gradients.
            if let (Some(one), Some(other)) = (left.gradients.remove(var), right.gradients.remove(var)) {
                left.gradients.insert(var, (one + other)?);
            }
        }
        let statistics = left.statistics.iter().zip(&right.statistics).map(|(one, other)| one + other);
        left.statistics = statistics.collect::<candle_core::Result<_>>()?;
        left.weight += right.weight;
        left.loss += right.loss;
        left.correct += right.correct;
        left.images += right.images;
        Ok(Some(left))
    }
}

/// Adds up values in a binary tree: neighbors in pairs, then pairs of pairs. A node without a neighbor moves up. Holds
/// as many sums as the tree has levels.
struct Tree<T> {
    /// Sums of complete subtrees from left to right, with their heights.
    sums: Vec<(u32, T)>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { sums: Vec::new() }
    }
}

impl<T> Tree<T> {
    /// Adds the next value on the right.
    fn push(&mut self, value: T, mut add: impl FnMut(T, T) -> Result<T>) -> Result<()> {
        let (mut height, mut sum) = (0, value);
        while let Some((_, left)) = self.sums.pop_if(|(other, _)| *other == height) {
            (height, sum) = (height + 1, add(left, sum)?);
        }
        self.sums.push((height, sum));
        Ok(())
    }

    /// The sum of all values, if there are any.
    fn finish(self, mut add: impl FnMut(T, T) -> Result<T>) -> Result<Option<T>> {
        let mut sums = self.sums.into_iter().rev().map(|(_, sum)| sum);
        let Some(mut sum) = sums.next() else { return Ok(None) };
        for left in sums {
            sum = add(left, sum)?;
        }
        Ok(Some(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(count: usize) -> Option<String> {
        let add = |left: String, right: String| Ok(format!("({left} {right})"));
        let mut tree = Tree::default();
        for number in 0..count {
            tree.push(number.to_string(), add).unwrap();
        }
        tree.finish(add).unwrap()
    }

    /// Level by level, as the definition has it.
    fn by_levels(count: usize) -> Option<String> {
        let mut level: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        while level.len() > 1 {
            let pair =
                |pair: &[String]| if pair.len() == 1 { pair[0].clone() } else { format!("({})", pair.join(" ")) };
            level = level.chunks(2).map(pair).collect();
        }
        level.pop()
    }

    #[test]
    fn neighbors_are_added_in_pairs() {
        assert_eq!(order(4).unwrap(), "((0 1) (2 3))");
        assert_eq!(order(7).unwrap(), "(((0 1) (2 3)) ((4 5) 6))");
        for count in 0..40 {
            assert_eq!(order(count), by_levels(count), "{count} values");
        }
    }
}

//! A step whose batch is divided into virtual shards.
//!
//! Each shard has batch statistics of its own, so that a shard can be computed anywhere, or the shards of a step are
//! [synchronized](super::synchronized). Gradients, changes of running statistics and losses are weighted by the images
//! of their shards and added up in one binary tree over the shards: the sums do not depend on who computed which shard,
//! or when.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Tensor, Var};
use hardnet_data::Batch;

use super::Trainer;
use super::all_reduce::{AllReduce, EarlySender, Head, Totals, scale};
use super::step::Gradients;
use super::tree::{self, Terms};
use super::vector::{from_vector, length, to_vector};
use crate::error::Result;
use crate::recipe::BatchNormStatistics;

/// The weighted sums of one shard or of several.
pub(super) struct Sums {
    /// In the order of the optimizer's parameters.
    gradients: Vec<Option<Tensor>>,
    /// Changes of the running statistics, times images.
    statistics: Vec<Tensor>,
    totals: Totals,
}

/// The means of a step's images.
struct Means {
    gradients: Vec<Option<Tensor>>,
    /// Changes of the running statistics.
    statistics: Vec<Tensor>,
    totals: Totals,
}

impl Trainer {
    /// Runs a step with a batch of `count` shards and returns the mean loss of its images. The given shards are those
    /// of this rank.
    ///
    /// What has fewer than two readable images is skipped, because it has no statistics: a shard, or a batch whose
    /// shards are synchronized.
    pub(super) fn sharded_step(&mut self, shards: &[&Batch], count: usize, learning_rate: f64) -> Result<f32> {
        let running = self.running();
        let before = running.iter().map(|var| var.as_detached_tensor().copy());
        let before = before.collect::<candle_core::Result<Vec<_>>>()?;
        let virtual_shards = self.job.recipe.virtual_shards;
        let first = self.ranks.own(virtual_shards).start;
        let synchronized = match self.job.recipe.batch_norm {
            BatchNormStatistics::Shard => None,
            BatchNormStatistics::Synchronized => Some(self.synchronized(shards, count, &running, &before)?),
        };
        let ranks = self.ranks.clone();
        let mut shards =
            Shards { trainer: self, shards, first, running: &running, before: &before, synchronized, early: None };
        let means = if ranks.size() == 1 {
            tree::sum(&mut shards, 0..count)?.map(Sums::means).transpose()?
        } else {
            shards.means_of_all(|length| AllReduce::new(ranks, virtual_shards, count, length))?
        };
        let Some(Means { gradients, statistics, totals }) = means else { return Ok(0.0) };
        for ((var, before), change) in running.iter().zip(&before).zip(statistics) {
            var.set(&(before + change)?)?;
        }
        self.update(&gradients, learning_rate)?;
        let loss = (totals.loss / totals.weight) as f32;
        self.state.totals.add(loss, totals.correct, totals.images);
        self.state.steps += 1;
        Ok(loss)
    }

    /// The running statistics.
    fn running(&self) -> Vec<Var> {
        self.weights.entries().filter(|(param, _)| !param.kind.is_trained()).map(|(_, var)| var.clone()).collect()
    }

    /// The weight of a shard's loss: its images, or the sum of the weights of their classes.
    pub(super) fn weight(&self, shard: &Batch) -> Result<f64> {
        let Some(weights) = &self.class_weights else { return Ok(shard.samples.len() as f64) };
        let weights = weights.to_vec1::<f32>()?;
        Ok(self.labels(shard)?.iter().map(|&label| f64::from(weights[label as usize])).sum())
    }

    /// The sums of one shard, whose gradients have its weight. Its running statistics started as `before`.
    pub(super) fn sums(&self, found: Gradients, shard: &Batch, running: &[Var], before: &[Tensor]) -> Result<Sums> {
        let (weight, images) = (self.weight(shard)?, shard.samples.len());
        let change = |(var, before): (&Var, &Tensor)| (var.as_detached_tensor() - before)? * images as f64;
        let statistics = running.iter().zip(before).map(change).collect::<candle_core::Result<_>>()?;
        let Gradients { gradients, loss, correct } = found;
        let totals = Totals { weight, loss: f64::from(loss) * weight, correct, images };
        Ok(Sums { gradients, statistics, totals })
    }
}

impl Sums {
    fn means(self) -> Result<Means> {
        let Self { gradients, statistics, totals } = self;
        let (of_gradients, of_statistics) = totals.factors();
        let statistics = statistics.iter().map(|change| change * of_statistics).collect::<candle_core::Result<_>>()?;
        Ok(Means { gradients: scaled(gradients, of_gradients)?, statistics, totals })
    }
}

impl Totals {
    /// What makes means of sums of gradients, and of sums of changes of statistics.
    fn factors(&self) -> (f64, f64) {
        (1.0 / self.weight, 1.0 / self.images as f64)
    }
}

fn scaled(gradients: Vec<Option<Tensor>>, factor: f64) -> Result<Vec<Option<Tensor>>> {
    let scaled = gradients.into_iter().map(|gradient| gradient.map(|gradient| gradient * factor).transpose());
    Ok(scaled.collect::<candle_core::Result<_>>()?)
}

/// The shards of a step that this rank has, as terms of a sum; a skipped shard has no sums and adds nothing.
struct Shards<'a> {
    trainer: &'a mut Trainer,
    shards: &'a [&'a Batch],
    /// Position of the first of them.
    first: usize,
    running: &'a [Var],
    before: &'a [Tensor],
    /// Their sums, where they are computed together.
    synchronized: Option<Vec<Option<Sums>>>,
    /// What sends the gradients of the next shard while they are computed.
    early: Option<Arc<EarlySender>>,
}

impl Shards<'_> {
    /// The means of the shards of all ranks; none if all were skipped. `start` starts their sums, of so many values.
    fn means_of_all(&mut self, start: impl FnOnce(usize) -> AllReduce) -> Result<Option<Means>> {
        let of_gradients = length(self.trainer.optimizer.values());
        let mut all_reduce = start(of_gradients + length(self.running));
        for node in all_reduce.own_nodes() {
            let early = self.early_sender(&all_reduce, &node, of_gradients)?;
            self.early.clone_from(&early);
            let sums = tree::sum(self, node.clone())?;
            all_reduce.give(node, sums.map(|sums| self.to_vector(sums)).transpose()?, early.as_deref())?;
        }
        let means = |head: &Head, range: Range<usize>, values: &mut [f32]| {
            let (factor, of_statistics) = head.totals.factors();
            let middle = of_gradients.clamp(range.start, range.end) - range.start;
            let (gradients, statistics) = values.split_at_mut(middle);
            scale(gradients, factor);
            scale(statistics, of_statistics);
        };
        let Some((Head { totals, present }, values)) = all_reduce.finish(means)? else { return Ok(None) };
        let parameters: Vec<&Var> = self.trainer.optimizer.values().collect();
        let (gradients, statistics) = from_vector(&values, &parameters, &present, self.running)?;
        Ok(Some(Means { gradients, statistics, totals }))
    }

    /// What sends the gradients of a node while they are computed, if anything may: not where modules are frozen, as
    /// the program then has other parameters than the optimizer, nor for synchronized shards, whose gradients have
    /// their weights already.
    fn early_sender(
        &self,
        all_reduce: &AllReduce,
        node: &Range<usize>,
        gradients: usize,
    ) -> Result<Option<Arc<EarlySender>>> {
        if self.synchronized.is_some() || self.trainer.job.freeze_until > 0 {
            return Ok(None);
        }
        let Some(early) = all_reduce.early_sender(node, gradients) else { return Ok(None) };
        let weight = self.trainer.weight(self.shards[node.start - self.first])?;
        Ok(Some(Arc::new(early.weight(weight))))
    }

    fn to_vector(&self, Sums { gradients, statistics, totals }: Sums) -> Result<(Head, Vec<f32>)> {
        let parameters: Vec<&Var> = self.trainer.optimizer.values().collect();
        let values = to_vector(&parameters, &gradients, &statistics)?;
        Ok((Head { totals, present: gradients.iter().map(Option::is_some).collect() }, values))
    }
}

impl Terms for Shards<'_> {
    type Value = Option<Sums>;

    fn term(&mut self, number: usize) -> Result<Option<Sums>> {
        let at = number - self.first;
        if let Some(sums) = &mut self.synchronized {
            return Ok(sums[at].take());
        }
        let shard = self.shards[at];
        let seed = self.trainer.dropout_seed(number);
        let sums = match self.trainer.gradients(shard, seed, self.early.take())? {
            None => None,
            Some(mut found) => {
                found.gradients = scaled(found.gradients, self.trainer.weight(shard)?)?;
                Some(self.trainer.sums(found, shard, self.running, self.before)?)
            }
        };
        for (var, before) in self.running.iter().zip(self.before) {
            var.set(before)?;
        }
        Ok(sums)
    }

    fn add(&mut self, left: Option<Sums>, right: Option<Sums>) -> Result<Option<Sums>> {
        let (mut left, mut right) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return Ok(left.or(right)),
        };
        for (one, other) in left.gradients.iter_mut().zip(&mut right.gradients) {
            // The network is the same for all shards: the same variables have gradients.
            *one = one.take().zip(other.take()).map(|(one, other)| one + other).transpose()?;
        }
        let statistics = left.statistics.iter().zip(&right.statistics).map(|(one, other)| one + other);
        left.statistics = statistics.collect::<candle_core::Result<_>>()?;
        left.totals.add(&right.totals);
        Ok(Some(left))
    }
}

//! A step whose batch is divided into virtual shards.
//!
//! Each shard has batch statistics of its own, so that a shard can be computed anywhere, or the shards of a step are
//! [synchronized](super::synchronized). Gradients, changes of running statistics and losses are weighted by the images
//! of their shards and added up in one binary tree over the shards: the sums do not depend on who computed which shard,
//! or when.

use candle_core::{Tensor, Var};
use hardnet_data::Batch;

use super::Trainer;
use super::encoding::{decode, encode};
use super::step::Gradients;
use super::tree::{self, Nodes};
use crate::communicator::CommunicationError;
use crate::error::Result;
use crate::ranks::ROOT;
use crate::recipe::BatchNormStatistics;

/// The weighted sums of one shard or of several.
pub(super) struct Sums {
    /// In the order of the optimizer's parameters.
    gradients: Vec<Option<Tensor>>,
    /// Changes of the running statistics, times images.
    statistics: Vec<Tensor>,
    /// Weight of the loss: images, or the sum of the weights of their classes.
    weight: f64,
    /// Mean losses times weights.
    loss: f64,
    correct: usize,
    images: usize,
}

/// What a step changes.
struct Update {
    gradients: Vec<Option<Tensor>>,
    /// Factor of the gradients.
    scale: f64,
    /// The new running statistics.
    statistics: Vec<Tensor>,
    loss: f32,
    correct: usize,
    images: usize,
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
        let first = self.ranks.own(self.job.recipe.virtual_shards).start;
        let synchronized = match self.job.recipe.batch_norm {
            BatchNormStatistics::Shard => None,
            BatchNormStatistics::Synchronized => Some(self.synchronized(shards, count, &running, &before)?),
        };
        let mut nodes = Shards { trainer: self, shards, first, running: &running, before: &before, synchronized };
        let sums = tree::sum(&mut nodes, 0..count)?.flatten();
        let update = sums.map(|sums| self.to_update(sums, &before)).transpose()?;
        let Some(update) = self.share_update(update)? else { return Ok(0.0) };
        for (var, value) in running.iter().zip(&update.statistics) {
            var.set(value)?;
        }
        self.update_scaled(&update.gradients, learning_rate, update.scale)?;
        self.state.totals.add(update.loss, update.correct, update.images);
        self.state.steps += 1;
        Ok(update.loss)
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
        Ok(Sums { gradients, statistics, weight, loss: f64::from(loss) * weight, correct, images })
    }

    /// The change of a step whose shards have these sums.
    fn to_update(&self, sums: Sums, before: &[Tensor]) -> Result<Update> {
        let gradients = scaled(sums.gradients, 1.0 / sums.weight)?;
        let moved = |(before, change): (&Tensor, &Tensor)| before + (change * (1.0 / sums.images as f64))?;
        Ok(Update {
            scale: self.clip_scale(&gradients)?,
            gradients,
            statistics: before.iter().zip(&sums.statistics).map(moved).collect::<candle_core::Result<_>>()?,
            loss: (sums.loss / sums.weight) as f32,
            correct: sums.correct,
            images: sums.images,
        })
    }

    /// Gives the change that the root computed to all ranks; none if all shards were skipped.
    fn share_update(&self, update: Option<Update>) -> Result<Option<Update>> {
        if self.ranks.size() == 1 {
            return Ok(update);
        }
        let encoded = match &update {
            _ if !self.ranks.is_root() => None,
            None => Some(Vec::new()),
            Some(update) => {
                let loss = u64::from(update.loss.to_bits());
                let numbers = [update.scale.to_bits(), loss, update.correct as u64, update.images as u64];
                Some(encode(&numbers, &update.gradients, &update.statistics)?)
            }
        };
        let message = self.ranks.broadcast(encoded)?;
        if self.ranks.is_root() || message.is_empty() {
            return Ok(update);
        }
        let ([scale, loss, correct, images], gradients, statistics) = self.decoded(ROOT, &message)?;
        let (scale, loss) = (f64::from_bits(scale), f32::from_bits(loss as u32));
        Ok(Some(Update { gradients, scale, statistics, loss, correct: correct as usize, images: images as usize }))
    }

    /// The numbers, gradients and statistics in a message of a rank.
    #[allow(clippy::type_complexity)]
    fn decoded(&self, from: usize, message: &[u8]) -> Result<([u64; 4], Vec<Option<Tensor>>, Vec<Tensor>)> {
        let running = self.running();
        decode(message, &self.optimizer.values().collect::<Vec<_>>(), &running.iter().collect::<Vec<_>>())?
            .ok_or_else(|| CommunicationError::Message { rank: from }.into())
    }
}

fn scaled(gradients: Vec<Option<Tensor>>, factor: f64) -> Result<Vec<Option<Tensor>>> {
    let scaled = gradients.into_iter().map(|gradient| gradient.map(|gradient| gradient * factor).transpose());
    Ok(scaled.collect::<candle_core::Result<_>>()?)
}

/// The shards of a step in the tree; a skipped shard has no sums and adds nothing.
struct Shards<'a> {
    trainer: &'a mut Trainer,
    /// Those of this rank.
    shards: &'a [&'a Batch],
    /// Position of the first of them.
    first: usize,
    running: &'a [Var],
    before: &'a [Tensor],
    /// Their sums, where they are computed together.
    synchronized: Option<Vec<Option<Sums>>>,
}

impl Nodes for Shards<'_> {
    type Value = Option<Sums>;

    fn rank(&self) -> usize {
        self.trainer.ranks.rank()
    }

    fn owner(&self, shard: usize) -> usize {
        self.trainer.ranks.owner(shard, self.trainer.job.recipe.virtual_shards)
    }

    fn leaf(&mut self, number: usize) -> Result<Option<Sums>> {
        let at = number - self.first;
        if let Some(sums) = &mut self.synchronized {
            return Ok(sums[at].take());
        }
        let shard = self.shards[at];
        let seed = self.trainer.dropout_seed(number);
        let sums = match self.trainer.gradients(shard, seed)? {
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
        left.weight += right.weight;
        left.loss += right.loss;
        left.correct += right.correct;
        left.images += right.images;
        Ok(Some(left))
    }

    fn send(&mut self, to: usize, sums: Option<Sums>) -> Result<()> {
        let message = match sums {
            None => Vec::new(),
            Some(Sums { gradients, statistics, weight, loss, correct, images }) => {
                encode(&[weight.to_bits(), loss.to_bits(), correct as u64, images as u64], &gradients, &statistics)?
            }
        };
        self.trainer.ranks.send(to, message)
    }

    fn receive(&mut self, from: usize) -> Result<Option<Sums>> {
        let message = self.trainer.ranks.receive(from)?;
        if message.is_empty() {
            return Ok(None);
        }
        let ([weight, loss, correct, images], gradients, statistics) = self.trainer.decoded(from, &message)?;
        let (weight, loss) = (f64::from_bits(weight), f64::from_bits(loss));
        Ok(Some(Sums { gradients, statistics, weight, loss, correct: correct as usize, images: images as usize }))
    }
}

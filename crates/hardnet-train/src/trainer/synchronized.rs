//! The virtual shards of a step whose batch normalization is synchronized.
//!
//! All shards of a rank are computed at the same time, each up to the next sum that it needs of the others. What they
//! give for the step is that of shards with statistics of their own, but for one thing: a loss changes the gradients of
//! other shards too, so losses are weighted before the backward pass, and not the gradients after it.

use candle_core::{Tensor, Var};
use hardnet_data::Batch;

use super::Trainer;
use super::parts::Parts;
use super::virtual_shards::Sums;
use crate::communicator::CommunicationError;
use crate::error::Result;
use crate::ranks::ROOT;

impl Trainer {
    /// The sums of this rank's shards of a step of `count` shards; none of a shard without readable images, or if the
    /// whole batch has fewer than two.
    pub(super) fn synchronized(
        &mut self,
        shards: &[&Batch],
        count: usize,
        running: &[Var],
        before: &[Tensor],
    ) -> Result<Vec<Option<Sums>>> {
        let virtual_shards = self.job.recipe.virtual_shards;
        let images = self.images_of_shards(shards, count)?;
        let total = images.iter().sum();
        if total < 2 {
            return Ok(shards.iter().map(|_| None).collect());
        }
        let first = self.ranks.own(virtual_shards).start;
        let own: Vec<(usize, &Batch)> = (first..).zip(shards.iter().copied()).collect();
        let own: Vec<(usize, &Batch)> = own.into_iter().filter(|(_, shard)| !shard.samples.is_empty()).collect();
        let present = (0..count).filter(|&shard| images[shard] > 0);
        let owners = present.map(|shard| self.ranks.owner(shard, virtual_shards)).collect();

        let cores = self.cores.clone();
        let _permit = cores.acquire(if self.job.device.is_cpu() { self.job.threads } else { 1 });
        let inputs = own.iter().map(|(_, shard)| self.input(shard)).collect::<Result<Vec<Tensor>>>()?;
        let trainer = &*self;
        let found = Parts::new(self.ranks.clone(), owners, total).compute(|number, part| {
            let (shard, batch) = own[number];
            let (network, seed) = (trainer.network.clone().with_part(part), trainer.dropout_seed(shard));
            trainer.gradients_by(&network, batch, &inputs[number], seed, Some(trainer.weight(batch)?))
        })?;
        let mut sums: Vec<Option<Sums>> = shards.iter().map(|_| None).collect();
        for ((shard, batch), found) in own.into_iter().zip(found) {
            sums[shard - first] = Some(self.sums(found, batch, running, before)?);
        }
        for (var, before) in running.iter().zip(before) {
            var.set(before)?;
        }
        Ok(sums)
    }

    /// Number of images of each shard of a step, of which this rank has some.
    fn images_of_shards(&self, shards: &[&Batch], count: usize) -> Result<Vec<usize>> {
        let own: Vec<usize> = shards.iter().map(|shard| shard.samples.len()).collect();
        let others = self.ranks.gather(&own)?;
        let of_all = || own.into_iter().chain(others.into_iter().flat_map(|(_, images)| images)).collect();
        let images: Vec<usize> = self.ranks.share(self.ranks.is_root().then(of_all))?;
        if images.len() == count { Ok(images) } else { Err(CommunicationError::Message { rank: ROOT }.into()) }
    }
}

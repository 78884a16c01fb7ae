//! Modules that are computed as in evaluation, because neither their weights nor their statistics change.

use candle_core::{Result, Tensor};
use hardnet_data::Batch;
use hardnet_engine::{Plan, PlanOptions};
use hardnet_model::HarDNet;

use super::Trainer;
use crate::error;

/// Images computed together.
const BATCH: usize = 8;

/// The modules up to one, on the CPU by a plan.
#[derive(Debug)]
pub(super) struct Frozen {
    /// Position of the last of them.
    pub(super) module: usize,
    /// Made at the first step, when the weights are those of the run.
    plan: Option<Plan>,
}

impl Frozen {
    pub(super) fn new(module: usize) -> Self {
        Self { module, plan: None }
    }
}

impl Trainer {
    /// What the network in training reads of a batch: its images, `[N, 3, side, side]`, or the output of the frozen
    /// modules.
    pub(super) fn input(&mut self, batch: &Batch) -> error::Result<Tensor> {
        let (count, side) = (batch.images.len(), self.job.pipeline.crop as usize);
        let device = self.job.device.clone();
        let images = || Tensor::from_vec(batch.stacked(), (count, 3, side, side), &device);
        let Some(frozen) = &mut self.frozen else { return Ok(images()?) };
        let module = frozen.module;
        if device.is_cpu() {
            if frozen.plan.is_none() {
                let options = PlanOptions::default().size(side, side).batch(BATCH.min(self.job.recipe.batch_size));
                let options = options.threads(self.job.threads).isa(self.job.isa);
                let graph = self.network.graph().clone().truncated(module);
                frozen.plan = Some(Plan::from_graph(&graph, &self.weights, &options)?);
            }
            let plan = frozen.plan.as_mut().expect("it was just made");
            let shape = plan.output_shape();
            let values = plan.run(&batch.images)?;
            Ok(Tensor::from_vec(values, (count, shape.channels, shape.height, shape.width), &device)?)
        } else {
            let outputs: Result<Vec<Tensor>> = self.network.module_outputs(&images()?, &[module]);
            Ok(outputs?.remove(0).detach())
        }
    }

    /// The logits in training, `[N, classes]`, of an [`input`](Self::input) of `network`.
    pub(super) fn logits(&self, network: &HarDNet, input: &Tensor, seed: u64) -> error::Result<Tensor> {
        Ok(match &self.frozen {
            Some(frozen) => network.forward_train_after(frozen.module, input, seed)?,
            None => network.forward_train(input, seed)?,
        })
    }
}

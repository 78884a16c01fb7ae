//! One step: loss, gradients, update.

use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use hardnet_data::{Batch, Purpose, RandomStream};
use hardnet_model::{GradientObserver, HarDNet};

use super::Trainer;
use super::all_reduce::EarlySender;
use crate::error::{Error, Result};
use crate::evaluate::label;
use crate::loss::{cross_entropy, weighted_cross_entropy};
use crate::optimizer::{Sgd, clip_factor};

/// Parts in which a simulated backward pass gives gradients.
const SIMULATED_PARTS: usize = 16;

/// Gradients of the mean loss of some images, or of a multiple of it.
pub(super) struct Gradients {
    /// In the order of the optimizer's parameters.
    pub(super) gradients: Vec<Option<Tensor>>,
    pub(super) loss: f32,
    /// Images whose label has the largest logit.
    pub(super) correct: usize,
}

impl Trainer {
    /// Runs a step with the images of `batch` and returns their mean loss.
    ///
    /// A batch with fewer than two readable images is skipped, because it has no statistics.
    pub(super) fn step(&mut self, batch: &Batch, learning_rate: f64) -> Result<f32> {
        let Some(found) = self.gradients(batch, self.dropout_seed(0), None)? else { return Ok(0.0) };
        self.update(&found.gradients, learning_rate)?;
        self.state.totals.add(found.loss, found.correct, batch.samples.len());
        self.state.steps += 1;
        Ok(found.loss)
    }

    /// The gradients of the mean loss of the images of `batch`, which `early` may send while others are computed; none
    /// with fewer than two images. Updates the running statistics.
    pub(super) fn gradients(
        &mut self,
        batch: &Batch,
        dropout_seed: u64,
        early: Option<Arc<EarlySender>>,
    ) -> Result<Option<Gradients>> {
        let count = batch.samples.len();
        if count < 2 {
            return Ok(None);
        }
        if let Some(time) = self.job.simulated_compute {
            return self.simulated(time, early).map(Some);
        }
        let cores = self.cores.clone();
        let _permit = cores.acquire(if self.job.device.is_cpu() { self.job.threads } else { 1 });
        let input = self.input(batch)?;
        match early.map(|early| self.network.clone().with_gradient_observer(early)) {
            Some(network) => self.gradients_by(&network, batch, &input, dropout_seed, None),
            None => self.gradients_by(&self.network, batch, &input, dropout_seed, None),
        }
        .map(Some)
    }

    /// The gradients of the mean loss of the images of `batch`, times a weight if there is one, with the
    /// [`input`](Self::input) of `network`.
    pub(super) fn gradients_by(
        &self,
        network: &HarDNet,
        batch: &Batch,
        input: &Tensor,
        dropout_seed: u64,
        weight: Option<f64>,
    ) -> Result<Gradients> {
        let labels = self.labels(batch)?;
        let targets = Tensor::from_slice(&labels, labels.len(), &self.job.device)?;
        let logits = self.logits(network, input, dropout_seed)?;
        let smoothing = self.job.recipe.label_smoothing;
        let loss = match &self.class_weights {
            Some(weights) => weighted_cross_entropy(&logits, &targets, weights, smoothing)?,
            None => cross_entropy(&logits, &targets, smoothing)?,
        };
        let value = self.finite(loss.to_scalar::<f32>()?)?;
        let loss = weight.map_or(Ok(loss.clone()), |weight| loss * weight)?;
        let gradients = self.optimizer.of_parameters(&loss.backward()?);
        let logits = logits.to_vec2::<f32>()?;
        let correct = logits.iter().zip(&labels).filter(|(logits, label)| is_correct(logits, **label)).count();
        Ok(Gradients { gradients, loss: value, correct })
    }

    /// Gradients of zero after `time`, which includes making them. The last two thirds are those of a backward pass.
    fn simulated(&self, time: Duration, early: Option<Arc<EarlySender>>) -> Result<Gradients> {
        let began = Instant::now();
        let zeros = self.optimizer.values().map(|var| var.zeros_like().map(Some));
        let gradients = zeros.collect::<candle_core::Result<_>>()?;
        let sleep_until = |time: Duration| std::thread::sleep(time.saturating_sub(began.elapsed()));
        if let Some(early) = early {
            let count = early.gradients();
            let zeros = vec![0.0; count.div_ceil(SIMULATED_PARTS)];
            for part in (0..SIMULATED_PARTS).rev() {
                sleep_until(time.mul_f64((3 * SIMULATED_PARTS - 2 * part) as f64 / (3 * SIMULATED_PARTS) as f64));
                let range = count * part / SIMULATED_PARTS..count * (part + 1) / SIMULATED_PARTS;
                early.take(range.clone(), &zeros[..range.len()]);
            }
        }
        sleep_until(time);
        Ok(Gradients { gradients, loss: 0.0, correct: 0 })
    }

    /// The labels of the images of a batch.
    pub(super) fn labels(&self, batch: &Batch) -> Result<Vec<u32>> {
        batch.samples.iter().map(|&index| label(&self.job.training[index])).collect()
    }

    /// The seed of dropout in the current step, for one of its virtual shards.
    pub(super) fn dropout_seed(&self, shard: usize) -> u64 {
        let position = [self.state.epochs(), (self.state.batch * self.job.recipe.virtual_shards + shard) as u32];
        let mut random = RandomStream::new(self.job.seed, Purpose::Dropout, position);
        u64::from(random.bits()) << 32 | u64::from(random.bits())
    }

    /// The loss of the current step, unless training has diverged.
    pub(super) fn finite(&self, loss: f32) -> Result<f32> {
        if loss.is_finite() {
            return Ok(loss);
        }
        Err(Error::Diverged { epoch: self.state.epochs() + 1, batch: self.state.batch + 1, loss })
    }

    /// Updates weights and their average by the gradients of a step.
    pub(super) fn update(&mut self, gradients: &[Option<Tensor>], learning_rate: f64) -> Result<()> {
        let scale = match self.job.recipe.clip_norm {
            Some(max_norm) => clip_factor(Sgd::norm_of(gradients)?, max_norm),
            None => 1.0,
        };
        self.optimizer.apply(gradients, learning_rate, scale)?;
        if let Some(average) = &mut self.average {
            average.update(&self.weights)?;
        }
        Ok(())
    }
}

/// Whether `label` has the largest logit, or is the first of several.
fn is_correct(logits: &[f32], label: u32) -> bool {
    let label = label as usize;
    let Some(&own) = logits.get(label) else { return false };
    logits.iter().enumerate().all(|(index, &logit)| logit < own || (logit == own && index >= label))
}

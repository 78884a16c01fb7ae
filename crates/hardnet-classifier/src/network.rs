//! A network on one of the engines.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hardnet_engine::{Plan, PlanOptions};
use hardnet_eval::Logits;
use hardnet_graph::Config;
use hardnet_params::Parameters;

use crate::engine::Engine;
use crate::error::Result;

/// A network ready to compute images of one size.
#[derive(Debug)]
pub(crate) enum Network {
    /// A plan has memory for one batch, so callers take turns.
    Native(Mutex<Plan>),
    #[cfg(feature = "candle")]
    Candle(CandleNetwork),
}

#[cfg(feature = "candle")]
#[derive(Debug)]
pub(crate) struct CandleNetwork {
    pub(crate) network: hardnet_model::HarDNet,
    pub(crate) device: candle_core::Device,
    /// Rows and columns of an image.
    pub(crate) side: usize,
}

impl Network {
    /// Plans the network of `config`. Parameters are asked for once each and dropped as they are packed.
    pub(crate) fn native(config: &Config, parameters: &dyn Parameters, options: &PlanOptions) -> Result<Self> {
        Ok(Self::Native(Mutex::new(Plan::new(config, parameters, options)?)))
    }

    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Native(_) => Engine::Native,
            #[cfg(feature = "candle")]
            Self::Candle(_) => Engine::Candle,
        }
    }

    /// Computes `images` at most `batch` at a time, so that other callers get their turn in between.
    pub(crate) fn logits(&self, images: &[&[f32]], batch: usize, classes: usize) -> Result<Logits> {
        let mut values = Vec::with_capacity(images.len() * classes);
        for images in images.chunks(batch) {
            match self {
                Self::Native(plan) => values.extend(lock(plan).run(images)?),
                #[cfg(feature = "candle")]
                Self::Candle(network) => values.extend(network.run(images)?),
            }
        }
        Ok(Logits::new(values, classes))
    }
}

#[cfg(feature = "candle")]
impl CandleNetwork {
    fn run(&self, images: &[&[f32]]) -> hardnet_model::Result<Vec<f32>> {
        let shape = (images.len(), self.network.config().in_channels, self.side, self.side);
        let images = candle_core::Tensor::from_vec(images.concat(), shape, &self.device)?;
        Ok(self.network.forward(&images)?.flatten_all()?.to_vec1()?)
    }
}

/// A plan overwrites all that a run reads, so one that panicked half-way does no harm to the next.
fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A network on one of the engines.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hardnet_engine::{Plan, PlanOptions};
use hardnet_eval::Logits;
use hardnet_graph::Graph;
use hardnet_params::Parameters;

use crate::engine::Engine;
use crate::error::Result;
use crate::features::{FeatureMap, Tap};

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
    /// Plans the network of `graph`. Each parameter is read once and dropped as it is packed.
    pub(crate) fn native(
        graph: &Graph,
        taps: &[Tap],
        parameters: &dyn Parameters,
        options: &PlanOptions,
    ) -> Result<Self> {
        let taps: Vec<usize> = taps.iter().map(|tap| tap.module).collect();
        Ok(Self::Native(Mutex::new(Plan::with_taps(graph, &taps, parameters, options)?)))
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
                Self::Native(plan) => {
                    // An image's output begins with its feature maps.
                    let output = lock(plan).run(images)?;
                    let rows = output.chunks_exact(output.len() / images.len());
                    rows.for_each(|row| values.extend_from_slice(&row[row.len() - classes..]));
                }
                #[cfg(feature = "candle")]
                Self::Candle(network) => values.extend(network.run(images)?),
            }
        }
        Ok(Logits::new(values, classes))
    }

    /// Computes the feature maps of `images` in the same way.
    pub(crate) fn features(&self, images: &[&[f32]], batch: usize, taps: &[Tap]) -> Result<Vec<FeatureMap>> {
        let mut maps: Vec<FeatureMap> = taps.iter().map(|tap| tap.map(images.len())).collect();
        for images in images.chunks(batch) {
            match self {
                Self::Native(plan) => {
                    let output = lock(plan).run(images)?;
                    for mut row in output.chunks_exact(output.len() / images.len()) {
                        for (tap, map) in taps.iter().zip(&mut maps) {
                            let (values, rest) = row.split_at(tap.len());
                            map.values.extend_from_slice(values);
                            row = rest;
                        }
                    }
                }
                #[cfg(feature = "candle")]
                Self::Candle(network) => {
                    for (values, map) in network.features(images, taps)?.into_iter().zip(&mut maps) {
                        map.values.extend(values);
                    }
                }
            }
        }
        Ok(maps)
    }
}

#[cfg(feature = "candle")]
impl CandleNetwork {
    fn run(&self, images: &[&[f32]]) -> hardnet_model::Result<Vec<f32>> {
        Ok(self.network.forward(&self.tensor(images)?)?.flatten_all()?.to_vec1()?)
    }

    fn features(&self, images: &[&[f32]], taps: &[Tap]) -> hardnet_model::Result<Vec<Vec<f32>>> {
        let modules: Vec<usize> = taps.iter().map(|tap| tap.module).collect();
        let maps = self.network.module_outputs(&self.tensor(images)?, &modules)?;
        Ok(maps.iter().map(|map| map.flatten_all()?.to_vec1()).collect::<candle_core::Result<_>>()?)
    }

    fn tensor(&self, images: &[&[f32]]) -> candle_core::Result<candle_core::Tensor> {
        let shape = (images.len(), self.network.config().in_channels, self.side, self.side);
        candle_core::Tensor::from_vec(images.concat(), shape, &self.device)
    }
}

/// A plan overwrites all that a run reads, so one that panicked half-way does no harm to the next.
fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

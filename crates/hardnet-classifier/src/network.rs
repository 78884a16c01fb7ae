//! A network on one of the engines.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hardnet_engine::{Plan, PlanOptions};
use hardnet_eval::Logits;
use hardnet_graph::Graph;
use hardnet_params::{OwnedParameters, Parameters, QuantizedParameters, WeightsFile};
use hardnet_quantize::{QuantizeOptions, Quantized, quantize};

use crate::engine::Engine;
use crate::error::Result;
use crate::features::{FeatureMap, Tap};
use crate::precision::Precision;

/// Parameters of a network on the native engine.
pub(crate) enum Source<'a> {
    Floats(&'a dyn Parameters),
    Integers(&'a dyn QuantizedParameters),
}

impl Source<'_> {
    /// Those of the layers in f32.
    pub(crate) fn parameters(&self) -> &dyn Parameters {
        match self {
            Source::Floats(parameters) => *parameters,
            Source::Integers(parameters) => *parameters,
        }
    }
}

/// Parameters of a weights file as the native engine takes them, which gives the memory of each back as it is packed.
pub(crate) enum FileSource {
    Floats(OwnedParameters),
    Integers(OwnedParameters),
    Quantized(Box<Quantized>),
}

impl FileSource {
    /// The parameters of `file` in `precision`, by default in that of the file. `graph` is the whole network.
    pub(crate) fn new(file: WeightsFile, graph: &Graph, precision: Option<Precision>) -> Result<Self> {
        let stored = if file.quantization().is_some() { Precision::Int8 } else { Precision::F32 };
        Ok(match (stored, precision.unwrap_or(stored)) {
            (Precision::F32, Precision::Int8) => {
                let quantized = quantize(graph, &file.into_parameters(), &QuantizeOptions::default())?;
                Self::Quantized(Box::new(quantized))
            }
            (Precision::F32, Precision::F32) => Self::Floats(file.into_parameters()),
            (Precision::Int8, Precision::F32) => {
                file.expect_floats()?;
                Self::Integers(file.into_parameters())
            }
            (Precision::Int8, Precision::Int8) => Self::Integers(file.into_parameters()),
        })
    }

    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Self::Floats(parameters) => Source::Floats(parameters),
            Self::Integers(parameters) => Source::Integers(parameters),
            Self::Quantized(quantized) => Source::Integers(&**quantized),
        }
    }
}

/// A network ready to compute images of one size.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a classifier has one")]
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
    pub(crate) fn native(graph: &Graph, taps: &[Tap], source: &Source<'_>, options: &PlanOptions) -> Result<Self> {
        let plan = match source {
            Source::Floats(parameters) => {
                let taps: Vec<usize> = taps.iter().map(|tap| tap.module).collect();
                Plan::with_taps(graph, &taps, *parameters, options)?
            }
            Source::Integers(parameters) => {
                let graph = graph.inference();
                let outputs = taps.iter().flat_map(|tap| graph.modules()[tap.module].outputs.iter().copied());
                let nodes: Vec<_> = outputs.collect();
                Plan::quantized_graph(&graph, &nodes, *parameters, options)?
            }
        };
        Ok(Self::Native(Mutex::new(plan)))
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

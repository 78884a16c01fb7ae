//! Feature maps for detection and segmentation.

use std::path::Path;

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use hardnet_graph::{Config, FeatureInfo, Graph, NodeId, Taps};
use hardnet_kernels::Isa;
use hardnet_params::WeightsFile;

use super::Layers;
use crate::parameters::var_builder;

/// A HarDNet without its classifier, cut after the last requested map.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candle_nn::{VarBuilder, VarMap};
/// use hardnet_model::{Backbone, Config, TapKind, Taps, Variant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let parameters = VarMap::new(); // random; `Backbone::load` reads a file
/// let vb = VarBuilder::from_varmap(&parameters, DType::F32, &Device::Cpu);
/// let taps = Taps::Strides(vec![4, 8, 16, 32], TapKind::Transition);
/// let backbone = Backbone::new(&Config::from(Variant::HarDNet39Ds), &taps, vb)?;
/// let maps = backbone.features(&Tensor::zeros((1, 3, 64, 64), DType::F32, &Device::Cpu)?)?;
/// for (map, info) in maps.iter().zip(backbone.info()) {
///     assert_eq!(map.dims(), [1, info.channels, 64 / info.stride, 64 / info.stride]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Backbone {
    layers: Layers,
    info: Vec<FeatureInfo>,
    outputs: Vec<Vec<NodeId>>,
}

impl Backbone {
    /// The part of `config`'s network that `taps` need, with its parameters from `vb` under PyTorch's names.
    ///
    /// # Errors
    ///
    /// [`hardnet_graph::Error::NoSuchTap`] for a stride or index that the network does not have, otherwise as
    /// [`HarDNet::new`](crate::HarDNet::new).
    pub fn new(config: &Config, taps: &Taps, vb: VarBuilder) -> crate::Result<Self> {
        let graph = Graph::new(&config.clone().without_head())?;
        let positions = graph.tapped(taps)?;
        let chosen = positions.iter().map(|&at| &graph.modules()[at]);
        let info = chosen.clone().map(FeatureInfo::from).collect();
        let outputs = chosen.map(|module| module.outputs.clone()).collect();
        let graph = graph.truncated(positions.into_iter().max().unwrap_or(0));
        Ok(Self { layers: Layers::new(graph, &vb)?, info, outputs })
    }

    /// The backbone in a safetensors file with or without a head, in f32. The whole file must fit its network, also
    /// what `taps` leave out.
    ///
    /// # Errors
    ///
    /// As [`Backbone::new`], [`WeightsFile::open`] and [`var_builder`].
    pub fn load(path: impl AsRef<Path>, taps: &Taps, device: &Device) -> crate::Result<Self> {
        let weights = WeightsFile::open(path)?;
        Self::new(weights.config(), taps, var_builder(&weights, device)?)
    }

    /// Sets the instruction set that training on the CPU computes with, the best of the processor by default.
    #[must_use]
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.layers.set_isa(isa);
        self
    }

    /// The maps, in the order in which [`Taps`] named them.
    pub fn info(&self) -> &[FeatureInfo] {
        &self.info
    }

    /// The part of the network that is computed.
    pub fn graph(&self) -> &Graph {
        &self.layers.graph
    }

    /// The feature maps of normalized `images`, `[N, 3, H, W]`, by the running statistics.
    ///
    /// # Errors
    ///
    /// Candle's, and where the images are too small for the strides.
    pub fn features(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        self.features_t(images, false)
    }

    /// The feature maps; with `train`, by the batch's statistics, which update the running ones.
    ///
    /// The suffix is Candle's convention for a forward pass with that argument, as in `ModuleT::forward_t`.
    ///
    /// # Errors
    ///
    /// As [`Backbone::features`].
    pub fn features_t(&self, images: &Tensor, train: bool) -> Result<Vec<Tensor>> {
        self.layers.run(images, train, &self.outputs)
    }
}

//! Feature maps for detection and segmentation.

use std::path::Path;

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use hardnet_graph::{Config, Graph, ModuleInfo, ModuleKind, NodeId};
use hardnet_kernels::Isa;
use hardnet_params::WeightsFile;

use super::Layers;
use crate::error::Error;
use crate::parameters::var_builder;

/// Which of the maps at a stride to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapKind {
    /// The output of the last 1x1 transition at the stride (or of the stem): what segmentation heads and pyramids read.
    Transition,
    /// The output of the last HarDBlock at the stride (or of the stem), before its transition: what CenterNet-HarDNet
    /// and FC-HarDNet read.
    Block,
}

/// Which maps a [`Backbone`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taps {
    /// One map for each stride, as `[4, 8, 16, 32]`.
    Strides(Vec<usize>, TapKind),
    /// The outputs of these entries of the `base` sequence, as `[4, 9, 12, 15]`.
    Indices(Vec<usize>),
}

/// One feature map of a [`Backbone`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureInfo {
    /// Index in `base`.
    pub index: usize,
    /// PyTorch's name of the module, as `base.4`.
    pub module: String,
    /// Channels of the map.
    pub channels: usize,
    /// Pixels of the image per pixel of the map, along each side.
    pub stride: usize,
}

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
    /// [`Error::NoSuchTap`] for a stride or index that the network does not have, otherwise as
    /// [`HarDNet::new`](crate::HarDNet::new).
    pub fn new(config: &Config, taps: &Taps, vb: VarBuilder) -> crate::Result<Self> {
        let graph = Graph::new(&config.clone().without_head())?;
        let positions = positions(graph.modules(), taps)?;
        let chosen = positions.iter().map(|&at| &graph.modules()[at]);
        let info = chosen
            .clone()
            .map(|module| FeatureInfo {
                index: module.index,
                module: module.name.clone(),
                channels: module.channels,
                stride: module.stride,
            })
            .collect();
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
    /// # Errors
    ///
    /// As [`Backbone::features`].
    pub fn features_t(&self, images: &Tensor, train: bool) -> Result<Vec<Tensor>> {
        self.layers.run(images, train, &self.outputs)
    }
}

/// Positions in `modules` of the maps that `taps` name.
fn positions(modules: &[ModuleInfo], taps: &Taps) -> crate::Result<Vec<usize>> {
    match taps {
        Taps::Strides(strides, kind) => strides.iter().map(|&stride| at_stride(modules, stride, *kind)).collect(),
        Taps::Indices(indices) => indices.iter().map(|&index| at_index(modules, index)).collect(),
    }
}

/// The last module at `stride` that is of `kind` or of the stem.
fn at_stride(modules: &[ModuleInfo], stride: usize, kind: TapKind) -> crate::Result<usize> {
    let kind = match kind {
        TapKind::Transition => ModuleKind::Transition,
        TapKind::Block => ModuleKind::Block,
    };
    let fits = |module: &ModuleInfo| module.kind == kind || module.kind == ModuleKind::Stem;
    modules.iter().rposition(|module| module.stride == stride && fits(module)).ok_or_else(|| {
        let mut strides: Vec<_> = modules.iter().filter(|m| fits(m)).map(|m| m.stride.to_string()).collect();
        strides.dedup();
        Error::NoSuchTap { wanted: format!("stride {stride}"), available: format!("strides {}", strides.join(", ")) }
    })
}

fn at_index(modules: &[ModuleInfo], index: usize) -> crate::Result<usize> {
    if index < modules.len() {
        return Ok(index);
    }
    let available = format!("indices 0 to {}", modules.len().saturating_sub(1));
    Err(Error::NoSuchTap { wanted: format!("index {index}"), available })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardnet_graph::Variant;

    fn indices(variant: Variant, taps: Taps) -> Vec<(usize, usize)> {
        let graph = Graph::new(&Config::from(variant).without_head()).unwrap();
        let modules = graph.modules();
        positions(modules, &taps).unwrap().into_iter().map(|at| (modules[at].index, modules[at].channels)).collect()
    }

    #[test]
    fn strides_give_the_maps_that_networks_on_hardnet_use() {
        let after = |strides: &[usize]| Taps::Strides(strides.to_vec(), TapKind::Transition);
        let before = |strides: &[usize]| Taps::Strides(strides.to_vec(), TapKind::Block);
        // HarDNet-MSEG.
        let mseg = [(4, 128), (9, 320), (12, 640), (15, 1024)];
        assert_eq!(indices(Variant::HarDNet68, after(&[4, 8, 16, 32])), mseg);
        // AutoSAM.
        let autosam = [(1, 96), (4, 192), (9, 320), (14, 720), (18, 1280)];
        assert_eq!(indices(Variant::HarDNet85, after(&[2, 4, 8, 16, 32])), autosam);
        // CenterNet-HarDNet.
        let center = [(1, 96), (3, 214), (8, 458), (13, 784)];
        assert_eq!(indices(Variant::HarDNet85, before(&[2, 4, 8, 16])), center);
        let center = [(1, 64), (3, 124), (8, 328), (11, 654)];
        assert_eq!(indices(Variant::HarDNet68, before(&[2, 4, 8, 16])), center);
    }

    #[test]
    fn a_tap_that_is_not_there_is_named_with_those_that_are() {
        let graph = Graph::new(&Config::from(Variant::HarDNet68).without_head()).unwrap();
        let error = |taps| positions(graph.modules(), &taps).unwrap_err().to_string();
        assert_eq!(
            error(Taps::Strides(vec![4, 64], TapKind::Block)),
            "no feature map at stride 64 in this network, which has strides 2, 4, 8, 16, 32"
        );
        assert_eq!(
            error(Taps::Indices(vec![16])),
            "no feature map at index 16 in this network, which has indices 0 to 15"
        );
    }
}

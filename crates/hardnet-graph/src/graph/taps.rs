//! Feature maps for detection and segmentation: which modules of a network give them.

use super::{Graph, ModuleInfo, ModuleKind};
use crate::error::{Error, Result};

/// The map to take of those at a stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapKind {
    /// The output of the last 1x1 transition at the stride (or of the stem): what segmentation heads and pyramids read.
    Transition,
    /// The output of the last HarDBlock at the stride (or of the stem), before its transition: what CenterNet-HarDNet
    /// and FC-HarDNet read.
    Block,
}

/// The feature maps to take out of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taps {
    /// One map for each stride, as `[4, 8, 16, 32]`.
    Strides(Vec<usize>, TapKind),
    /// The outputs of these entries of the `base` sequence, as `[4, 9, 12, 15]`.
    Indices(Vec<usize>),
}

/// Description of a feature map.
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

impl From<&ModuleInfo> for FeatureInfo {
    fn from(module: &ModuleInfo) -> Self {
        let &ModuleInfo { index, channels, stride, .. } = module;
        Self { index, module: module.name.clone(), channels, stride }
    }
}

impl Graph {
    /// The positions in [`modules`](Graph::modules) of the maps that `taps` name.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchTap`] for a stride or index that the network does not have.
    pub fn tapped(&self, taps: &Taps) -> Result<Vec<usize>> {
        let after = |module: &ModuleInfo| matches!(module.kind, ModuleKind::Head | ModuleKind::Upsample);
        let maps = self.modules.iter().position(after);
        let modules = &self.modules[..maps.unwrap_or(self.modules.len())];
        match taps {
            Taps::Strides(strides, kind) => strides.iter().map(|&stride| at_stride(modules, stride, *kind)).collect(),
            Taps::Indices(indices) => indices.iter().map(|&index| at_index(modules, index)).collect(),
        }
    }
}

/// The last module at `stride` that is of `kind` or of the stem.
fn at_stride(modules: &[ModuleInfo], stride: usize, kind: TapKind) -> Result<usize> {
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

fn at_index(modules: &[ModuleInfo], index: usize) -> Result<usize> {
    if index < modules.len() {
        return Ok(index);
    }
    let available = format!("indices 0 to {}", modules.len().saturating_sub(1));
    Err(Error::NoSuchTap { wanted: format!("index {index}"), available })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Variant};

    fn indices(variant: Variant, taps: Taps) -> Vec<(usize, usize)> {
        let graph = Graph::new(&Config::from(variant).without_head()).unwrap();
        let modules = graph.modules();
        graph.tapped(&taps).unwrap().into_iter().map(|at| (modules[at].index, modules[at].channels)).collect()
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
        let error = |taps| graph.tapped(&taps).unwrap_err().to_string();
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

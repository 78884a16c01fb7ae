//! Published backbones of networks that are not classifiers.

use super::{BlockConfig, Config, Downsample, Stem, StemConv, StemPadding};
use crate::op::Activation;

impl Config {
    /// The encoder of FC-HarDNet-70, which segments street scenes: the entries of `base` up to its decoder.
    ///
    /// Its stem has four convolutions and two strides, and no pool follows it; pools are averages, and the activation
    /// is ReLU. The source is `ptsemseg/models/hardnet.py` of <https://github.com/PingoLH/FCHarDNet>.
    pub fn fc_hardnet70_encoder() -> Self {
        // Per block: layers, k, transition channels.
        const BLOCKS: [(usize, usize, usize); 5] = [(4, 10, 64), (4, 16, 96), (8, 18, 160), (8, 24, 224), (8, 32, 320)];
        let conv = |(channels, stride)| StemConv { channels, kernel: 3, stride };
        let stem = Stem {
            convs: [(16, 2), (24, 1), (32, 2), (48, 1)].map(conv).to_vec(),
            padding: StemPadding::Symmetric,
            downsample: false,
        };
        let block = |(at, (layers, growth, transition))| BlockConfig {
            layers,
            growth,
            multiplier: 1.7,
            dropout: None,
            transition,
            downsample: at + 1 < BLOCKS.len(),
        };
        let blocks = BLOCKS.into_iter().enumerate().map(block).collect();
        let mut config = Self::new(3, stem, blocks);
        (config.downsample, config.activation) = (Downsample::AveragePool, Activation::Relu);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, ModuleKind};

    /// Entries of `base`, channels and strides as `hardnet.__init__` of the source makes them.
    #[test]
    fn the_encoder_has_the_entries_of_its_source() {
        let config = Config::fc_hardnet70_encoder();
        config.validate().unwrap();
        assert_eq!((config.variant(), config.published_name()), (None, Some("fc-hardnet70-encoder")));
        let graph = Graph::new(&config).unwrap();
        let modules = graph.modules();
        let of = |wanted: ModuleKind| {
            let found = modules.iter().filter(move |module| module.kind == wanted);
            found.map(|module| (module.index, module.channels, module.stride)).collect::<Vec<_>>()
        };
        assert_eq!(of(ModuleKind::Stem), [(0, 16, 2), (1, 24, 2), (2, 32, 4), (3, 48, 4)]);
        assert_eq!(of(ModuleKind::Block), [(4, 48, 4), (7, 78, 8), (10, 160, 16), (13, 214, 32), (16, 286, 64)]);
        assert_eq!(of(ModuleKind::Transition), [(5, 64, 4), (8, 96, 8), (11, 160, 16), (14, 224, 32), (17, 320, 64)]);
        assert_eq!(of(ModuleKind::Downsample), [(6, 64, 8), (9, 96, 16), (12, 160, 32), (15, 224, 64)]);
    }
}

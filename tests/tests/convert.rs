//! Files of the real torch and paddlepaddle packages become the network whose weights they hold.
//!
//! `tests/checkpoints/make_files.py` wrote them with synthetic weights of two small networks.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use hardnet_checkpoint::{Checkpoint, Format};
use hardnet_model::{
    Activation, BlockConfig, Config, Conversion, ConversionOptions, Downsample, Graph, HarDNet, Head, Scheme, Stem,
    StemConv, StemPadding, Variant, WeightsFile,
};
use hardnet_params::synthetic;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/small")
}

/// The networks of `SMALL` in `make_files.py`.
fn networks() -> [(&'static str, Config); 2] {
    let network = |depthwise: bool| {
        let mut config = Config::from(Variant::HarDNet68).with_classes(3);
        let kernel = if depthwise { 1 } else { 3 };
        config.stem = Stem {
            convs: vec![StemConv { channels: 4, kernel: 3, stride: 2 }, StemConv { channels: 8, kernel, stride: 1 }],
            padding: StemPadding::Symmetric,
            downsample: true,
        };
        let (multiplier, sizes) =
            if depthwise { (1.6, [(4, 4, 12), (8, 6, 16)]) } else { (1.7, [(4, 4, 8), (4, 4, 8)]) };
        config.blocks = sizes
            .into_iter()
            .zip([true, false])
            .map(|((layers, growth, transition), downsample)| BlockConfig {
                layers,
                growth,
                multiplier,
                dropout: None,
                transition,
                downsample,
            })
            .collect();
        config.depthwise = depthwise;
        config.downsample = if depthwise { Downsample::Depthwise } else { Downsample::MaxPool };
        config.activation = Activation::Relu6;
        config.head = Some(Head { classes: 3, dropout: 0.0 });
        config
    };
    [("dense", network(false)), ("depthwise", network(true))]
}

/// Ending, format, scheme and wrapper of each file of a network.
const FILES: [(&str, Format, Scheme, Option<&str>); 9] = [
    ("legacy.pth", Format::TorchLegacy, Scheme::PyTorch, None),
    ("zip.pth", Format::TorchZip, Scheme::PyTorch, None),
    ("checkpoint.pth.tar", Format::TorchLegacy, Scheme::PyTorch, Some("state_dict")),
    ("paddleclas.p2.pdparams", Format::Paddle, Scheme::PaddleClas, None),
    ("paddleclas.p3.pdparams", Format::Paddle, Scheme::PaddleClas, None),
    ("paddleclas.p4.pdparams", Format::Paddle, Scheme::PaddleClas, None),
    ("notebook.p2.pdparams", Format::Paddle, Scheme::Notebook, None),
    ("notebook.p3.pdparams", Format::Paddle, Scheme::Notebook, None),
    ("notebook.p4.pdparams", Format::Paddle, Scheme::Notebook, None),
];

fn logits(weights: &WeightsFile) -> Vec<f32> {
    let network = HarDNet::from_file(weights, &Device::Cpu).unwrap();
    let images = Tensor::from_vec(synthetic::values("x", &[2, 3, 64, 64]), (2, 3, 64, 64), &Device::Cpu).unwrap();
    network.forward(&images).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn files_of_torch_and_paddle_become_the_same_network() {
    for (name, config) in networks() {
        let mut first: Option<Vec<f32>> = None;
        for (ending, format, scheme, wrapper) in FILES {
            let weights = WeightsFile::open(folder().join(format!("{name}.{ending}"))).unwrap();
            let checkpoint = weights.checkpoint();
            assert_eq!(
                (checkpoint.format(), weights.scheme(), checkpoint.wrapper()),
                (format, scheme, wrapper),
                "{name}.{ending}"
            );
            let padding = if scheme == Scheme::Notebook { StemPadding::TopLeft } else { StemPadding::Symmetric };
            // Widths do not tell a multiplier of 1.5 from one of 1.6.
            let mut expected = config.clone().with_stem_padding(padding);
            for (block, found) in expected.blocks.iter_mut().zip(&weights.config().blocks) {
                block.multiplier = found.multiplier;
            }
            assert_eq!(weights.config(), &expected, "{name}.{ending}");

            let mut bytes = Vec::new();
            Conversion::new(&weights, &ConversionOptions::default()).unwrap().write(&mut bytes).unwrap();
            let converted = WeightsFile::from_checkpoint("converted", Checkpoint::from_bytes(bytes).unwrap()).unwrap();
            let tensors = converted.checkpoint();
            let params = Graph::new(&config).unwrap().params();
            assert_eq!(tensors.tensors().len(), params.len());
            for (index, (info, param)) in tensors.tensors().iter().zip(&params).enumerate() {
                assert_eq!((&info.name, &info.shape), (&param.name, &param.shape), "{name}.{ending}");
                let expected: Vec<u8> =
                    synthetic::values(&param.name, &param.shape).into_iter().flat_map(f32::to_le_bytes).collect();
                assert!(tensors.read(index).unwrap() == expected, "{name}.{ending}: {}", param.name);
            }
            let found = (logits(&weights), logits(&converted));
            assert_eq!(found.0, found.1, "{name}.{ending}");
            // At even sides the notebook's padding changes nothing.
            match &first {
                None => first = Some(found.0),
                Some(expected) => assert_eq!(&found.0, expected, "{name}.{ending}"),
            }
        }
    }
}

//! The Candle networks against PyTorch in float64: same weights that are synthetic, same input.

use candle_core::Tensor;
use hardnet_model::{Backbone, HarDNet, StemPadding, TapKind, Taps, Variant, WeightsFile, var_builder};
use hardnet_params::synthetic;
use hardnet_testing::device::device;
use hardnet_testing::golden::golden;
use hardnet_testing::weights_file::{self, Encoding};

/// A weights file of `variant` that are synthetic.
fn weights(variant: Variant) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let tensors = synthetic::parameters(&variant.into()).unwrap();
    std::fs::write(file.path(), weights_file::safetensors(tensors, Encoding::F32, None)).unwrap();
    file
}

fn input() -> Tensor {
    let shape = [1, 3, 224, 224];
    Tensor::from_vec(synthetic::values("x", &shape), &shape, &device()).unwrap()
}

fn assert_parity(variant: Variant) {
    let expected = golden(variant.name());
    let network = HarDNet::load(weights(variant).path(), &device()).unwrap();

    let modules = network.graph().modules();
    let names: Vec<_> = modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, expected.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>());
    let positions: Vec<_> = (0..modules.len()).collect();
    let outputs = network.module_outputs(&input(), &positions).unwrap();
    for (output, expected) in outputs.iter().zip(&expected.modules) {
        assert_eq!(output.dims(), expected.shape, "{}", expected.name);
        let statistic = |tensor: candle_core::Result<Tensor>| f64::from(tensor.unwrap().to_scalar::<f32>().unwrap());
        let found = [
            statistic(output.mean_all()),
            statistic(output.abs().and_then(|t| t.mean_all())),
            statistic(output.max_all()),
        ];
        for (found, expected_value) in found.iter().zip([expected.mean, expected.abs_mean, expected.max]) {
            assert!((found - expected_value).abs() < 1e-4, "{}: {found} is not {expected_value}", expected.name);
        }
    }

    let logits = outputs.last().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let worst = logits.iter().zip(&expected.logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{variant}: logits differ by {worst}");
}

#[test]
fn hardnet39ds_agrees_with_pytorch() {
    assert_parity(Variant::HarDNet39Ds);
}

#[test]
fn hardnet68_agrees_with_pytorch() {
    assert_parity(Variant::HarDNet68);
}

/// A backbone from a file with a head gives the same maps as the whole network, whatever it leaves out.
#[test]
fn backbone_maps_are_the_networks() {
    let file = weights(Variant::HarDNet39Ds);
    let network = HarDNet::load(file.path(), &device()).unwrap();
    let images = input().narrow(2, 0, 96).unwrap().narrow(3, 0, 64).unwrap();
    for kind in [TapKind::Transition, TapKind::Block] {
        let taps = Taps::Strides(vec![16, 4], kind);
        let backbone = Backbone::load(file.path(), &taps, &device()).unwrap();
        assert!(backbone.graph().nodes().len() < network.graph().nodes().len());
        let positions: Vec<_> = backbone.info().iter().map(|info| info.index).collect();
        let expected = network.module_outputs(&images, &positions).unwrap();
        for ((map, expected), info) in backbone.features(&images).unwrap().iter().zip(&expected).zip(backbone.info()) {
            assert_eq!(map.dims(), [1, info.channels, 96 / info.stride, 64 / info.stride]);
            let difference = (map - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0, "{}", info.module);
        }
    }
}

/// Images of a batch do not touch each other, and odd sizes work.
#[test]
fn batches_are_images_side_by_side() {
    let network = HarDNet::load(weights(Variant::HarDNet39Ds).path(), &device()).unwrap();
    let shape = [3, 3, 37, 61];
    let images = Tensor::from_vec(synthetic::values("x", &shape), &shape, &device()).unwrap();
    let together = network.forward(&images).unwrap();
    for image in 0..3 {
        let alone = network.forward(&images.narrow(0, image, 1).unwrap()).unwrap();
        let difference = (together.narrow(0, image, 1).unwrap() - alone).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-4);
    }
}

#[test]
fn images_that_do_not_fit_are_errors() {
    let weights = WeightsFile::open(weights(Variant::HarDNet68).path()).unwrap();
    let network = HarDNet::from_file(&weights, &device()).unwrap();
    let error = |shape: &[usize]| {
        let images = Tensor::zeros(shape, candle_core::DType::F32, &device()).unwrap();
        network.forward(&images).unwrap_err().to_string()
    };
    let small = error(&[1, 3, 28, 224]);
    assert!(small.contains("`base.13` would have no output; the shorter side needs at least 29"), "{small}");
    let gray = error(&[1, 1, 224, 224]);
    assert!(gray.contains("expected images of 3 channels"), "{gray}");
}

/// At even sizes the notebook's padding reads the same pixels as PyTorch's; at odd ones its map is a row smaller.
#[test]
fn the_notebooks_padding_agrees_where_sizes_are_even() {
    let file = WeightsFile::open(weights(Variant::HarDNet39Ds).path()).unwrap();
    let build = |padding| {
        let config = file.config().clone().with_stem_padding(padding);
        HarDNet::new(&config, var_builder(&file, &device()).unwrap()).unwrap()
    };
    let (pytorch, notebook) = (build(StemPadding::Symmetric), build(StemPadding::TopLeft));
    let difference = |side| {
        let images = input().narrow(2, 0, side).unwrap().narrow(3, 0, side).unwrap();
        let difference = (pytorch.forward(&images).unwrap() - notebook.forward(&images).unwrap()).unwrap();
        difference.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
    };
    assert!(difference(64) < 1e-4, "{}", difference(64));
    assert!(difference(65) > 1e-2, "{}", difference(65));
}

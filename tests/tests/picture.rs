//! From pixels to logits through both libraries, against Pillow and ONNX Runtime.

use candle_core::Tensor;
use hardnet_data::{Image, Pipeline};
use hardnet_model::{HarDNet, Variant};
use hardnet_params::synthetic;
use hardnet_testing::device::device;
use hardnet_testing::golden::{PICTURE_SIZE, picture, picture_logits};
use hardnet_testing::weights_file::{self, Encoding};

fn assert_parity(variant: Variant) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let tensors = synthetic::parameters(&variant.into()).unwrap();
    std::fs::write(file.path(), weights_file::safetensors(tensors, Encoding::F32, None)).unwrap();

    let network = HarDNet::load(file.path(), &device()).unwrap();
    let image = Image::from_rgb8(PICTURE_SIZE.0, PICTURE_SIZE.1, picture()).unwrap();
    let pixels = Pipeline::pil_bilinear().tensor(&image).unwrap();
    let images = Tensor::from_vec(pixels, (1, 3, 224, 224), &device()).unwrap();
    let logits = network.forward(&images).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();

    let expected = picture_logits(variant.name());
    assert_eq!(logits.len(), expected.len());
    let worst = logits.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{variant}: logits differ by {worst}");
}

#[test]
fn hardnet39ds_agrees_with_onnx_runtime() {
    assert_parity(Variant::HarDNet39Ds);
}

#[test]
fn hardnet68ds_agrees_with_onnx_runtime() {
    assert_parity(Variant::HarDNet68Ds);
}

#[test]
fn hardnet68_agrees_with_onnx_runtime() {
    assert_parity(Variant::HarDNet68);
}

#[test]
fn hardnet85_agrees_with_onnx_runtime() {
    assert_parity(Variant::HarDNet85);
}

//! The plan against PyTorch in float64 and against the Candle network.

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use hardnet_model::formula::{self, Formula};
use hardnet_model::{Config, Graph, HarDNet, Isa, Parameters, Plan, PlanOptions, StemPadding, Variant};
use hardnet_testing::golden::golden;

fn options(height: usize, width: usize, batch: usize) -> PlanOptions {
    let mut options = PlanOptions::default();
    (options.height, options.width, options.batch) = (height, width, batch);
    options
}

/// The Candle network of `config` with the formula's parameters.
fn candle(config: &Config) -> HarDNet {
    let params = Graph::new(config).unwrap().params();
    let tensor = |param: &hardnet_model::ParamInfo| {
        let values = Formula.values(param).unwrap();
        (param.name.clone(), Tensor::from_vec(values, param.shape.as_slice(), &Device::Cpu).unwrap())
    };
    let tensors = params.iter().map(tensor).collect();
    HarDNet::new(config, VarBuilder::from_tensors(tensors, candle_core::DType::F32, &Device::Cpu)).unwrap()
}

fn images(config: &Config, count: usize, height: usize, width: usize) -> Vec<Vec<f32>> {
    let values = formula::values("x", &[count, config.in_channels, height, width]);
    values.chunks(config.in_channels * height * width).map(<[f32]>::to_vec).collect()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // `f32::max` would hide what is not a number.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}

/// The greatest difference of a plan's logits to the Candle network's.
fn difference(config: &Config, network: &HarDNet, options: &PlanOptions, count: usize) -> f32 {
    let images = images(config, count, options.height, options.width);
    let shape = (count, config.in_channels, options.height, options.width);
    let tensor = Tensor::from_vec(images.concat(), shape, &Device::Cpu).unwrap();
    let expected = network.forward(&tensor).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut plan = Plan::new(config, &Formula, options).unwrap();
    worst(&plan.run(&images).unwrap(), &expected)
}

#[test]
fn logits_agree_with_pytorch_in_float64() {
    for variant in [Variant::HarDNet39Ds, Variant::HarDNet68] {
        let config = Config::from(variant);
        for isa in Isa::available() {
            let mut options = options(224, 224, 1);
            options.isa = isa;
            let logits = Plan::new(&config, &Formula, &options).unwrap().run(&images(&config, 1, 224, 224)).unwrap();
            let worst = worst(&logits, &golden(variant.name()).logits);
            assert!(worst < 2e-4, "{variant} on {isa}: logits differ by {worst}");
        }
    }
}

#[test]
fn every_variant_agrees_with_candle() {
    for variant in Variant::ALL {
        for padding in [StemPadding::Symmetric, StemPadding::TopLeft] {
            let config = Config::from(variant).with_stem_padding(padding).with_classes(10);
            let network = candle(&config);
            for (height, width, batch, count) in [(33, 65, 1, 1), (64, 64, 2, 3), (97, 70, 3, 2)] {
                let worst = difference(&config, &network, &options(height, width, batch), count);
                assert!(worst < 2e-4, "{variant} {padding:?} {height}x{width}: logits differ by {worst}");
            }
        }
    }
}

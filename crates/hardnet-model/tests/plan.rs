//! The plan against the Candle network.

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use hardnet_model::{
    Activation, Backbone, Config, Decoder, Downsample, Graph, HarDNet, Isa, ParamInfo, Parameters, Plan, PlanOptions,
    SegmentationVariant, StemPadding, Taps, Variant,
};
use hardnet_params::synthetic::{self, Synthetic};

fn options(height: usize, width: usize, batch: usize) -> PlanOptions {
    PlanOptions::default().size(height, width).batch(batch)
}

/// The Candle network of `config` with synthetic parameters.
fn candle(config: &Config) -> HarDNet {
    HarDNet::new(config, var_builder(config)).unwrap()
}

/// Synthetic parameters of `config`.
fn var_builder(config: &Config) -> VarBuilder<'static> {
    let params = Graph::new(config).unwrap().params();
    let tensor = |param: &ParamInfo| {
        let values = Synthetic.values(param).unwrap();
        (param.name.clone(), Tensor::from_vec(values, param.shape.as_slice(), &Device::Cpu).unwrap())
    };
    let tensors = params.iter().map(tensor).collect();
    VarBuilder::from_tensors(tensors, candle_core::DType::F32, &Device::Cpu)
}

fn images(config: &Config, count: usize, height: usize, width: usize) -> Vec<Vec<f32>> {
    let values = synthetic::values("x", &[count, config.in_channels, height, width]);
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
    let mut plan = Plan::new(config, &Synthetic, options).unwrap();
    worst(&plan.run(&images).unwrap(), &expected)
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

#[test]
fn maps_of_a_truncated_graph_are_the_backbones() {
    for (variant, index) in [(Variant::HarDNet39Ds, 7), (Variant::HarDNet68, 9), (Variant::HarDNet85, 11)] {
        let config = Config::from(variant);
        let graph = Graph::new(&config).unwrap().truncated(index);
        let mut plan = Plan::from_graph(&graph, &Synthetic, &options(96, 64, 2)).unwrap();
        let images = images(&config, 2, 96, 64);
        let backbone = Backbone::new(&config, &Taps::Indices(vec![index]), var_builder(&config)).unwrap();
        let tensor = Tensor::from_vec(images.concat(), (2, 3, 96, 64), &Device::Cpu).unwrap();
        let expected = backbone.features(&tensor).unwrap().remove(0).flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let worst = worst(&plan.run(&images).unwrap(), &expected);
        assert!(worst < 2e-4, "{variant}: maps differ by {worst}");
    }
}

/// In a batch, deep layers transform their weights as they read them, and the plan holds little more than a plan for
/// one image.
#[test]
fn large_batches_agree_with_candle_in_little_memory() {
    let config = Config::from(Variant::HarDNet68).with_classes(10);
    let weights = |isa: Isa, batch: usize| {
        let plan = Plan::new(&config, &Synthetic, &options(224, 224, batch).isa(isa)).unwrap();
        let lean = plan.steps().iter().filter(|step| step.kernel == "winograd-4x4-otf").count();
        (plan.memory().weights, lean)
    };
    let ((one, none), (eight, lean)) = (weights(Isa::Portable, 1), weights(Isa::Portable, 8));
    assert_eq!((none, lean), (0, 4));
    assert!(eight < one, "{eight} bytes of weights for eight images, {one} for one");
    if let Some(avx512) = Isa::of_f32().into_iter().find(|isa| isa.name() == "avx512") {
        let ((least, lean), (most, many)) = (weights(avx512, 1), weights(avx512, 8));
        assert_eq!((lean, many), (4, 4));
        assert!(least < one && most <= eight, "{least} and {most} bytes by AVX-512, {one} and {eight} by others");
    }
    let worst = difference(&config, &candle(&config), &options(224, 224, 8), 2);
    assert!(worst < 2e-4, "logits differ by {worst}");
}

/// Networks that nobody published: ReLU, average pools, gray images, strides in both stem convolutions, no head, a
/// dropout between block and transition, layers of one channel.
fn customs() -> Vec<(&'static str, Config)> {
    let dense = || Config::from(Variant::HarDNet68).with_classes(7);
    let mut gray = dense();
    (gray.in_channels, gray.activation, gray.downsample) = (1, Activation::Relu, Downsample::AveragePool);
    gray.stem.convs[0].kernel = 5;
    gray.blocks.truncate(2);
    let mut narrow = Config::from(Variant::HarDNet39Ds).without_head();
    narrow.stem.convs[1].stride = 2;
    narrow.blocks.truncate(2);
    (narrow.blocks[0].growth, narrow.blocks[0].layers, narrow.blocks[1].layers) = (1, 5, 3);
    let mut dropout = dense();
    dropout.blocks.truncate(1);
    dropout.blocks[0].dropout = Some(0.5);
    vec![("gray", gray), ("narrow", narrow), ("dropout", dropout)]
}

#[test]
fn custom_networks_agree_with_candle() {
    for (name, config) in customs() {
        let network = candle(&config);
        for (height, width) in [(48, 48), (67, 90)] {
            let worst = difference(&config, &network, &options(height, width, 2), 3);
            assert!(worst < 2e-4, "{name} {height}x{width}: outputs differ by {worst}");
        }
    }
}

/// ReLU, average pools, a stem of four convolutions with two strides and no pool.
#[test]
fn fc_hardnets_encoder_agrees_with_candle() {
    let config = Config::fc_hardnet70_encoder();
    let network = candle(&config);
    for (height, width) in [(64, 64), (131, 70)] {
        let worst = difference(&config, &network, &options(height, width, 2), 3);
        assert!(worst < 2e-4, "{height}x{width}: outputs differ by {worst}");
    }
}

/// The greatest difference of two lists, relative to the greatest magnitude of the second.
fn relative(found: &[f32], expected: &[f32]) -> f32 {
    worst(found, expected) / expected.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// Logits of every pixel, and before their interpolation to the image's size; sizes that no stride divides.
#[test]
fn segmentation_networks_agree_with_candle() {
    let small = Config::from(Variant::HarDNet39Ds).with_decoder(Decoder::new(5, false));
    let configs = SegmentationVariant::ALL.map(Config::from).into_iter().chain([small]);
    for config in configs {
        let network = candle(&config);
        for (height, width, count) in [(64, 96, 1), (97, 75, 2), (66, 131, 1)] {
            let images = images(&config, count, height, width);
            let tensor = Tensor::from_vec(images.concat(), (count, 3, height, width), &Device::Cpu).unwrap();
            let modules = network.graph().modules().len();
            let maps = network.module_outputs(&tensor, &[modules - 2, modules - 1]).unwrap();
            let values = |at: usize| maps[at].flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let mut plan = Plan::new(&config, &Synthetic, &options(height, width, 2)).unwrap();
            let whole = relative(&plan.run(&images).unwrap(), &values(1));
            let low = Graph::new(&config).unwrap().without_final_upsampling();
            let mut plan = Plan::from_graph(&low, &Synthetic, &options(height, width, 2)).unwrap();
            let quarter = relative(&plan.run(&images).unwrap(), &values(0));
            let name = config.published_name();
            assert!(whole < 1e-4 && quarter < 1e-4, "{name:?} {height}x{width}: {whole} and {quarter}");
        }
    }
}

#[test]
fn segmentation_does_not_depend_on_threads() {
    for variant in SegmentationVariant::ALL {
        let config = Config::from(variant);
        let images = images(&config, 1, 97, 130);
        let run = |threads| {
            Plan::new(&config, &Synthetic, &options(97, 130, 1).threads(threads)).unwrap().run(&images).unwrap()
        };
        let alone = run(1);
        for threads in [2, 3, 5] {
            assert!(run(threads) == alone, "{variant}: {threads} threads");
        }
    }
}

/// Values that are no numbers, infinities and denormals in an image: the reference's class of answer, and no effect on
/// others.
#[test]
fn strange_values_stay_with_their_image() {
    for variant in [Variant::HarDNet39Ds, Variant::HarDNet68] {
        let config = Config::from(variant).with_classes(10);
        let network = candle(&config);
        let mut images = images(&config, 5, 64, 64);
        let middle = 32 * 64 + 32;
        images[1][middle] = f32::NAN;
        images[2][middle] = f32::INFINITY;
        images[3].fill(1e-40);
        let tensor = Tensor::from_vec(images.concat(), (5, 3, 64, 64), &Device::Cpu).unwrap();
        let expected = network.forward(&tensor).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let found = Plan::new(&config, &Synthetic, &options(64, 64, 3)).unwrap().run(&images).unwrap();
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.is_nan(), expected.is_nan(), "{variant} image {} logit {}", at / 10, at % 10);
            assert!(found.is_nan() || (found - expected).abs() < 2e-4, "{variant} image {}", at / 10);
        }
    }
}

/// Every variant at sizes from 33 to 321 and batches from 1 to 9, in both paddings of the stem: minutes, so not by
/// default.
#[test]
#[ignore = "minutes long; after a change of kernels: cargo test -p hardnet-model --test plan -- --ignored"]
fn sweep_of_sizes_and_batches() {
    let mut greatest = 0_f32;
    for variant in Variant::ALL {
        for padding in [StemPadding::Symmetric, StemPadding::TopLeft] {
            let config = Config::from(variant).with_stem_padding(padding).with_classes(11);
            let network = candle(&config);
            for (at, side) in (33..=321).step_by(32).enumerate() {
                let (height, width, count) = (side, 33 + (side * 7) % 289, at % 9 + 1);
                let worst = difference(&config, &network, &options(height, width, count.min(4)), count);
                assert!(worst < 2e-4, "{variant} {padding:?} {height}x{width} {count} images: {worst}");
                greatest = greatest.max(worst);
            }
        }
    }
    assert!(greatest > 0.0);
}

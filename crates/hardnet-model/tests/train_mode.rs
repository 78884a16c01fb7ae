//! Training mode against PyTorch in float64: two small networks that have every operation of the published ones, and a
//! step of each of those.

use candle_core::{DType, ModuleT, Tensor};
use candle_nn::{VarBuilder, VarMap};
use hardnet_model::{BlockConfig, Config, HarDNet, Head, Isa, ParamKind, Variant};
use hardnet_params::synthetic;
use hardnet_testing::device::device;
use hardnet_testing::golden::{TrainMode, smooth_step, train_mode, train_step};

/// The instruction set that `HARDNET_ISA` forces, so that each can be tested.
fn isa() -> Isa {
    Isa::from_environment().unwrap()
}

/// The networks of `tests/golden/train_mode.py`.
fn config(variant: Variant) -> Config {
    let mut config = Config::from(variant);
    config.stem.convs[0].channels = 8;
    config.stem.convs[1].channels = 16;
    let block = |layers, growth, multiplier, transition, downsample| BlockConfig {
        layers,
        growth,
        multiplier,
        dropout: None,
        transition,
        downsample,
    };
    config.blocks = vec![block(4, 6, 1.7, 24, true), block(5, 8, 1.6, 32, false)];
    config.head = Some(Head { classes: 5, dropout: 0.0 });
    config
}

/// How far logits, the loss and, relative to what is above 1, norms of gradients may lie from PyTorch's in f64.
struct Tolerance {
    logits: f32,
    loss: f64,
    norms: f64,
}

const TIGHT: Tolerance = Tolerance { logits: 1e-4, loss: 1e-5, norms: 1e-4 };

/// For deep networks without depthwise layers, where norms jump by one flip: rounding moves a value across a bound of
/// ReLU6, or the maximum of a window to another pixel, and a gradient is passed on or not. By
/// `tests/training/step_noise.py`, in PyTorch's f64 images changed by 1e-6 of their values move a norm by up to 1.2e-2,
/// or by 1e-6, and PyTorch's f32 lies by the number of threads 1.8e-3 or 7.4e-3 from its f64; this project's lies up to
/// 2.5e-2. How exactly sums are computed shows in the steps of [`SMOOTH`].
const DEEP: Tolerance = Tolerance { logits: 3e-4, loss: 5e-5, norms: 5e-2 };

/// Values of a network's parameters.
type Values = fn(&str, &[usize]) -> Vec<f32>;

/// Those of `tests/training/train_step.py --smooth`: normalizations keep every value far from the bounds of ReLU6.
fn smooth(name: &str, shape: &[usize]) -> Vec<f32> {
    let more = match name.rsplit_once("norm.").map(|(_, last)| last) {
        Some("weight") => 0.0,
        Some("bias") => 3.0,
        _ => return synthetic::values(name, shape),
    };
    synthetic::values(name, shape).into_iter().map(|value| value * 0.375 + more).collect()
}

/// Without flips norms lie up to 7.0e-5 from PyTorch's f64 (hardnet85), those of the other networks up to 1.8e-5.
const SMOOTH: Tolerance = Tolerance { logits: 1e-4, loss: 1e-5, norms: 1.5e-4 };

fn assert_parity(
    config: &Config,
    (side, values): (usize, Values),
    name: &str,
    expected: &TrainMode,
    tolerance: &Tolerance,
) {
    let device = device();
    let parameters = VarMap::new();
    let network =
        HarDNet::new(config, VarBuilder::from_varmap(&parameters, DType::F32, &device)).unwrap().with_isa(isa());
    let params = network.graph().params();
    for param in &params {
        let values = Tensor::from_vec(values(&param.name, &param.shape), &param.shape[..], &device).unwrap();
        parameters.data().lock().unwrap()[&param.name].set(&values).unwrap();
    }
    let shape = [4, 3, side, side];
    let images = Tensor::from_vec(synthetic::values("x", &shape), &shape, &device).unwrap();

    let logits = network.forward_t(&images, true).unwrap();
    let found = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(found.len(), expected.logits.len());
    for (found, expected) in found.iter().zip(&expected.logits) {
        assert!((found - expected).abs() < tolerance.logits, "{name}: logit {found} is not {expected}");
    }
    let labels = Tensor::new(&[0u32, 1, 2, 3], &device).unwrap();
    let loss = candle_nn::loss::cross_entropy(&logits, &labels).unwrap();
    let loss_found = f64::from(loss.to_scalar::<f32>().unwrap());
    assert!((loss_found - expected.loss).abs() < tolerance.loss, "{name}: loss {loss_found} is not {}", expected.loss);

    let gradients = loss.backward().unwrap();
    let variables = parameters.data().lock().unwrap();
    for param in &params {
        let variable = &variables[&param.name];
        let (found, expected, tolerance) = match param.kind {
            ParamKind::RunningMean | ParamKind::RunningVar => {
                let sum = variable.sum_all().unwrap().to_scalar::<f32>().unwrap();
                (f64::from(sum), expected.running_sums[&param.name], TIGHT.norms)
            }
            _ => {
                let gradient = gradients.get(variable).unwrap_or_else(|| panic!("no gradient for {}", param.name));
                let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
                (f64::from(norm), expected.gradient_norms[&param.name], tolerance.norms)
            }
        };
        let tolerance = tolerance * expected.abs().max(1.0);
        assert!((found - expected).abs() < tolerance, "{name}: {} has {found}, not {expected}", param.name);
    }
}

#[test]
fn dense_network_agrees_with_pytorch() {
    assert_parity(&config(Variant::HarDNet68), (32, synthetic::values), "dense", &train_mode("dense"), &TIGHT);
}

#[test]
fn depthwise_network_agrees_with_pytorch() {
    assert_parity(
        &config(Variant::HarDNet39Ds),
        (32, synthetic::values),
        "depthwise",
        &train_mode("depthwise"),
        &TIGHT,
    );
}

fn assert_step(variant: Variant) {
    let mut config = Config::from(variant).with_classes(10);
    for block in &mut config.blocks {
        block.dropout = block.dropout.map(|_| 0.0);
    }
    config.head = Some(Head { classes: 10, dropout: 0.0 });
    let tolerance = if config.depthwise { TIGHT } else { DEEP };
    assert_parity(&config, (64, synthetic::values), variant.name(), &train_step(variant.name()), &tolerance);
    assert_parity(&config, (64, smooth), variant.name(), &smooth_step(variant.name()), &SMOOTH);
}

#[test]
fn a_step_of_hardnet39ds_agrees_with_pytorch() {
    assert_step(Variant::HarDNet39Ds);
}

#[test]
fn a_step_of_hardnet68ds_agrees_with_pytorch() {
    assert_step(Variant::HarDNet68Ds);
}

#[test]
fn a_step_of_hardnet68_agrees_with_pytorch() {
    assert_step(Variant::HarDNet68);
}

#[test]
fn a_step_of_hardnet85_agrees_with_pytorch() {
    assert_step(Variant::HarDNet85);
}

/// Dropout changes training-mode logits from one call to the next, and evaluation not at all.
#[test]
fn dropout_is_for_training_only() {
    let mut config = config(Variant::HarDNet85);
    config.head = Some(Head { classes: 5, dropout: 0.5 });
    let parameters = VarMap::new();
    let vb = VarBuilder::from_varmap(&parameters, DType::F32, &device());
    let network = HarDNet::new(&config, vb).unwrap().with_isa(isa());
    let images = Tensor::from_vec(synthetic::values("x", &[2, 3, 32, 32]), &[2, 3, 32, 32], &device()).unwrap();
    let run = |train| network.forward_t(&images, train).unwrap().to_vec2::<f32>().unwrap();
    assert_ne!(run(true), run(true));
    assert_eq!(run(false), run(false));
}

/// A seed repeats its dropout to the last bit, and another seed does not.
#[test]
fn seeded_dropout_is_repeated() {
    let mut config = config(Variant::HarDNet85);
    config.head = Some(Head { classes: 5, dropout: 0.5 });
    let parameters = VarMap::new();
    let network =
        HarDNet::new(&config, VarBuilder::from_varmap(&parameters, DType::F32, &device())).unwrap().with_isa(isa());
    let images = Tensor::from_vec(synthetic::values("x", &[2, 3, 32, 32]), &[2, 3, 32, 32], &device()).unwrap();
    let run = |seed| network.forward_train(&images, seed).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

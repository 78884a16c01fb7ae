//! The segmentation networks on Candle against PyTorch and PaddleSeg in float64: synthetic weights, synthetic images.

use std::collections::HashMap;

use candle_core::{DType, Device, ModuleT, Tensor};
use candle_nn::{VarBuilder, VarMap};
use hardnet_model::{Config, HarDNet, ParamKind, SegmentationVariant};
use hardnet_params::synthetic;
use serde_json::Value;

fn network(config: &Config, dtype: DType) -> HarDNet {
    let tensors: HashMap<String, Tensor> = synthetic::parameters(config)
        .unwrap()
        .into_iter()
        .map(|(name, shape, values)| {
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            (name, tensor)
        })
        .collect();
    HarDNet::new(config, VarBuilder::from_tensors(tensors, dtype, &Device::Cpu)).unwrap()
}

fn image(height: usize, width: usize, dtype: DType) -> Tensor {
    let shape = [1, 3, height, width];
    Tensor::from_vec(synthetic::values("x", &shape), &shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn reference(variant: SegmentationVariant) -> Value {
    serde_json::from_str(match variant {
        SegmentationVariant::FcHarDNet70 => include_str!("../../../tests/segmentation/upstream.json"),
        _ => include_str!("../../../tests/segmentation/paddleseg.json"),
    })
    .expect("it is JSON")
}

/// The greatest difference of the network's results from those of the reference.
fn difference(variant: SegmentationVariant, dtype: DType) -> f64 {
    let network = network(&variant.into(), dtype);
    let mut worst: f64 = 0.0;
    for run in reference(variant)["runs"].as_array().unwrap() {
        let number = |value: &Value| value.as_f64().expect("a number");
        let (height, width) = (number(&run["size"][0]) as usize, number(&run["size"][1]) as usize);
        let positions: Vec<usize> = (0..network.graph().modules().len()).collect();
        let maps = network.module_outputs(&image(height, width, dtype), &positions).unwrap();
        for (map, (module, expected)) in
            maps.iter().zip(network.graph().modules().iter().zip(run["modules"].as_array().unwrap()))
        {
            assert_eq!(module.name, expected["module"].as_str().unwrap());
            let map = map.to_dtype(DType::F64).unwrap();
            let statistic = |tensor: candle_core::Result<Tensor>| tensor.unwrap().to_scalar::<f64>().unwrap();
            for (key, found) in [
                ("mean", statistic(map.mean_all())),
                ("abs_mean", statistic(map.abs().and_then(|map| map.mean_all()))),
                ("max", statistic(map.max_all())),
            ] {
                let difference = (found - number(&expected[key])).abs();
                assert!(difference < 1e-4, "{} {key} at {height}x{width}: {difference}", module.name);
                worst = worst.max(difference);
            }
        }
        let logits = maps.last().unwrap().to_dtype(DType::F64).unwrap().squeeze(0).unwrap();
        assert_eq!(logits.dims(), [19, height, width]);
        let logits: Vec<Vec<Vec<f64>>> = logits.to_vec3().unwrap();
        let pixels = (0..4).flat_map(|row| (0..4).map(move |column| (row, column)));
        for ((row, column), expected) in pixels.zip(run["pixels"].as_array().unwrap()) {
            let (y, x) = (row * (height - 1) / 3, column * (width - 1) / 3);
            for (class, expected) in expected.as_array().unwrap().iter().enumerate() {
                worst = worst.max((logits[class][y][x] - number(expected)).abs());
            }
        }
    }
    worst
}

/// Stored logits have seven places.
#[test]
fn fc_hardnet_agrees_with_pytorch() {
    let exact = difference(SegmentationVariant::FcHarDNet70, DType::F64);
    assert!(exact < 1e-7, "{exact}");
    let single = difference(SegmentationVariant::FcHarDNet70, DType::F32);
    assert!(single < 1e-4, "{single}");
}

/// Paddle computes the weights of an interpolation in f32, also for maps in f64.
#[test]
fn paddlesegs_network_agrees_with_paddle() {
    let exact = difference(SegmentationVariant::PaddleSeg, DType::F64);
    assert!(exact < 2e-5, "{exact}");
    let single = difference(SegmentationVariant::PaddleSeg, DType::F32);
    assert!(single < 1e-4, "{single}");
}

#[test]
fn images_of_a_batch_do_not_touch_each_other() {
    let network = network(&SegmentationVariant::FcHarDNet70.into(), DType::F32);
    let shape = [2, 3, 65, 70];
    let images = Tensor::from_vec(synthetic::values("x", &shape), &shape, &Device::Cpu).unwrap();
    let both = network.forward(&images).unwrap();
    for at in 0..2 {
        let alone = network.forward(&images.narrow(0, at, 1).unwrap()).unwrap();
        let difference = (both.narrow(0, at, 1).unwrap() - alone).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-4);
    }
}

/// A step of the whole network: the loss of every pixel that is not ignored, gradients and running statistics, by
/// `tests/segmentation/train_step.py`. In f64, on Candle, they are PyTorch's; in f32, by the kernels, a value may fall
/// on the other side of zero, and PyTorch's own differ by 1.3 %.
#[test]
fn a_step_agrees_with_pytorch() {
    let expected: Value =
        serde_json::from_str(include_str!("../../../tests/segmentation/train_step.json")).expect("it is JSON");
    let (height, width, classes) = (65, 97, 19);
    for (expected, dtype, tolerance) in [(&expected[0], DType::F64, 1e-6), (&expected[1], DType::F32, 3e-2)] {
        let batch = expected["batch"].as_u64().unwrap() as usize;
        let config = Config::from(SegmentationVariant::FcHarDNet70);
        let parameters = VarMap::new();
        let network = HarDNet::new(&config, VarBuilder::from_varmap(&parameters, dtype, &Device::Cpu)).unwrap();
        let params = network.graph().params();
        for param in &params {
            let values = synthetic::values(&param.name, &param.shape);
            let values = Tensor::from_vec(values, &param.shape[..], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            parameters.data().lock().unwrap()[&param.name].set(&values).unwrap();
        }
        let shape = [batch, 3, height, width];
        let images = Tensor::from_vec(synthetic::values("x", &shape), &shape, &Device::Cpu).unwrap();
        let logits = network.forward_t(&images.to_dtype(dtype).unwrap(), true).unwrap();
        assert_eq!(logits.dims(), [batch, classes, height, width]);
        let pixels = (0..batch).flat_map(|n| (0..height * width).map(move |at| (n, at)));
        let kept = pixels.enumerate().filter(|(_, (_, at))| at % 11 != 10);
        let (index, labels): (Vec<u32>, Vec<u32>) = kept
            .map(|(pixel, (n, at))| (pixel as u32, ((3 * (at / width) + 5 * (at % width) + 7 * n) % classes) as u32))
            .unzip();
        let rows = logits.permute((0, 2, 3, 1)).unwrap().reshape(((), classes)).unwrap().contiguous().unwrap();
        let count = index.len();
        let rows = rows.index_select(&Tensor::from_vec(index, count, &Device::Cpu).unwrap(), 0).unwrap();
        let labels = Tensor::from_vec(labels, count, &Device::Cpu).unwrap();
        let loss = candle_nn::loss::cross_entropy(&rows, &labels).unwrap();
        let scalar = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap();
        let loss_expected = expected["loss"].as_f64().unwrap();
        assert!((scalar(&loss) - loss_expected).abs() < 1e-5, "{dtype:?}: {} is not {loss_expected}", scalar(&loss));

        let gradients = loss.backward().unwrap();
        let variables = parameters.data().lock().unwrap();
        for param in &params {
            let variable = &variables[&param.name];
            let (found, table) = match param.kind {
                ParamKind::RunningMean | ParamKind::RunningVar => {
                    (scalar(&variable.sum_all().unwrap()), "running_sums")
                }
                _ => {
                    let gradient = gradients.get(variable).unwrap_or_else(|| panic!("no gradient for {}", param.name));
                    (scalar(&gradient.sqr().unwrap().sum_all().unwrap()).sqrt(), "gradient_norms")
                }
            };
            let expected = expected[table][&param.name].as_f64().expect("a number");
            let difference = (found - expected).abs() / expected.abs().max(1e-3);
            assert!(difference < tolerance, "{dtype:?}: {} has {found}, not {expected}", param.name);
        }
    }
}

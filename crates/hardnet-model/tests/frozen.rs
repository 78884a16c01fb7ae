//! The last modules in training mode on the maps of frozen ones in evaluation mode, against PyTorch in float64:
//! `tests/golden/frozen.py`.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use hardnet_model::{BlockConfig, Config, HarDNet, Head, Isa, Variant};
use hardnet_params::synthetic;
use serde_json::Value;

/// The networks of `tests/golden/train_mode.py`.
fn config(depthwise: bool) -> Config {
    let mut config = Config::from(if depthwise { Variant::HarDNet39Ds } else { Variant::HarDNet68 });
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

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// One run of the table in f64 by Candle's operations, or in f32 by the kernels where they can.
fn check(case: &Value, dtype: DType, tolerance: f64) {
    let frozen = case["frozen"].as_u64().unwrap() as usize;
    let what = format!("{} modules frozen, depthwise {}, {dtype:?}", frozen, case["depthwise"]);
    let parameters = VarMap::new();
    let builder = VarBuilder::from_varmap(&parameters, dtype, &Device::Cpu);
    let network = HarDNet::new(&config(case["depthwise"].as_bool().unwrap()), builder).unwrap();
    let network = network.with_isa(Isa::from_environment().unwrap());
    let values = |name: &str, shape: &[usize]| {
        let values = Tensor::from_vec(synthetic::values(name, shape), shape, &Device::Cpu).unwrap();
        values.to_dtype(dtype).unwrap()
    };
    let params = network.graph().params();
    let variable = |name: &str| -> Var { parameters.data().lock().unwrap()[name].clone() };
    for param in &params {
        variable(&param.name).set(&values(&param.name, &param.shape)).unwrap();
    }
    let images = values("x", &[4, 3, 32, 32]);
    let output = network.module_outputs(&images, &[frozen - 1]).unwrap().remove(0).detach();
    let logits = network.forward_train_after(frozen - 1, &output, 0).unwrap();
    let close = |found: f64, expected: f64, name: &str| {
        let error = (found - expected).abs() / expected.abs().max(1.0);
        assert!(error < tolerance, "{what}: {name} is {found}, not {expected}");
    };
    let sum = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
    let found = logits.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
    let expected = numbers(&case["logits"]);
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(&found, expected)| close(found, expected, "a logit"));
    let labels = Tensor::new(&[0u32, 1, 2, 3], &Device::Cpu).unwrap();
    let loss = candle_nn::loss::cross_entropy(&logits, &labels).unwrap();
    close(sum(&loss), case["loss"].as_f64().unwrap(), "the loss");
    let gradients = loss.backward().unwrap();
    for param in &params {
        let variable = variable(&param.name);
        match (param.kind.is_trained(), case["gradient_norms"].get(&param.name)) {
            (true, Some(norm)) => {
                let gradient =
                    gradients.get(&variable).unwrap_or_else(|| panic!("{what}: no gradient of {}", param.name));
                close(sum(&gradient.sqr().unwrap()).sqrt(), norm.as_f64().unwrap(), &param.name);
            }
            (true, None) => assert!(gradients.get(&variable).is_none(), "{what}: {} is frozen", param.name),
            (false, _) => {
                close(sum(&variable), case["running_sums"][&param.name].as_f64().unwrap(), &param.name);
                let before = values(&param.name, &param.shape);
                let same = sum(&(variable.as_tensor() - before).unwrap().abs().unwrap()) == 0.0;
                let module = network.graph().modules().iter().position(|module| module.nodes.contains(&param.node));
                assert_eq!(same, module.unwrap() < frozen, "{what}: {}", param.name);
            }
        }
    }
}

#[test]
fn modules_behind_frozen_ones_train_as_in_pytorch() {
    let table: Value = serde_json::from_str(include_str!("../../../tests/golden/frozen.json")).unwrap();
    assert_eq!(table.as_array().unwrap().len(), 8);
    for case in table.as_array().unwrap() {
        check(case, DType::F64, 1e-6);
        check(case, DType::F32, 2e-4);
    }
}

#[test]
fn maps_of_another_module_are_refused() {
    let parameters = VarMap::new();
    let builder = VarBuilder::from_varmap(&parameters, DType::F32, &Device::Cpu);
    let network = HarDNet::new(&config(false), builder).unwrap();
    let map = Tensor::zeros((2, 3, 8, 8), DType::F32, &Device::Cpu).unwrap();
    for (module, message) in [(1, "`base.1` gives 16 channels"), (99, "the network has ")] {
        let error = network.forward_train_after(module, &map, 0).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

//! Parts of a batch with the statistics of the whole, by Candle's operations and by programs of the CPU. The oracle is
//! the whole batch by Candle's operations in f64, which are those of one device, with Candle's own normalization.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use hardnet_model::{BlockConfig, Config, HarDNet, Head, Isa, ParamInfo, Variant};
use hardnet_params::synthetic;

#[path = "../../hardnet-kernels/tests/training/part.rs"]
mod part;
use part::Part;

const SIZE: (usize, usize) = (36, 44);

/// A small network of a `variant`, without dropout, which is another for each part.
fn config(variant: Variant) -> Config {
    let mut config = Config::from(variant);
    config.stem.convs[0].channels = 5;
    config.stem.convs[1].channels = 9;
    let block = |layers, growth, transition, downsample| {
        let multiplier = 1.6;
        BlockConfig { layers, growth, multiplier, dropout: None, transition, downsample }
    };
    config.blocks = vec![block(3, 4, 10, true), block(4, 6, 12, false)];
    config.head = Some(Head { classes: 5, dropout: 0.0 });
    config
}

/// The values of all parameters after a pass: gradients, or running statistics.
type Values = Vec<Vec<f64>>;

/// What the sum of all outputs, each with a weight of its own, gives for a batch in parts of so many images.
fn run(config: &Config, dtype: DType, sizes: &[usize]) -> (Vec<f64>, Vec<ParamInfo>, Values) {
    let all = VarMap::new();
    let params = hardnet_model::Graph::new(config).unwrap().params();
    for param in &params {
        let values = Tensor::from_vec(synthetic::values(&param.name, &param.shape), &param.shape[..], &Device::Cpu);
        let variable = Var::from_tensor(&values.unwrap().to_dtype(dtype).unwrap()).unwrap();
        all.data().lock().unwrap().insert(param.name.clone(), variable);
    }
    let isa = Isa::from_environment().unwrap();
    let network = HarDNet::new(config, VarBuilder::from_varmap(&all, dtype, &Device::Cpu)).unwrap().with_isa(isa);
    let count = sizes.iter().sum();
    let tensor = |name: &str, shape: &[usize]| {
        Tensor::from_vec(synthetic::values(name, shape), shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    };
    let (images, weights) = (tensor("x", &[count, 3, SIZE.0, SIZE.1]), tensor("y", &[count, 5]));
    let batch = Part::of_batch(sizes.len(), count);
    let part = |number: usize| {
        let (first, own) = (sizes[..number].iter().sum(), sizes[number]);
        let network = match sizes.len() {
            1 => network.clone(),
            _ => network.clone().with_part(batch[number].clone()),
        };
        let outputs = network.forward_train(&images.narrow(0, first, own).unwrap(), 0).unwrap();
        let loss = (&outputs * weights.narrow(0, first, own).unwrap()).unwrap().sum_all().unwrap();
        let of =
            |values: &Tensor| values.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        let gradients = loss.backward().unwrap();
        let gradients = params
            .iter()
            .filter(|param| param.kind.is_trained())
            .map(|param| of(gradients.get(&all.data().lock().unwrap()[&param.name]).unwrap()));
        (of(&outputs), gradients.collect::<Values>())
    };
    let parts: Vec<(Vec<f64>, Values)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..sizes.len())
            .map(|number| {
                let part = &part;
                scope.spawn(move || part(number))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let outputs = parts.iter().flat_map(|(outputs, _)| outputs.clone()).collect();
    let mut sums = parts
        .into_iter()
        .map(|(_, gradients)| gradients)
        .reduce(|mut sums, gradients| {
            let both = sums.iter_mut().flatten().zip(gradients.iter().flatten());
            both.for_each(|(sum, value)| *sum += value);
            sums
        })
        .unwrap()
        .into_iter();
    let values = params.iter().map(|param| match param.kind.is_trained() {
        true => sums.next().unwrap(),
        false => {
            let running = all.data().lock().unwrap()[&param.name].as_detached_tensor();
            running.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
        }
    });
    let values = values.collect();
    (outputs, params, values)
}

fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let scale = expected.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance * scale, "{what}: {found}, expected {expected}");
    }
}

#[test]
fn parts_have_the_gradients_of_the_whole() {
    for variant in [Variant::HarDNet68, Variant::HarDNet39Ds] {
        let config = config(variant);
        let (outputs, params, values) = run(&config, DType::F64, &[5]);
        for sizes in [&[2, 3][..], &[2, 1, 2]] {
            for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
                let (found, _, found_values) = run(&config, dtype, sizes);
                close(&found, &outputs, tolerance, "output");
                for ((param, found), expected) in params.iter().zip(found_values).zip(&values) {
                    close(&found, expected, tolerance, &format!("{} in {dtype:?}, parts of {sizes:?}", param.name));
                }
            }
        }
    }
}

//! Gradients of the network on Candle's operations against central differences in f64, and of the CPU's training
//! program against those.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, ModuleT, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use hardnet_model::{
    Activation, Backbone, BlockConfig, BlockSpec, Config, Downsample, GradientObserver, Graph, HarDBlock, HarDNet,
    Head, Isa, ParamInfo, StemPadding, TapKind, Taps, Variant,
};
use hardnet_params::synthetic;

/// The instruction set that `HARDNET_ISA` forces, so that each can be tested.
fn isa() -> Isa {
    Isa::from_environment().unwrap()
}

/// A small network with every operation of `variant`'s.
fn config(variant: Variant) -> Config {
    let mut config = Config::from(variant);
    config.stem.convs[0].channels = 5;
    config.stem.convs[1].channels = 9;
    let block = |layers, growth, transition, downsample, dropout| {
        let multiplier = 1.6;
        BlockConfig { layers, growth, multiplier, dropout, transition, downsample }
    };
    config.blocks = vec![block(3, 4, 10, true, None), block(4, 6, 12, false, Some(0.25))];
    config.head = Some(Head { classes: 5, dropout: 0.3 });
    config
}

/// Parameters that are synthetic.
fn parameters(params: &[ParamInfo], dtype: DType) -> VarMap {
    let parameters = VarMap::new();
    for param in params {
        let values = Tensor::from_vec(synthetic::values(&param.name, &param.shape), &param.shape[..], &Device::Cpu);
        let variable = Var::from_tensor(&values.unwrap().to_dtype(dtype).unwrap()).unwrap();
        parameters.data().lock().unwrap().insert(param.name.clone(), variable);
    }
    parameters
}

fn images(batch: usize, height: usize, width: usize, dtype: DType) -> Tensor {
    let shape = [batch, 3, height, width];
    let values = synthetic::values("x", &shape);
    Tensor::from_vec(values, &shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// A loss with a different share of every output.
fn loss(outputs: &[Tensor]) -> Tensor {
    let parts = outputs.iter().map(|output| {
        let weights = synthetic::values("x", output.dims());
        let weights = Tensor::from_vec(weights, output.shape(), output.device()).unwrap();
        (output * weights.to_dtype(output.dtype()).unwrap()).unwrap().sum_all().unwrap()
    });
    parts.reduce(|sum, part| (sum + part).unwrap()).unwrap()
}

/// Central differences of `loss` by some values of every trained parameter agree with `gradients`.
fn check_differences(params: &[ParamInfo], all: &VarMap, gradients: &GradStore, loss: impl Fn() -> f64) {
    const STEP: f64 = 1e-6;
    for param in params.iter().filter(|param| param.kind.is_trained()) {
        let variable = all.data().lock().unwrap()[&param.name].clone();
        let gradient = gradients.get(&variable).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let values = variable.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for at in (0..values.len()).step_by(values.len() / 3 + 1) {
            let shifted = |by: f64| {
                let mut values = values.clone();
                values[at] += by;
                variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
                loss()
            };
            let difference = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
            shifted(0.0);
            let error = (difference - gradient[at]).abs();
            assert!(
                error < 1e-5 * gradient[at].abs().max(1.0),
                "{} {at}: {} is not {difference}",
                param.name,
                gradient[at]
            );
        }
    }
}

/// The gradients of a program's pass agree with those of Candle's operations in f64.
fn check_program(params: &[ParamInfo], exact: &VarMap, gradients: &GradStore, found: &VarMap, program: &GradStore) {
    for param in params {
        let of = |all: &VarMap, store: &GradStore| {
            let variable = all.data().lock().unwrap()[&param.name].clone();
            let values = if param.kind.is_trained() { store.get(&variable).unwrap() } else { variable.as_tensor() };
            values.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
        };
        let (expected, found) = (of(exact, gradients), of(found, program));
        let scale = expected.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4 * scale, "{}: {found} is not {expected}", param.name);
        }
    }
}

/// Both, for a classifier with dropout.
fn check_classifier(config: &Config, (height, width): (usize, usize)) {
    let params = Graph::new(config).unwrap().params();
    let make = |dtype| {
        let all = parameters(&params, dtype);
        let network = HarDNet::new(config, VarBuilder::from_varmap(&all, dtype, &Device::Cpu)).unwrap().with_isa(isa());
        (all, network)
    };
    let run = |network: &HarDNet, dtype| loss(&[network.forward_train(&images(3, height, width, dtype), 3).unwrap()]);
    let (exact, network) = make(DType::F64);
    let exact_loss = run(&network, DType::F64);
    let gradients = exact_loss.backward().unwrap();
    let (found, fast) = make(DType::F32);
    let found_loss = run(&fast, DType::F32);
    let program = found_loss.backward().unwrap();
    let (expected, loss) = (exact_loss.to_scalar::<f64>().unwrap(), found_loss.to_scalar::<f32>().unwrap());
    assert!((f64::from(loss) - expected).abs() < 1e-4 * expected.abs().max(1.0), "{loss} is not {expected}");
    check_program(&params, &exact, &gradients, &found, &program);
    check_differences(&params, &exact, &gradients, || run(&network, DType::F64).to_scalar::<f64>().unwrap());
}

#[test]
fn dense_network() {
    check_classifier(&config(Variant::HarDNet68), (36, 44));
}

#[test]
fn depthwise_network() {
    check_classifier(&config(Variant::HarDNet39Ds), (36, 44));
}

#[test]
fn odd_sizes_with_other_padding_and_activation() {
    for variant in [Variant::HarDNet68, Variant::HarDNet39Ds] {
        let mut config = config(variant).with_stem_padding(StemPadding::TopLeft);
        config.activation = Activation::Relu;
        check_classifier(&config, (37, 45));
    }
}

#[test]
fn average_pools() {
    let mut config = config(Variant::HarDNet68);
    config.downsample = Downsample::AveragePool;
    check_classifier(&config, (36, 44));
}

/// Several maps as outputs, some of which other layers read.
#[test]
fn maps_of_a_backbone() {
    let config = config(Variant::HarDNet68).without_head();
    let taps = Taps::Strides(vec![4, 8], TapKind::Block);
    let run = |dtype| {
        let all = parameters(&Graph::new(&config).unwrap().params(), dtype);
        let backbone =
            Backbone::new(&config, &taps, VarBuilder::from_varmap(&all, dtype, &Device::Cpu)).unwrap().with_isa(isa());
        let maps = backbone.features_t(&images(2, 36, 44, dtype), true).unwrap();
        let dims: Vec<_> = maps.iter().map(|map| map.dims().to_vec()).collect();
        let gradients = loss(&maps).backward().unwrap();
        (all, backbone.graph().params(), dims, gradients)
    };
    let (exact, params, dims, gradients) = run(DType::F64);
    let (found, _, found_dims, program) = run(DType::F32);
    assert_eq!(dims, found_dims);
    check_program(&params, &exact, &gradients, &found, &program);
}

/// A block by itself reads a map, whose gradient the program does not give: Candle's operations do.
#[test]
fn inputs_that_are_variables_have_gradients() {
    let spec = BlockSpec::new(6, 4, 4).multiplier(1.6);
    let all = VarMap::new();
    let block = HarDBlock::new(&spec, VarBuilder::from_varmap(&all, DType::F32, &Device::Cpu)).unwrap().with_isa(isa());
    let input = Var::from_tensor(&Tensor::randn(0f32, 1.0, (2, 6, 7, 8), &Device::Cpu).unwrap()).unwrap();
    let gradients = loss(&[block.forward_t(input.as_tensor(), true).unwrap()]).backward().unwrap();
    assert_eq!(gradients.get(&input).unwrap().dims(), [2, 6, 7, 8]);
}

/// Two passes whose gradients are computed together do not share maps.
#[test]
fn passes_that_live_together_are_apart() {
    let config = config(Variant::HarDNet39Ds);
    let params = Graph::new(&config).unwrap().params();
    let all = parameters(&params, DType::F32);
    let network =
        HarDNet::new(&config, VarBuilder::from_varmap(&all, DType::F32, &Device::Cpu)).unwrap().with_isa(isa());
    let pass = |batch| network.forward_train(&images(batch, 36, 44, DType::F32), batch as u64).unwrap();
    let name = "base.0.conv.weight";
    let weight = all.data().lock().unwrap()[name].clone();
    let of = |loss: Tensor| loss.backward().unwrap().get(&weight).unwrap().clone();
    let (one, two) = (of(loss(&[pass(2)])), of(loss(&[pass(3)])));
    let both = of(loss(&[pass(2), pass(3)]));
    let difference = (both - (one + two).unwrap()).unwrap().abs().unwrap().max_all().unwrap();
    assert!(difference.to_scalar::<f32>().unwrap() < 1e-3);
}

/// Keeps what it takes.
#[derive(Debug, Default)]
struct Taken(Mutex<Vec<(Range<usize>, Vec<f32>)>>);

impl GradientObserver for Taken {
    fn take(&self, range: Range<usize>, gradients: &[f32]) {
        self.0.lock().unwrap().push((range, gradients.to_vec()));
    }
}

#[test]
fn an_observer_takes_the_gradients_of_all_parameters_from_the_last_to_the_first() {
    for variant in [Variant::HarDNet68, Variant::HarDNet39Ds] {
        let config = config(variant);
        let params = Graph::new(&config).unwrap().params();
        let all = parameters(&params, DType::F32);
        let taken = Arc::new(Taken::default());
        let network = HarDNet::new(&config, VarBuilder::from_varmap(&all, DType::F32, &Device::Cpu)).unwrap();
        let network = network.with_isa(isa()).with_gradient_observer(taken.clone());
        let gradients = loss(&[network.forward_train(&images(3, 36, 44, DType::F32), 3).unwrap()]).backward().unwrap();
        let all = all.data().lock().unwrap();
        let trained = params.iter().filter(|param| param.kind.is_trained());
        let values = trained.flat_map(|param| {
            let gradient = gradients.get(&all[&param.name]).unwrap();
            gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        });
        let values: Vec<f32> = values.collect();
        let taken = taken.0.lock().unwrap();
        assert!(taken.len() > 3, "{} times", taken.len());
        let mut first = values.len();
        for (range, gradients) in taken.iter() {
            assert_eq!(range.end, first);
            assert_eq!(values[range.clone()], gradients[..]);
            first = range.start;
        }
        assert_eq!(first, 0);
    }
}

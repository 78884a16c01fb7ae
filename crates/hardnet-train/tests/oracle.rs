//! Optimizer, loss, clipping and schedules against PyTorch's, whose numbers `torch/optim.py` wrote.

use candle_core::{Device, Tensor, Var};
use hardnet_train::{LrDecay, LrInterval, Schedule, Sgd, Warmup, clip_factor, cross_entropy};
use serde_json::Value;

fn table() -> Value {
    serde_json::from_str(include_str!("torch/optim.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// `count` multiples of 2^-20 in [-1, 1), as the script has them.
fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        ((state >> 10) as f64 / f64::from(1 << 20) - 1.0) as f32
    };
    (0..count).map(|_| next()).collect()
}

fn assert_close(found: impl IntoIterator<Item = f64>, expected: &[f64], tolerance: f64, what: &str) {
    for (at, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(0.1),
            "{what}[{at}]: {found}, not {expected}"
        );
    }
}

#[test]
fn steps_are_those_of_sgd() {
    for case in table()["sgd"].as_array().unwrap() {
        let shapes: [&[usize]; 2] = [&[3, 4], &[5]];
        let var = |at: usize| {
            let count = shapes[at].iter().product();
            Var::from_vec(values(1 + at as u64, count), shapes[at], &Device::Cpu).unwrap()
        };
        let parameters = [var(0), var(1)];
        let decays = [number(&case["weight_decay"]), 0.0];
        let mut sgd = Sgd::new(
            parameters.iter().cloned().zip(decays),
            number(&case["momentum"]),
            case["nesterov"].as_bool().unwrap(),
        )
        .unwrap();
        let norms = numbers(&case["norms"]);
        for (step, norm) in norms.iter().enumerate() {
            // A loss whose gradients are the given ones.
            let product = |at: usize| {
                let gradient = values(100 + 10 * step as u64 + at as u64, parameters[at].elem_count());
                let gradient = Tensor::from_vec(gradient, shapes[at], &Device::Cpu).unwrap();
                (parameters[at].as_tensor() * gradient).unwrap().sum_all().unwrap()
            };
            let gradients = (product(0) + product(1)).unwrap().backward().unwrap();
            let found = sgd.gradient_norm(&gradients).unwrap();
            assert_close([found], &[*norm], 1e-6, "norm");
            let share = case["clip"].as_f64().map_or(1.0, |most| clip_factor(found, most));
            sgd.step(&gradients, number(&case["lr"]), share).unwrap();
        }
        for (at, parameter) in parameters.iter().enumerate() {
            let found = parameter.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let expected = numbers(&case["values"][at]);
            assert_eq!(found.len(), expected.len());
            assert_close(found.into_iter().map(f64::from), &expected, 1e-6, &format!("{case}"));
        }
    }
}

#[test]
fn losses_and_their_gradients_are_those_of_cross_entropy_loss() {
    for case in table()["losses"].as_array().unwrap() {
        let logits: Vec<f32> = values(7, 12).into_iter().map(|value| value * 5.0).collect();
        let logits = Var::from_vec(logits, (3, 4), &Device::Cpu).unwrap();
        let labels = Tensor::new(&[2u32, 0, 3], &Device::Cpu).unwrap();
        let loss = cross_entropy(&logits, &labels, number(&case["smoothing"])).unwrap();
        assert_close([f64::from(loss.to_scalar::<f32>().unwrap())], &[number(&case["loss"])], 1e-6, "loss");
        let gradients = loss.backward().unwrap();
        let gradient = gradients.get(&logits).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_close(gradient.into_iter().map(f64::from), &numbers(&case["gradient"]), 1e-5, "gradient");
    }
}

#[test]
fn learning_rates_are_those_of_the_schedulers() {
    for case in table()["schedules"].as_array().unwrap() {
        let decay = match case["decay"].as_str().unwrap() {
            "constant" => LrDecay::Constant,
            "cosine" => LrDecay::Cosine { min_rate: number(&case["least"]) },
            _ => LrDecay::Step { every: case["every"].as_u64().unwrap() as u32, factor: number(&case["factor"]) },
        };
        let warmup = case["warmup"].as_u64().unwrap() as u32;
        let mut schedule = Schedule::new(decay);
        schedule.warmup = (warmup > 0).then(|| Warmup { epochs: warmup, start: number(&case["start"]) });
        let rates = numbers(&case["rates"]);
        let (rate, epochs) = (number(&case["rate"]), rates.len() as u32);
        let found = (0..epochs).map(|epoch| schedule.rate(rate, epochs, 7, epoch, 3));
        assert_close(found, &rates, 1e-9, &format!("{case}"));

        // With a change at each batch, epochs of one batch are the same, and of more the first batches are.
        schedule.interval = LrInterval::Batch;
        for batches in [1, 5] {
            let found = (0..epochs).map(|epoch| schedule.rate(rate, epochs, batches, epoch, 0));
            assert_close(found, &rates, 1e-9, &format!("{batches} batches of {case}"));
        }
        if !matches!(decay, LrDecay::Step { .. }) && warmup > 0 {
            let within = schedule.rate(rate, epochs, 5, 0, 3);
            assert!(within > rates[0] && within < rates[1], "{within} in {case}");
        }
    }
}

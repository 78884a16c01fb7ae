//! Weights of classes and balanced draws against PyTorch's, whose numbers `torch/balance.py` wrote.

use candle_core::{Device, Tensor, Var};
use hardnet_data::{Augmentation, TrainingEpoch};
use hardnet_train::weighted_cross_entropy;
use serde_json::Value;

fn table() -> Value {
    serde_json::from_str(include_str!("torch/balance.json")).unwrap()
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

#[test]
fn weighted_losses_and_their_gradients_are_those_of_cross_entropy_loss() {
    let table = table();
    let losses = table["losses"].as_array().unwrap();
    assert_eq!(losses.len(), 6);
    for case in losses {
        let logits: Vec<f32> = values(7, 20).into_iter().map(|value| value * 5.0).collect();
        let logits = Var::from_vec(logits, (5, 4), &Device::Cpu).unwrap();
        let labels = Tensor::new(&[2u32, 0, 3, 0, 2], &Device::Cpu).unwrap();
        let weights: Vec<f32> = numbers(&case["weights"]).into_iter().map(|weight| weight as f32).collect();
        let weights = Tensor::from_vec(weights, 4, &Device::Cpu).unwrap();
        let loss = weighted_cross_entropy(&logits, &labels, &weights, number(&case["smoothing"])).unwrap();
        let found = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!((found - number(&case["loss"])).abs() < 2e-6, "{found} in {case}");
        let gradients = loss.backward().unwrap();
        let gradient = gradients.get(&logits).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (found, expected) in gradient.into_iter().zip(numbers(&case["gradient"])) {
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, not {expected} in {case}");
        }
    }
}

/// The means over 4,000 epochs of PyTorch's and of 4,000 here differ by chance alone.
#[test]
fn balanced_draws_have_the_distribution_of_weighted_random_sampler() {
    let table = &table()["sampler"];
    let sizes: Vec<usize> = numbers(&table["sizes"]).into_iter().map(|size| size as usize).collect();
    let labels: Vec<u32> = (0..).zip(&sizes).flat_map(|(label, &size)| vec![label; size]).collect();
    let epochs = table["epochs"].as_u64().unwrap() as u32;
    let (mut draws, mut squares, mut different) = ([0.0; 3], [0.0; 3], [0.0; 3]);
    for epoch in 0..epochs {
        let order = TrainingEpoch::balanced(Augmentation::none(), labels.iter().copied(), 3, epoch).order;
        assert_eq!(order.len(), labels.len());
        let mut seen = vec![false; labels.len()];
        let mut counts = [0.0; 3];
        for index in order {
            let label = labels[index as usize] as usize;
            counts[label] += 1.0;
            different[label] += f64::from(u8::from(!std::mem::replace(&mut seen[index as usize], true)));
        }
        for (label, count) in counts.into_iter().enumerate() {
            draws[label] += count;
            squares[label] += count * count;
        }
    }
    let mean = |sum: f64| sum / f64::from(epochs);
    let expected = [numbers(&table["draws"]), numbers(&table["deviations"]), numbers(&table["different"])];
    for label in 0..3 {
        let deviation = (mean(squares[label]) - mean(draws[label]).powi(2)).sqrt();
        // Five deviations of the difference of two means of 4,000 counts with a deviation below 5 are 0.56.
        let found = [mean(draws[label]), deviation, mean(different[label])];
        for (found, expected) in found.iter().zip(expected.iter().map(|numbers| numbers[label])) {
            assert!((found - expected).abs() < 0.5, "class {label}: {found}, not {expected}");
        }
    }
}

//! Batches that are divided into virtual shards.

use hardnet_data::{Loader, LoaderOptions, TrainingEpoch};
use hardnet_model::HarDNet;
use hardnet_train::{cross_entropy, weighted_cross_entropy};

use candle_core::Tensor;

use super::*;

const RATE: f64 = 0.1;
const DECAY: f64 = 0.01;

/// A job of one step of plain gradient descent, without random numbers but for the order of the images. Two of its
/// twelve images cannot be read, so that its shards are uneven.
fn one_step(class_weights: Option<&[f64]>) -> Job {
    let mut recipe = recipe().epochs(1).batch_size(12).learning_rate(RATE).weight_decay(DECAY).virtual_shards(3);
    recipe = recipe.momentum(0.0).nesterov(false).clip_norm(None).average_decay(None).label_smoothing(0.0);
    let class_weights = class_weights.map(|weights| ClassWeights::Values(weights.to_vec()));
    let mut job = job(recipe.augmentation(Augmentation::none()).class_weights(class_weights));
    let mut images = samples(12, 1);
    for at in [2, 7] {
        images[at] = Sample::new("no-such-file.png", Some(at as u32 % 3), "no-such-file.png");
    }
    job.training = images.into();
    job.validation = None;
    job.metadata.config.blocks.iter_mut().for_each(|block| block.dropout = None);
    job.metadata.config.head = Some(Head { classes: 3, dropout: 0.0 });
    job
}

/// The oracle: each shard by the network's own operations from the same weights, their means in f64.
fn expected(job: &Job) -> Vec<(String, Vec<f64>)> {
    let config = &job.metadata.config;
    let pass = TrainingEpoch::new(Augmentation::none(), job.training.len(), job.seed, 0);
    let options = LoaderOptions::default().workers(0).batch_size(4).isa(job.isa);
    let class_weights = match &job.recipe.class_weights {
        Some(ClassWeights::Values(weights)) => Some(weights.clone()),
        _ => None,
    };
    let mut sums: Vec<Vec<f64>> = Vec::new();
    let (mut total, mut images) = (0.0, 0.0);
    for shard in Loader::training(job.training.clone(), job.pipeline.clone(), pass, options).unwrap() {
        let weights = Weights::random(config, job.seed, &Device::Cpu).unwrap();
        let network = HarDNet::new(config, weights.var_builder(|param| param.kind.is_trained(), &Device::Cpu)).unwrap();
        let (count, side) = (shard.samples.len(), SIDE);
        let labels: Vec<u32> = shard.samples.iter().map(|&at| job.training[at].label().unwrap()).collect();
        let targets = Tensor::from_slice(&labels, count, &Device::Cpu).unwrap();
        let input = Tensor::from_vec(shard.stacked(), (count, 3, side, side), &Device::Cpu).unwrap();
        let logits = network.with_isa(job.isa).forward_train(&input, 0).unwrap();
        let (loss, weight) = match &class_weights {
            None => (cross_entropy(&logits, &targets, 0.0).unwrap(), count as f64),
            Some(of) => {
                let own = Tensor::from_vec(of.iter().map(|&weight| weight as f32).collect(), 3, &Device::Cpu).unwrap();
                let weight = labels.iter().map(|&label| of[label as usize]).sum();
                (weighted_cross_entropy(&logits, &targets, &own, 0.0).unwrap(), weight)
            }
        };
        let gradients = loss.backward().unwrap();
        for (at, (param, var)) in weights.entries().enumerate() {
            let (tensor, factor) = match param.kind.is_trained() {
                true => (gradients.get(var).unwrap().clone(), weight),
                false => (var.as_detached_tensor(), count as f64),
            };
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            if sums.len() == at {
                sums.push(vec![0.0; values.len()]);
            }
            sums[at].iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * f64::from(value));
        }
        total += weight;
        images += count as f64;
    }
    assert_eq!(images, 10.0);
    let before = Weights::random(config, job.seed, &Device::Cpu).unwrap();
    let after = before.entries().zip(sums).map(|((param, _), sums)| {
        let old = before.values(param).unwrap().into_iter().map(f64::from);
        let values = old.zip(sums).map(|(old, sum)| match param.kind.is_trained() {
            true => old - RATE * (sum / total + DECAY * old),
            false => sum / images,
        });
        (param.name.clone(), values.collect())
    });
    after.collect()
}

#[test]
fn a_step_is_the_mean_of_its_shards_by_images() {
    for class_weights in [None, Some(&[1.0, 0.5, 3.0][..])] {
        let temporary = tempfile::tempdir().unwrap();
        let job = one_step(class_weights);
        let mut trainer = start(job.clone(), temporary.path());
        assert_eq!(finish(&mut trainer)[0].steps, 1);
        let found = trainer.result();
        for ((param, _), (name, expected)) in found.entries().zip(expected(&job)) {
            assert_eq!(param.name, name);
            for (found, expected) in found.values(param).unwrap().into_iter().zip(expected) {
                let error = (f64::from(found) - expected).abs();
                assert!(error <= 1e-6 * (1.0 + expected.abs()), "{name}: {found}, expected {expected}");
            }
        }
    }
}

/// The last step has a batch of four: of two shards one, of four shards two.
#[test]
fn a_resumed_run_with_virtual_shards_is_the_same_to_the_last_bit() {
    for shards in [2, 4] {
        assert_resumes(&job(recipe().virtual_shards(shards)));
    }
}

/// One virtual shard is the default and gives the same run; another number gives another run.
#[test]
fn the_number_of_virtual_shards_is_a_part_of_the_recipe() {
    let figures = |shards: Option<usize>| {
        let temporary = tempfile::tempdir().unwrap();
        let recipe = shards.map_or(recipe(), |shards| recipe().virtual_shards(shards));
        figures(&finish(&mut start(job(recipe), temporary.path())))
    };
    let plain = figures(None);
    assert_eq!(figures(Some(1)), plain);
    assert_ne!(figures(Some(2)), plain);
    assert_ne!(figures(Some(2)), figures(Some(4)));
}

/// An image that would be a virtual shard of its own is left out, like one that would be a batch of its own.
#[test]
fn a_last_shard_of_one_image_is_left_out() {
    let temporary = tempfile::tempdir().unwrap();
    let mut job = job(recipe().virtual_shards(4));
    job.training = samples(35, 1).into();
    assert_eq!(finish(&mut start(job, temporary.path()))[0].train_images, 34);
}

#[test]
fn frozen_statistics_keep_every_bit_with_virtual_shards() {
    let temporary = tempfile::tempdir().unwrap();
    let before = Weights::random(&config(), 7, &Device::Cpu).unwrap();
    let job = job(recipe().virtual_shards(2)).freeze_until(4).freeze_statistics(true);
    let mut trainer = start(job, temporary.path());
    finish(&mut trainer);
    for (param, _) in before.entries() {
        let index: usize = param.name.split('.').nth(1).unwrap().parse().unwrap();
        let same = before.values(param).unwrap() == trainer.result().values(param).unwrap();
        assert_eq!(same, index < 4, "{}", param.name);
    }
}

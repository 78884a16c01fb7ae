//! Runs of a small network on a few small images.

#[path = "run/classes.rs"]
mod classes;
#[path = "run/frozen.rs"]
mod frozen;
#[path = "run/ranks.rs"]
mod ranks;
#[path = "run/resume.rs"]
mod resume;
#[path = "run/synchronized.rs"]
mod synchronized;
#[path = "run/virtual_shards.rs"]
mod virtual_shards;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;
use hardnet_checkpoint::Checkpoint;
use hardnet_data::{Augmentation, Dataset, Pipeline, RandomCrop, Sample};
use hardnet_model::{BlockConfig, Config, Head, Metadata, ParamKind, Parameters, Variant, WeightsFile, write_weights};
use hardnet_train::{
    BatchNormStatistics, ClassWeights, EpochMetrics, Error, Event, Job, Outcome, Recipe, RunFile, RunFolder, RunState,
    Sampler, Trainer, Validation, Weights,
};

const SIDE: usize = 16;

/// Every operation of the published networks, and dropout.
fn config() -> Config {
    let mut config = Config::from(Variant::HarDNet39Ds);
    config.stem.convs[0].channels = 4;
    config.stem.convs[1].channels = 8;
    let block = |layers, transition| BlockConfig {
        layers,
        growth: 4,
        multiplier: 1.6,
        dropout: Some(0.1),
        transition,
        downsample: true,
    };
    config.blocks = vec![block(3, 12), block(2, 16)];
    config.head = Some(Head { classes: 3, dropout: 0.2 });
    config
}

/// Pictures of stripes: across, down and none, with noise.
fn samples(count: usize, seed: u64) -> Vec<Sample> {
    let folder = tempfile::tempdir().unwrap();
    let header = |dimensions: &[u32]| {
        let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
        bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
        bytes
    };
    let (side, mut state) = (SIDE as u32, seed);
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 58) as u8
    };
    let mut images = header(&[count as u32, side, side]);
    for image in 0..count {
        for at in 0..side * side {
            let on = [(at / side) % 4 < 2, (at % side) % 4 < 2, false][image % 3];
            images.push(if on { 180 } else { 20 } + noise());
        }
    }
    fs::write(folder.path().join("images"), images).unwrap();
    let labels: Vec<u8> = (0..count).map(|image| (image % 3) as u8).collect();
    fs::write(folder.path().join("labels"), [header(&[count as u32]), labels].concat()).unwrap();
    Dataset::from_idx(&folder.path().join("images"), 3).unwrap().samples
}

/// 36 samples: 24 of class 0, 9 of class 1 and 3 of class 2.
fn uneven_samples() -> Vec<Sample> {
    let all = samples(72, 1);
    let class = |class: usize, count: usize| all[class..].iter().step_by(3).take(count).cloned();
    class(0, 24).chain(class(1, 9)).chain(class(2, 3)).collect()
}

fn pipeline() -> Pipeline {
    Pipeline::pil_bilinear().with_image_size(SIDE as u32).with_crop_pct(1.0).unwrap()
}

fn recipe() -> Recipe {
    let mut recipe = Recipe::upstream();
    (recipe.epochs, recipe.batch_size, recipe.learning_rate) = (2, 8, 0.05);
    recipe.augmentation = Augmentation::none().with_crop(RandomCrop::Padded { padding: 2 }).with_flip(0.5);
    recipe.average_decay = Some(0.7);
    recipe.clip_norm = Some(2.0);
    recipe.label_smoothing = 0.1;
    recipe
}

fn job(recipe: Recipe) -> Job {
    let mut job = Job::new(Metadata::new(config()), recipe, samples(36, 1).into(), pipeline());
    let mut validation = Validation::new(samples(15, 2).into(), pipeline());
    (validation.workers, validation.threads) = (1, 1);
    job.validation = Some(validation);
    (job.seed, job.workers, job.threads) = (7, 1, 1);
    job
}

fn start(job: Job, path: &Path) -> Trainer {
    let weights = Weights::random(&job.metadata.config, job.seed, &job.device).unwrap();
    Trainer::start(job, weights, RunFolder::create(path, false).unwrap()).unwrap()
}

fn finish(trainer: &mut Trainer) -> Vec<EpochMetrics> {
    assert_eq!(trainer.run(&mut |_| ControlFlow::Continue(())).unwrap(), Outcome::Finished);
    trainer.state().history.clone()
}

/// Every tensor of the state by name.
fn state(path: &Path) -> Vec<(String, Vec<u8>)> {
    let checkpoint = Checkpoint::open(path.join(RunFile::State.name())).unwrap();
    let tensor = |(index, info): (usize, &hardnet_checkpoint::TensorInfo)| {
        (info.name.clone(), checkpoint.read(index).unwrap().to_vec())
    };
    checkpoint.tensors().iter().enumerate().map(tensor).collect()
}

/// The metrics without times.
fn figures(history: &[EpochMetrics]) -> Vec<EpochMetrics> {
    let timeless = |metrics: &EpochMetrics| {
        let mut metrics = metrics.clone();
        (metrics.seconds, metrics.images_per_second) = (0.0, 0.0);
        metrics
    };
    history.iter().map(timeless).collect()
}

fn assert_same(one: &Path, other: &Path) {
    for file in [RunFile::Last, RunFile::Best] {
        let read = |folder: &Path| fs::read(folder.join(file.name())).unwrap();
        assert!(read(one) == read(other), "{} differs", file.name());
    }
    assert!(state(one) == state(other), "the states differ");
}

/// Wherever a run is stopped, and with any number of readers, what comes out has the same bytes.
fn assert_resumes(job: &Job) {
    let temporary = tempfile::tempdir().unwrap();
    let whole = temporary.path().join("whole");
    let history = finish(&mut start(job.clone(), &whole));
    assert_eq!(history.len(), 2);

    // After how many steps of the run of ten it is stopped; five make an epoch.
    for (stop, workers) in [(3, 0), (5, 3), (7, 2)] {
        let path = temporary.path().join(format!("stopped-{stop}"));
        let mut steps = 0;
        let mut trainer = start(job.clone(), &path);
        let ending = trainer.run(&mut |event| {
            steps += usize::from(matches!(event, Event::Batch(_)));
            if steps == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(ending.unwrap(), Outcome::Stopped);
        drop(trainer);
        let job = job.clone().workers(workers);
        let folder = RunFolder::open(&path).unwrap();
        assert_eq!(RunState::read(&folder).unwrap().steps, stop as u64);
        let mut trainer = Trainer::resume(job, folder).unwrap();
        assert_eq!(figures(&finish(&mut trainer)), figures(&history), "stopped after {stop} steps");
        assert_same(&whole, &path);
    }
}

#[test]
fn another_seed_is_another_run() {
    let temporary = tempfile::tempdir().unwrap();
    let mut other = job(recipe());
    other.seed = 8;
    // The same weights to begin with: order, images and dropout differ.
    let weights = Weights::random(&config(), 7, &Device::Cpu).unwrap();
    let mut other =
        Trainer::start(other, weights, RunFolder::create(temporary.path().join("other"), false).unwrap()).unwrap();
    let own = finish(&mut start(job(recipe()), &temporary.path().join("own")));
    assert_ne!(figures(&finish(&mut other)), figures(&own));
}

/// The network learns what stripes are, and the files say so.
#[test]
fn what_is_learned_is_written() {
    let temporary = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    (recipe.epochs, recipe.average_decay) = (8, None);
    let mut job = job(recipe);
    job.keep_epochs = true;
    job.metadata.labels = Some(["across", "down", "none"].map(String::from).to_vec());
    let history = finish(&mut start(job.clone(), temporary.path()));
    let last = history.last().unwrap();
    assert!(last.train_loss < history[0].train_loss, "{history:?}");
    let best = history.iter().rfind(|metrics| metrics.best).unwrap();
    assert!(best.validation.unwrap().top1 > 60.0, "{history:?}");
    assert_eq!((last.steps, last.train_images, last.train_errors), (40, 36, 0));

    // The files of weights are ordinary ones, and evaluate to what the metrics say.
    let folder = RunFolder::open(temporary.path()).unwrap();
    for (file, metrics) in [(RunFile::Best, best), (RunFile::Last, last), (RunFile::Epoch(3), &history[2])] {
        let weights = WeightsFile::open(folder.path(file)).unwrap();
        assert_eq!(weights.metadata(), Some(&job.metadata));
        let weights = Weights::from_file(&weights, 3, 0, &Device::Cpu).unwrap();
        let validation = job.validation.as_ref().unwrap();
        let found = validation.evaluate(&config(), &weights, &Device::Cpu, &mut ()).unwrap().unwrap();
        assert_eq!(found.tally.top1().correct, metrics.validation.unwrap().correct, "{file:?}");
    }
    let lines = fs::read_to_string(folder.path(RunFile::Metrics)).unwrap();
    let lines: Vec<EpochMetrics> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, history);
    assert!(fs::read_to_string(folder.path(RunFile::Curves)).unwrap().starts_with("<svg"));
}

#[test]
fn unreadable_images_are_counted_and_left_out() {
    let temporary = tempfile::tempdir().unwrap();
    let mut all = samples(36, 1);
    for at in [3, 20, 21] {
        all[at] = Sample::new("no-such-file.png", Some(0), "no-such-file.png");
    }
    let mut own = job(recipe());
    own.training = all.into();
    let mut told = 0;
    let mut trainer = start(own.clone(), &temporary.path().join("some"));
    trainer
        .run(&mut |event| {
            told += usize::from(matches!(event, Event::Failure(_)));
            ControlFlow::Continue(())
        })
        .unwrap();
    let history = &trainer.state().history;
    assert_eq!((told, history[1].train_errors, history[1].train_images), (6, 3, 33));

    own.training = vec![Sample::new("no-such-file.png", Some(0), "a"); 9].into();
    let error = start(own, &temporary.path().join("none")).run(&mut |_| ControlFlow::Continue(()));
    assert!(matches!(error, Err(Error::NoReadableImages { epoch: 1, failures: 8 })), "{error:?}");
}

/// A rate far too low is reported after the epoch in which the loss does not move; a run that learns is not.
#[test]
fn a_loss_that_does_not_move_is_reported() {
    let mut config = config();
    config.head = Some(Head { classes: 3, dropout: 0.0 });
    let modules = hardnet_model::Graph::new(&config).unwrap().modules().len();
    let stalls = |rate: f64, frozen: usize| {
        let temporary = tempfile::tempdir().unwrap();
        let recipe = recipe().epochs(3).learning_rate(rate).augmentation(Augmentation::none()).average_decay(None);
        let mut job = job(recipe).freeze_until(frozen).freeze_statistics(frozen > 0);
        job.metadata.config = config.clone();
        let mut trainer = start(job, temporary.path());
        let mut stalls = Vec::new();
        let ending = trainer.run(&mut |event| {
            if let Event::Stalled(stall) = event {
                stalls.push((stall.epoch, (stall.chance * 1e4).round()));
            }
            ControlFlow::Continue(())
        });
        assert_eq!(ending.unwrap(), Outcome::Finished);
        (stalls, trainer.state().history.clone())
    };
    let (found, history) = stalls(1e-9, modules - 1);
    assert!(found.contains(&(2, 10986.0)) && found.contains(&(3, 10986.0)), "{found:?} in {history:?}");
    let (found, history) = stalls(0.05, 0);
    assert!(!found.iter().any(|stall| stall.0 == 3), "{found:?} in {history:?}");
}

/// Weights of another number of classes keep all but their head.
#[test]
fn a_head_that_does_not_fit_is_drawn_again() {
    let temporary = tempfile::tempdir().unwrap();
    let own = Weights::random(&config(), 1, &Device::Cpu).unwrap();
    let path = temporary.path().join("own.safetensors");
    write_weights(&Metadata::new(config()), &own, fs::File::create(&path).unwrap()).unwrap();
    let file = WeightsFile::open(&path).unwrap();
    for (classes, kept) in [(3, true), (5, false)] {
        let weights = Weights::from_file(&file, classes, 2, &Device::Cpu).unwrap();
        for (param, _) in weights.entries() {
            let is_head = matches!(param.kind, ParamKind::LinearWeight | ParamKind::LinearBias);
            if kept || !is_head {
                assert_eq!(weights.values(param).unwrap(), own.values(param).unwrap(), "{}", param.name);
            } else {
                assert_eq!(param.shape[0], classes, "{}", param.name);
            }
        }
    }
}

/// The average is the one that the formula gives.
#[test]
fn averages_are_exponential() {
    let one = Weights::random(&config(), 1, &Device::Cpu).unwrap();
    let two = Weights::random(&config(), 2, &Device::Cpu).unwrap();
    let mut average = hardnet_train::WeightAverage::new(&one, 0.9).unwrap();
    average.update(&two).unwrap();
    average.update(&two).unwrap();
    for (param, _) in one.entries() {
        let (a, b) = (one.values(param).unwrap(), two.values(param).unwrap());
        for ((a, b), found) in a.iter().zip(&b).zip(average.weights().values(param).unwrap()) {
            let expected = b + 0.81 * (a - b);
            assert!(
                (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                "{}: {found}, not {expected}",
                param.name
            );
        }
    }
}

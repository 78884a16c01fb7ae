//! Runs of a small segmentation network on scenes that are drawn here.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use hardnet_data::{Sample, encode_png};
use hardnet_model::{Config, Decoder, Metadata, SegmentationVariant, Variant, WeightsFile, write_weights};
use hardnet_segmentation::training::{Augmentation, Loss};
use hardnet_segmentation::{InputSize, Item, LabelTable, MaskReader, Protocol, scenes};
use hardnet_train::{
    EpochMetrics, Error, Event, Job, Outcome, Recipe, RunFile, RunFolder, RunState, SegmentationData,
    SegmentationRecipe, Trainer, Weights,
};

/// The first two blocks of FC-HarDNet-70, narrow.
fn config() -> Config {
    let mut config = Config::from(SegmentationVariant::FcHarDNet70).with_classes(scenes::CLASSES.len());
    config.stem.convs.iter_mut().zip([8, 8, 12, 16]).for_each(|(conv, channels)| conv.channels = channels);
    config.blocks.truncate(2);
    config.blocks.iter_mut().for_each(|block| (block.growth, block.transition) = (6, 24));
    config
}

/// Scenes of 64x48 pixels and their masks as files.
fn items(folder: &Path, seed: u64, count: u32) -> Arc<Vec<Item>> {
    let reader = Arc::new(MaskReader::new(LabelTable::indices(scenes::CLASSES.len())));
    let item = |index: u32| {
        let scene = scenes::draw(seed, index, 64, 48);
        let path = |kind: &str| folder.join(format!("{seed}-{index}-{kind}.png"));
        fs::write(path("image"), encode_png(&scene.image).unwrap()).unwrap();
        fs::write(path("mask"), scene.mask.encode_png()).unwrap();
        Item::new(Sample::new(path("image"), None, format!("{index}.png"))).with_mask(path("mask"), Arc::clone(&reader))
    };
    Arc::new((0..count).map(item).collect())
}

fn recipe(loss: Loss) -> Recipe {
    let augmentation = Augmentation::fchardnet(48, 40).with_scale(0.75, 1.5).with_color(0.2);
    let recipe = Recipe::fchardnet().epochs(2).batch_size(4).learning_rate(0.05);
    recipe.segmentation(Some(SegmentationRecipe::new(loss, augmentation)))
}

fn job(folder: &Path, loss: Loss) -> Job {
    let protocol = Protocol::fchardnet().with_size(InputSize::Image);
    let data = SegmentationData::new(items(folder, 1, 16), protocol).with_validation(Some(items(folder, 2, 4)));
    Job::segmentation(Metadata::new(config()), recipe(loss), data).seed(5).workers(1).threads(1)
}

fn hard() -> Loss {
    let Loss::Bootstrapped { threshold, .. } = Loss::fchardnet() else { unreachable!("it is bootstrapped") };
    Loss::Bootstrapped { least: 200, threshold }
}

fn start(job: Job, path: &Path) -> Trainer {
    let weights = Weights::random(&job.metadata.config, job.seed, &job.device).unwrap();
    Trainer::start(job, weights, RunFolder::create(path, false).unwrap()).unwrap()
}

fn finish(trainer: &mut Trainer) -> Vec<EpochMetrics> {
    assert_eq!(trainer.run(&mut |_| ControlFlow::Continue(())).unwrap(), Outcome::Finished);
    let timeless = |metrics: &EpochMetrics| {
        let mut metrics = metrics.clone();
        (metrics.seconds, metrics.images_per_second) = (0.0, 0.0);
        metrics
    };
    trainer.state().history.iter().map(timeless).collect()
}

/// Wherever a run is stopped, and with any number of readers, what comes out has the same bytes.
#[test]
fn a_resumed_run_is_the_same_to_the_last_bit() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, whole) = (temporary.path(), temporary.path().join("whole"));
    let history = finish(&mut start(job(folder, hard()), &whole));
    assert_eq!(history.len(), 2);
    for (stop, workers) in [(1, 0), (4, 3), (6, 2)] {
        let path = folder.join(format!("stopped-{stop}"));
        let mut steps = 0;
        let mut trainer = start(job(folder, hard()), &path);
        let ending = trainer.run(&mut |event| {
            steps += usize::from(matches!(event, Event::Batch(_)));
            if steps == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(ending.unwrap(), Outcome::Stopped);
        drop(trainer);
        let mut trainer =
            Trainer::resume(job(folder, hard()).workers(workers), RunFolder::open(&path).unwrap()).unwrap();
        assert_eq!(finish(&mut trainer), history, "stopped after {stop} steps");
        for file in [RunFile::Last, RunFile::Best] {
            let read = |folder: &Path| fs::read(folder.join(file.name())).unwrap();
            assert!(read(&whole) == read(&path), "{} differs after {stop} steps", file.name());
        }
    }
}

#[test]
fn a_network_learns_and_its_metrics_say_so() {
    let temporary = tempfile::tempdir().unwrap();
    let mut job = job(temporary.path(), Loss::CrossEntropy);
    job.recipe.epochs = 12;
    let path = temporary.path().join("run");
    let history = finish(&mut start(job, &path));
    let (first, last) = (&history[0], &history[11]);
    assert!(last.train_loss < 0.7 * first.train_loss, "{first:?} {last:?}");
    let best = history.iter().filter_map(|metrics| metrics.segmentation.as_ref()).map(|own| own.mean_iou);
    assert!(best.fold(0.0, f64::max) > 35.0, "{history:?}");
    let validation = last.segmentation.as_ref().unwrap();
    assert_eq!((validation.images, validation.errors, validation.iou.len()), (4, 0, scenes::CLASSES.len()));
    assert!(last.validation.is_none() && last.train_mean_iou.is_some());
    let curves = fs::read_to_string(path.join(RunFile::Curves.name())).unwrap();
    assert!(curves.contains("mean IoU in %") && !curves.contains("top-1"), "{curves}");
    let lines = fs::read_to_string(path.join(RunFile::TrainingImages.name())).unwrap();
    assert_eq!(lines.lines().next(), Some("0.png\t1-0-mask.png"));
}

#[test]
fn an_image_that_cannot_be_used_costs_only_itself() {
    let temporary = tempfile::tempdir().unwrap();
    let mut job = job(temporary.path(), Loss::CrossEntropy);
    job.recipe.epochs = 1;
    // Class 7 is none of five.
    let mask = hardnet_segmentation::Mask::new(64, 48, vec![7; 64 * 48]).unwrap();
    fs::write(temporary.path().join("1-3-mask.png"), mask.encode_png()).unwrap();
    fs::write(temporary.path().join("2-1-image.png"), "no image").unwrap();
    let mut failures = Vec::new();
    let mut trainer = start(job, &temporary.path().join("run"));
    let ending = trainer.run(&mut |event| {
        if let Event::Unusable(error) = event {
            failures.push(error.to_string());
        }
        ControlFlow::Continue(())
    });
    assert_eq!(ending.unwrap(), Outcome::Finished);
    assert!(failures[0].contains("1-3-mask.png") && failures[1].contains("2-1-image.png"), "{failures:?}");
    let metrics = &trainer.state().history[0];
    assert_eq!((metrics.train_images, metrics.train_errors), (15, 1));
    assert_eq!(metrics.segmentation.as_ref().map(|own| (own.images, own.errors)), Some((3, 1)));
}

#[test]
fn an_encoder_is_taken_from_a_backbone_and_a_head_replaced() {
    let temporary = tempfile::tempdir().unwrap();
    let save = |config: &Config, name: &str| {
        let (path, weights) = (temporary.path().join(name), Weights::random(config, 9, &Device::Cpu).unwrap());
        write_weights(&Metadata::new(config.clone()), &weights, fs::File::create(&path).unwrap()).unwrap();
        WeightsFile::open(&path).unwrap()
    };
    let backbone = save(&config().without_head(), "backbone.safetensors");
    let (weights, shared) = Weights::from_encoder(&config(), &backbone, 5, &Device::Cpu).unwrap();
    let own = Weights::random(&config().without_head(), 9, &Device::Cpu).unwrap();
    assert_eq!(shared, own.entries().count());
    let values = |weights: &Weights, name: &str| {
        let (_, var) = weights.entries().find(|(param, _)| param.name == name).unwrap();
        var.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(values(&weights, "base.0.conv.weight"), values(&own, "base.0.conv.weight"));
    let random = Weights::random(&config(), 5, &Device::Cpu).unwrap();
    assert_eq!(values(&weights, "finalConv.weight"), values(&random, "finalConv.weight"));

    let other = save(&Config::from(Variant::HarDNet39Ds).with_classes(2), "other.safetensors");
    let error = Weights::from_encoder(&config(), &other, 5, &Device::Cpu).unwrap_err();
    assert!(matches!(error, Error::NoSharedParameters { .. }), "{error}");

    // Of the same network with other classes, all but the last layer.
    let three = save(&config().with_classes(3), "three.safetensors");
    let kept = Weights::from_file(&three, 5, 5, &Device::Cpu).unwrap();
    let names = random.entries().map(|(param, _)| param.name.clone());
    let name = names.filter(|name| !name.starts_with("finalConv")).last();
    let stored = Weights::random(&config().with_classes(3), 9, &Device::Cpu).unwrap();
    assert_eq!(values(&kept, name.as_ref().unwrap()), values(&stored, name.as_ref().unwrap()));
    assert_eq!(values(&kept, "finalConv.weight"), values(&random, "finalConv.weight"));
}

#[test]
fn network_recipe_and_images_must_be_for_the_same_task() {
    let temporary = tempfile::tempdir().unwrap();
    let job = job(temporary.path(), Loss::CrossEntropy);
    let start = |job: Job| {
        let weights = Weights::random(&job.metadata.config, 1, &job.device).unwrap();
        Trainer::start(job, weights, RunFolder::create(temporary.path().join("run"), true).unwrap()).unwrap_err()
    };
    let mut classifier = job.clone();
    classifier.metadata = Metadata::new(Config::from(Variant::HarDNet39Ds));
    assert!(matches!(start(classifier), Error::Task { .. }));
    let mut without = job.clone();
    without.recipe.segmentation = None;
    assert!(matches!(start(without), Error::Recipe { field: "segmentation", .. }));
    assert!(matches!(start(job.clone().freeze_until(2).freeze_statistics(true)), Error::Recipe { .. }));
    let mut small = job.clone();
    small.recipe.segmentation.as_mut().unwrap().augmentation.crop = (0, 8);
    assert!(matches!(start(small), Error::Augment(_)));
    let mut deep = job;
    let decoder = Decoder::new(scenes::CLASSES.len(), true);
    deep.metadata = Metadata::new(Config::fc_hardnet70_encoder().with_decoder(decoder));
    assert!(matches!(start(deep), Error::Graph(_)), "crops of 48x40 are too small for five blocks");
}

#[test]
fn other_images_or_counts_are_not_those_of_a_saved_run() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("run");
    let mut trainer = start(job(temporary.path(), hard()), &path);
    let ending = trainer.run(&mut |event| match event {
        Event::Batch(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(ending.unwrap(), Outcome::Stopped);
    drop(trainer);
    let mut other = job(temporary.path(), hard());
    let mut items = other.segmentation.as_ref().unwrap().training.to_vec();
    items.swap(0, 1);
    other.segmentation.as_mut().unwrap().training = items.into();
    let error = Trainer::resume(other, RunFolder::open(&path).unwrap()).unwrap_err().to_string();
    assert!(error.contains("image 1 is `1.png` with the mask `1-1-mask.png`, expected `0.png`"), "{error}");
    assert_eq!(RunState::read(&RunFolder::open(&path).unwrap()).unwrap().steps, 1);
}

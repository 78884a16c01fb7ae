//! Trains a classifier on images of your own, in one folder for each class, and uses it.
//!
//! ```sh
//! cargo run -p hardnet-examples --example train
//! cargo run -p hardnet-examples --example train -- flowers/train
//! ```
//!
//! Without a folder it trains on a part of the demonstration's images, for a moment only: to see it run, not to learn
//! much.

use std::ops::ControlFlow;

use anyhow::Result;
use hardnet::data::{Augmentation, Classes, Dataset};
use hardnet::train::{Event, Job, Recipe, RunFile, RunFolder, Trainer, Validation, Weights};
use hardnet::{Classifier, Config, Metadata, Pipeline, Variant};
use hardnet_examples::demo_images;

fn main() -> Result<()> {
    let (folder, mut dataset) = demo_images()?;
    let (mut epochs, mut labels) = (1, hardnet_demo::fashion_mnist::CLASSES.map(String::from).to_vec());
    if let Some(path) = std::env::args().nth(1) {
        dataset = Dataset::from_class_folders(path.as_str(), Classes::of_labels())?;
        (epochs, labels) = (30, dataset.classes.clone().unwrap_or_default());
    } else {
        dataset.subsample_evenly(160);
    }
    let validation = dataset.split_off_random(dataset.samples.len() / 5, 0);

    let config = Config::from(Variant::HarDNet39Ds).with_classes(labels.len());
    let mut pipeline = Pipeline::pil_bilinear().with_image_size(64);
    pipeline.resize = 64;
    let recipe = Recipe::upstream().epochs(epochs).batch_size(32).augmentation(Augmentation::none());
    let weights = Weights::random(&config, 0, &candle_core::Device::Cpu)?;
    let mut metadata = Metadata::new(config);
    metadata.labels = Some(labels);
    metadata.pipeline = Some(serde_json::to_value(&pipeline)?);
    let validation = Validation::new(validation.samples.into(), pipeline.clone());
    let job = Job::new(metadata, recipe, dataset.samples.into(), pipeline).validation(Some(validation));

    let run = RunFolder::create(folder.path().join("run"), false)?;
    let mut trainer = Trainer::start(job, weights, run)?;
    trainer.run(&mut |event| {
        match event {
            Event::Batch(batch) => {
                println!("batch {} of {}: loss {:.3}", batch.batch.0, batch.batch.1, batch.batch_loss)
            }
            Event::Epoch(epoch) => println!("epoch {}: {:?}", epoch.epoch, epoch.validation),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;

    // The run's files are ordinary weights, with preprocessing and names in them.
    let weights = trainer.folder().path(RunFile::Best);
    let classifier = Classifier::load(&weights)?;
    println!("{}: {} classes, {:?}", weights.display(), classifier.labels().len(), classifier.pipeline());
    Ok(())
}

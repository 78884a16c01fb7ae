//! Trains as `tests/training/fashion_mnist.py` does, on what that wrote to a folder, and prints the loss of every step
//! on a line of its own.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the tests: losses on stdout, progress on stderr"
)]

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use hardnet_data::{Augmentation, Dataset, Pipeline};
use hardnet_model::{Metadata, WeightsFile};
use hardnet_train::{Event, Flow, Job, Recipe, RunFolder, Trainer, Weights};

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("usage: training-losses FOLDER")?;
    let folder = Path::new(&folder);
    let file = WeightsFile::open(folder.join("initial.safetensors"))?;
    let samples = Dataset::from_idx(&folder.join("train-images-idx3-ubyte"), 10)?.samples;
    let mut recipe = Recipe::upstream();
    (recipe.epochs, recipe.batch_size, recipe.augmentation) = (3, 50, Augmentation::none());
    let pipeline = Pipeline::pil_bilinear().with_img_size(32).with_crop_pct(1.0)?;
    let mut job = Job::new(Metadata::new(file.config().clone()), recipe, samples.into(), pipeline);
    job.seed = 3;
    let weights = Weights::from_file(&file, 10, 0, &job.device)?;
    let run = tempfile::tempdir()?;
    let mut failed = Ok(());
    Trainer::start(job, weights, RunFolder::create(run.path(), false)?)?.run(&mut |event| {
        if let Event::Batch(report) = event {
            failed = writeln!(std::io::stdout().lock(), "{}", report.batch_loss);
        }
        if failed.is_ok() { Flow::Continue } else { Flow::Stop }
    })?;
    failed?;
    Ok(())
}

//! Times training steps of several ranks whose computing is replaced by waiting: what their exchange costs.
//!
//! ```text
//! mpirun -n 2 target/release/examples/step MODEL SHARDS MILLISECONDS STEPS open-mpi|mpich|alone
//! ```
//!
//! It is a training run with the messages, sums and changes of the published network: only the gradients of each of
//! `SHARDS` virtual shards are zeros that come after `MILLISECONDS`. Rank 0 prints one line of JSON: the milliseconds
//! of each step, the first left out, and the bytes of a message with gradients. `alone` is one process without MPI.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Device;
use hardnet_data::{Augmentation, Dataset, Pipeline, Sample};
use hardnet_model::{Config, Graph, Metadata, Variant};
use hardnet_mpi::{Mpi, MpiOptions};
use hardnet_train::{Communicator, Event, Follower, Job, Recipe, RunFolder, Trainer, Weights};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Side of the images, which are read and never computed.
const SIDE: u32 = 32;

/// Images of a virtual shard: the fewest that it may have.
const IMAGES: usize = 2;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, shards, milliseconds, steps, library] = &arguments[..] else {
        return Err("expected MODEL SHARDS MILLISECONDS STEPS LIBRARY".into());
    };
    let (model, shards, steps): (Variant, usize, usize) = (model.parse()?, shards.parse()?, steps.parse()?);
    let time = Duration::from_secs_f64(milliseconds.parse::<f64>()? / 1e3);

    let folder = tempfile::tempdir()?;
    let config = Config::from(model);
    let pipeline = Pipeline::pil_bilinear().with_image_size(SIDE).with_crop_pct(1.0)?;
    let mut recipe = Recipe::upstream().epochs(1).batch_size(IMAGES * shards).virtual_shards(shards);
    recipe.augmentation = Augmentation::none();
    let training = images(folder.path(), (steps + 1) * shards * IMAGES)?;
    let job = Job::new(Metadata::new(config.clone()), recipe, training.into(), pipeline);
    let job = job.threads(1).workers(1).simulated_compute(Some(time));

    let mut clock = Clock { at: Instant::now(), milliseconds: Vec::new() };
    let mpi = match library.as_str() {
        "alone" => None,
        name => Some(Arc::new(Mpi::start(&MpiOptions::new(name.parse()?))?)),
    };
    match &mpi {
        Some(mpi) if mpi.rank() > 0 => {
            Follower::join(job, mpi.clone())?.run(&mut |_| ControlFlow::Continue(()))?;
        }
        _ => {
            let weights = Weights::random(&config, 0, &Device::Cpu)?;
            let run = RunFolder::create(folder.path().join("run"), false)?;
            let mut trainer = Trainer::start(job, weights, run)?;
            if let Some(mpi) = &mpi {
                trainer = trainer.over(mpi.clone())?;
            }
            trainer.run(&mut |event| clock.observe(&event))?;
            clock.print(&config, mpi.as_ref().map_or(1, |mpi| mpi.size()))?;
        }
    }
    if let Some(mpi) = mpi {
        mpi.finish()?;
    }
    Ok(())
}

/// When the steps end.
struct Clock {
    at: Instant,
    milliseconds: Vec<f64>,
}

impl Clock {
    fn observe(&mut self, event: &Event) -> ControlFlow<()> {
        if let Event::Batch(_) = event {
            self.milliseconds.push(1e3 * self.at.elapsed().as_secs_f64());
            self.at = Instant::now();
        }
        ControlFlow::Continue(())
    }

    fn print(&self, config: &Config, ranks: usize) -> Result<()> {
        let params = Graph::new(config)?.params();
        let values: usize = params.iter().map(|param| param.shape.iter().product::<usize>()).sum();
        let bytes = 4 * values;
        let milliseconds = &self.milliseconds[1..];
        writeln!(std::io::stdout(), "{{\"ranks\": {ranks}, \"bytes\": {bytes}, \"ms\": {milliseconds:.2?}}}")?;
        Ok(())
    }
}

/// Black images of two classes.
fn images(folder: &Path, count: usize) -> Result<Vec<Sample>> {
    let head = |sizes: &[u32]| {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes
    };
    let pixels = vec![0; count * (SIDE * SIDE) as usize];
    std::fs::write(folder.join("images"), [head(&[count as u32, SIDE, SIDE]), pixels].concat())?;
    let labels: Vec<u8> = (0..count).map(|image| (image % 2) as u8).collect();
    std::fs::write(folder.join("labels"), [head(&[count as u32]), labels].concat())?;
    Ok(Dataset::from_idx(&folder.join("images"), 1000)?.samples)
}

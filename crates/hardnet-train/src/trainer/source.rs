//! The batches of an epoch.

use std::ops::ControlFlow;
use std::sync::Arc;

use hardnet_data::{Batch, Loader, LoaderOptions, TrainingEpoch};
use serde::{Deserialize, Serialize};

use super::Trainer;
use crate::balance::Sampler;
use crate::error::Result;
use crate::evaluate::label;
use crate::event::{Event, RemoteReport};
use crate::ranks::with_causes;
use crate::segmentation::{CropLoader, CropOptions, Crops};

/// A batch of a classifier's images or one of its virtual shards, or a batch of crops with masks.
pub(super) enum Batched {
    Labeled(Batch),
    Masked(Crops),
}

impl Batched {
    /// The images with labels, if it has them.
    pub(super) fn labeled(&self) -> Option<&Batch> {
        match self {
            Self::Labeled(batch) => Some(batch),
            Self::Masked(_) => None,
        }
    }
}

/// The loader of these batches.
pub(super) enum Source {
    Labeled(Loader),
    Masked(CropLoader),
}

impl Iterator for Source {
    type Item = Batched;

    fn next(&mut self) -> Option<Batched> {
        match self {
            Self::Labeled(loader) => loader.next().map(Batched::Labeled),
            Self::Masked(loader) => loader.next().map(Batched::Masked),
        }
    }
}

/// Images that a rank could not read, and what it says of them and others.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) errors: usize,
    /// For rank 0, which cannot see the images of other ranks.
    pub(super) reports: Vec<RemoteReport>,
}

impl Trainer {
    /// Starts loading what is left for this rank of `epoch`, which has so many images.
    pub(super) fn source(&self, epoch: u32, images: usize) -> Result<Source> {
        let (job, size) = (&self.job, self.job.recipe.batch_size);
        let augmentation = job.recipe.augmentation;
        let mut pass = match job.recipe.sampler {
            Sampler::Shuffled => TrainingEpoch::new(augmentation, job.image_count(), job.seed, epoch),
            Sampler::Balanced => {
                let labels = job.training.iter().map(label).collect::<Result<Vec<_>>>()?;
                TrainingEpoch::balanced(augmentation, labels, job.seed, epoch)
            }
        };
        pass.truncate(images);
        pass.skip(self.state.batch * size);
        self.keep_own(&mut pass);
        let cores = Arc::clone(&self.cores);
        if let (Some(data), Some(recipe)) = (&job.segmentation, &job.recipe.segmentation) {
            let augmentation = recipe.augmentation;
            let options = CropOptions { augmentation, workers: job.workers, batch_size: size, isa: job.isa, cores };
            return Ok(Source::Masked(CropLoader::new(data, pass, options)));
        }
        let options = LoaderOptions::default()
            .workers(job.workers)
            .batch_size(size / job.recipe.virtual_shards)
            .prefetch(2 * size)
            .isa(job.isa)
            .cores(cores);
        let loader = Loader::training(Arc::clone(&job.training), job.pipeline.clone(), pass, options)?;
        Ok(Source::Labeled(loader))
    }

    /// Leaves out the images of other ranks.
    fn keep_own(&self, pass: &mut TrainingEpoch) {
        if self.ranks.size() == 1 {
            return;
        }
        let (shards, own) = (self.job.recipe.virtual_shards, self.ranks.own(self.job.recipe.virtual_shards));
        let images = self.job.recipe.batch_size / shards;
        for list in [&mut pass.order, &mut pass.repeats] {
            let mut place = 0..;
            list.retain(|_| place.next().is_some_and(|place| own.contains(&(place / images % shards))));
        }
    }

    /// Reports what was wrong with the images of a batch of this rank, and adds it to `told`.
    pub(super) fn report(&self, batch: &Batched, told: &mut Told, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) {
        let mut say = |event: Event| {
            let _ = observe(event);
        };
        let is_root = self.ranks.is_root();
        let mut add = |is_failure: bool, message: &dyn Fn() -> String| {
            told.errors += usize::from(is_failure);
            if !is_root {
                told.reports.push(RemoteReport { message: message(), is_failure });
            }
        };
        match batch {
            Batched::Labeled(batch) => {
                for (index, warning) in &batch.warnings {
                    let sample = &self.job.training[*index];
                    say(Event::Warning(sample, warning));
                    add(false, &|| format!("`{}`: {warning}", sample.name()));
                }
                for (_, failure) in &batch.failures {
                    say(Event::Failure(failure));
                    add(true, &|| with_causes(failure));
                }
            }
            Batched::Masked(crops) => {
                if let Some(data) = &self.job.segmentation {
                    let sample = |index: usize| &data.training[index].image;
                    crops.warnings.iter().for_each(|(index, warning)| say(Event::Warning(sample(*index), warning)));
                }
                for failure in &crops.failures {
                    say(Event::Unusable(failure));
                    add(true, &|| with_causes(failure));
                }
            }
        }
    }
}

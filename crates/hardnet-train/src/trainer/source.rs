//! The batches of an epoch.

use std::ops::ControlFlow;
use std::sync::Arc;

use hardnet_data::{Batch, Loader, LoaderOptions, TrainingEpoch};

use super::Trainer;
use crate::balance::Sampler;
use crate::error::Result;
use crate::evaluate::label;
use crate::event::Event;
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

impl Trainer {
    /// Starts loading what is left of `epoch`, which has so many images.
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

    /// Reports and counts what was wrong with the images of a batch.
    pub(super) fn report(&mut self, batch: &Batched, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) {
        let mut say = |event: Event| {
            let _ = observe(event);
        };
        self.state.totals.errors += match batch {
            Batched::Labeled(batch) => {
                let sample = |index: usize| &self.job.training[index];
                batch.warnings.iter().for_each(|(index, warning)| say(Event::Warning(sample(*index), warning)));
                batch.failures.iter().for_each(|(_, failure)| say(Event::Failure(failure)));
                batch.failures.len()
            }
            Batched::Masked(crops) => {
                if let Some(data) = &self.job.segmentation {
                    let sample = |index: usize| &data.training[index].image;
                    crops.warnings.iter().for_each(|(index, warning)| say(Event::Warning(sample(*index), warning)));
                }
                crops.failures.iter().for_each(|failure| say(Event::Unusable(failure)));
                crops.failures.len()
            }
        };
    }
}

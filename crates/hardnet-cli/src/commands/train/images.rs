//! The images of a run, and the job that trains with them.

use std::path::Path;

use hardnet_data::Pipeline;
use hardnet_segmentation::ClassNames;
use hardnet_train::{Job, RunFolder, RunState, SegmentationData, Validation};

use super::TrainArgs;
use super::data::{self, Data};
use super::masks;
use super::settings::Settings;
use crate::failure::{Failure, Result};
use crate::printer::Printer;

/// The images of a run: with labels and their preprocessing, or with masks.
pub(super) enum Images {
    Labeled(Data, Pipeline),
    Masked(SegmentationData),
}

impl Images {
    /// Number of training images, and of validation images.
    pub(super) fn counts(&self) -> (usize, Option<usize>) {
        match self {
            Self::Labeled(data, _) => (data.training.len(), data.validation.as_ref().map(|samples| samples.len())),
            Self::Masked(data) => (data.training.len(), data.validation.as_ref().map(|items| items.len())),
        }
    }
}

/// Settings and images of the run in `folder`, whose path is `path`. Either may have moved.
pub(super) fn saved(
    args: &TrainArgs,
    path: &Path,
    folder: &RunFolder,
    printer: &Printer,
) -> Result<(Settings, Images)> {
    let state = RunState::read(folder)?;
    let mut settings = Settings::from_value(state.settings)?;
    let path = std::path::absolute(path)?;
    settings.data = settings.data.relocated(&args.data, &args.masks, settings.output.as_deref(), &path)?;
    settings.output = Some(path);
    let images = load(&settings, printer)?;
    let (training, _) = images.counts();
    if state.images.is_none() && state.samples == training {
        printer.note(format_args!(
            "the run has no list of its images to compare with; their number is the same, {}",
            state.samples
        ));
    }
    Ok((settings, images))
}

/// The images that settings name.
pub(super) fn load(settings: &Settings, printer: &Printer) -> Result<Images> {
    let names = settings.data.class_names.as_deref().or(settings.metadata.labels.as_deref());
    let classes = settings.metadata.config.classes();
    let loaded = match (&settings.data.masks, &settings.protocol, &settings.pipeline) {
        (Some(masks), Some(protocol), _) => {
            let names = class_names(names, classes);
            masks::load(&settings.data, masks, &names, protocol.clone(), printer).map(Images::Masked)
        }
        (_, _, Some(pipeline)) => data::load_again(&settings.data, classes, names, printer)
            .map(|data| Images::Labeled(data, pipeline.clone())),
        _ => Err(Failure::message("the settings of the run have no preprocessing")),
    };
    match loaded {
        Err(failure) if failure.hint.is_none() && !settings.data.data_dir.exists() => {
            let flag = if settings.data.masks.as_ref().is_some_and(|masks| masks.masks.is_some()) {
                "--images and that of their masks with --masks"
            } else {
                "--data-dir"
            };
            Err(failure.hint(format!("if the images moved, pass their folder with {flag}")))
        }
        loaded => loaded,
    }
}

pub(super) fn class_names(names: Option<&[String]>, classes: usize) -> ClassNames {
    names.map_or_else(|| ClassNames::guess(classes), |names| ClassNames::new(names.to_vec()))
}

impl TrainArgs {
    /// The job of a run on this machine.
    pub(super) fn job(&self, settings: &Settings, images: Images, device: candle_core::Device) -> Result<Job> {
        let (metadata, recipe) = (settings.metadata.clone(), settings.recipe.clone());
        let (workers, isa) = (self.workers(), crate::knobs::isa()?);
        let job = match images {
            Images::Labeled(Data { training, validation, .. }, pipeline) => {
                let validation = validation.map(|samples| {
                    let validation = Validation::new(samples, pipeline.clone());
                    validation.workers(workers).threads(crate::knobs::threads()).isa(isa)
                });
                Job::new(metadata, recipe, training, pipeline).validation(validation)
            }
            Images::Masked(data) => Job::segmentation(metadata, recipe, data),
        };
        Ok(job
            .seed(settings.seed)
            .freeze_until(settings.freeze_until)
            .freeze_statistics(settings.freeze_statistics)
            .workers(workers)
            .threads(crate::knobs::threads())
            .device(device)
            .isa(isa)
            .checkpoint_every(self.checkpoint_every)
            .keep_epochs(settings.keep_epochs)
            .settings(settings.to_value()?))
    }
}

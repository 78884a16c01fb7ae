//! The files of a run.

use hardnet_model::write_weights;

use super::Trainer;
use crate::curves::plot_curves;
use crate::error::{Error, Result};
use crate::folder::RunFile;
use crate::image_list::{ImageDigests, ImageList};
use crate::state;

impl Trainer {
    /// Saves the state of the run, on the rank that writes its files.
    pub(super) fn save_state(&self) -> Result<()> {
        match &self.folder {
            Some(folder) => state::save(folder, &self.state, &self.tensors()),
            None => Ok(()),
        }
    }

    /// Saves the files of the epoch that was just added to the history, and then the state. Until the state is written,
    /// the epoch does not count as finished, and a resumed run repeats it.
    pub(super) fn save_epoch(&self) -> Result<()> {
        if self.folder.is_none() {
            return Ok(());
        }
        let metrics = self.state.history.last().expect("an epoch was just added");
        if self.job.keep_epochs {
            self.save_weights(RunFile::Epoch(metrics.epoch))?;
        }
        if metrics.best {
            self.save_weights(RunFile::Best)?;
        }
        self.save_weights(RunFile::Last)?;
        let lines: String = self.state.history.iter().map(line).collect();
        self.save_text(RunFile::Metrics, &lines)?;
        self.save_text(RunFile::Curves, &plot_curves(&self.state.history, self.job.recipe.epochs))?;
        self.save_state()
    }

    /// Writes the lists of the images, and returns their digests.
    pub(super) fn save_image_lists(&self) -> Result<ImageDigests> {
        let save = |list: ImageList, file| list.save(self.folder(), file).map(|()| list.digest());
        let (training, validation) = self.image_lists()?;
        Ok(ImageDigests {
            training: save(training, RunFile::TrainingImages)?,
            validation: validation.map(|list| save(list, RunFile::ValidationImages)).transpose()?,
        })
    }

    /// Checks that the images are those with the digests `saved`.
    pub(super) fn check_image_lists(&self, saved: &ImageDigests) -> Result<()> {
        let (training, validation) = self.image_lists()?;
        training.check(&saved.training, self.folder(), RunFile::TrainingImages)?;
        match (&saved.validation, validation) {
            (Some(saved), Some(list)) => list.check(saved, self.folder(), RunFile::ValidationImages),
            (None, None) => Ok(()),
            (saved, list) => {
                let expected = saved.as_ref().map_or(0, |saved| saved.count);
                let found = list.map_or(0, |list| list.digest().count);
                Err(Error::OtherImages { set: "validation", expected, found, difference: None })
            }
        }
    }

    pub(super) fn image_lists(&self) -> Result<(ImageList, Option<ImageList>)> {
        if let Some(data) = &self.job.segmentation {
            let validation = data.validation.as_ref().map(|items| ImageList::with_masks(items));
            return Ok((ImageList::with_masks(&data.training), validation));
        }
        let validation = self.job.validation.as_ref().map(|validation| ImageList::new(&validation.samples));
        Ok((ImageList::new(&self.job.training)?, validation.transpose()?))
    }

    fn save_weights(&self, file: RunFile) -> Result<()> {
        self.folder().write(file, |out| match write_weights(&self.job.metadata, self.result(), out) {
            Err(hardnet_params::Error::NotFinite { .. }) => {
                let (epoch, batch) = (self.state.epochs(), self.state.batch);
                Err(Error::Diverged { epoch, batch, loss: f32::NAN })
            }
            other => Ok(other?),
        })
    }

    fn save_text(&self, file: RunFile, text: &str) -> Result<()> {
        self.folder().write(file, |out| {
            out.write_all(text.as_bytes()).map_err(|error| Error::Params(hardnet_params::Error::Write(error)))
        })
    }
}

fn line(metrics: &crate::EpochMetrics) -> String {
    let json = serde_json::to_string(metrics).expect("metrics are a table of numbers");
    format!("{json}\n")
}

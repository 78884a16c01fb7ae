//! What a run leaves in its folder.

use hardnet_model::write_weights;

use super::Trainer;
use crate::curves::curves;
use crate::error::{Error, Result};
use crate::folder::RunFile;
use crate::state;

impl Trainer {
    /// Saves how far the run is.
    pub(super) fn save_state(&self) -> Result<()> {
        state::save(&self.folder, &self.progress, &self.tensors())
    }

    /// Saves what an epoch that was just added to the history gives, and the state behind it: until that is written, the
    /// epoch is not finished, and going on makes it again.
    pub(super) fn save_epoch(&self) -> Result<()> {
        let metrics = self.progress.history.last().expect("an epoch was just added");
        if self.job.keep_epochs {
            self.save_weights(RunFile::Epoch(metrics.epoch))?;
        }
        if metrics.best {
            self.save_weights(RunFile::Best)?;
        }
        self.save_weights(RunFile::Last)?;
        let lines: String = self.progress.history.iter().map(line).collect();
        self.save_text(RunFile::Metrics, &lines)?;
        self.save_text(RunFile::Curves, &curves(&self.progress.history, self.job.recipe.epochs))?;
        self.save_state()
    }

    fn save_weights(&self, file: RunFile) -> Result<()> {
        self.folder.write(file, |out| match write_weights(&self.job.metadata, self.result(), out) {
            Err(hardnet_params::Error::NotFinite { .. }) => {
                let (epoch, batch) = (self.progress.epochs(), self.progress.batch);
                Err(Error::Diverged { epoch, batch, loss: f32::NAN })
            }
            other => Ok(other?),
        })
    }

    fn save_text(&self, file: RunFile, text: &str) -> Result<()> {
        self.folder.write(file, |out| {
            out.write_all(text.as_bytes()).map_err(|error| Error::Params(hardnet_params::Error::Write(error)))
        })
    }
}

fn line(metrics: &crate::EpochMetrics) -> String {
    let json = serde_json::to_string(metrics).expect("metrics are a table of numbers");
    format!("{json}\n")
}

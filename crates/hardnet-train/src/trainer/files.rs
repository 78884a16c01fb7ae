//! The files of a run.

use hardnet_model::write_weights;

use super::Trainer;
use crate::curves::plot_curves;
use crate::error::{Error, Result};
use crate::folder::RunFile;
use crate::state;

impl Trainer {
    /// Saves the state of the run.
    pub(super) fn save_state(&self) -> Result<()> {
        state::save(&self.folder, &self.state, &self.tensors())
    }

    /// Saves the files of the epoch that was just added to the history, and then the state. Until the state is written,
    /// the epoch does not count as finished, and a resumed run repeats it.
    pub(super) fn save_epoch(&self) -> Result<()> {
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

    fn save_weights(&self, file: RunFile) -> Result<()> {
        self.folder.write(file, |out| match write_weights(&self.job.metadata, self.result(), out) {
            Err(hardnet_params::Error::NotFinite { .. }) => {
                let (epoch, batch) = (self.state.epochs(), self.state.batch);
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

//! The training images and the validation images.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use hardnet_data::{Dataset, Sample};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::format::at_least_one;
use crate::printer::Printer;
use crate::samples::{labeled, subsample_evenly};

/// Seed of the validation split. It does not depend on the run's seed, so that runs can be compared.
const HOLD_OUT_SEED: u64 = 0;

/// Options that name the images.
#[derive(Args, Debug)]
#[command(next_help_heading = "Images")]
pub(crate) struct DataArgs {
    /// Training images: a folder or tar archive, as in hardnet eval, or an IDX file such as train-images-idx3-ubyte.gz
    #[arg(long, value_name = "PATH", required_unless_present = "resume")]
    data_dir: Option<PathBuf>,
    /// List of training images and their classes, in the format of --val-list of hardnet eval
    #[arg(long, value_name = "FILE")]
    train_list: Option<PathBuf>,
    /// Validation images [default: --data-dir, if --val-list is given]
    #[arg(long, value_name = "PATH", conflicts_with = "hold_out")]
    val_dir: Option<PathBuf>,
    /// List of validation images and their classes
    #[arg(long, value_name = "FILE", conflicts_with = "hold_out")]
    val_list: Option<PathBuf>,
    /// Hold out N random training images for validation; the choice does not depend on --seed
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    hold_out: Option<usize>,
    /// Train on N evenly spaced images only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    num_samples: Option<usize>,
    /// Number of classes [default: from the images, or else from the weights]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) num_classes: Option<usize>,
}

/// The options as a run stores them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSettings {
    pub(crate) data_dir: PathBuf,
    pub(crate) train_list: Option<PathBuf>,
    pub(crate) val_dir: Option<PathBuf>,
    pub(crate) val_list: Option<PathBuf>,
    pub(crate) hold_out: Option<usize>,
    pub(crate) num_samples: Option<usize>,
}

/// The images.
pub(crate) struct Data {
    pub(crate) training: Arc<Vec<Sample>>,
    pub(crate) validation: Option<Arc<Vec<Sample>>>,
    /// Class names, if the images are in class folders.
    pub(crate) classes: Option<Vec<String>>,
}

impl DataArgs {
    /// The options as a run stores them, with absolute paths, so that it can be resumed from another folder.
    pub(crate) fn settings(&self) -> Result<DataSettings> {
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        let data_dir = absolute(&self.data_dir)?.expect("clap requires images");
        let val_list = absolute(&self.val_list)?;
        let val_dir = absolute(&self.val_dir)?.or_else(|| val_list.as_ref().map(|_| data_dir.clone()));
        Ok(DataSettings {
            data_dir,
            train_list: absolute(&self.train_list)?,
            val_dir,
            val_list,
            hold_out: self.hold_out,
            num_samples: self.num_samples,
        })
    }
}

/// Number of classes, if class folders or an IDX file define it.
pub(crate) fn count_classes(settings: &DataSettings) -> Result<Option<usize>> {
    if settings.train_list.is_some() {
        return Ok(None);
    }
    if Dataset::is_idx(&settings.data_dir) {
        let dataset = Dataset::from_idx(&settings.data_dir, usize::from(u8::MAX) + 1)?;
        return Ok(dataset.samples.iter().filter_map(|sample| sample.label()).max().map(|label| label as usize + 1));
    }
    let folders = Dataset::count_class_folders(&settings.data_dir)?;
    Ok((folders > 0).then_some(folders))
}

/// Finds the images.
pub(crate) fn load(settings: &DataSettings, classes: usize, printer: &Printer) -> Result<Data> {
    let mut training = labeled(&settings.data_dir, settings.train_list.as_deref(), classes, printer)?;
    let validation = match (&settings.val_dir, settings.hold_out) {
        (Some(root), _) => Some(labeled(root, settings.val_list.as_deref(), classes, printer)?),
        (None, Some(count)) => {
            let all = training.samples.len();
            let held = training.split_off_random(count, HOLD_OUT_SEED);
            if training.samples.is_empty() {
                return Err(Failure::message(format!(
                    "--hold-out {count} leaves none of the {all} images for training"
                )));
            }
            printer.note(format_args!("holding out {} of {all} training images for validation", held.samples.len()));
            Some(held)
        }
        (None, None) => {
            printer.warn("no validation set; pass --val-dir or --hold-out to validate");
            None
        }
    };
    subsample_evenly(&mut training, settings.num_samples, printer);
    Ok(Data {
        classes: training.classes,
        training: training.samples.into(),
        validation: validation.map(|validation| validation.samples.into()),
    })
}

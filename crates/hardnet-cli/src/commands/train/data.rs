//! The training images and the validation images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hardnet_data::{ClassMap, Classes, Dataset, LabelRule, Sample};
use serde::{Deserialize, Serialize};

use super::masks::{MaskArgs, MaskSettings};
use crate::failure::{Failure, Result};
use crate::format::at_least_one;
use crate::printer::Printer;
use crate::samples::{labeled, options, subsample_evenly};

/// Seed of the validation split. It does not depend on the run's seed, so that runs can be compared.
pub(crate) const HOLD_OUT_SEED: u64 = 0;

/// Options that name the images.
#[derive(Args, Debug)]
#[command(next_help_heading = "Images")]
pub(crate) struct DataArgs {
    /// Training images: a folder or tar archive, as in hardnet eval, an IDX file such as train-images-idx3-ubyte.gz, or
    /// for segmentation networks the folder of Cityscapes or of the lists
    #[arg(long, value_name = "PATH", required_unless_present_any = ["resume", "images"])]
    pub(crate) data_dir: Option<PathBuf>,
    /// List of training images and their classes, in the format of --val-list of hardnet eval; for segmentation
    /// networks, an image and its mask on each line
    #[arg(long, value_name = "FILE")]
    train_list: Option<PathBuf>,
    /// Validation images [default: --data-dir, if --val-list is given]
    #[arg(long, value_name = "PATH", conflicts_with = "hold_out")]
    pub(crate) val_dir: Option<PathBuf>,
    /// List of validation images and their classes, or masks
    #[arg(long, value_name = "FILE", conflicts_with = "hold_out")]
    val_list: Option<PathBuf>,
    /// Which class each label means, in the format of --class-map of hardnet eval
    #[arg(long, value_name = "FILE")]
    pub(crate) class_map: Option<PathBuf>,
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
    /// The class that each label names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class_map: Option<PathBuf>,
    /// The names by which labels are matched with classes, if they are not the names in the metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class_names: Option<Vec<String>>,
    /// The masks of the images, for a segmentation network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masks: Option<MaskSettings>,
}

impl DataSettings {
    /// The settings for a run that is resumed, with the paths of `args` where they are given.
    ///
    /// The other paths follow: those near the training images to near their new place, and those that are gone to where
    /// they would be if they had moved together with the run's folder, `from` to `to`.
    pub(crate) fn relocated(&self, args: &DataArgs, masks: &MaskArgs, from: Option<&Path>, to: &Path) -> Result<Self> {
        let with_run = |path: &Path| {
            let moved = from.filter(|_| !path.exists()).and_then(|from| moved_along(path, from, to));
            moved.filter(|path| path.exists())
        };
        let data_dir = match args.data_dir.as_ref().or(masks.images.as_ref()) {
            Some(path) => std::path::absolute(path)?,
            None => with_run(&self.data_dir).unwrap_or_else(|| self.data_dir.clone()),
        };
        let follow = |given: &Option<PathBuf>, stored: &Option<PathBuf>, flag: &str| match (given, stored) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(Failure::message(format!("the run was started without {flag}"))),
            (Some(path), Some(_)) => Ok(Some(std::path::absolute(path)?)),
            (None, Some(stored)) => {
                let moved = moved_along(stored, &self.data_dir, &data_dir).filter(|path| path.exists());
                Ok(Some(moved.or_else(|| with_run(stored)).unwrap_or_else(|| stored.clone())))
            }
        };
        Ok(Self {
            train_list: follow(&args.train_list, &self.train_list, "--train-list")?,
            masks: match &self.masks {
                Some(own) => Some(MaskSettings {
                    masks: follow(&masks.masks, &own.masks, "--masks")?,
                    val_masks: follow(&masks.val_masks, &own.val_masks, "--val-masks")?,
                    mask_colors: follow(&None, &own.mask_colors, "--mask-colors")?,
                    ..own.clone()
                }),
                None => None,
            },
            val_dir: match &self.masks {
                Some(_) => follow(&masks.val_images, &self.val_dir, "--val-images")?,
                None => follow(&args.val_dir, &self.val_dir, "--val-dir")?,
            },
            val_list: follow(&args.val_list, &self.val_list, "--val-list")?,
            class_map: follow(&args.class_map, &self.class_map, "--class-map")?,
            data_dir,
            ..self.clone()
        })
    }
}

/// Where `path` is after the folder that it shares with `from` moved, so that `from` is `to`.
fn moved_along(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let shared = from.ancestors().find(|folder| path.starts_with(folder))?;
    let below = from.strip_prefix(shared).ok()?;
    let depth = below.components().count();
    if !to.ends_with(below) {
        return None;
    }
    let folder = to.ancestors().nth(depth)?;
    let rest = path.strip_prefix(shared).ok()?;
    Some(if rest.as_os_str().is_empty() { folder.into() } else { folder.join(rest) })
}

/// The images.
pub(crate) struct Data {
    pub(crate) training: Arc<Vec<Sample>>,
    pub(crate) validation: Option<Arc<Vec<Sample>>>,
    pub(crate) class_count: usize,
    /// The name of each class: that of its folder or label, or as the initial weights write it. `None` if labels are
    /// indices without names.
    pub(crate) classes: Option<Vec<String>>,
}

/// Classes of the initial weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InitialClasses<'a> {
    pub(crate) count: usize,
    pub(crate) names: Option<&'a [String]>,
}

impl InitialClasses<'_> {
    /// `count` classes, by their names if there are as many.
    fn classes(self, count: usize) -> Classes {
        match self.names {
            Some(names) if names.len() == count => Classes::named(names),
            _ => Classes::unnamed(count),
        }
    }
}

impl DataArgs {
    /// The options as a run stores them, with absolute paths, so that it can be resumed from another folder.
    pub(crate) fn settings(&self, masks: &MaskArgs) -> Result<DataSettings> {
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        let data_dir = absolute(&self.data_dir)?.or(absolute(&masks.images)?).expect("clap requires images");
        let val_list = absolute(&self.val_list)?;
        let val_dir = absolute(&self.val_dir)?
            .or(absolute(&masks.val_images)?)
            .or_else(|| val_list.as_ref().map(|_| data_dir.clone()));
        Ok(DataSettings {
            data_dir,
            train_list: absolute(&self.train_list)?,
            val_dir,
            val_list,
            hold_out: self.hold_out,
            num_samples: self.num_samples,
            class_map: absolute(&self.class_map)?,
            class_names: None,
            masks: None,
        })
    }
}

/// Finds the images of a new run. The training images say what the classes are, in one of these ways:
///
/// 1. Folders or labels that the initial weights have all and only for classes are these classes, in their order.
/// 2. Other names of folders or labels are classes in the order of the names as text, torchvision's.
/// 3. Indices of an IDX file have as many classes as the file, those of a list as many as the initial weights.
///
/// `num_classes` sets another number: then the labels are WordNet ids of ImageNet's classes, or indices. A class map
/// says all of this in their place.
pub(crate) fn load_new(
    settings: &DataSettings,
    num_classes: Option<usize>,
    initial: InitialClasses,
    printer: &Printer,
) -> Result<Data> {
    let (root, list) = (&settings.data_dir, settings.train_list.as_deref());
    let read = |classes: Classes| -> Result<Dataset> { Ok(options(root, list, classes)?.allow_repeats(true).read()?) };
    if let Some(path) = &settings.class_map {
        let classes = num_classes.map_or(Classes::of_labels(), |count| initial.classes(count));
        let classes = classes.with_map(&ClassMap::read(path)?)?;
        let training = read(classes.clone())?;
        print_notes(&training, printer);
        return complete(settings, training, classes, printer);
    }
    let own = read(Classes::of_labels())?;
    let is_list_of_indices = own.rule == Some(LabelRule::Indices) && list.is_some() && initial.count > 0;
    let count = num_classes.unwrap_or(if is_list_of_indices { initial.count } else { own.class_count });
    let named_alike = || match own.rule {
        Some(LabelRule::SortedAsText) if initial.count == count => {
            let dataset = read(Classes::named(initial.names?)).ok()?;
            (dataset.rule == Some(LabelRule::ClassNames)).then_some(dataset)
        }
        _ => None,
    };
    let mut training = match named_alike() {
        Some(dataset) => dataset,
        None if count == own.class_count && !is_list_of_indices => own,
        None => read(initial.classes(count))?,
    };
    print_notes(&training, printer);
    if let (None, Some(names)) = (&training.classes, initial.names)
        && names.len() == training.class_count
    {
        training.classes = Some(names.to_vec());
    }
    // Once they are known, all labels are read as these classes.
    let classes = match &training.classes {
        Some(names) => Classes::named(names),
        None => Classes::unnamed(training.class_count),
    };
    complete(settings, training, classes, printer)
}

/// Finds the images of a run whose classes are known: by `names`, if there are any.
pub(crate) fn load_again(
    settings: &DataSettings,
    class_count: usize,
    names: Option<&[String]>,
    printer: &Printer,
) -> Result<Data> {
    let list = settings.train_list.as_deref();
    let read = |classes: &Classes| -> Result<Dataset> {
        Ok(options(&settings.data_dir, list, classes.clone())?.allow_repeats(true).read()?)
    };
    let unnamed = Classes::unnamed(class_count);
    if let Some(path) = &settings.class_map {
        let classes = unnamed.with_map(&ClassMap::read(path)?)?;
        let training = read(&classes)?;
        print_notes(&training, printer);
        return complete(settings, training, classes, printer);
    }
    let (training, classes) = match names.filter(|names| names.len() == class_count).map(Classes::named) {
        None => (read(&unnamed)?, unnamed),
        Some(named) => match read(&named) {
            Ok(training) => (training, named),
            // Runs of version 0.1 with --labels have other names than their folders.
            Err(failure) => (read(&unnamed).map_err(|_| failure)?, unnamed),
        },
    };
    print_notes(&training, printer);
    complete(settings, training, classes, printer)
}

fn print_notes(dataset: &Dataset, printer: &Printer) {
    dataset.notes.iter().for_each(|note| printer.note(note));
}

/// Adds the validation images, whose labels are read as `classes`.
fn complete(settings: &DataSettings, mut training: Dataset, classes: Classes, printer: &Printer) -> Result<Data> {
    let validation = match (&settings.val_dir, settings.hold_out) {
        (Some(root), _) => Some(labeled(root, settings.val_list.as_deref(), classes, printer)?),
        (None, Some(count)) => {
            // Lines may repeat.
            let all = training.image_numbers().into_iter().max().map_or(0, |last| last + 1);
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
        class_count: training.class_count,
        classes: training.classes,
        training: training.samples.into(),
        validation: validation.map(|validation| validation.samples.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_moves_along() {
        for (path, from, to, expected) in [
            ("/a/three/val", "/a/three/train", "/b/data/train", Some("/b/data/val")),
            ("/a/three/train", "/a/three/train", "/b/other", Some("/b/other")),
            ("/a/three/train/list.txt", "/a/three/train", "/b/other", Some("/b/other/list.txt")),
            ("/a/val", "/a/three/train", "/b/three/train", Some("/b/val")),
            ("/a/three/val", "/a/three/train", "/b/images", None),
            ("/p/images", "/p/runs/one", "/q/runs/one", Some("/q/images")),
            ("/p/images", "/p/runs/one", "/q/runs/two", None),
        ] {
            let moved = moved_along(Path::new(path), Path::new(from), Path::new(to));
            assert_eq!(moved.as_deref(), expected.map(Path::new), "{path}, {from} to {to}");
        }
    }
}

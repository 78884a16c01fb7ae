//! The images to embed, their names and labels.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardnet_base::{TextError, TextLines};
use hardnet_data::{
    Classes, Dataset, DatasetError, DatasetOptions, IMAGE_EXTENSIONS, ImageRoot, MAX_LIST_BYTES, MAX_SAMPLES, Sample,
    Shard,
};

use super::EmbedArgs;
use crate::failure::{Failure, Result};
use crate::printer::Printer;
use crate::shards::{ShardRecord, ShardSettings};

/// Images with names and, where folders or a list give them, labels.
#[derive(Clone, Default)]
pub(super) struct Images {
    samples: Arc<Vec<Sample>>,
    /// The folder that names are relative to, unless they are already.
    root: Option<PathBuf>,
    /// Names of the classes in the order of their labels.
    classes: Option<Vec<String>>,
    /// Number of images before those of other processes were dropped.
    total: usize,
    /// Whether all of these have labels.
    labeled: bool,
}

impl Images {
    /// Finds the images of the command line.
    pub(super) fn find(args: &EmbedArgs, printer: &Printer) -> Result<Self> {
        let (dataset, root) = match (args.data_dir.as_deref(), args.list.as_deref()) {
            (root, Some(list)) => listed(root, list)?,
            (Some(root), None) => below(root)?,
            (None, None) if args.paths.is_empty() => {
                return Err(Failure::message("no images given").hint("pass images, or --data-dir FOLDER"));
            }
            (None, None) => (Dataset::from_paths(&args.paths)?, None),
        };
        for note in &dataset.notes {
            printer.note(note);
        }
        let (total, labeled) = (dataset.samples.len(), dataset.samples.iter().all(|image| image.label().is_some()));
        let (samples, root) = (Arc::new(dataset.samples), root.map(Path::to_path_buf));
        Ok(Self { samples, root, classes: dataset.classes, total, labeled })
    }

    /// Some images of tar files.
    pub(super) fn of_tars(samples: Vec<Sample>) -> Self {
        Self { samples: Arc::new(samples), ..Self::default() }
    }

    /// Drops the images of all shards but one, whose record is returned.
    pub(super) fn keep(&mut self, shard: Shard, settings: ShardSettings) -> Result<ShardRecord> {
        let record = ShardRecord::new(shard, &self.samples, settings);
        self.samples = Arc::new(self.samples[record.first..record.end].to_vec());
        Ok(record)
    }

    /// Number of images of all shards.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The images from number `first` on.
    pub(super) fn samples_from(&self, first: usize) -> Arc<Vec<Sample>> {
        if first == 0 { Arc::clone(&self.samples) } else { Arc::new(self.samples[first..].to_vec()) }
    }

    /// Name of image `index`: its path, below the folder of `--data-dir` if that is given.
    pub(super) fn name(&self, index: usize) -> &str {
        let name = self.samples[index].name();
        let below = self.root.as_ref().and_then(|root| Path::new(name).strip_prefix(root).ok()?.to_str());
        // An image that is itself the root has nothing below it.
        below.filter(|below| !below.is_empty()).unwrap_or(name)
    }

    /// Label of image `index`.
    pub(super) fn label(&self, index: usize) -> Option<u32> {
        self.samples[index].label()
    }

    /// Name of the class of image `index`, if classes have names.
    pub(super) fn class(&self, index: usize) -> Option<&str> {
        self.classes()?.get(self.label(index)? as usize).map(String::as_str)
    }

    /// The names of the classes in the order of their labels, if they have names.
    pub(super) fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Whether images have labels.
    pub(super) fn are_labeled(&self) -> bool {
        self.labeled
    }
}

/// The images of the command line without their labels: those of `root`, or those that `list` names in it.
pub(crate) fn unlabeled(root: Option<&Path>, list: Option<&Path>) -> Result<Dataset> {
    Ok(match (root, list) {
        (root, Some(list)) => listed(root, list)?.0,
        (Some(root), None) => below(root)?.0,
        (None, None) => Dataset::default(),
    })
}

/// Images and the folder that their names are relative to, unless they are already.
type Found<'a> = (Dataset, Option<&'a Path>);

/// The images of `root`, with labels if there is a folder for each class.
fn below(root: &Path) -> Result<Found<'_>> {
    match DatasetOptions::new(image_root(root), Classes::of_labels()).read() {
        Err(DatasetError::NoClassFolders { .. } | DatasetError::UnsortedImages { .. }) => {
            Ok((Dataset::from_paths(&[root.to_path_buf()])?, Some(root)))
        }
        dataset => Ok((dataset?, None)),
    }
}

/// The images that `list` names in `root`, with labels if its lines have them.
fn listed<'a>(root: Option<&'a Path>, list: &Path) -> Result<Found<'a>> {
    let Some(names) = names(list)? else {
        let folder = image_root(root.unwrap_or(Path::new(".")));
        let options = DatasetOptions::new(folder, Classes::of_labels()).list(Some(list)).allow_repeats(true);
        return Ok((options.read()?, None));
    };
    if let Some(archive) = root.filter(|root| root.is_file()) {
        return Ok((Dataset::from_names(list, image_root(archive))?, None));
    }
    let paths: Vec<_> = names.iter().map(|name| root.map_or(name.into(), |root| root.join(name))).collect();
    Ok((Dataset::from_paths(&paths)?, root))
}

/// The lines of a list without labels; `None` if its first line has a label.
fn names(list: &Path) -> Result<Option<Vec<String>>> {
    let failed = |error: TextError| anyhow::Error::from(error).context(format!("`{}`", list.display()));
    let mut lines = TextLines::open(list, MAX_LIST_BYTES).map_err(failed)?;
    let mut names = Vec::new();
    while let Some((_, line)) = lines.next_line().map_err(failed)? {
        let line = line.trim();
        if names.is_empty() && has_label(line) {
            return Ok(None);
        }
        if !line.is_empty() {
            names.push(line.into());
        }
        if names.len() > MAX_SAMPLES {
            return Err(Failure::message(format!("`{}` has more than {MAX_SAMPLES} lines", list.display())));
        }
    }
    Ok(Some(names))
}

/// Whether a line of a list ends in something else than the name of an image.
fn has_label(line: &str) -> bool {
    let last = line.rsplit(['\t', ' ', ',']).next().filter(|last| last.len() < line.len());
    let is_image = |last: &str| {
        let extension = last.rsplit_once('.').map(|(_, extension)| extension);
        extension.is_some_and(|extension| IMAGE_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
    };
    last.is_some_and(|last| !is_image(last))
}

fn image_root(root: &Path) -> ImageRoot {
    let cache = crate::knobs::cache_folder();
    let root = ImageRoot::from(root);
    cache.map_or(root.clone(), |cache| root.with_index_cache(cache.join("archives")))
}

#[cfg(test)]
mod tests {
    use super::has_label;

    #[test]
    fn a_line_has_a_label_if_it_ends_in_no_image() {
        for line in ["a.jpg 3", "a.jpg\tAnkle boot", "a b.JPEG 65", "ImageId,PredictionString", "x,n01440764 1 2 3 4"] {
            assert!(has_label(line), "{line}");
        }
        for line in ["", "a.jpg", "a", "holiday photos/IMG 1.JPG", "a, b.png"] {
            assert!(!has_label(line), "{line}");
        }
    }
}

//! Folders as labels: `root/<class>/<images>`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardnet_base::excerpt;

use super::error::QUOTED;
use super::list::looks_one_based;
use super::walk::{self, images_below};
use super::{Dataset, DatasetError, ImageRoot, MAX_SAMPLES, Opened, Sample, archive};
use crate::imagenet;
use crate::shared_str::{SharedStr, Span};

/// How the names of the class folders became class indices.
struct Labeling {
    /// The class index of each folder, in the order of the folders.
    labels: Vec<u32>,
    /// The name of each class, in index order.
    classes: Vec<String>,
    note: String,
}

pub(super) fn read(root: &ImageRoot, classes: usize) -> Result<Dataset, DatasetError> {
    let (root, opened) = (root.path(), root.open()?);
    if let Opened::Archive(archive) = opened {
        let mut dataset = archive::class_folders(root, &archive, classes)?;
        dataset.notes.extend(archive.note);
        return Ok(dataset);
    }
    let listing = walk::list(root)?;
    let folders = listing.folders;
    let names: Vec<&str> = folders.iter().map(|(name, _)| name.as_str()).collect();
    build(root, &names, listing.images.len(), classes, |labels| samples(root, &folders, labels))
}

/// The samples of the class folders, and the names of those without one.
pub(super) type Filled<'a> = (Vec<Sample>, Vec<&'a str>);

/// The data set of class folders named `names`, which are sorted and have `loose` images beside them.
///
/// `samples` gives the samples in the order of the folders, from the label of each folder.
pub(super) fn build<'a>(
    root: &Path,
    names: &[&str],
    loose: usize,
    classes: usize,
    samples: impl FnOnce(&[u32]) -> Result<Filled<'a>, DatasetError>,
) -> Result<Dataset, DatasetError> {
    if names.is_empty() {
        return Err(match loose {
            0 => DatasetError::NoClassFolders { root: root.into() },
            count => DatasetError::UnsortedImages { root: root.into(), count },
        });
    }
    let labeling = label(root, names, classes)?;
    let mut notes = vec![labeling.note];
    if loose > 0 {
        notes.push(format!("{loose} images directly in `{}` belong to no class and are left out", root.display()));
    }
    let (samples, empty) = samples(&labeling.labels)?;
    if samples.is_empty() {
        return Err(DatasetError::NoImages { folder: root.into() });
    }
    if !empty.is_empty() {
        let some: Vec<_> = empty.iter().take(QUOTED).map(|name| format!("`{}`", excerpt(name))).collect();
        let dots = if empty.len() > QUOTED { ", .." } else { "" };
        notes.push(format!("{} class folders hold no image: {}{dots}", empty.len(), some.join(", ")));
    }
    let mut dataset = Dataset::new(samples);
    dataset.classes = Some(labeling.classes);
    dataset.notes = notes;
    Ok(dataset)
}

/// The samples of all class folders in the order of their names, and the names of the empty ones.
fn samples<'a>(root: &Path, folders: &'a [(String, PathBuf)], labels: &[u32]) -> Result<Filled<'a>, DatasetError> {
    let (mut samples, mut empty, shared) = (Vec::new(), Vec::new(), Arc::from(root));
    for ((class, folder), label) in folders.iter().zip(labels) {
        let images = images_below(folder, MAX_SAMPLES - samples.len())?;
        if images.is_empty() {
            empty.push(class.as_str());
        }
        let mut names = String::new();
        let spans = images.iter().map(|image| Span::push(&mut names, &format!("{class}/{}", image.relative())));
        let spans: Option<Vec<_>> = spans.collect();
        let too_many = || DatasetError::TooManySamples { path: folder.clone(), limit: MAX_SAMPLES };
        let (spans, names) = (spans.ok_or_else(too_many)?, Arc::new(names));
        samples.extend(images.into_iter().zip(spans).map(|(image, span)| {
            let name = SharedStr::new(&names, span);
            // Names of files that are not UTF-8 are told with a substitute.
            let is_name = image.path.strip_prefix(root).is_ok_and(|path| path.as_os_str() == name.as_str());
            match is_name {
                true => Sample::below(&shared, None, *label, name),
                false => Sample::file(image.path, Some(*label), name),
            }
        }));
    }
    Ok((samples, empty))
}

/// Chooses by the look of the names, which are sorted.
fn label(root: &Path, names: &[&str], classes: usize) -> Result<Labeling, DatasetError> {
    let is_imagenet = classes == imagenet::classes().len();
    if is_imagenet && names.iter().any(|name| imagenet::is_wordnet_id(name)) {
        by_wordnet_id(root, names)
    } else if names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        by_number(root, names, classes)
    } else {
        by_order(root, names, classes)
    }
}

fn by_wordnet_id(root: &Path, names: &[&str]) -> Result<Labeling, DatasetError> {
    let labels: Vec<_> = names.iter().filter_map(|name| imagenet::class_index(name)).collect();
    if labels.len() < names.len() {
        let unknown = names.iter().filter(|name| imagenet::class_index(name).is_none());
        return Err(DatasetError::UnknownClasses {
            root: root.into(),
            count: names.len() - labels.len(),
            found: names.len(),
            first: unknown.take(QUOTED).map(|name| excerpt(name)).collect(),
        });
    }
    let classes: Vec<_> = imagenet::classes().iter().map(|class| class.wordnet_id.to_owned()).collect();
    let note = format!("labels are the folder names as WordNet ids, {} of ImageNet's {}", names.len(), classes.len());
    Ok(Labeling { labels, classes, note })
}

fn by_number(root: &Path, names: &[&str], classes: usize) -> Result<Labeling, DatasetError> {
    // Only a number too large for the type fails, and that is no class index either.
    let labels: Vec<u32> = names.iter().map(|name| name.parse().unwrap_or(u32::MAX)).collect();
    if let Some(wrong) = labels.iter().position(|label| *label as usize >= classes) {
        return Err(DatasetError::FolderOutOfRange {
            root: root.into(),
            folder: excerpt(names[wrong]),
            classes,
            one_based: looks_one_based(labels.iter().copied(), classes),
        });
    }
    let mut class_names = vec![None; classes];
    for (label, name) in labels.iter().zip(names) {
        if let Some(first) = class_names[*label as usize].replace(*name) {
            let (first, second) = (excerpt(first), excerpt(name));
            return Err(DatasetError::SameNumber { root: root.into(), first, second });
        }
    }
    let class_names =
        class_names.iter().enumerate().map(|(index, name)| name.map_or(index.to_string(), str::to_owned)).collect();
    let note = format!("labels are the folder names as class indices, {} of {classes}", names.len());
    Ok(Labeling { labels, classes: class_names, note })
}

fn by_order(root: &Path, names: &[&str], classes: usize) -> Result<Labeling, DatasetError> {
    if names.len() != classes {
        return Err(DatasetError::ClassCount {
            root: root.into(),
            found: names.len(),
            classes,
            first: names.iter().take(QUOTED).map(|name| excerpt(name)).collect(),
        });
    }
    let note = format!(
        "labels are the positions of the {classes} class folders in the order of their names, `{}` is 0 and `{}` is {}",
        excerpt(names[0]),
        excerpt(names[classes - 1]),
        classes - 1
    );
    let labels = (0..).take(classes).collect();
    Ok(Labeling { labels, classes: names.iter().map(|name| (*name).to_owned()).collect(), note })
}

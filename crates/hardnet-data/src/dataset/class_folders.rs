//! Folders as labels: `root/<class>/<images>`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardnet_base::excerpt;

use super::archive::ArchivedClassFolders;
use super::error::QUOTED;
use super::labels::label;
use super::root::Opened;
use super::walk::{self, images_below};
use super::{Dataset, DatasetError, ImageRoot, MAX_SAMPLES, Sample};
use crate::shared_str::{SharedStr, Span};

pub(super) fn read(root: &ImageRoot, classes: usize) -> Result<Dataset, DatasetError> {
    let (root, opened) = (root.path(), root.open()?);
    if let Opened::Archive(archive) = opened {
        let folders = ArchivedClassFolders::find(root, &archive, classes)?;
        let mut dataset = build(root, &folders.names(), folders.unsorted(), classes, |labels| folders.samples(labels))?;
        dataset.notes.extend(folders.note());
        dataset.notes.extend(archive.note.clone());
        return Ok(dataset);
    }
    let listing = walk::list(root)?;
    let folders = listing.folders;
    let names: Vec<&str> = folders.iter().map(|(name, _)| name.as_str()).collect();
    build(root, &names, listing.images.len(), classes, |labels| samples(root, &folders, labels))
}

/// The samples of the class folders, and the names of those without one.
type Filled<'a> = (Vec<Sample>, Vec<&'a str>);

/// The data set of class folders named `names`, which are sorted and have `unsorted` images beside them.
///
/// `samples` gives the samples in the order of the folders, from the label of each folder.
fn build<'a>(
    root: &Path,
    names: &[&str],
    unsorted: usize,
    classes: usize,
    samples: impl FnOnce(&[u32]) -> Result<Filled<'a>, DatasetError>,
) -> Result<Dataset, DatasetError> {
    if names.is_empty() {
        return Err(match unsorted {
            0 => DatasetError::NoClassFolders { root: root.into() },
            count => DatasetError::UnsortedImages { root: root.into(), count },
        });
    }
    let labeling = label(root, names, classes)?;
    let mut notes = vec![labeling.note];
    if unsorted > 0 {
        notes.push(format!("{unsorted} images directly in `{}` belong to no class and are left out", root.display()));
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

//! Folders as labels: `root/<class>/<images>`.

use std::path::Path;
use std::sync::Arc;

use hardnet_base::excerpt;

use super::archive::ArchivedClassFolders;
use super::label_error::QUOTED;
use super::labels::{Labeling, WrittenLabel, resolve};
use super::options::DatasetOptions;
use super::root::Opened;
use super::skipped::SkippedFiles;
use super::walk::{self, FoundImage, images_below};
use super::{Dataset, DatasetError, MAX_SAMPLES, Sample};
use crate::shared_str::{SharedStr, Span};

pub(super) fn read(options: &DatasetOptions) -> Result<Dataset, DatasetError> {
    let root = options.root.path();
    let mut notes = Vec::new();
    let found = match options.root.open()? {
        Opened::Archive(archive) => {
            let folders = ArchivedClassFolders::find(root, &archive, options.classes.count())?;
            notes.extend(folders.note());
            notes.extend(archive.note.clone());
            folders.fill()?
        }
        Opened::Folder => fill(root)?,
    };
    let labeling = found.label(root, options)?;
    notes.splice(0..0, found.notes(root));
    let mut samples = found.samples;
    for sample in &mut samples {
        let number = sample.label().expect("samples of class folders have a label");
        sample.set_label(labeling.indices[number as usize]);
    }
    Ok(Dataset::labeled(samples, labeling, notes))
}

/// How many class folders `root` has; 0 if it is not a folder.
pub(super) fn count(root: &Path) -> Result<usize, DatasetError> {
    if root.is_dir() { Ok(fill(root)?.names.len()) } else { Ok(0) }
}

/// The class folders of a root with their images.
pub(super) struct ClassFolders {
    /// The names of the folders that hold images, sorted.
    pub(super) names: Vec<String>,
    /// The names of the other folders, sorted.
    pub(super) empty: Vec<String>,
    /// Images next to the folders.
    pub(super) unsorted: usize,
    /// The samples in the order of the folders. The label of each is a number of `names` until it is a class index.
    pub(super) samples: Vec<Sample>,
    /// Files in the folders that are not images.
    pub(super) skipped: SkippedFiles,
}

impl ClassFolders {
    fn label(&self, root: &Path, options: &DatasetOptions) -> Result<Labeling, DatasetError> {
        if self.names.is_empty() {
            return Err(match (self.empty.len(), self.unsorted) {
                (0, 0) => DatasetError::NoClassFolders { root: root.into() },
                (_, 0) => DatasetError::NoImages { folder: root.into() },
                (_, count) => DatasetError::UnsortedImages { root: root.into(), count },
            });
        }
        let labels: Vec<_> = self.names.iter().map(|text| WrittenLabel { text, line: None }).collect();
        let labeling = match &options.kit {
            Some(kit) => kit.resolve(&labels, &options.classes),
            None => resolve(&labels, &options.classes),
        };
        labeling.map_err(|reason| DatasetError::Labels { path: root.into(), reason })
    }

    fn notes(&self, root: &Path) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unsorted > 0 {
            let (count, root) = (self.unsorted, root.display());
            notes.push(format!("{count} images directly in `{root}` belong to no class and are left out"));
        }
        if !self.empty.is_empty() {
            let some: Vec<_> = self.empty.iter().take(QUOTED).map(|name| format!("`{}`", excerpt(name))).collect();
            let dots = if self.empty.len() > QUOTED { ", .." } else { "" };
            let folders = if self.empty.len() == 1 { "folder without images is" } else { "folders without images are" };
            notes.push(format!("{} {folders} not a class: {}{dots}", self.empty.len(), some.join(", ")));
        }
        notes.extend(self.skipped.note());
        notes
    }
}

/// Finds the images of all class folders below `root`.
fn fill(root: &Path) -> Result<ClassFolders, DatasetError> {
    let listing = walk::list(root)?;
    let unsorted = listing.images.len();
    let skipped = SkippedFiles::default();
    let mut found = ClassFolders { names: Vec::new(), empty: Vec::new(), unsorted, samples: Vec::new(), skipped };
    let shared = Arc::from(root);
    for (class, folder) in listing.folders {
        let images = images_below(&folder, MAX_SAMPLES - found.samples.len(), &mut found.skipped)?;
        if add(&mut found.samples, &shared, &class, &folder, images, found.names.len() as u32)? {
            found.names.push(class);
        } else {
            found.empty.push(class);
        }
    }
    Ok(found)
}

/// Appends the samples of a class folder; `false` if there are none.
fn add(
    samples: &mut Vec<Sample>,
    root: &Arc<Path>,
    class: &str,
    folder: &Path,
    images: Vec<FoundImage>,
    number: u32,
) -> Result<bool, DatasetError> {
    let mut names = String::new();
    let spans = images.iter().map(|image| Span::push(&mut names, &format!("{class}/{}", image.relative())));
    let spans: Option<Vec<_>> = spans.collect();
    let too_many = || DatasetError::TooManySamples { path: folder.into(), limit: MAX_SAMPLES };
    let (spans, names) = (spans.ok_or_else(too_many)?, Arc::new(names));
    let is_filled = !images.is_empty();
    samples.extend(images.into_iter().zip(spans).map(|(image, span)| {
        let name = SharedStr::new(&names, span);
        // Names of files that are not UTF-8 are told with a substitute.
        let is_name = image.path.strip_prefix(root).is_ok_and(|path| path.as_os_str() == name.as_str());
        match is_name {
            true => Sample::below(root, None, number, name),
            false => Sample::file(image.path, Some(number), name),
        }
    }));
    Ok(is_filled)
}

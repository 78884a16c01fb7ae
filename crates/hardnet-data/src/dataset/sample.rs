//! One image of a data set.
//!
//! A data set may have millions of these, so what many have in common, a folder and a text of names, is held once.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::IdxImage;
use crate::archive::ArchivedFile;
use crate::shared_str::SharedStr;

/// An image of a data set: where it is, its label and its name.
///
/// Two are equal if path, label, name and place in an archive are.
#[derive(Clone)]
pub struct Sample {
    location: Location,
    /// The path below the location, unless it is the name, as it nearly always is.
    relative: Option<Box<SharedStr>>,
    label: Option<u32>,
    name: SharedStr,
}

/// Where the content of a sample is.
#[derive(Clone)]
enum Location {
    /// Nothing it shares with others: the file itself.
    File(Box<Path>),
    Folder(Arc<Path>),
    Archive(ArchivedFile),
    Memory(IdxImage),
}

impl Sample {
    /// A sample in a file of its own.
    pub fn new(path: impl Into<PathBuf>, label: Option<u32>, name: impl Into<String>) -> Self {
        Self::file(path.into(), label, SharedStr::from(name.into()))
    }

    /// [`Sample::new`] with a name that may share its text.
    pub(super) fn file(path: PathBuf, label: Option<u32>, name: SharedStr) -> Self {
        Self { location: Location::File(path.into()), relative: None, label, name }
    }

    /// A sample in a file below `folder`, at `relative` if its path there is not its name.
    pub(super) fn below(folder: &Arc<Path>, relative: Option<SharedStr>, label: u32, name: SharedStr) -> Self {
        let location = Location::Folder(Arc::clone(folder));
        Self { location, relative: relative.map(Box::new), label: Some(label), name }
    }

    /// A sample in an archive, where its name is `entry`.
    pub(crate) fn inside(archived: ArchivedFile, entry: SharedStr, label: Option<u32>, name: SharedStr) -> Self {
        // The same text for both, if there is one, lets go of the other.
        let name = entry.suffix(name.as_str()).unwrap_or(name);
        let relative = (entry.as_str() != name.as_str()).then(|| Box::new(entry));
        Self { location: Location::Archive(archived), relative, label, name }
    }

    /// Turns a sample below a folder into one in an archive, where its name is `entry`.
    pub(super) fn move_inside(&mut self, archived: ArchivedFile, entry: SharedStr) {
        *self = Self::inside(archived, entry, self.label, self.name.clone());
    }

    /// Lets the path below the folder be `relative`.
    pub(super) fn move_below(&mut self, relative: String) {
        self.relative = Some(Box::new(SharedStr::from(relative)));
    }

    /// Removes the label.
    pub(super) fn remove_label(&mut self) {
        self.label = None;
    }

    /// Lets the label be `label`.
    pub(super) fn set_label(&mut self, label: u32) {
        self.label = Some(label);
    }

    /// Lets the name, made before `names` was complete, be that range of it.
    pub(super) fn name_from(&mut self, names: &Arc<String>) {
        self.name.rebase(names);
    }

    /// A sample in memory, under its number in the file that it came from.
    pub(super) fn stored(image: IdxImage, label: u32) -> Self {
        let name = SharedStr::from(image.index().to_string());
        Self { location: Location::Memory(image), relative: None, label: Some(label), name }
    }

    /// The file; of an image in an archive or an IDX file, that file and below it the entry's name or number, for
    /// messages.
    pub fn path(&self) -> Cow<'_, Path> {
        let relative = self.relative();
        match &self.location {
            Location::File(path) => (&**path).into(),
            Location::Folder(folder) => folder.join(relative).into(),
            Location::Archive(archived) => archived.archive().join(relative).into(),
            Location::Memory(image) => image.path().join(relative).into(),
        }
    }

    /// The path below a folder, or the name in an archive or a file.
    pub(super) fn relative(&self) -> &Path {
        Path::new(self.relative.as_deref().unwrap_or(&self.name).as_str())
    }

    /// Where the content is, if it is an entry of an archive.
    pub fn archived(&self) -> Option<&ArchivedFile> {
        match &self.location {
            Location::Archive(archived) => Some(archived),
            Location::File(_) | Location::Folder(_) | Location::Memory(_) => None,
        }
    }

    /// The image, if it is in memory.
    pub fn in_memory(&self) -> Option<&IdxImage> {
        match &self.location {
            Location::Memory(image) => Some(image),
            _ => None,
        }
    }

    /// The class index, if it is known.
    pub fn label(&self) -> Option<u32> {
        self.label
    }

    /// The name results are printed with: as the list says it, `class/file` from class folders, else the path.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        let told = |sample: &Self| (sample.label, sample.archived().cloned());
        self.name() == other.name() && told(self) == told(other) && self.path() == other.path()
    }
}

impl Eq for Sample {}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("path", &self.path())
            .field("archived", &self.archived())
            .field("label", &self.label)
            .field("name", &self.name())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_does_not_depend_on_how_it_is_held() {
        let folder = Arc::from(Path::new("folder"));
        let part = |text: &str| SharedStr::from(text.to_owned());
        let plain = Sample::below(&folder, None, 3, part("a/b.jpg"));
        let dotted = Sample::below(&folder, Some(part("a/b.jpg")), 3, part("./a//b.jpg"));
        for sample in [&plain, &dotted, &Sample::new("folder/a/b.jpg", Some(3), "b")] {
            assert_eq!(sample.path().as_os_str(), "folder/a/b.jpg", "{sample:?}");
            assert_eq!((sample.archived(), sample.label()), (None, Some(3)));
        }
        assert_eq!(plain, Sample::new("folder/a/b.jpg", Some(3), "a/b.jpg"));
        assert_ne!(plain, dotted);
        assert_ne!(plain, Sample::new("folder/a/b.jpg", Some(4), "a/b.jpg"));
    }

    #[test]
    fn a_sample_is_small() {
        assert!(size_of::<Sample>() <= 64, "{} bytes", size_of::<Sample>());
    }
}

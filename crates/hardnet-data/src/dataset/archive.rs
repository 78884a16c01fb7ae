//! The images of a tar archive: those that a list names, or one folder of images per class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hardnet_base::excerpt;

use super::class_folders::ClassFolders;
use super::list::ParsedList;
use super::skipped::SkippedFiles;
use super::stray::is_stray_path;
use super::walk::has_image_extension;
use super::{DatasetError, Sample};
use crate::archive::{Archive, ArchiveEntry, ArchiveIndex};
use crate::shared_str::SharedStr;
use crate::{ArchiveError, EntryKind, imagenet};

/// The most entries of one file name that are compared with a listed path in full.
const MAX_NAMESAKES: usize = 1024;

/// The most folders looked through for those of the classes.
const MAX_COMMON_FOLDERS: usize = 16;

/// Finds the samples of a list in the archive.
///
/// A line means the entry of the same name. If there is none, it means the one entry that has the same name but for
/// folders before it in the archive or in the list. Lines of one label may mean one entry if `repeats` are allowed.
pub(super) fn find(root: &Path, archive: &Archive, listed: &mut ParsedList, repeats: bool) -> Result<(), DatasetError> {
    let index = &archive.index;
    let names = NameLookup::new(index);
    let mut missing = Vec::new();
    // One more than the number of the first sample of each entry, or 0.
    let mut taken = vec![0; index.len()];
    for number in 0..listed.len() {
        let Some(position) = names.find(root, listed, number)? else {
            missing.push(number);
            continue;
        };
        match taken[position] {
            0 => taken[position] = number + 1,
            first => {
                let (first, line) = (first - 1, listed.line(number));
                if listed.samples()[first].label() != listed.samples()[number].label() {
                    return Err(listed.conflict(listed.line(first), line));
                }
                if !repeats {
                    return Err(listed.duplicate(listed.line(first), line));
                }
            }
        }
        let entry = index.entry(position);
        check_file(root, entry)?;
        listed.sample_mut(number).move_inside(archive.file(entry), index.name(position));
    }
    if missing.is_empty() {
        return Ok(());
    }
    check_nested(root, index)?;
    Err(listed.missing(root, &missing, None))
}

/// The entries by their names.
struct NameLookup<'a> {
    index: &'a ArchiveIndex,
    /// Positions of the entries by file name, whatever the folder, then by whole name, then in the archive's order.
    order: Vec<u32>,
}

impl<'a> NameLookup<'a> {
    fn new(index: &'a ArchiveIndex) -> Self {
        let mut order: Vec<u32> = (0..).take(index.len()).collect();
        let key = |position: &u32| {
            let name = index.entry(*position as usize).name;
            (last_component(name), name, *position)
        };
        order.sort_unstable_by_key(key);
        Self { index, order }
    }

    fn entry(&self, position: u32) -> ArchiveEntry<'a> {
        self.index.entry(position as usize)
    }

    /// The position of the entry that sample `number` of a list means.
    fn find(&self, root: &Path, listed: &ParsedList, number: usize) -> Result<Option<usize>, DatasetError> {
        let relative = &*with_slashes(listed.samples()[number].relative());
        let name = |position: &u32| self.entry(*position).name;
        let file = last_component(relative);
        let namesakes = self.order.partition_point(|position| last_component(name(position)) < file);
        let namesakes = &self.order[namesakes..];
        let namesakes = &namesakes[..namesakes.partition_point(|position| last_component(name(position)) == file)];
        let whole = namesakes.partition_point(|position| name(position) < relative);
        let is_whole = namesakes.get(whole).is_some_and(|position| name(position) == relative);
        let chosen = if is_whole {
            whole
        } else {
            let few = &namesakes[..namesakes.len().min(MAX_NAMESAKES)];
            let fits = |name: &str| is_below(name, relative) || is_below(relative, name);
            let Some(first) = few.iter().position(|position| fits(name(position))) else { return Ok(None) };
            let first_name = name(&few[first]);
            let differs = |name: &&str| *name != first_name && fits(name);
            if let Some(second) = few[first..].iter().map(name).find(differs) {
                let line = listed.line(number);
                return Err(DatasetError::AmbiguousName {
                    list: listed.path().into(),
                    line: line as usize,
                    text: listed.excerpt(line),
                    first: excerpt(first_name),
                    second: excerpt(second),
                });
            }
            first
        };
        let position = namesakes[chosen];
        match namesakes.get(chosen + 1) {
            Some(another) if name(another) == name(&position) => {
                Err(duplicate(root, self.entry(position), self.entry(*another)))
            }
            _ => Ok(Some(position as usize)),
        }
    }
}

fn duplicate(root: &Path, first: ArchiveEntry<'_>, another: ArchiveEntry<'_>) -> DatasetError {
    let (archive, name) = (root.into(), excerpt(first.name));
    ArchiveError::DuplicateEntry { archive, name, first_offset: first.offset, offset: another.offset }.into()
}

/// `path` with `/` between its components.
fn with_slashes(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

pub(super) fn last_component(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Whether `long` is `short` below some folder.
pub(super) fn is_below(long: &str, short: &str) -> bool {
    long.strip_suffix(short).is_some_and(|folder| folder.ends_with('/'))
}

fn check_file(root: &Path, entry: ArchiveEntry<'_>) -> Result<(), DatasetError> {
    entry.kind.map_or(Ok(()), |kind| {
        Err(ArchiveError::NotAFile { archive: root.into(), name: excerpt(entry.name), kind }.into())
    })
}

/// ImageNet's training set comes as an archive of one archive per class.
fn check_nested(root: &Path, index: &ArchiveIndex) -> Result<(), DatasetError> {
    let mut archives = index.entries().filter(|entry| entry.name.ends_with(".tar"));
    match archives.next() {
        Some(first) if !index.entries().any(is_image) => {
            let (count, name) = (1 + archives.count(), excerpt(first.name));
            Err(ArchiveError::Nested { archive: root.into(), count, name }.into())
        }
        _ => Ok(()),
    }
}

/// Whether the entry counts as an image, by its name and not being a folder.
fn is_image(entry: ArchiveEntry<'_>) -> bool {
    entry.kind != Some(EntryKind::Folder) && has_image_extension(Path::new(last_component(entry.name)))
}

/// The positions of all images of the archive but hidden ones and those of systems, in its order.
fn images(root: &Path, archive: &Archive) -> Result<Vec<usize>, DatasetError> {
    let index = &archive.index;
    check_nested(root, index)?;
    let mut images = Vec::new();
    for (position, entry) in index.entries().enumerate() {
        if is_image(entry) && !is_stray(entry) {
            check_file(root, entry)?;
            images.push(position);
        }
    }
    Ok(images)
}

/// All images of the archive but hidden ones and those of systems, in its order, without labels; empty if there is
/// none.
pub(super) fn unlabeled(root: &Path, archive: &Archive) -> Result<Vec<Sample>, DatasetError> {
    let sample = |position: usize| {
        let entry = archive.index.entry(position);
        let name = SharedStr::from(root.join(entry.name).to_string_lossy().into_owned());
        Sample::inside(archive.file(entry), archive.index.name(position), None, name)
    };
    Ok(images(root, archive)?.into_iter().map(sample).collect())
}

/// The same images under the names of their entries, in the order of the names.
pub(super) fn by_entry(root: &Path, archive: &Archive) -> Result<Vec<Sample>, DatasetError> {
    let sample = |position: usize| {
        let name = archive.index.name(position);
        Sample::inside(archive.file(archive.index.entry(position)), name.clone(), None, name)
    };
    let mut samples: Vec<_> = images(root, archive)?.into_iter().map(sample).collect();
    samples.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(samples)
}

/// Whether the entry is hidden or a system's own, or lies in such a folder.
fn is_stray(entry: ArchiveEntry<'_>) -> bool {
    is_stray_path(entry.name, entry.kind == Some(EntryKind::Folder))
}

/// The class folders of an archive, after folders that hold all of them.
pub(super) struct ArchivedClassFolders<'a> {
    root: &'a Path,
    archive: &'a Archive,
    /// The common prefix of all names: empty, or folders, each followed by `/`.
    top: String,
    /// Sorted, without `top`.
    names: Vec<String>,
    /// Positions of the images in the order of class folders on a disk: by the folder as a whole, then by the file.
    images: Vec<u32>,
    /// Images that are in no class folder.
    unsorted: usize,
}

impl<'a> ArchivedClassFolders<'a> {
    pub(super) fn find(root: &'a Path, archive: &'a Archive, classes: Option<usize>) -> Result<Self, DatasetError> {
        let index = &archive.index;
        check_nested(root, index)?;
        let top = common_folder(index, classes);
        let (mut names, mut images, mut unsorted) = (BTreeSet::new(), Vec::new(), 0);
        for (position, entry) in (0..).zip(index.entries()).filter(|(_, entry)| !is_stray(*entry)) {
            let Some(name) = entry.name.strip_prefix(&top).filter(|name| !name.is_empty()) else { continue };
            match name.split_once('/') {
                Some((class, _)) => {
                    names.insert(class);
                    if is_image(entry) {
                        images.push(position);
                    }
                }
                None if entry.kind == Some(EntryKind::Folder) => {
                    names.insert(name);
                }
                None => unsorted += usize::from(is_image(entry)),
            }
        }
        let names = names.into_iter().map(str::to_owned).collect();
        images.sort_by_key(|position| split_name(&index.entry(*position as usize).name[top.len()..]));
        for pair in images.windows(2) {
            let [first, second] = [pair[0], pair[1]].map(|position| index.entry(position as usize));
            if first.name == second.name {
                return Err(duplicate(root, first, second));
            }
        }
        Ok(Self { root, archive, top, names, images, unsorted })
    }

    /// The class folders with their samples.
    pub(super) fn fill(self) -> Result<ClassFolders, DatasetError> {
        let index = &self.archive.index;
        let mut samples = Vec::with_capacity(self.images.len());
        let mut filled = BTreeMap::new();
        for position in self.images.iter().map(|&position| position as usize) {
            let (entry, whole) = (index.entry(position), index.name(position));
            check_file(self.root, entry)?;
            let below_top = &entry.name[self.top.len()..];
            let (class, ..) = split_name(below_top);
            // The images are in the order of the folders.
            let next = filled.len() as u32;
            let number = *filled.entry(class).or_insert(next);
            let name = whole.suffix(below_top).unwrap_or_else(|| whole.clone());
            samples.push(Sample::inside(self.archive.file(entry), whole, Some(number), name));
        }
        let empty = self.names.iter().filter(|name| !filled.contains_key(name.as_str())).cloned().collect();
        let names = filled.into_keys().map(str::to_owned).collect();
        let skipped = SkippedFiles::default();
        Ok(ClassFolders { names, empty, unsorted: self.unsorted, samples, skipped })
    }

    /// Where the class folders are, if not directly in the archive, as a sentence.
    pub(super) fn note(&self) -> Option<String> {
        let (folder, root) = (excerpt(self.top.trim_end_matches('/')), self.root.display());
        (!self.top.is_empty()).then(|| format!("the class folders are those below `{folder}` in `{root}`"))
    }
}

/// Class folder, folders below it, and file.
fn split_name(name: &str) -> (&str, &str, &str) {
    let (class, inner) = name.split_once('/').unwrap_or((name, ""));
    let (below, file) = inner.rsplit_once('/').unwrap_or(("", inner));
    (class, below, file)
}

/// The folders above all images and folders that are not themselves a class, each followed by `/`.
fn common_folder(index: &ArchiveIndex, classes: Option<usize>) -> String {
    let seen = || index.entries().filter(|entry| !is_stray(*entry));
    let images = || seen().filter(|entry| is_image(*entry));
    let folders = || seen().filter(|entry| entry.kind == Some(EntryKind::Folder));
    let mut top = String::new();
    // Deeper ones are not made by hand, and each costs a look at all entries.
    for _ in 0..MAX_COMMON_FOLDERS {
        let first = images().next().and_then(|image| image.name[top.len()..].split_once('/'));
        let Some((first, _)) = first else { break };
        let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
        if classes == Some(1) || imagenet::is_wordnet_id(first) || is_number {
            break;
        }
        let next = format!("{top}{first}/");
        let holds_image =
            |image: ArchiveEntry<'_>| image.name.strip_prefix(&next).is_some_and(|rest| rest.contains('/'));
        // The folder may have an entry itself, and so may those above it.
        let is_above =
            |folder: ArchiveEntry<'_>| next.strip_prefix(folder.name).is_some_and(|rest| rest.starts_with('/'));
        let holds_folder = |folder: ArchiveEntry<'_>| folder.name.starts_with(&next) || is_above(folder);
        if !images().all(holds_image) || !folders().all(holds_folder) {
            break;
        }
        top = next;
    }
    top
}

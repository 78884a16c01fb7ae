//! The images of a tar archive: those that a list names, or one folder of images per class.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::error::QUOTED;
use super::folders;
use super::list::Entry as Line;
use super::walk::has_image_extension;
use super::{Dataset, DatasetError, Sample};
use crate::archive::{Archive, Entry};
use crate::excerpt::excerpt;
use crate::{ArchiveError, EntryKind, imagenet};

/// The most entries of one file name that are compared with a listed path in full.
const MAX_NAMESAKES: usize = 1024;

/// The most folders looked through for those of the classes.
const MAX_COMMON_FOLDERS: usize = 16;

/// The samples of a list's lines.
///
/// A line means the entry of the same name. If there is none, it means the one entry that has the same name but for
/// folders before it in the archive or in the list.
pub(super) fn samples(
    list: &Path,
    root: &Path,
    archive: &Archive,
    lines: Vec<Line>,
) -> Result<Vec<Sample>, DatasetError> {
    let names = Names::new(&archive.index.entries);
    let (mut chosen, mut missing) = (Vec::with_capacity(lines.len()), Vec::new());
    let mut taken: HashMap<usize, usize> = HashMap::with_capacity(lines.len());
    for line in &lines {
        let relative = line.relative_name();
        let Some(position) = names.find(list, root, line, &relative)? else {
            missing.push(line);
            continue;
        };
        if let Some(first_line) = taken.insert(position, line.line) {
            let (list, line, text) = (list.into(), line.line, excerpt(line.text));
            return Err(DatasetError::DuplicateName { list, first_line, line, text });
        }
        check_file(root, &archive.index.entries[position])?;
        chosen.push(position);
    }
    if !missing.is_empty() {
        check_nested(root, &archive.index.entries)?;
        return Err(DatasetError::MissingImages {
            list: list.into(),
            root: root.into(),
            count: missing.len(),
            total: lines.len(),
            first: missing.iter().take(QUOTED).map(|line| (line.line, excerpt(&line.name))).collect(),
            better_root: None,
        });
    }
    let sample = |(line, position): (&Line, usize)| {
        let entry = &archive.index.entries[position];
        sample(root, archive, entry, line.label, line.name.to_string())
    };
    Ok(lines.iter().zip(chosen).map(sample).collect())
}

/// The entries by their names.
struct Names<'a> {
    entries: &'a [Entry],
    /// The first entry of each full name, and another of that name.
    whole: HashMap<&'a str, (usize, Option<usize>)>,
    /// The entries of each file name, whatever the folder; one of each full name.
    last: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Names<'a> {
    fn new(entries: &'a [Entry]) -> Self {
        let mut names =
            Self { entries, whole: HashMap::with_capacity(entries.len()), last: HashMap::with_capacity(entries.len()) };
        for (position, entry) in entries.iter().enumerate() {
            let name = entry.name.as_str();
            if let Some((_, another)) = names.whole.get_mut(name) {
                *another = Some(position);
                continue;
            }
            names.whole.insert(name, (position, None));
            names.last.entry(last_component(name)).or_default().push(position);
        }
        names
    }

    /// The position of the entry a line means.
    fn find(&self, list: &Path, root: &Path, line: &Line, relative: &str) -> Result<Option<usize>, DatasetError> {
        let name = if self.whole.contains_key(relative) {
            relative
        } else {
            let namesakes = self.last.get(last_component(relative)).map_or(&[][..], Vec::as_slice);
            let namesakes = &namesakes[..namesakes.len().min(MAX_NAMESAKES)];
            let names = namesakes.iter().map(|position| self.entries[*position].name.as_str());
            let mut fitting = names.filter(|name| is_below(name, relative) || is_below(relative, name));
            match (fitting.next(), fitting.next()) {
                (None, _) => return Ok(None),
                (Some(name), None) => name,
                (Some(first), Some(second)) => {
                    return Err(DatasetError::AmbiguousName {
                        list: list.into(),
                        line: line.line,
                        text: excerpt(line.text),
                        first: excerpt(first),
                        second: excerpt(second),
                    });
                }
            }
        };
        let (position, another) = self.whole[name];
        match another {
            None => Ok(Some(position)),
            Some(another) => Err(duplicate(root, &self.entries[position], &self.entries[another])),
        }
    }
}

fn duplicate(root: &Path, first: &Entry, another: &Entry) -> DatasetError {
    let (archive, name) = (root.into(), excerpt(&first.name));
    ArchiveError::DuplicateEntry { archive, name, first_offset: first.offset, offset: another.offset }.into()
}

fn last_component(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Whether `long` is `short` below some folder.
fn is_below(long: &str, short: &str) -> bool {
    long.strip_suffix(short).is_some_and(|folder| folder.ends_with('/'))
}

fn sample(root: &Path, archive: &Archive, entry: &Entry, label: u32, name: String) -> Sample {
    let mut sample = Sample::new(root.join(&entry.name), Some(label), name);
    sample.archived = Some(archive.file(entry));
    sample
}

fn check_file(root: &Path, entry: &Entry) -> Result<(), DatasetError> {
    entry.kind.map_or(Ok(()), |kind| {
        Err(ArchiveError::NotAFile { archive: root.into(), name: excerpt(&entry.name), kind }.into())
    })
}

/// ImageNet's training set comes as an archive of one archive per class.
fn check_nested(root: &Path, entries: &[Entry]) -> Result<(), DatasetError> {
    let mut archives = entries.iter().filter(|entry| entry.name.ends_with(".tar"));
    match archives.next() {
        Some(first) if !entries.iter().any(is_image) => {
            let (count, name) = (1 + archives.count(), excerpt(&first.name));
            Err(ArchiveError::Nested { archive: root.into(), count, name }.into())
        }
        _ => Ok(()),
    }
}

/// Whether the entry counts as an image, by its name and not being a folder.
fn is_image(entry: &Entry) -> bool {
    entry.kind != Some(EntryKind::Folder) && has_image_extension(Path::new(last_component(&entry.name)))
}

/// All images of the archive but hidden ones, in its order, without labels; empty if there is none.
pub(super) fn loose(root: &Path, archive: &Archive) -> Result<Vec<Sample>, DatasetError> {
    let entries = &archive.index.entries;
    check_nested(root, entries)?;
    let mut images = Vec::new();
    for entry in entries.iter().filter(|entry| is_image(entry) && !is_hidden(entry)) {
        check_file(root, entry)?;
        let path = root.join(&entry.name);
        let name = path.to_string_lossy().into_owned();
        images.push(Sample { archived: Some(archive.file(entry)), ..Sample::new(path, None, name) });
    }
    Ok(images)
}

fn is_hidden(entry: &Entry) -> bool {
    entry.name.split('/').any(|part| part.starts_with('.'))
}

/// The images of `<class>/` in the archive, after folders that hold all of them.
pub(super) fn class_folders(root: &Path, archive: &Archive, classes: usize) -> Result<Dataset, DatasetError> {
    let all = &archive.index.entries;
    check_nested(root, all)?;
    let entries: Vec<_> = all.iter().filter(|entry| !is_hidden(entry)).collect();
    let top = common_folder(&entries, classes);
    let inside = |entry: &&'_ Entry| entry.name.len() > top.len() && entry.name.starts_with(&top);
    let entries: Vec<_> = entries.into_iter().filter(inside).collect();
    let (mut names, mut images, mut loose) = (BTreeSet::new(), Vec::new(), 0);
    for entry in entries {
        let name = &entry.name[top.len()..];
        let folder = entry.kind == Some(EntryKind::Folder);
        match name.split_once('/') {
            Some((class, inner)) => {
                names.insert(class);
                if is_image(entry) {
                    // The order of class folders on a disk: by the folder as a whole, then by the file.
                    let (below, file) = inner.rsplit_once('/').unwrap_or(("", inner));
                    images.push((class, below, file, entry));
                }
            }
            None if folder => {
                names.insert(name);
            }
            None => loose += usize::from(is_image(entry)),
        }
    }
    images.sort_by_key(|(class, below, file, _)| (*class, *below, *file));
    for pair in images.windows(2) {
        if pair[0].3.name == pair[1].3.name {
            return Err(duplicate(root, pair[0].3, pair[1].3));
        }
    }
    let names: Vec<_> = names.into_iter().collect();
    let mut dataset = folders::build(root, &names, loose, classes, |labels| {
        let labels: HashMap<_, _> = names.iter().copied().zip(labels.iter().copied()).collect();
        let (mut samples, mut filled) = (Vec::with_capacity(images.len()), BTreeSet::new());
        for (class, _, _, entry) in &images {
            check_file(root, entry)?;
            filled.insert(*class);
            let name = entry.name[top.len()..].to_owned();
            samples.push(sample(root, archive, entry, labels[class], name));
        }
        Ok((samples, names.iter().copied().filter(|name| !filled.contains(name)).collect()))
    })?;
    if !top.is_empty() {
        let (folder, root) = (excerpt(top.trim_end_matches('/')), root.display());
        dataset.notes.push(format!("the class folders are those below `{folder}` in `{root}`"));
    }
    Ok(dataset)
}

/// The folders that all images and folders are below and that are not themselves a class, with `/` behind each.
fn common_folder(entries: &[&Entry], classes: usize) -> String {
    let images = || entries.iter().filter(|entry| is_image(entry));
    let folders = || entries.iter().filter(|entry| entry.kind == Some(EntryKind::Folder));
    let mut top = String::new();
    // Deeper ones are not made by hand, and each costs a look at all entries.
    for _ in 0..MAX_COMMON_FOLDERS {
        let first = images().next().and_then(|image| image.name[top.len()..].split_once('/'));
        let Some((first, _)) = first else { break };
        let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
        if classes == 1 || imagenet::is_wordnet_id(first) || is_number {
            break;
        }
        let next = format!("{top}{first}/");
        let holds_image = |image: &Entry| image.name.strip_prefix(&next).is_some_and(|rest| rest.contains('/'));
        // The folder may have an entry itself, and so may those above it.
        let is_above = |folder: &Entry| next.strip_prefix(&folder.name).is_some_and(|rest| rest.starts_with('/'));
        let holds_folder = |folder: &Entry| folder.name.starts_with(&next) || is_above(folder);
        if !images().all(|image| holds_image(image)) || !folders().all(|folder| holds_folder(folder)) {
            break;
        }
        top = next;
    }
    top
}

//! Lists of labels: one `name label` per line, as evaluations of ImageNet exchange them, or Kaggle's rows.
//!
//! What is needed of a list only while it is read stays small. Once glibc's allocator has been given back a large block, it
//! takes blocks up to that size from its heaps, where tensors and decoders' buffers leave gaps between them; so the file is
//! read line by line, and the samples are made where they stay.

mod entries;
mod lines;
mod parse;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Dataset, DatasetError, ImageRoot, Opened, archive, kaggle};
use crate::FileKind;
pub(super) use entries::Entries;
use lines::Lines;

/// What separates fields. Other blanks of Unicode may be part of a name.
const BLANKS: [char; 2] = [' ', '\t'];

pub(super) fn read(list: &Path, root: &ImageRoot, classes: usize) -> Result<Dataset, DatasetError> {
    let mut entries = parse::parse(Lines::open(list)?, root.path())?;
    if entries.is_kaggle {
        kaggle::check_classes(list, classes)?;
    }
    check_labels(&entries, classes)?;
    check_duplicates(&entries)?;
    let (root, opened) = (root.path(), root.open()?);
    let mut notes = Vec::new();
    match opened {
        Opened::Archive(archive) => {
            archive::find(root, &archive, &mut entries)?;
            notes.extend(archive.note);
        }
        Opened::Folder => {
            if entries.is_kaggle {
                notes.extend(entries.move_below_class_folders(root));
            }
            check_images(root, &entries)?;
        }
    }
    let mut dataset = Dataset { notes, ..Dataset::new(entries.samples) };
    if entries.is_kaggle {
        kaggle::note(&mut dataset);
    }
    Ok(dataset)
}

fn check_labels(entries: &Entries, classes: usize) -> Result<(), DatasetError> {
    let labels = || entries.samples.iter().filter_map(|sample| sample.label());
    let Some(wrong) = labels().position(|label| label as usize >= classes) else {
        return Ok(());
    };
    let line = entries.line(wrong);
    Err(DatasetError::LabelOutOfRange {
        list: entries.list.into(),
        line: line as usize,
        text: entries.excerpt(line),
        classes,
        one_based: looks_one_based(labels(), classes),
    })
}

/// Whether numbers, some of which are outside 0..`classes`, are those of 1..=`classes`.
pub(super) fn looks_one_based(mut numbers: impl Iterator<Item = u32>, classes: usize) -> bool {
    numbers.all(|number| (1..=classes).contains(&(number as usize)))
}

fn check_duplicates(entries: &Entries) -> Result<(), DatasetError> {
    let path = |number: u32| entries.samples[number as usize].relative();
    let mut order: Vec<u32> = (0..).take(entries.len()).collect();
    order.sort_unstable_by(|&a, &b| path(a).as_os_str().cmp(path(b).as_os_str()).then(a.cmp(&b)));
    let again = order.windows(2).filter(|pair| path(pair[0]) == path(pair[1])).min_by_key(|pair| pair[1]);
    again.map_or(Ok(()), |pair| {
        let [first, line] = [pair[0], pair[1]].map(|number| entries.line(number as usize));
        Err(entries.duplicate(first, line))
    })
}

/// Looks every image up, so that a wrong folder is found before hours of work rather than after.
fn check_images(root: &Path, entries: &Entries) -> Result<(), DatasetError> {
    let mut missing = Vec::new();
    for (number, sample) in entries.samples.iter().enumerate() {
        let path = sample.path();
        match fs::metadata(&path) {
            Ok(metadata) => {
                if let Some(kind) = FileKind::irregular(&metadata) {
                    let (list, line) = (entries.list.into(), entries.line(number) as usize);
                    return Err(DatasetError::ImageNotAFile { list, line, path: path.into(), kind });
                }
            }
            // Names no file can have are missing too: with a NUL, too long, or below a file.
            Err(error) if is_absence(error.kind()) => missing.push(number),
            Err(source) => return Err(DatasetError::Io { path: path.into(), source }),
        }
    }
    let Some(&first) = missing.first() else { return Ok(()) };
    Err(entries.missing(root, &missing, better_root(root, entries.samples[first].relative())))
}

pub(super) fn is_absence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput | ErrorKind::InvalidFilename
    )
}

/// The folder above `root`, for lists that say `val/..` themselves, or `val` below it, whichever has `relative`.
fn better_root(root: &Path, relative: &Path) -> Option<PathBuf> {
    let nearby = [root.parent().map(Path::to_path_buf), Some(root.join("val"))];
    nearby.into_iter().flatten().find(|folder| folder.join(relative).is_file())
}

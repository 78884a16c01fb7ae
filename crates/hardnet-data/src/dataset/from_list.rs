//! The data set of a list: its samples, found in a folder or an archive.

use std::fs;
use std::path::{Path, PathBuf};

use super::list::{self, ParsedList};
use super::root::Opened;
use super::walk::is_absence;
use super::{Dataset, DatasetError, ImageRoot, archive};
use crate::FileKind;

pub(super) fn read(list: &Path, root: &ImageRoot, classes: usize) -> Result<Dataset, DatasetError> {
    let mut parsed = list::read(list, root.path(), classes)?;
    let (root, opened) = (root.path(), root.open()?);
    let mut notes = Vec::new();
    match opened {
        Opened::Archive(archive) => {
            archive::find(root, &archive, &mut parsed)?;
            notes.extend(archive.note);
        }
        Opened::Folder => {
            if parsed.is_kaggle() {
                notes.extend(parsed.move_below_class_folders(root));
            }
            check_images(root, &parsed)?;
        }
    }
    if parsed.is_kaggle() {
        notes.push("labels are the WordNet ids of Kaggle's solution file".into());
    }
    Ok(Dataset { notes, ..Dataset::new(parsed.into_samples()) })
}

/// Looks every image up, so that a wrong folder is found before hours of work rather than after.
fn check_images(root: &Path, listed: &ParsedList) -> Result<(), DatasetError> {
    let mut missing = Vec::new();
    for (number, sample) in listed.samples().iter().enumerate() {
        let path = sample.path();
        match fs::metadata(&path) {
            Ok(metadata) => {
                if let Some(kind) = FileKind::irregular(&metadata) {
                    let (list, line) = (listed.path().into(), listed.line(number) as usize);
                    return Err(DatasetError::ImageNotAFile { list, line, path: path.into(), kind });
                }
            }
            // Names no file can have are missing too: with a NUL, too long, or below a file.
            Err(error) if is_absence(error.kind()) => missing.push(number),
            Err(source) => return Err(DatasetError::Io { path: path.into(), source }),
        }
    }
    let Some(&first) = missing.first() else { return Ok(()) };
    Err(listed.missing(root, &missing, better_root(root, listed.samples()[first].relative())))
}

/// The folder above `root`, for lists that say `val/..` themselves, or `val` below it, whichever has `relative`.
fn better_root(root: &Path, relative: &Path) -> Option<PathBuf> {
    let nearby = [root.parent().map(Path::to_path_buf), Some(root.join("val"))];
    nearby.into_iter().flatten().find(|folder| folder.join(relative).is_file())
}

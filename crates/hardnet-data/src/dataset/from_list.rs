//! The data set of a list: its samples, found in a folder or an archive.

use std::fs;
use std::path::{Path, PathBuf};

use super::classes::KnownClasses;
use super::labels::{Labeling, all_decimal, resolve};
use super::list::{self, FolderNames, ParsedList};
use super::options::DatasetOptions;
use super::root::{ImageRoot, Opened};
use super::walk::is_absence;
use super::{Dataset, DatasetError, Sample, archive, kit, numbering, repeats};
use crate::FileKind;

pub(super) fn read(list: &Path, options: &DatasetOptions) -> Result<Dataset, DatasetError> {
    let root = options.root.path();
    let parsed = list::read(list, &FolderNames::new(root));
    if let (Err(DatasetError::NumbersOnly { .. }), Some(kit)) = (&parsed, &options.kit)
        && let Some(dataset) = kit::read(options, &kit.with_ground_truth(list)?)?
    {
        return Ok(dataset);
    }
    let mut parsed = parsed.map_err(|error| without_kit(error, options))?;
    let labeling = label(&parsed, options)?;
    parsed.set_classes(&labeling.indices);
    let repeated = repeats::check(&parsed, options.repeats)?;
    let mut notes = Vec::new();
    match options.root.open()? {
        Opened::Archive(archive) => {
            archive::find(root, &archive, &mut parsed, options.repeats)?;
            notes.extend(archive.note);
        }
        Opened::Folder => {
            if parsed.is_kaggle() {
                notes.extend(parsed.move_below_class_folders(root));
            }
            check_images(root, &mut parsed)?;
        }
    }
    notes.extend(repeated);
    Ok(Dataset::labeled(parsed.into_samples(), labeling, notes))
}

/// The images that the lines of `list` name, without labels.
pub(super) fn read_names(list: &Path, root: &ImageRoot) -> Result<Dataset, DatasetError> {
    let mut parsed = list::read_names(list, &FolderNames::new(root.path()))?;
    let mut notes = Vec::new();
    match root.open()? {
        Opened::Archive(archive) => {
            archive::find(root.path(), &archive, &mut parsed, true)?;
            notes.extend(archive.note);
        }
        Opened::Folder => check_images(root.path(), &mut parsed)?,
    }
    let mut samples = parsed.into_samples();
    samples.iter_mut().for_each(Sample::remove_label);
    let mut dataset = Dataset::new(samples);
    dataset.notes = notes;
    Ok(dataset)
}

fn label(parsed: &ParsedList, options: &DatasetOptions) -> Result<Labeling, DatasetError> {
    let labels = parsed.labels();
    let find = || match &options.kit {
        Some(kit) => kit.resolve(&labels, &options.classes),
        None if all_decimal(&labels) && are_imagenets(options) => {
            numbering::check(parsed, &labels)?;
            resolve(&labels, &options.classes)
        }
        None => resolve(&labels, &options.classes),
    };
    find().map_err(|reason| DatasetError::Labels { path: parsed.path().into(), reason })
}

fn are_imagenets(options: &DatasetOptions) -> bool {
    options.classes.known().is_some_and(KnownClasses::are_imagenets)
}

/// Only for ImageNet's classes a list of numbers is likely to be the development kit's.
fn without_kit(error: DatasetError, options: &DatasetOptions) -> DatasetError {
    match error {
        DatasetError::NumbersOnly { list, line, text } if !are_imagenets(options) => {
            DatasetError::MissingLabel { list, line, text }
        }
        error => error,
    }
}

/// Looks every image up, so that a wrong folder is found before hours of work rather than after.
fn check_images(root: &Path, listed: &mut ParsedList) -> Result<(), DatasetError> {
    let mut missing = Vec::new();
    for number in 0..listed.len() {
        let path = listed.samples()[number].path();
        match fs::metadata(&path) {
            Ok(metadata) => {
                if let Some(kind) = FileKind::irregular(&metadata) {
                    let (list, line) = (listed.path().into(), listed.line(number) as usize);
                    return Err(DatasetError::ImageNotAFile { list, line, path: path.into(), kind });
                }
            }
            // Names no file can have are missing too: with a NUL, too long, or below a file.
            Err(error) if is_absence(error.kind()) => {
                drop(path);
                if !listed.has_backslash(root, number) {
                    missing.push(number);
                }
            }
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

//! Loose files, folders and archives, without labels.

use std::fs;
use std::path::PathBuf;

use super::skipped::SkippedFiles;
use super::walk::{has_image_extension, images_below, is_absence};
use super::{Dataset, DatasetError, MAX_SAMPLES, Sample, archive};
use crate::FileKind;
use crate::archive::Archive;

pub(super) fn read(paths: &[PathBuf]) -> Result<Dataset, DatasetError> {
    if paths.is_empty() {
        return Err(DatasetError::NoPaths);
    }
    let (mut samples, mut skipped) = (Vec::new(), SkippedFiles::default());
    for path in paths {
        let metadata = fs::metadata(path).map_err(|source| match source.kind() {
            kind if is_absence(kind) => DatasetError::PathMissing { path: path.clone() },
            _ => DatasetError::Io { path: path.clone(), source },
        })?;
        match FileKind::irregular(&metadata) {
            // A name like an image's is taken at its word, so that images are not opened twice.
            None if has_image_extension(path) => samples.push(unlabeled(path.clone())),
            None => match Archive::open(path, None)? {
                Some(archive) => {
                    let images = archive::unlabeled(path, &archive)?;
                    if images.is_empty() {
                        return Err(DatasetError::NoImages { folder: path.clone() });
                    }
                    samples.extend(images);
                }
                None => samples.push(unlabeled(path.clone())),
            },
            Some(FileKind::Folder) => {
                let images = images_below(path, MAX_SAMPLES - samples.len(), &mut skipped)?;
                if images.is_empty() {
                    return Err(DatasetError::NoImages { folder: path.clone() });
                }
                samples.extend(images.into_iter().map(|image| unlabeled(image.path)));
            }
            Some(kind) => {
                return Err(DatasetError::PathNotAFile { path: path.clone(), kind });
            }
        }
        if samples.len() > MAX_SAMPLES {
            return Err(DatasetError::TooManySamples { path: path.clone(), limit: MAX_SAMPLES });
        }
    }
    let mut dataset = Dataset::new(samples);
    dataset.notes.extend(skipped.note());
    Ok(dataset)
}

fn unlabeled(path: PathBuf) -> Sample {
    let name = path.to_string_lossy().into_owned();
    Sample::new(path, None, name)
}

//! The images below a folder, in an order that does not depend on the platform.

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::skipped::SkippedFiles;
use super::stray::{is_stray_file, is_stray_folder};
use super::{DatasetError, IMAGE_EXTENSIONS, MAX_SAMPLES};

/// An image found below a folder.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FoundImage {
    /// The folder it is in, relative to where the walk began, `/` between components.
    folder: String,
    /// The encoded bytes of the file name, which decide the order.
    name: Vec<u8>,
    pub(super) path: PathBuf,
}

impl FoundImage {
    /// The path relative to where the walk began, `/` between components.
    pub(super) fn relative(&self) -> String {
        let name = String::from_utf8_lossy(&self.name);
        if self.folder.is_empty() { name.into_owned() } else { format!("{}/{name}", self.folder) }
    }
}

/// The content of a folder; hidden entries, folders of systems and files without a known extension are left out.
pub(super) struct FolderListing {
    /// Sorted by name.
    pub(super) folders: Vec<(String, PathBuf)>,
    pub(super) images: Vec<PathBuf>,
    pub(super) skipped: SkippedFiles,
}

/// The folders and images directly in `folder`. A link counts as what it leads to, as an image if that is missing.
pub(super) fn list(folder: &Path) -> Result<FolderListing, DatasetError> {
    let fail = |source| DatasetError::Io { path: folder.into(), source };
    let mut listing = FolderListing { folders: Vec::new(), images: Vec::new(), skipped: SkippedFiles::default() };
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_stray_file(&name) {
            continue;
        }
        if is_folder(&entry).map_err(fail)? {
            if !is_stray_folder(&name) {
                listing.folders.push((name.into_owned(), entry.path()));
            }
        } else if has_image_extension(&entry.path()) {
            listing.images.push(entry.path());
        } else {
            listing.skipped.add(&entry.path());
        }
        if listing.folders.len() + listing.images.len() > MAX_SAMPLES {
            return Err(DatasetError::TooManySamples { path: folder.into(), limit: MAX_SAMPLES });
        }
    }
    listing.folders.sort();
    Ok(listing)
}

fn is_folder(entry: &DirEntry) -> std::io::Result<bool> {
    let kind = entry.file_type()?;
    // A link that leads nowhere stays a file: opening it fails, and is reported, in its turn.
    Ok(kind.is_dir() || kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|target| target.is_dir()))
}

/// Whether the name ends in one of [`IMAGE_EXTENSIONS`], whatever the case.
pub(super) fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| IMAGE_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// All images below `root`, at most `limit`, in the order of torchvision's `make_dataset`: by the path of the folder
/// as a whole, in it by the name of the file, both compared by bytes.
///
/// Links to folders are followed, but each real folder is visited once, by the first of its names: cycles of links
/// end, and links across cannot multiply the files. Files that are not images are counted in `skipped`.
pub(super) fn images_below(
    root: &Path,
    limit: usize,
    skipped: &mut SkippedFiles,
) -> Result<Vec<FoundImage>, DatasetError> {
    let mut found = Vec::new();
    let mut visited = HashSet::new();
    let mut pending = vec![(String::new(), root.to_path_buf())];
    while let Some((relative, folder)) = pending.pop() {
        let real = folder.canonicalize().map_err(|source| DatasetError::Io { path: folder.clone(), source })?;
        if !visited.insert(real) {
            continue;
        }
        let listing = list(&folder)?;
        skipped.extend(listing.skipped);
        for path in listing.images {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
            found.push(FoundImage { folder: relative.clone(), name, path });
        }
        // The last is popped first, so the first in order is pushed last.
        for (name, path) in listing.folders.into_iter().rev() {
            let below = if relative.is_empty() { name } else { format!("{relative}/{name}") };
            pending.push((below, path));
        }
        if found.len() > limit || visited.len() + pending.len() > MAX_SAMPLES {
            return Err(DatasetError::TooManySamples { path: root.into(), limit: MAX_SAMPLES });
        }
    }
    found.sort();
    Ok(found)
}

/// Whether an error says that there is no such file: also for names that no file can have, with a NUL, too long, or
/// below a file.
pub(super) fn is_absence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput | ErrorKind::InvalidFilename
    )
}

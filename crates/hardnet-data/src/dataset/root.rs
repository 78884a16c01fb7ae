//! Where the images of a list or of class folders are.

use std::fs;
use std::path::{Path, PathBuf};

use super::DatasetError;
use super::walk::is_absence;
use crate::archive::Archive;

/// A folder or a tar archive of images.
///
/// ```
/// use hardnet_data::ImageRoot;
///
/// let root = ImageRoot::from("ILSVRC2012_img_val.tar").with_index_cache("/var/cache/indices");
/// # let _ = root;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRoot {
    path: PathBuf,
    indices: Option<PathBuf>,
}

impl ImageRoot {
    /// Keeps the index of an archive in `folder`, which is created if it is missing. As long as size and time of the
    /// archive stay the same, its headers are not read again. By default the index is not kept.
    pub fn with_index_cache(self, folder: impl Into<PathBuf>) -> Self {
        Self { indices: Some(folder.into()), ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(&self) -> Result<Opened, DatasetError> {
        let root = self.path.as_path();
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => Ok(Opened::Folder),
            Ok(_) => match Archive::open(root, self.indices.as_deref())? {
                Some(archive) => Ok(Opened::Archive(archive)),
                None => Err(DatasetError::RootNotAFolder { root: root.into() }),
            },
            Err(error) if is_absence(error.kind()) => Err(DatasetError::RootMissing { root: root.into() }),
            Err(source) => Err(DatasetError::Io { path: root.into(), source }),
        }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for ImageRoot {
    fn from(path: &P) -> Self {
        Self { path: path.as_ref().into(), indices: None }
    }
}

impl From<PathBuf> for ImageRoot {
    fn from(path: PathBuf) -> Self {
        Self { path, indices: None }
    }
}

/// A root as it was found.
pub(super) enum Opened {
    Folder,
    Archive(Archive),
}

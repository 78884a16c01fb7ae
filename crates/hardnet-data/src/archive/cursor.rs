//! The entries of an archive one after the other, without an index.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::index::{OwnedEntry, Place, next_entry};
use super::positioned_file::PositionedFile;
use super::{ArchiveError, ArchiveFile, ArchivedFile, EntryKind};
use crate::FileKind;

/// A place in an open tar archive. Memory does not grow with the number of entries.
pub(crate) struct ArchiveCursor {
    file: Arc<ArchiveFile>,
    place: Place,
}

/// An entry of an archive.
pub(crate) struct CursorEntry {
    pub(crate) name: String,
    pub(crate) file: ArchivedFile,
    /// `None` for a regular file.
    pub(crate) kind: Option<EntryKind>,
}

impl ArchiveCursor {
    /// Opens an archive.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`] if it cannot be read, or is not a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let io = |source| ArchiveError::Io { archive: path.into(), source };
        // Opening a pipe would wait for a writer.
        if let Some(kind) = FileKind::irregular(&fs::metadata(path).map_err(io)?) {
            let message = format!("it is {kind}, expected a tar archive");
            return Err(io(io::Error::new(io::ErrorKind::InvalidInput, message)));
        }
        let file = ArchiveFile { path: path.into(), handle: PositionedFile::open(path).map_err(io)? };
        Ok(Self { file: Arc::new(file), place: Place::default() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    ///
    /// An [`ArchiveError`] if the file cannot be read, is compressed, cut short or damaged.
    pub(crate) fn next_entry(&mut self) -> Result<Option<CursorEntry>, ArchiveError> {
        let entry = next_entry(&self.file.path, &self.file.handle, &mut self.place)?;
        Ok(entry.map(|OwnedEntry { name, offset, bytes, kind }| {
            let file = ArchivedFile { archive: Arc::clone(&self.file), offset, bytes };
            CursorEntry { name, file, kind }
        }))
    }
}

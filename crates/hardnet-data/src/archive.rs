//! Images in tar archives, read in place: nothing is unpacked and nothing is written.
//!
//! A tar archive is a sequence of 512-byte blocks without a table of contents:
//!
//! ```text
//!   header | content, padded to blocks | header | content .. | two blocks of zeros
//! ```
//!
//! A header holds name, size, type and a checksum. Names that do not fit come before it, as the content of an entry of
//! their own (GNU), or as pax records, which may also replace the size. One pass that reads a header and jumps over its
//! content thus finds every entry, and gives an [`ArchiveIndex`]: names and byte ranges. Images are then read by their
//! ranges, from any thread and in any order. The index may be kept in a file (`cache`), since the headers of a large
//! archive on a slow disk take minutes.
//!
//! An archive that was cut short, or that has a damaged header, is an error with the offset: what lies after that
//! place cannot be known, so nothing is guessed.

mod cache;
mod cursor;
mod error;
mod header;
mod index;
mod pax;
mod positioned_file;
mod stream;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::{ArchiveError, EntryKind, HeaderFault};

use crate::FileKind;
use cache::IndexCache;
pub(crate) use cursor::{ArchiveCursor, CursorEntry};
use header::{BLOCK, Header};
pub(crate) use index::{ArchiveEntry, ArchiveIndex};
use positioned_file::PositionedFile;
pub(crate) use stream::read_files;

/// The longest name of an entry in bytes, folders included.
pub const MAX_NAME_BYTES: usize = 4096;

/// An open tar archive and what it holds.
pub(crate) struct Archive {
    pub(crate) index: ArchiveIndex,
    /// A note for the user: why the index could not be kept.
    pub(crate) note: Option<String>,
    file: Arc<ArchiveFile>,
}

/// An open tar archive.
struct ArchiveFile {
    path: PathBuf,
    handle: PositionedFile,
}

impl Archive {
    /// Opens and indexes `path`, or `None` if it is neither a tar archive nor a compressed one.
    ///
    /// The index is taken from the folder `indices`, or else left there for the next time.
    ///
    /// # Errors
    ///
    /// An [`ArchiveError`] if the file cannot be read, is compressed, or is not a whole tar archive.
    pub(crate) fn open(path: &Path, indices: Option<&Path>) -> Result<Option<Self>, ArchiveError> {
        let io = |source| ArchiveError::Io { archive: path.into(), source };
        // Opening a pipe would wait for a writer.
        let metadata = fs::metadata(path).map_err(io)?;
        if FileKind::irregular(&metadata).is_some() {
            return Ok(None);
        }
        let handle = PositionedFile::open(path).map_err(io)?;
        let kept = indices.and_then(|folder| IndexCache::new(folder, path, &metadata));
        let (index, note) = match kept.as_ref().and_then(IndexCache::read) {
            Some(index) => (index, None),
            None => {
                let Some(index) = ArchiveIndex::read(path, &handle)? else { return Ok(None) };
                let written = kept.as_ref().map_or(Ok(()), |kept| kept.write(&index));
                let note = written.err().map(|error| {
                    let folder = indices.unwrap_or(path).display();
                    format!("the index of `{}` could not be kept in `{folder}`: {error}", path.display())
                });
                (index, note)
            }
        };
        Ok(Some(Self { index, note, file: Arc::new(ArchiveFile { path: path.into(), handle }) }))
    }

    /// The entry as a file that can be read.
    pub(crate) fn file(&self, entry: ArchiveEntry<'_>) -> ArchivedFile {
        ArchivedFile { archive: Arc::clone(&self.file), offset: entry.offset, bytes: entry.bytes }
    }
}

/// A file inside an open tar archive: a range of the archive's bytes.
///
/// Two are equal if they are the same range of archives of the same path.
#[derive(Clone)]
pub struct ArchivedFile {
    archive: Arc<ArchiveFile>,
    offset: u64,
    bytes: u64,
}

impl ArchivedFile {
    /// The archive's path.
    pub fn archive(&self) -> &Path {
        &self.archive.path
    }

    /// Where the content begins in the archive, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The length of the content in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The content.
    ///
    /// It is held in memory as a whole: a caller that cannot trust the archive looks at [`bytes`](Self::bytes) first.
    ///
    /// # Errors
    ///
    /// The operating system's reason; `UnexpectedEof` if the archive has become shorter since it was indexed,
    /// `InvalidData` if the content is no longer preceded by a header.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.read_into(&mut content)?;
        Ok(content)
    }

    /// [`read`](Self::read) in place of what `content` holds.
    pub(crate) fn read_into(&self, content: &mut Vec<u8>) -> std::io::Result<()> {
        let length = usize::try_from(self.bytes).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let end = self.offset.saturating_add(self.bytes);
        if self.archive.handle.length()? < end {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut header = [0; BLOCK];
        let before = self.offset.checked_sub(BLOCK as u64).ok_or(std::io::ErrorKind::InvalidData)?;
        self.archive.handle.read_exact_at(&mut header, before)?;
        if Header::new(&header).is_none() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the archive has changed since it was indexed",
            ));
        }
        content.clear();
        content.reserve_exact(length);
        content.resize(length, 0);
        self.archive.handle.read_exact_at(content, self.offset)
    }
}

impl PartialEq for ArchivedFile {
    fn eq(&self, other: &Self) -> bool {
        (self.archive(), self.offset, self.bytes) == (other.archive(), other.offset, other.bytes)
    }
}

impl Eq for ArchivedFile {}

impl std::fmt::Debug for ArchivedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArchivedFile")
            .field("archive", &self.archive())
            .field("offset", &self.offset)
            .field("bytes", &self.bytes)
            .finish()
    }
}

//! The bytes of a file: in memory, or read where they are asked for.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::error::Error;

/// Bytes that are read at a time where a file is read from its start to its end.
pub(crate) const CHUNK: usize = 1 << 16;

/// A file.
#[derive(Debug)]
pub(crate) enum Source {
    /// Its bytes, and elements that are not in it.
    Memory { bytes: Vec<u8>, length: usize },
    /// An open file, of which as many bytes are used, and elements that are not in it.
    File { file: Mutex<File>, length: usize, path: PathBuf, modified: Option<SystemTime>, appended: Vec<u8> },
}

impl Source {
    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        Self::Memory { length: bytes.len(), bytes }
    }

    /// An open file of this length.
    pub(crate) fn file(file: File, length: usize, path: &Path) -> Self {
        let modified = modified(&file);
        Self::File { file: Mutex::new(file), length, path: path.to_owned(), modified, appended: Vec::new() }
    }

    /// Makes room for so many bytes of elements that follow the file.
    pub(crate) fn reserve(&mut self, count: usize) {
        let (Self::Memory { bytes, .. } | Self::File { appended: bytes, .. }) = self;
        bytes.reserve_exact(count);
    }

    /// Adds elements that follow the file, and returns where they are.
    pub(crate) fn append(&mut self, elements: &mut Vec<u8>) -> Range<usize> {
        let (all, before) = match self {
            Self::Memory { bytes, .. } => (bytes, 0),
            Self::File { appended, length, .. } => (appended, *length),
        };
        let start = before + all.len();
        all.append(elements);
        start..before + all.len()
    }

    /// Length of the file.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory { length, .. } | Self::File { length, .. } => *length,
        }
    }

    /// The file and the elements that follow it, if they are in memory.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Memory { bytes, .. } => Some(bytes),
            Self::File { .. } => None,
        }
    }

    /// A range of the file.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for a range beyond the file, [`Error::Read`] where reading fails.
    pub(crate) fn get(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, Error> {
        let end = self.end();
        if range.start > range.end || range.end > end {
            let (needed, left) = (range.len() as u64, end.saturating_sub(range.start) as u64);
            return Err(Error::Truncated { offset: range.start, what: "file", needed, left });
        }
        match self {
            Self::Memory { bytes, .. } => Ok(Cow::Borrowed(&bytes[range])),
            Self::File { length, appended, .. } if range.start >= *length => {
                Ok(Cow::Borrowed(&appended[range.start - length..range.end - length]))
            }
            Self::File { length, .. } if range.end > *length => {
                let (needed, left) = (range.len() as u64, (length - range.start) as u64);
                Err(Error::Truncated { offset: range.start, what: "file", needed, left })
            }
            Self::File { file, path, modified: known, .. } => {
                let mut bytes = vec![0; range.len()];
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut read = |mut file: &File| {
                    if modified(file) != *known {
                        return Err(io::Error::other("the file was changed after it was opened"));
                    }
                    file.seek(SeekFrom::Start(range.start as u64))?;
                    file.read_exact(&mut bytes)
                };
                read(&file).map_err(|source: io::Error| Error::Read { path: path.clone(), source })?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Where the file and the elements that follow it end.
    fn end(&self) -> usize {
        match self {
            Self::Memory { bytes, .. } => bytes.len(),
            Self::File { length, appended, .. } => length + appended.len(),
        }
    }

    /// A part of the file that has `range`, and where it starts: the whole of a file in memory, with what follows it.
    ///
    /// # Errors
    ///
    /// Those of [`Source::get`].
    pub(crate) fn part(&self, range: Range<usize>) -> Result<(Cow<'_, [u8]>, usize), Error> {
        match self {
            Self::Memory { bytes, .. } => Ok((Cow::Borrowed(bytes), 0)),
            Self::File { .. } => Ok((self.get(range.clone())?, range.start)),
        }
    }

    /// Gives a range of the file to `take`, some bytes at a time.
    ///
    /// # Errors
    ///
    /// Those of [`Source::get`].
    pub(crate) fn for_each(&self, range: Range<usize>, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + CHUNK);
            take(&self.get(start..end)?);
            start = end;
        }
        Ok(())
    }
}

/// When a file was changed last, where the system knows it.
fn modified(file: &File) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}

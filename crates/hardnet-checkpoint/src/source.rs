//! The bytes of a file: in memory, or read where they are asked for.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::error::Error;

/// Bytes that are read at a time where a file is read from its start to its end.
const CHUNK: usize = 1 << 16;

/// A file.
#[derive(Debug)]
pub(crate) enum Source {
    /// Its bytes, and elements that are not in it.
    Memory { bytes: Vec<u8>, length: usize },
    /// An open file, of which as many bytes are used.
    File { file: Mutex<File>, length: usize, path: PathBuf },
}

impl Source {
    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        Self::Memory { length: bytes.len(), bytes }
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
        let end = self.bytes().map_or(self.len(), <[u8]>::len);
        if range.start > range.end || range.end > end {
            let (needed, left) = (range.len() as u64, end.saturating_sub(range.start) as u64);
            return Err(Error::Truncated { offset: range.start, what: "file", needed, left });
        }
        match self {
            Self::Memory { bytes, .. } => Ok(Cow::Borrowed(&bytes[range])),
            Self::File { file, path, .. } => {
                let mut bytes = vec![0; range.len()];
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut read = |mut file: &File| {
                    file.seek(SeekFrom::Start(range.start as u64))?;
                    file.read_exact(&mut bytes)
                };
                read(&file).map_err(|source: io::Error| Error::Read { path: path.clone(), source })?;
                Ok(Cow::Owned(bytes))
            }
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

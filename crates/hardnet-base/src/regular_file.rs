//! Reading regular files of bounded size.
//!
//! Opening a pipe waits for a writer and a device may have no end, so what is not a regular file is refused before it
//! is opened.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// The kind of a file that is not a regular one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A pipe, a socket or a device.
    Special,
}

impl FileKind {
    /// The kind of a file that is not regular; `None` for a regular one.
    pub fn irregular(metadata: &Metadata) -> Option<Self> {
        match metadata {
            metadata if metadata.is_file() => None,
            metadata if metadata.is_dir() => Some(Self::Folder),
            _ => Some(Self::Special),
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder",
            Self::Special => "a pipe, socket or device",
        })
    }
}

/// Error of a bounded read.
#[derive(Debug)]
pub enum ReadError {
    /// The operating system refuses to read the file.
    Io(io::Error),
    /// The path is not a regular file.
    NotAFile(FileKind),
    /// The file is longer than allowed.
    TooLarge {
        /// Its length in bytes, or a lower bound of it.
        bytes: u64,
    },
}

/// Reads the regular file `path`, links followed, of at most `limit` bytes.
///
/// # Errors
/// A [`ReadError`] if the file cannot be read, is not a regular one, or is longer.
pub fn read_regular_file(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    read_regular_file_into(&mut bytes, path, limit)?;
    Ok(bytes)
}

/// [`read_regular_file`] into `bytes`, in place of what they hold.
///
/// # Errors
/// Those of [`read_regular_file`].
pub fn read_regular_file_into(bytes: &mut Vec<u8>, path: &Path, limit: u64) -> Result<(), ReadError> {
    let (file, length) = open_regular_file(path, limit)?;
    bytes.clear();
    bytes.reserve_exact(length as usize + 1);
    file.take(limit + 1).read_to_end(bytes).map_err(ReadError::Io)?;
    match bytes.len() as u64 {
        length if length > limit => Err(ReadError::TooLarge { bytes: length }),
        _ => Ok(()),
    }
}

/// Opens the regular file `path`, links followed, and gives it with its length, at most `limit` bytes.
///
/// The length is what the file system says. A file that grows, or whose length is said to be 0 as in `/proc`, may turn
/// out to be longer than `limit`.
///
/// # Errors
/// Those of [`read_regular_file`].
pub fn open_regular_file(path: &Path, limit: u64) -> Result<(File, u64), ReadError> {
    let metadata = fs::metadata(path).map_err(ReadError::Io)?;
    if let Some(kind) = FileKind::irregular(&metadata) {
        return Err(ReadError::NotAFile(kind));
    }
    if metadata.len() > limit {
        return Err(ReadError::TooLarge { bytes: metadata.len() });
    }
    Ok((File::open(path).map_err(ReadError::Io)?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_largest_length_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").expect("the file is written");
        for limit in [5, 6, u64::MAX - 1] {
            assert!(matches!(read_regular_file(&path, limit), Ok(bytes) if bytes == b"12345"), "{limit}");
        }
        // The whole length is told although nothing was read.
        for limit in [0, 3, 4] {
            assert!(matches!(read_regular_file(&path, limit), Err(ReadError::TooLarge { bytes: 5 })), "{limit}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_that_claim_no_length_are_bounded_too() {
        let path = Path::new("/proc/self/maps");
        assert!(matches!(read_regular_file(path, 10), Err(ReadError::TooLarge { bytes: 11 })));
        assert!(matches!(read_regular_file(path, 1 << 20), Ok(bytes) if bytes.len() > 10));
    }
}

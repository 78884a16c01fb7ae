//! Reading a regular file of bounded size.
//!
//! Opening a pipe waits for a writer and a device may have no end, so what is not a regular file is refused unopened.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// What stands in the place of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A pipe, a socket or a device.
    Special,
}

impl FileKind {
    /// The kind of a file that is not regular; `None` for a regular file.
    pub(crate) fn irregular(metadata: &Metadata) -> Option<Self> {
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

pub(crate) enum ReadError {
    Io(io::Error),
    NotAFile(FileKind),
    /// At least `bytes` long.
    TooLarge {
        bytes: u64,
    },
}

/// The content of the regular file `path`, links followed, if it is at most `limit` bytes long.
pub(crate) fn read_regular_file(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    read_regular_file_into(&mut bytes, path, limit)?;
    Ok(bytes)
}

/// [`read_regular_file`] in place of what `bytes` holds.
pub(crate) fn read_regular_file_into(bytes: &mut Vec<u8>, path: &Path, limit: u64) -> Result<(), ReadError> {
    let (file, length) = open_regular_file(path, limit)?;
    bytes.clear();
    bytes.reserve_exact(length as usize + 1);
    file.take(limit + 1).read_to_end(bytes).map_err(ReadError::Io)?;
    match bytes.len() as u64 {
        length if length > limit => Err(ReadError::TooLarge { bytes: length }),
        _ => Ok(()),
    }
}

/// The regular file `path`, links followed, with its length, if that is at most `limit` bytes.
///
/// The length is what the file system says. Files that grow, or say 0 as those of /proc do, may turn out longer than
/// `limit`.
pub(crate) fn open_regular_file(path: &Path, limit: u64) -> Result<(File, u64), ReadError> {
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

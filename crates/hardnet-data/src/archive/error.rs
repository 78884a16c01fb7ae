//! Errors of tar archives.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The kind of an archive entry that is not a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A hard or symbolic link.
    Link,
    /// A file stored without its holes.
    Sparse,
    /// A pipe, a device, or something only the writing program knows.
    Special,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder",
            Self::Link => "a link",
            Self::Sparse => "a sparse file",
            Self::Special => "a pipe, device or unknown kind of entry",
        })
    }
}

/// Error of reading a tar archive of images.
///
/// Offsets are those of the header in question, in bytes from the beginning of the archive. `name` fields are shortened
/// to 80 characters and have control characters escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The operating system refuses to read the archive.
    #[error("cannot read `{}`", .archive.display())]
    Io {
        /// The archive.
        archive: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A compressed file, in which nothing can be read without all before it.
    #[error(
        "`{}` is compressed with {format}, expected a plain tar archive; unpack it with `{command}` first",
        .archive.display()
    )]
    Compressed {
        /// The archive.
        archive: PathBuf,
        /// The compression: `gzip`.
        format: &'static str,
        /// The program that undoes it.
        command: &'static str,
    },
    /// The archive ends before its end marker.
    #[error(
        "`{}` is cut short: it ends after {length} bytes, expected {expected} at offset {offset}; \
         copy or download it again", .archive.display()
    )]
    Truncated {
        /// The archive.
        archive: PathBuf,
        /// Where the missing part begins or belongs to.
        offset: u64,
        /// The length of the archive.
        length: u64,
        /// The missing part: `a header or the end marker`.
        expected: &'static str,
    },
    /// An entry that reaches beyond the archive.
    #[error(
        "the entry `{name}` at offset {offset} of `{}` claims {bytes} bytes, {available} are left; \
         the archive is cut short or damaged, copy or download it again", .archive.display()
    )]
    BeyondEnd {
        /// The archive.
        archive: PathBuf,
        /// The header's offset.
        offset: u64,
        /// The entry's name.
        name: String,
        /// The size it claims.
        bytes: u64,
        /// The bytes left after its header.
        available: u64,
    },
    /// A block that should be a header is not a valid one.
    #[error(
        "the header at offset {offset} of `{}` has {fault}; the archive is damaged, copy or download it again",
        .archive.display()
    )]
    Header {
        /// The archive.
        archive: PathBuf,
        /// The header's offset.
        offset: u64,
        /// Its defect: `a wrong checksum`.
        fault: HeaderFault,
    },
    /// A name that leads out of the archive's folder.
    #[error("the entry `{name}` at offset {offset} of `{}` has `..` in its name; create the archive again", .archive.display())]
    UnsafeName {
        /// The archive.
        archive: PathBuf,
        /// The header's offset.
        offset: u64,
        /// The name.
        name: String,
    },
    /// More entries than [`MAX_SAMPLES`](crate::MAX_SAMPLES).
    #[error("`{}` holds more than {limit} entries", .archive.display())]
    TooManyEntries {
        /// The archive.
        archive: PathBuf,
        /// The largest number accepted.
        limit: usize,
    },
    /// An archive of archives.
    #[error(
        "`{}` holds no image but {count} tar archives, such as `{name}`; \
         unpack it, and each of them into a folder of its class", .archive.display()
    )]
    Nested {
        /// The archive.
        archive: PathBuf,
        /// How many archives it holds.
        count: usize,
        /// One of them.
        name: String,
    },
    /// Two entries have the name of a requested image.
    #[error(
        "`{}` holds `{name}` more than once, at offsets {first_offset} and {offset}; remove one", .archive.display()
    )]
    DuplicateEntry {
        /// The archive.
        archive: PathBuf,
        /// The name.
        name: String,
        /// Where the content of the first begins.
        first_offset: u64,
        /// Where the content of another begins.
        offset: u64,
    },
    /// A requested image is a link, a device or the like.
    #[error("`{name}` in `{}` is {kind}, expected a regular file; create the archive again", .archive.display())]
    NotAFile {
        /// The archive.
        archive: PathBuf,
        /// The name.
        name: String,
        /// The kind of entry found.
        kind: EntryKind,
    },
}

/// Defect of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderFault {
    /// The bytes do not add up to the checksum.
    Checksum,
    /// The size is not a number, negative, or larger than any file.
    Size,
    /// The entry has no name.
    NoName,
    /// The name is longer than [`MAX_NAME_BYTES`](super::MAX_NAME_BYTES) or the records are too many.
    TooLong,
    /// The pax records are malformed, or name every entry alike.
    PaxRecords,
    /// A long name or pax records without an entry after them.
    NoEntry,
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "a wrong checksum",
            Self::Size => "no valid size",
            Self::NoName => "no name",
            Self::TooLong => "too long a name or too many pax records",
            Self::PaxRecords => "malformed pax records",
            Self::NoEntry => "no entry after it",
        })
    }
}

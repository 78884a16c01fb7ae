//! The index of an archive in a file of its own, so that the next run need not read the headers of 50,000 entries
//! again.
//!
//! The first line is a JSON object: format, the archive's absolute path, size and time of change, and the CRC-32 of
//! what follows, a JSON array of `[name, offset, bytes, kind]`. A file that is not for this very archive, or is damaged
//! in any way, is ignored. Each read of an entry looks at its header once more, so that even an archive that was
//! changed without a trace in size or time gives an error and not another entry's bytes.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hardnet_base::{AtomicFile, read_regular_file};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EntryKind;
use super::index::{ArchiveEntry, ArchiveIndex};

/// Changes with the layout of the file.
const FORMAT: &str = "hardnet tar index 1";

/// The largest file read: the longest names of ImageNet's training set make 100 MB.
const MAX_BYTES: u64 = 1 << 30;

/// An archive changed this short a time ago may change again within the resolution of its time stamp.
const SETTLED: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CacheHeader {
    format: String,
    archive: PathBuf,
    bytes: u64,
    /// Since 1970: seconds, nanoseconds.
    changed: (u64, u32),
    crc32: u32,
}

/// Name, offset, length and kind of an entry.
#[derive(Deserialize)]
struct CachedEntry<'a>(#[serde(borrow)] Cow<'a, str>, u64, u64, Option<EntryKind>);

/// An index as an array of entries, which are neither written nor read all at once.
struct EntryArray<T>(T);

/// Where the index of one state of an archive is kept.
pub(super) struct IndexCache {
    file: PathBuf,
    head: CacheHeader,
}

impl IndexCache {
    /// The cache file in `folder` for the archive at `path`; `None` if its state cannot be told apart from a later one.
    pub(super) fn new(folder: &Path, path: &Path, metadata: &Metadata) -> Option<Self> {
        let archive = fs::canonicalize(path).ok()?;
        let changed = metadata.modified().ok()?;
        let since_1970 = changed.duration_since(UNIX_EPOCH).ok()?;
        SystemTime::now().duration_since(changed).ok().filter(|age| *age >= SETTLED)?;
        let stem = archive.file_stem()?.to_string_lossy().into_owned();
        let digest = crc32fast::hash(archive.as_os_str().as_encoded_bytes());
        let head = CacheHeader {
            format: FORMAT.into(),
            archive,
            bytes: metadata.len(),
            changed: (since_1970.as_secs(), since_1970.subsec_nanos()),
            crc32: 0,
        };
        Some(Self { file: folder.join(format!("{stem}-{digest:08x}.index")), head })
    }

    /// The index, if the file is there, whole and for this state of the archive.
    pub(super) fn read(&self) -> Option<ArchiveIndex> {
        let bytes = read_regular_file(&self.file, MAX_BYTES).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (head, entries) = (&bytes[..end], &bytes[end + 1..]);
        let head: CacheHeader = serde_json::from_slice(head).ok()?;
        if head.crc32 != crc32fast::hash(entries) || (CacheHeader { crc32: 0, ..head }) != self.head {
            return None;
        }
        serde_json::from_slice(entries).ok().map(|EntryArray(index)| index)
    }

    /// Writes the index: the file appears when it is complete.
    pub(super) fn write(&self, index: &ArchiveIndex) -> io::Result<()> {
        let mut sum = CrcWriter::default();
        serde_json::to_writer(&mut sum, &EntryArray(index))?;
        let head = CacheHeader {
            crc32: sum.0.finalize(),
            archive: self.head.archive.clone(),
            format: FORMAT.into(),
            ..self.head
        };
        let folder = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = BufWriter::new(AtomicFile::create(&self.file)?);
        serde_json::to_writer(&mut file, &head)?;
        file.write_all(b"\n")?;
        serde_json::to_writer(&mut file, &EntryArray(index))?;
        file.into_inner()?.commit()
    }
}

impl Serialize for EntryArray<&ArchiveIndex> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.0.entries().map(|ArchiveEntry { name, offset, bytes, kind }| (name, offset, bytes, kind)))
    }
}

impl<'de> Deserialize<'de> for EntryArray<ArchiveIndex> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntryArray(ArchiveIndex::default()))
    }
}

impl<'de> Visitor<'de> for EntryArray<ArchiveIndex> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<Self, A::Error> {
        while let Some(CachedEntry(name, offset, bytes, kind)) = entries.next_element()? {
            let entry = ArchiveEntry { name: &name, offset, bytes, kind };
            self.0.push(entry).ok_or_else(|| A::Error::custom("too many entries"))?;
        }
        Ok(self)
    }
}

/// The CRC-32 of what is written.
#[derive(Default)]
struct CrcWriter(crc32fast::Hasher);

impl Write for CrcWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! One pass over the headers of an archive: which names lie where.

use std::path::Path;
use std::sync::Arc;

use hardnet_base::excerpt;

use super::header::{BLOCK, EntryType, Header, until_nul};
use super::pax::Records;
use super::positioned_file::PositionedFile;
use super::{ArchiveError, EntryKind, HeaderFault, MAX_NAME_BYTES};
use crate::MAX_SAMPLES;
use crate::shared_str::{SharedStr, Span};

/// The most bytes of pax records one entry may have; programs of macOS store icons and the like there.
const MAX_RECORD_BYTES: u64 = 1 << 20;

/// The most headers read, entries and what belongs to them: each entry may have a long name, a long link and records.
const MAX_HEADERS: usize = 4 * MAX_SAMPLES;

/// One entry of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveEntry<'a> {
    /// Components between single `/`, none of them empty, `.` or `..`; what is not UTF-8 is replaced.
    pub(crate) name: &'a str,
    /// Where the content begins.
    pub(crate) offset: u64,
    /// The length of the content; 0 without one.
    pub(crate) bytes: u64,
    /// `None` for a regular file.
    pub(crate) kind: Option<EntryKind>,
}

/// The entries of an archive in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArchiveIndex {
    names: Arc<String>,
    records: Vec<EntryRecord>,
}

/// An entry whose name lies in the text of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntryRecord {
    name: Span,
    offset: u64,
    bytes: u64,
    kind: Option<EntryKind>,
}

impl ArchiveIndex {
    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The entry at `position`.
    pub(crate) fn entry(&self, position: usize) -> ArchiveEntry<'_> {
        let EntryRecord { name, offset, bytes, kind } = self.records[position];
        ArchiveEntry { name: name.slice(&self.names), offset, bytes, kind }
    }

    /// All entries.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = ArchiveEntry<'_>> + Clone {
        (0..self.len()).map(|position| self.entry(position))
    }

    /// The name of the entry at `position`.
    pub(crate) fn name(&self, position: usize) -> SharedStr {
        SharedStr::new(&self.names, self.records[position].name)
    }

    /// Appends an entry, unless there are too many already.
    pub(super) fn push(&mut self, entry: ArchiveEntry<'_>) -> Option<()> {
        let ArchiveEntry { name, offset, bytes, kind } = entry;
        if self.len() == MAX_SAMPLES {
            return None;
        }
        let name = Span::push(Arc::make_mut(&mut self.names), name)?;
        self.records.push(EntryRecord { name, offset, bytes, kind });
        Some(())
    }
}

/// Name and records that the headers before an entry give it.
#[derive(Default)]
struct EntryExtensions {
    name: Option<Vec<u8>>,
    records: Option<Records>,
    /// The offset of the first of those headers.
    offset: Option<u64>,
}

/// Where a pass over the headers is.
#[derive(Default)]
pub(super) struct Place {
    offset: u64,
    extensions: EntryExtensions,
    /// Headers so far.
    headers: usize,
}

/// An entry with a name of its own.
pub(super) struct OwnedEntry {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) kind: Option<EntryKind>,
}

/// The entry at `place` of a tar archive, which any file is taken for; `None` at its end.
pub(super) fn next_entry(
    path: &Path,
    file: &PositionedFile,
    place: &mut Place,
) -> Result<Option<OwnedEntry>, ArchiveError> {
    let length = file.length().map_err(|source| ArchiveError::Io { archive: path.into(), source })?;
    let reader = Reader { path, file, length };
    if place.headers == 0 {
        let mut start = [0; 8];
        let known = usize::try_from(length).unwrap_or(start.len()).min(start.len());
        reader.read(&mut start[..known], 0)?;
        if let Some((format, command)) = compression(&start[..known]) {
            return Err(ArchiveError::Compressed { archive: path.into(), format, command });
        }
    }
    reader.next(place, usize::MAX)
}

impl ArchiveIndex {
    /// `None` if the file does not begin as a tar archive does, nor as a compressed file.
    pub(super) fn read(path: &Path, file: &PositionedFile) -> Result<Option<Self>, ArchiveError> {
        let length = file.length().map_err(|source| ArchiveError::Io { archive: path.into(), source })?;
        let reader = Reader { path, file, length };
        let mut start = [0; BLOCK];
        let known = usize::try_from(length).unwrap_or(BLOCK).min(BLOCK);
        reader.read(&mut start[..known], 0)?;
        if let Some((format, command)) = compression(&start[..known]) {
            return Err(ArchiveError::Compressed { archive: path.into(), format, command });
        }
        let looks_like_tar = &start[257..262] == b"ustar" || known == BLOCK && Header::new(&start).is_some();
        if !looks_like_tar {
            return Ok(None);
        }
        reader.index().map(Some)
    }
}

/// The compression by which a file begins, and the program that undoes it.
fn compression(start: &[u8]) -> Option<(&'static str, &'static str)> {
    let table: [(&[u8], _, _); 5] = [
        (b"\x1f\x8b", "gzip", "gunzip"),
        (b"BZh", "bzip2", "bunzip2"),
        (b"\xfd7zXZ\0", "xz", "unxz"),
        (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
        (b"PK\x03\x04", "zip", "unzip"),
    ];
    table.into_iter().find(|(magic, ..)| start.starts_with(magic)).map(|(_, format, command)| (format, command))
}

struct Reader<'a> {
    path: &'a Path,
    file: &'a PositionedFile,
    length: u64,
}

impl Reader<'_> {
    fn index(&self) -> Result<ArchiveIndex, ArchiveError> {
        let mut index = ArchiveIndex::default();
        let mut place = Place::default();
        while place.headers < MAX_HEADERS {
            let Some(OwnedEntry { name, offset, bytes, kind }) = self.next(&mut place, MAX_HEADERS)? else {
                return if place.headers < MAX_HEADERS { Ok(index) } else { Err(self.too_many()) };
            };
            let entry = ArchiveEntry { name: &name, offset, bytes, kind };
            index.push(entry).ok_or_else(|| self.too_many())?;
        }
        Err(self.too_many())
    }

    /// The next entry that is not the folder of all; `None` at the end marker, or after `most` headers in all.
    fn next(&self, place: &mut Place, most: usize) -> Result<Option<OwnedEntry>, ArchiveError> {
        while place.headers < most {
            let Place { offset, extensions, headers } = place;
            let block = self.block(*offset)?;
            if block == [0; BLOCK] {
                return match extensions.offset {
                    Some(offset) => Err(self.fault(offset, HeaderFault::NoEntry)),
                    None => Ok(None),
                };
            }
            *headers += 1;
            let at = *offset;
            let header = Header::new(&block).ok_or_else(|| self.fault(at, HeaderFault::Checksum))?;
            let content = at + BLOCK as u64;
            let size = header.size().ok_or_else(|| self.fault(at, HeaderFault::Size))?;
            *offset = match header.kind() {
                EntryType::LongName => {
                    let name = self.content(at, size, MAX_NAME_BYTES as u64 + 1)?;
                    extensions.name = Some(until_nul(&name).to_vec());
                    extensions.offset.get_or_insert(at);
                    self.behind(at, content, size, "long name")?
                }
                EntryType::LongLink => self.behind(at, content, size, "long link")?,
                EntryType::Pax => {
                    let records = Records::parse(&self.content(at, size, MAX_RECORD_BYTES)?);
                    extensions.records = Some(records.ok_or_else(|| self.fault(at, HeaderFault::PaxRecords))?);
                    extensions.offset.get_or_insert(at);
                    self.behind(at, content, size, "pax records")?
                }
                EntryType::GlobalPax => {
                    let records = Records::parse(&self.content(at, size, MAX_RECORD_BYTES)?);
                    // Times and comments may be common to all entries; a name or size cannot be.
                    if records != Some(Records::default()) {
                        return Err(self.fault(at, HeaderFault::PaxRecords));
                    }
                    self.behind(at, content, size, "pax records")?
                }
                kind => {
                    let (entry, next) = self.entry(at, &header, kind, size, std::mem::take(extensions))?;
                    *offset = next;
                    if !entry.name.is_empty() {
                        return Ok(Some(entry));
                    }
                    next
                }
            };
        }
        Ok(None)
    }

    /// The entry of the header at `offset`, without a name for the folder of all; and where the next header is.
    fn entry(
        &self,
        offset: u64,
        header: &Header,
        kind: EntryType,
        size: u64,
        extensions: EntryExtensions,
    ) -> Result<(OwnedEntry, u64), ArchiveError> {
        let records = extensions.records.unwrap_or_default();
        let raw = records.path.or(extensions.name).unwrap_or_else(|| header.name());
        let name = self.name(offset, &raw)?;
        // A name that is too long for its field is cut there, so its last character shows only here.
        let kind = if kind == EntryType::File && raw.ends_with(b"/") { EntryType::Folder } else { kind };
        let mut content = offset + BLOCK as u64;
        if kind == EntryType::Sparse && header.map_continues() {
            loop {
                let map = self.block(content)?;
                content += BLOCK as u64;
                if map[504] == 0 {
                    break;
                }
            }
        }
        let bytes = match kind {
            // Some programs write the size of what a link leads to, or of the folder on the disk.
            EntryType::Folder | EntryType::Link | EntryType::Special => 0,
            _ => records.size.unwrap_or(size),
        };
        let next = self.behind(offset, content, bytes, &name)?;
        let kind = match kind {
            EntryType::File if records.sparse => Some(EntryKind::Sparse),
            EntryType::File => None,
            EntryType::Folder => Some(EntryKind::Folder),
            EntryType::Link => Some(EntryKind::Link),
            EntryType::Sparse => Some(EntryKind::Sparse),
            _ => Some(EntryKind::Special),
        };
        Ok((OwnedEntry { name, offset: content, bytes, kind }, next))
    }

    /// The name without `.` and doubled separators; empty for the folder of all, `./`.
    fn name(&self, offset: u64, raw: &[u8]) -> Result<String, ArchiveError> {
        if raw.is_empty() {
            return Err(self.fault(offset, HeaderFault::NoName));
        }
        if raw.len() > MAX_NAME_BYTES {
            return Err(self.fault(offset, HeaderFault::TooLong));
        }
        let raw = String::from_utf8_lossy(raw);
        let parts: Vec<_> = raw.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            return Err(ArchiveError::UnsafeName { archive: self.path.into(), offset, name: excerpt(&raw) });
        }
        Ok(parts.join("/"))
    }

    fn block(&self, offset: u64) -> Result<[u8; BLOCK], ArchiveError> {
        if self.length.saturating_sub(offset) < BLOCK as u64 {
            let (length, expected) = (self.length, "a header or the end marker");
            return Err(ArchiveError::Truncated { archive: self.path.into(), offset, length, expected });
        }
        let mut block = [0; BLOCK];
        self.read(&mut block, offset)?;
        Ok(block)
    }

    /// The content of a long name or of records, whose header is at `offset`.
    fn content(&self, offset: u64, size: u64, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > limit {
            return Err(self.fault(offset, HeaderFault::TooLong));
        }
        let content = offset + BLOCK as u64;
        self.behind(offset, content, size, "long name or pax records")?;
        let mut bytes = vec![0; size as usize];
        self.read(&mut bytes, content)?;
        Ok(bytes)
    }

    /// Where the next header is: the content, which must be there, is filled up to whole blocks.
    fn behind(&self, offset: u64, content: u64, bytes: u64, name: &str) -> Result<u64, ArchiveError> {
        let available = self.length.saturating_sub(content);
        if bytes > available {
            let (archive, name) = (self.path.into(), excerpt(name));
            return Err(ArchiveError::BeyondEnd { archive, offset, name, bytes, available });
        }
        // The length of a file is less than 2^63.
        Ok(content + bytes.next_multiple_of(BLOCK as u64))
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), ArchiveError> {
        let io = |source| ArchiveError::Io { archive: self.path.into(), source };
        self.file.read_exact_at(bytes, offset).map_err(io)
    }

    fn fault(&self, offset: u64, fault: HeaderFault) -> ArchiveError {
        ArchiveError::Header { archive: self.path.into(), offset, fault }
    }

    fn too_many(&self) -> ArchiveError {
        ArchiveError::TooManyEntries { archive: self.path.into(), limit: MAX_SAMPLES }
    }
}

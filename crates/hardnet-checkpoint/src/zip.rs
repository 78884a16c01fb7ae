//! Zip archives as PyTorch writes them: stored entries, found through the central directory.
//!
//! Local headers of PyTorch hold no sizes, and dates may be invalid; neither is used. Zip64, compression and
//! encryption are refused, and so are entries that share a name or a byte: an archive never expands.
//! Checksums are compared with the data; zero means none, as `torch.serialization.set_crc32_options(False)` writes it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use hardnet_base::excerpt;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::source::Source;

const END: [u8; 4] = *b"PK\x05\x06";
const END_LENGTH: usize = 22;
const MAX_COMMENT_LENGTH: usize = 0xffff;
const CENTRAL: u32 = u32::from_le_bytes(*b"PK\x01\x02");
const CENTRAL_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;
const LOCAL: u32 = u32::from_le_bytes(*b"PK\x03\x04");
const ENCRYPTED: u16 = 1 << 0 | 1 << 6 | 1 << 13;
const STORED: u16 = 0;
const ZIP64: u32 = 0xffff_ffff;

/// An entry: its bytes, and where the central directory describes it.
#[derive(Debug)]
pub(crate) struct ZipEntry<'a> {
    name: &'a str,
    record: usize,
    /// From the local header to the end of the data.
    extent: Range<usize>,
    pub(crate) data: Range<usize>,
}

impl ZipEntry<'_> {
    pub(crate) fn error(&self, expected: &'static str) -> Error {
        Error::ZipEntry { offset: self.record, name: excerpt(self.name), expected }
    }
}

/// The central directory of an archive.
#[derive(Debug)]
pub(crate) struct Directory<'a> {
    records: Cow<'a, [u8]>,
    start: usize,
    count: usize,
}

/// The entries of an archive.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    entries: Vec<ZipEntry<'a>>,
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Archive<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&ZipEntry<'a>> {
        self.by_name.get(name).map(|&index| &self.entries[index])
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.name)
    }
}

/// Finds the central directory.
pub(crate) fn directory(source: &Source) -> Result<Directory<'_>, Error> {
    let first = source.len().saturating_sub(END_LENGTH + MAX_COMMENT_LENGTH);
    let tail = source.get(first..source.len())?;
    let end = first + end_record(&tail, source.len())?;
    let mut cursor = Cursor::of_part(&tail, first, end + 4, source.len());
    let disks = cursor.u32("zip end record")?;
    let here = cursor.u16("zip end record")?;
    let count = usize::from(cursor.u16("zip end record")?);
    let length = cursor.u32("zip end record")?;
    let start = cursor.u32("zip end record")?;
    if disks != 0 || usize::from(here) != count || start == ZIP64 || count == 0xffff {
        let expected = "a single-part archive with less than 4 GiB and 65,535 entries";
        return Err(Error::Unexpected { offset: end, what: "zip end record", expected });
    }
    let directory = start as usize;
    if directory.checked_add(length as usize).is_none_or(|last| last > end) {
        return Err(Error::Truncated {
            offset: directory,
            what: "zip central directory",
            needed: u64::from(length),
            left: end.saturating_sub(directory) as u64,
        });
    }
    let end = directory + length as usize;
    if count > length as usize / CENTRAL_LENGTH {
        return Err(Error::Unexpected { offset: end, what: "zip entry count", expected: "as many as the directory" });
    }
    Ok(Directory { records: source.get(directory..end)?, start: directory, count })
}

/// Reads the central directory and checks every entry.
pub(crate) fn read<'a>(source: &Source, directory: &'a Directory<'_>) -> Result<Archive<'a>, Error> {
    let Directory { ref records, start, count } = *directory;
    let mut cursor = Cursor::of_part(records, start, start, start + records.len());
    let mut archive = Archive { entries: Vec::with_capacity(count), by_name: HashMap::with_capacity(count) };
    for _ in 0..count {
        let entry = entry(source, &mut cursor, start)?;
        if archive.by_name.insert(entry.name, archive.entries.len()).is_some() {
            return Err(entry.error("each name once"));
        }
        archive.entries.push(entry);
    }
    if cursor.left() > 0 {
        return Err(Error::TrailingBytes { offset: cursor.position(), count: cursor.left() });
    }
    let mut order: Vec<&ZipEntry<'_>> = archive.entries.iter().collect();
    order.sort_by_key(|entry| entry.extent.start);
    match order.windows(2).find(|pair| pair[0].extent.end > pair[1].extent.start) {
        Some(pair) => Err(pair[1].error("bytes that no other entry uses")),
        None => Ok(archive),
    }
}

/// The offset of the record at the end of the archive, before a comment, in the last bytes of a file of `length`.
fn end_record(tail: &[u8], length: usize) -> Result<usize, Error> {
    let invalid =
        Error::Unexpected { offset: length, what: "zip archive", expected: "an end record in its last 65,557 bytes" };
    let Some(last) = tail.len().checked_sub(END_LENGTH) else { return Err(invalid) };
    let found = (0..=last).rev().find(|&at| {
        let comment = usize::from(u16::from_le_bytes([tail[at + 20], tail[at + 21]]));
        tail[at..at + 4] == END && at + END_LENGTH + comment == tail.len()
    });
    found.ok_or(invalid)
}

/// One record of the central directory and the local header it points to.
fn entry<'a>(source: &Source, cursor: &mut Cursor<'a>, directory: usize) -> Result<ZipEntry<'a>, Error> {
    const WHAT: &str = "zip directory record";
    let record = cursor.position();
    if cursor.u32(WHAT)? != CENTRAL {
        return Err(Error::Unexpected { offset: record, what: WHAT, expected: "its signature" });
    }
    cursor.take(4, WHAT)?; // versions
    let flags = cursor.u16(WHAT)?;
    let method = cursor.u16(WHAT)?;
    cursor.take(4, WHAT)?; // time and date
    let checksum = cursor.u32(WHAT)?;
    let packed = cursor.u32(WHAT)?;
    let size = cursor.u32(WHAT)?;
    let name_length = cursor.u16(WHAT)?;
    let extra_length = cursor.u16(WHAT)?;
    let comment_length = cursor.u16(WHAT)?;
    cursor.take(8, WHAT)?; // disk and attributes
    let local = cursor.u32(WHAT)?;
    let name = cursor.slice(u64::from(name_length), WHAT)?;
    cursor.take(u64::from(extra_length) + u64::from(comment_length), WHAT)?;

    let invalid =
        |expected| Err(Error::ZipEntry { offset: record, name: excerpt(&String::from_utf8_lossy(name)), expected });
    let Ok(text) = std::str::from_utf8(name) else { return invalid("a name in UTF-8") };
    if text.is_empty() || text.split(['/', '\\']).any(|part| part.is_empty() || part == "..") || text.contains(':') {
        return invalid("a relative name without `..`");
    }
    if flags & ENCRYPTED != 0 {
        return invalid("no encryption");
    }
    if method != STORED {
        return invalid("no compression");
    }
    if packed != size || size == ZIP64 || local == ZIP64 {
        return invalid("one size below 4 GiB");
    }
    let (local, size) = (local as usize, u64::from(size));
    let (part, origin) = source.part(local..local.saturating_add(LOCAL_LENGTH + name.len()).min(directory))?;
    let mut header = Cursor::of_part(&part, origin, local, directory);
    if header.u32("zip local header")? != LOCAL {
        return invalid("a local header where the directory says");
    }
    header.take(22, "zip local header")?;
    let local_name_length = header.u16("zip local header")?;
    let local_extra_length = header.u16("zip local header")?;
    if header.slice(u64::from(local_name_length), "zip local header")? != name {
        return invalid("the same name in the local header");
    }
    header.take(u64::from(local_extra_length), "zip local header")?;
    let data = header.take(size, "zip entry")?;
    if checksum != 0 {
        let mut hasher = crc32fast::Hasher::new();
        source.for_each(data.clone(), &mut |part| hasher.update(part))?;
        if hasher.finalize() != checksum {
            return invalid("data with the checksum of the directory");
        }
    }
    Ok(ZipEntry { name: text, record, extent: local..data.end, data })
}

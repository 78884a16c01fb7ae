//! Zip archives as PyTorch writes them: stored entries, found through the central directory.
//!
//! Local headers of PyTorch hold no sizes, and dates may be invalid; neither is used. Zip64, compression and
//! encryption are refused, and so are entries that share a name or a byte: an archive never expands.
//! Checksums are compared with the data; zero means none, as `torch.serialization.set_crc32_options(False)` writes it.

use std::collections::HashMap;
use std::ops::Range;

use hardnet_base::excerpt;

use crate::cursor::Cursor;
use crate::error::Error;

const END: [u8; 4] = *b"PK\x05\x06";
const END_LENGTH: usize = 22;
const MAX_COMMENT_LENGTH: usize = 0xffff;
const CENTRAL: u32 = u32::from_le_bytes(*b"PK\x01\x02");
const CENTRAL_LENGTH: usize = 46;
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

/// Reads the central directory and checks every entry.
pub(crate) fn read(bytes: &[u8]) -> Result<Archive<'_>, Error> {
    let end = end_record(bytes)?;
    let mut cursor = Cursor::new(bytes, end + 4);
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
    let mut cursor = Cursor::new(&bytes[..end], directory);
    let mut archive = Archive { entries: Vec::with_capacity(count), by_name: HashMap::with_capacity(count) };
    for _ in 0..count {
        let entry = entry(bytes, &mut cursor, directory)?;
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

/// The offset of the record at the end of the archive, before a comment.
fn end_record(bytes: &[u8]) -> Result<usize, Error> {
    let invalid = Error::Unexpected {
        offset: bytes.len(),
        what: "zip archive",
        expected: "an end record in its last 65,557 bytes",
    };
    let Some(last) = bytes.len().checked_sub(END_LENGTH) else { return Err(invalid) };
    let first = last.saturating_sub(MAX_COMMENT_LENGTH);
    let found = (first..=last).rev().find(|&at| {
        let comment = usize::from(u16::from_le_bytes([bytes[at + 20], bytes[at + 21]]));
        bytes[at..at + 4] == END && at + END_LENGTH + comment == bytes.len()
    });
    found.ok_or(invalid)
}

/// One record of the central directory and the local header it points to.
fn entry<'a>(bytes: &'a [u8], cursor: &mut Cursor<'a>, directory: usize) -> Result<ZipEntry<'a>, Error> {
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
    let mut header = Cursor::new(&bytes[..directory], local);
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
    if checksum != 0 && crc32fast::hash(&bytes[data.clone()]) != checksum {
        return invalid("data with the checksum of the directory");
    }
    Ok(ZipEntry { name: text, record, extent: local..data.end, data })
}

//! A position in the file. Every length is compared with the remaining bytes before it is used.

use std::ops::Range;

use hardnet_base::SparseBytes;

use crate::error::Error;

/// Reads little-endian fields of a file.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    /// The file or a part of it.
    bytes: SparseBytes<'a>,
    /// Where that part starts in the file.
    origin: usize,
    position: usize,
    /// Where the content may end.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at `position` in content that ends at `end`. Only `bytes`, from `origin` on, are in memory.
    pub(crate) fn of_part(bytes: &'a [u8], origin: usize, position: usize, end: usize) -> Self {
        Self { bytes: bytes.into(), origin, position, end }
    }

    /// A cursor at `position` of a file, in content that ends at `end`.
    pub(crate) fn of_sparse(bytes: SparseBytes<'a>, position: usize, end: usize) -> Self {
        Self { bytes, origin: 0, position, end }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn left(&self) -> usize {
        self.end.saturating_sub(self.position)
    }

    /// The range of the next `count` bytes.
    pub(crate) fn take(&mut self, count: u64, what: &'static str) -> Result<Range<usize>, Error> {
        let left = self.left();
        match usize::try_from(count) {
            Ok(count) if count <= left => {
                let start = self.position;
                self.position += count;
                Ok(start..self.position)
            }
            _ => Err(Error::Truncated { offset: self.position, what, needed: count, left: left as u64 }),
        }
    }

    pub(crate) fn slice(&mut self, count: u64, what: &'static str) -> Result<&'a [u8], Error> {
        let (offset, left) = (self.position, self.left() as u64);
        let range = self.take(count, what)?;
        let part = self.bytes.get(range.start - self.origin..range.end - self.origin);
        part.ok_or(Error::Truncated { offset, what, needed: count, left })
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(N as u64, what)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// The range of a line of at most 256 bytes without its line feed.
    pub(crate) fn line(&mut self, what: &'static str) -> Result<Range<usize>, Error> {
        const MAX_LINE_LENGTH: usize = 256;
        let start = self.position;
        match self.find_line(MAX_LINE_LENGTH) {
            None if self.left() >= MAX_LINE_LENGTH => {
                Err(Error::Limit { offset: start, what, limit: MAX_LINE_LENGTH as u64 })
            }
            line => self.found_line(line, what),
        }
    }

    /// The range of a line of any length without its line feed.
    pub(crate) fn long_line(&mut self, what: &'static str) -> Result<Range<usize>, Error> {
        let line = self.find_line(usize::MAX);
        self.found_line(line, what)
    }

    /// The length of the line, if it ends within `limit` bytes.
    fn find_line(&self, limit: usize) -> Option<usize> {
        let rest = self.bytes.starting_at(self.position - self.origin);
        rest.iter().take(limit.min(self.left())).position(|&byte| byte == b'\n')
    }

    fn found_line(&mut self, length: Option<usize>, what: &'static str) -> Result<Range<usize>, Error> {
        let (start, left) = (self.position, self.left() as u64);
        let length = length.ok_or(Error::Truncated { offset: start, what, needed: left + 1, left })?;
        self.position += length + 1;
        Ok(start..start + length)
    }
}

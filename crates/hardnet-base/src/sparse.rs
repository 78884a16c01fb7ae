//! Files of which only some parts are in memory.

use std::ops::Range;

/// A range of a file that is not in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hole {
    start: usize,
    end: usize,
    /// Length of this hole and of all before it.
    missing: usize,
}

/// A file without some of its ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sparse {
    kept: Vec<u8>,
    holes: Vec<Hole>,
    length: usize,
}

impl Sparse {
    /// The bytes that are in memory, at their places in the file.
    pub fn bytes(&self) -> SparseBytes<'_> {
        SparseBytes { kept: &self.kept, holes: &self.holes, length: self.length }
    }

    /// Appends bytes.
    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Appends a range that is left out.
    fn skip(&mut self, count: usize) {
        if count > 0 {
            let missing = self.holes.last().map_or(0, |hole| hole.missing) + count;
            self.holes.push(Hole { start: self.length, end: self.length + count, missing });
            self.length += count;
        }
    }
}

/// The bytes of a file: all of them, or those that are in memory.
#[derive(Debug, Clone, Copy)]
pub struct SparseBytes<'a> {
    kept: &'a [u8],
    holes: &'a [Hole],
    length: usize,
}

impl<'a> From<&'a [u8]> for SparseBytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { kept: bytes, holes: &[], length: bytes.len() }
    }
}

impl<'a> SparseBytes<'a> {
    /// Length of the file.
    #[allow(clippy::len_without_is_empty, reason = "an empty file is of no use")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Number of the bytes that are in memory.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The bytes from `start` to the next range that is left out, or to the end.
    pub fn starting_at(&self, start: usize) -> &'a [u8] {
        let at = self.holes.partition_point(|hole| hole.end <= start);
        let end = self.holes.get(at).map_or(self.length, |hole| hole.start);
        let missing = at.checked_sub(1).map_or(0, |last| self.holes[last].missing);
        if start < end { &self.kept[start - missing..end - missing] } else { &[] }
    }

    /// A range of the file; none if a part of it is not in memory or beyond the end.
    pub fn get(&self, range: Range<usize>) -> Option<&'a [u8]> {
        let count = range.end.checked_sub(range.start).filter(|_| range.end <= self.length)?;
        if count == 0 { Some(&[]) } else { self.starting_at(range.start).get(..count) }
    }
}

/// Reads a file from its start to its end, and says of each range whether it is kept.
///
/// It ends with none where the file cannot be read, or has less bytes than asked for, or more than a limit are kept.
pub struct SparseReader<'r> {
    read: &'r mut dyn FnMut(Range<usize>) -> Option<Vec<u8>>,
    length: usize,
    limit: usize,
    /// Bytes that were read, and where they start.
    window: (usize, Vec<u8>),
    file: Sparse,
}

/// Bytes that are read at a time.
const WINDOW: usize = 1 << 16;

impl<'r> SparseReader<'r> {
    /// A reader of a file of `length` bytes, of which `read` gives any range. At most `limit` bytes are kept.
    pub fn new(length: usize, limit: usize, read: &'r mut dyn FnMut(Range<usize>) -> Option<Vec<u8>>) -> Self {
        Self { read, length, limit, window: (0, Vec::new()), file: Sparse::default() }
    }

    /// Number of bytes so far.
    pub fn position(&self) -> usize {
        self.file.length
    }

    /// Number of bytes to the end.
    pub fn left(&self) -> usize {
        self.length - self.file.length
    }

    /// Some of the bytes at the position, `most` at most.
    fn peek(&mut self, most: usize) -> Option<&[u8]> {
        let position = self.position();
        let (start, bytes) = &self.window;
        if !(*start..start + bytes.len()).contains(&position) {
            let end = self.length.min(position + WINDOW);
            self.window = (position, (self.read)(position..end)?);
        }
        let (start, bytes) = &self.window;
        let rest = bytes.get(position - start..).filter(|rest| !rest.is_empty() || most == 0)?;
        Some(&rest[..most.min(rest.len())])
    }

    /// Keeps a byte.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.peek(1)?.first()?;
        (self.file.kept.len() < self.limit).then(|| self.file.keep(&[byte]))?;
        Some(byte)
    }

    /// Keeps `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut array = [0; N];
        for byte in &mut array {
            *byte = self.byte()?;
        }
        Some(array)
    }

    /// Keeps `count` bytes.
    pub fn keep(&mut self, count: usize) -> Option<()> {
        if count > self.left() || count > self.limit - self.file.kept.len() {
            return None;
        }
        let mut left = count;
        while left > 0 {
            let bytes = self.peek(left)?.to_vec();
            left -= bytes.len();
            self.file.keep(&bytes);
        }
        Some(())
    }

    /// Leaves out `count` bytes without reading them.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        (count <= self.left()).then(|| self.file.skip(count))
    }

    /// Leaves out `count` bytes after giving them to `look`, some at a time.
    pub fn look(&mut self, count: usize, look: &mut dyn FnMut(&[u8])) -> Option<()> {
        let end = self.position().checked_add(count).filter(|&end| end <= self.length)?;
        let mut start = self.position();
        while start < end {
            let bytes = (self.read)(start..end.min(start + WINDOW))?;
            start += bytes.len();
            look(&bytes);
        }
        self.skip(count)
    }

    /// The file, with all that follows left out.
    pub fn finish(mut self) -> Sparse {
        self.file.skip(self.length - self.file.length);
        self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_ranges_are_found_and_others_are_not() {
        let file: Vec<u8> = (0..=255).cycle().take(200_000).map(|byte: u8| byte.wrapping_mul(7)).collect();
        let mut read = |range: Range<usize>| file.get(range).map(<[u8]>::to_vec);
        let mut reader = SparseReader::new(file.len(), 80_000, &mut read);
        assert_eq!(reader.byte(), Some(file[0]));
        reader.skip(9).unwrap();
        assert_eq!(reader.array(), Some([file[10], file[11]]));
        let mut seen = Vec::new();
        reader.look(70_000, &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!(seen, file[12..70_012]);
        reader.keep(70_000).unwrap();
        assert_eq!((reader.position(), reader.left()), (140_012, 59_988));
        assert_eq!((reader.keep(10_000), reader.skip(59_989)), (None, None));
        let sparse = reader.finish();
        let bytes = sparse.bytes();
        assert_eq!((bytes.len(), bytes.kept()), (200_000, 70_003));
        for range in [0..1, 10..12, 70_012..140_012, 70_500..70_501, 139_000..140_012] {
            assert_eq!(bytes.get(range.clone()), Some(&file[range]));
        }
        for range in [0..2, 1..2, 9..11, 11..13, 70_011..70_012, 140_011..140_013, 199_999..200_000, 200_000..200_001] {
            assert_eq!(bytes.get(range.clone()), None, "{range:?}");
        }
        assert_eq!(
            (bytes.get(5..5), bytes.get(200_000..200_000), bytes.get(200_001..200_001)),
            (Some(&[][..]), Some(&[][..]), None)
        );
        assert_eq!(
            (bytes.starting_at(10), bytes.starting_at(5), bytes.starting_at(199_999)),
            (&file[10..12], &[][..], &[][..])
        );
        let whole = SparseBytes::from(&file[..]);
        assert_eq!((whole.get(3..199_000), whole.starting_at(7)), (Some(&file[3..199_000]), &file[7..]));
    }

    #[test]
    fn a_file_that_ends_early_is_none() {
        let mut read = |range: Range<usize>| Some(vec![1; range.end.min(100).saturating_sub(range.start)]);
        let mut reader = SparseReader::new(1_000, 1_000, &mut read);
        assert_eq!((reader.keep(100), reader.byte(), reader.keep(10)), (Some(()), None, None));
    }
}

//! A file in memory as the decoder reads it.
//!
//! The decoder refills its bits by four bytes at a time in its innermost loop. `zune-core`'s own cursor does so through
//! calls that are not inlined.
//!
//! The decoder ignores data that is left over where an interval is complete, and makes up what is missing. Only the
//! reader sees how far it comes.

use std::io::{BufRead, Read, Result, Seek, SeekFrom};

use crate::decode::jpeg::segments::marker;

/// Bytes of data that the decoder takes at a time.
const REFILL: usize = 4;

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where the last refill began.
    refilled: usize,
    /// The positions after the padding of the intervals that are still to come, each that of a marker.
    intervals: &'a [usize],
    /// An interval did not end in its padding.
    flawed: bool,
}

impl<'a> Reader<'a> {
    /// The data of each of `intervals` ends with padding, bytes of ones, at the position that it has.
    pub(super) fn new(bytes: &'a [u8], intervals: &'a [usize]) -> Self {
        Reader { bytes, position: 0, refilled: 0, intervals, flawed: false }
    }

    /// Whether each interval was complete when its data was used up: the decoder read in advance less than the padding,
    /// and no less than all before it.
    pub(super) fn is_used_up(&self) -> bool {
        self.intervals.is_empty() && !self.flawed
    }

    /// Ends an interval if the last two bytes are the marker after it: the decoder must have taken all of its data, and
    /// not all of its padding.
    #[cold]
    fn end_interval(&mut self) {
        let Some((&end, rest)) = self.intervals.split_first() else { return };
        if self.position != end + 2 {
            return;
        }
        self.intervals = rest;
        let mut used = self.refilled;
        for _ in 0..REFILL {
            match self.bytes.get(used..).unwrap_or_default() {
                [0xFF, 0, ..] => used += 2,
                // A marker.
                [0xFF, ..] | [] => break,
                _ => used += 1,
            }
        }
        let unused = self.bytes.get(used..end).unwrap_or_default();
        let (padding, rest) = unused.as_chunks::<2>();
        self.flawed |= padding.is_empty() || !rest.is_empty() || padding.iter().any(|pair| *pair != [0xFF, 0]);
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// Reads what is left, which is less than `buffer` holds.
    #[cold]
    fn read_rest(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.rest();
        buffer[..rest.len()].copy_from_slice(rest);
        self.position += rest.len();
        rest.len()
    }
}

impl Read for Reader<'_> {
    #[inline(always)]
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.len() == REFILL {
            self.refilled = self.position;
        }
        match self.bytes.get(self.position..self.position.saturating_add(buffer.len())) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                self.position += bytes.len();
                // Markers are read byte by byte.
                if let [marker::SOF0..=u8::MAX] = buffer {
                    self.end_interval();
                }
                Ok(bytes.len())
            }
            None => Ok(self.read_rest(buffer)),
        }
    }
}

impl BufRead for Reader<'_> {
    #[inline(always)]
    fn fill_buf(&mut self) -> Result<&[u8]> {
        Ok(self.rest())
    }

    #[inline(always)]
    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Seek for Reader<'_> {
    #[inline(always)]
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let (from, offset) = match to {
            SeekFrom::Start(position) => (0, position as isize),
            SeekFrom::End(offset) => (self.bytes.len(), offset as isize),
            SeekFrom::Current(offset) => (self.position, offset as isize),
        };
        self.position = from.checked_add_signed(offset).unwrap_or(0);
        Ok(self.position as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_to_the_end_and_again() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5], &[]);
        let mut four = [0; 4];
        assert_eq!((reader.read(&mut four).unwrap(), four), (4, [1, 2, 3, 4]));
        assert_eq!((reader.read(&mut four).unwrap(), four[0]), (1, 5));
        assert_eq!((reader.read(&mut four).unwrap(), reader.fill_buf().unwrap()), (0, &[][..]));
        assert_eq!(reader.seek(SeekFrom::Current(-4)).unwrap(), 1);
        reader.consume(1);
        assert_eq!(reader.fill_buf().unwrap(), [3, 4, 5]);
        assert_eq!((reader.seek(SeekFrom::End(2)).unwrap(), reader.read(&mut four).unwrap()), (7, 0));
        assert_eq!(reader.seek(SeekFrom::Start(4)).unwrap(), 4);
    }

    /// Reads four bytes at `refill`, then byte by byte from `end` on.
    fn read_at(reader: &mut Reader, refill: usize, end: usize) {
        reader.position = refill;
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 4);
        reader.position = end;
        assert_eq!([(); 2].map(|()| reader.read(&mut [0]).unwrap()), [1; 2]);
    }

    /// Two intervals of data `1, 2, 3`, each with eight bytes of padding; the last refills are at the given positions.
    #[test]
    fn an_interval_ends_in_its_padding() {
        let padding = [0xFF, 0].repeat(8);
        let bytes = [&[9, 9, 1, 2, 3], &padding[..], &[0xFF, 0xD0, 1, 2, 3], &padding, &[0xFF, 0xD9]].concat();
        // From the first byte of data on, four bytes reach one of padding, and none that ends in it all of them.
        for (refills, expected) in [
            ([2, 23], true),
            ([5, 23], true),
            ([11, 32], true),
            ([13, 23], false),
            ([19, 23], false),
            ([21, 23], false),
            ([2, 34], false),
            ([2, 40], false),
        ] {
            let mut reader = Reader::new(&bytes, &[21, 42]);
            refills.into_iter().zip([21, 42]).for_each(|(refill, end)| read_at(&mut reader, refill, end));
            assert_eq!(reader.is_used_up(), expected, "{refills:?}");
        }
        // Data is left over.
        let long = [&[1, 2, 3, 4, 5], &padding[..], &[0xFF, 0xD9]].concat();
        for (refill, expected) in [(0, false), (1, true)] {
            let mut reader = Reader::new(&long, &[21]);
            read_at(&mut reader, refill, 21);
            assert_eq!(reader.is_used_up(), expected);
        }
        assert!(!Reader::new(&bytes, &[21]).is_used_up(), "the marker was not read");
        assert!(Reader::new(&bytes, &[]).is_used_up());
    }
}

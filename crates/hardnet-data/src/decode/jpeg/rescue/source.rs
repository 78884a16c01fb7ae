//! The bytes of a file as Pillow hands them to libjpeg: in pieces, the next one when the last is used up.

use super::Stop;
use crate::decode::jpeg::segments::marker;

/// Bytes of a piece.
const PIECE: usize = 65536;

pub(super) struct Source<'a> {
    bytes: &'a [u8],
    position: usize,
    /// The end of the pieces loaded so far.
    loaded: usize,
    may_load: bool,
    /// The marker that ended the entropy-coded data, to be read again as a marker.
    pub(super) unread: Option<u8>,
    /// See [`Rescued`](super::Rescued).
    pub(super) irregular: bool,
    pub(super) damaged: bool,
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let loaded = bytes.len().min(PIECE);
        Self { bytes, position: 0, loaded, may_load: true, unread: None, irregular: false, damaged: false }
    }

    /// Loads no further piece.
    pub(super) fn stop_loading(&mut self) {
        self.may_load = false;
    }

    /// The next eight bytes, if they are loaded and none of them is `0xFF`. The position stays.
    #[inline]
    pub(super) fn eight_of_data(&self) -> Option<u64> {
        const ONES: u64 = u64::MAX / 255;
        let bytes = self.bytes.get(self.position..self.loaded)?.first_chunk()?;
        let complement = !u64::from_be_bytes(*bytes);
        let has_ff = complement.wrapping_sub(ONES) & !complement & (ONES << 7) != 0;
        (!has_ff).then_some(!complement)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        while self.position >= self.loaded {
            if !self.may_load || self.loaded == self.bytes.len() {
                return Err(Stop::Ended);
            }
            self.loaded = self.bytes.len().min(self.loaded + PIECE);
        }
        let byte = self.bytes[self.position];
        self.position += 1;
        Ok(byte)
    }

    pub(super) fn word(&mut self) -> Result<u16, Stop> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// Steps over `count` bytes, also beyond the end, where the next byte is missed.
    pub(super) fn skip(&mut self, count: usize) {
        self.position = self.position.saturating_add(count);
    }

    /// Reads the start-of-image marker, which must be next.
    pub(super) fn start_of_image(&mut self) -> Result<(), Stop> {
        match [self.byte()?, self.byte()?] {
            [0xFF, marker::SOI] => Ok(()),
            _ => Err(Stop::Malformed("there is no start-of-image marker".to_owned())),
        }
    }

    /// The marker that is unread, or the next one, over stray bytes and fill bytes. It stays unread.
    pub(super) fn marker(&mut self) -> Result<u8, Stop> {
        match self.unread {
            Some(code) => Ok(code),
            None => self.next_marker(),
        }
    }

    /// The next marker, over stray bytes and fill bytes. It becomes the unread one.
    pub(super) fn next_marker(&mut self) -> Result<u8, Stop> {
        loop {
            while self.byte()? != 0xFF {
                self.irregular = true;
            }
            let mut code = self.byte()?;
            while code == 0xFF {
                code = self.byte()?;
            }
            if code != 0 {
                self.unread = Some(code);
                return Ok(code);
            }
            self.irregular = true;
        }
    }
}

//! The fields of a message.

use hardnet_base::SparseBytes;

use crate::error::{Error, Result};
use crate::wire::wire_type;

/// Why bytes cannot be read that a file on disk has.
const ABSENT: &str = "bytes that are not in memory";

/// One field: its number and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) payload: Payload<'a>,
    /// Where it begins in the file.
    pub(super) offset: usize,
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    /// Bytes, as the fields of a message.
    Bytes(Fields<'a>),
    Fixed32([u8; 4]),
}

/// The fields of a message in order; ends after the first error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    file: SparseBytes<'a>,
    /// Where they begin and end in the file.
    offset: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    /// The fields of a file.
    pub(super) fn new(file: SparseBytes<'a>) -> Self {
        Self { file, offset: 0, end: file.len() }
    }

    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.end
    }

    /// Takes `count` bytes.
    fn take(&mut self, count: u64) -> Result<Self> {
        let left = self.end - self.offset;
        let Some(count) = usize::try_from(count).ok().filter(|&count| count <= left) else {
            let reason = format!("{count} bytes are announced and {left} are left");
            return Err(Error::Malformed { offset: self.offset, reason });
        };
        let taken = Self { end: self.offset + count, ..*self };
        self.offset += count;
        Ok(taken)
    }

    /// The bytes, if they are in memory.
    fn bytes(&self) -> Option<&'a [u8]> {
        self.file.get(self.range())
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0_u64;
        let most = (self.end - self.offset).min(10);
        for (at, &byte) in self.file.starting_at(self.offset).iter().enumerate().take(most) {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if at == 9 && byte > 1 {
                    break;
                }
                self.take(at as u64 + 1)?;
                return Ok(number);
            }
        }
        Err(Error::Malformed { offset: self.offset, reason: "expected a number of at most 64 bits".into() })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N as u64)?;
        let bytes = taken.bytes().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(Error::Malformed { offset: taken.offset, reason: ABSENT.into() })
    }

    fn field(&mut self) -> Result<Field<'a>> {
        let offset = self.offset;
        let key = self.varint()?;
        let payload = match key & 7 {
            wire_type::VARINT => Payload::Varint(self.varint()?),
            wire_type::FIXED64 => Payload::Fixed64(self.array()?),
            wire_type::BYTES => {
                let length = self.varint()?;
                Payload::Bytes(self.take(length)?)
            }
            wire_type::FIXED32 => Payload::Fixed32(self.array()?),
            other => {
                let reason = format!("wire type {other}, expected 0, 1, 2 or 5");
                return Err(Error::Malformed { offset, reason });
            }
        };
        match key >> 3 {
            0 => Err(Error::Malformed { offset, reason: "field 0, expected one from 1".into() }),
            number => Ok(Field { number, payload, offset }),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset == self.end {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.offset = self.end;
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    /// An error at this field.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { offset: self.offset, reason: reason.into() }
    }

    /// Returns an error where `count` things have been read and no more than `most` may be.
    pub(super) fn limit(&self, count: usize, most: usize, what: &str) -> Result<()> {
        if count < most { Ok(()) } else { Err(self.error(format!("more than {most} {what}"))) }
    }

    fn unexpected(&self, expected: &str) -> Error {
        self.error(format!("field {} is of another wire type, expected {expected}", self.number))
    }

    pub(super) fn varint(&self) -> Result<u64> {
        match self.payload {
            Payload::Varint(number) => Ok(number),
            _ => Err(self.unexpected("a number")),
        }
    }

    pub(super) fn float(&self) -> Result<f32> {
        match self.payload {
            Payload::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.unexpected("a float")),
        }
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8]> {
        match self.payload {
            Payload::Bytes(bytes) => bytes.bytes().ok_or_else(|| self.error(ABSENT)),
            _ => Err(self.unexpected("bytes")),
        }
    }

    /// Bytes, empty if they are not in memory, and their range in the file.
    pub(super) fn placed(&self) -> Result<(&'a [u8], std::ops::Range<usize>)> {
        match self.payload {
            Payload::Bytes(bytes) => Ok((bytes.bytes().unwrap_or_default(), bytes.range())),
            _ => Err(self.unexpected("bytes")),
        }
    }

    pub(super) fn text(&self) -> Result<String> {
        match std::str::from_utf8(self.bytes()?) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(self.error("text that is not UTF-8")),
        }
    }

    pub(super) fn message(&self) -> Result<Fields<'a>> {
        match self.payload {
            Payload::Bytes(fields) => Ok(fields),
            _ => Err(self.unexpected("a message")),
        }
    }

    /// Appends a number, or a packed sequence of numbers, of at most `most` in all.
    pub(super) fn varints(&self, most: usize, numbers: &mut Vec<u64>) -> Result<()> {
        let mut push = |number| {
            self.limit(numbers.len(), most, "numbers")?;
            numbers.push(number);
            Ok(())
        };
        match self.payload {
            Payload::Varint(number) => push(number),
            Payload::Bytes(mut packed) => {
                while packed.offset < packed.end {
                    push(packed.varint()?)?;
                }
                Ok(())
            }
            _ => Err(self.unexpected("numbers")),
        }
    }
}

//! Portable bitmaps, graymaps and pixmaps, `P1` to `P6`: plain text or raw samples.

use super::{DecodeError, DecodeLimits, DecodeWarning, Decoded, ImageFormat, to_image};
use crate::image::Channels;

const FORMAT: ImageFormat = ImageFormat::Pnm;

/// Digits of a number.
const MAX_DIGITS: usize = 10;

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let &[_, kind, ..] = bytes else { return Err(truncated(bytes, "header")) };
    let mut words = Words { bytes, position: 3 };
    let (width, height) = (words.header()?, words.header()?);
    limits.check(FORMAT, width.into(), height.into())?;
    let (is_plain, is_bitmap) = (matches!(kind, b'1'..=b'3'), matches!(kind, b'1' | b'4'));
    let channels = if matches!(kind, b'3' | b'6') { Channels::Rgb } else { Channels::Gray };
    let count = (width as usize * height as usize).saturating_mul(channels.count());
    let size = (width as usize, height as usize);
    if is_bitmap {
        let samples = if is_plain { words.digits(count)? } else { bits(words.rest(), size, bytes)? };
        return Ok(Decoded::lossless(to_image(FORMAT, size, channels, samples)?));
    }
    let scale = Scale::new(words.header()?, channels)?;
    let samples = if is_plain { words.numbers(count, &scale)? } else { scale.raw(words.rest(), count, bytes)? };
    let warnings = Vec::from_iter(scale.warning());
    Ok(Decoded { image: to_image(FORMAT, size, channels, samples)?, warnings })
}

fn malformed(reason: String) -> DecodeError {
    DecodeError::Malformed { format: FORMAT, reason }
}

fn truncated(bytes: &[u8], missing: &'static str) -> DecodeError {
    DecodeError::Truncated { format: FORMAT, len: bytes.len(), missing }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r')
}

/// Raw bits, each row filled up to whole bytes; 1 is black.
fn bits(data: &[u8], (width, height): (usize, usize), bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let row = width.div_ceil(8);
    let data = data.get(..row * height).ok_or_else(|| truncated(bytes, "pixel data"))?;
    let bit = |row: &[u8], column: usize| if row[column / 8] >> (7 - column % 8) & 1 == 1 { 0 } else { 255 };
    Ok(data.chunks_exact(row).flat_map(|row| (0..width).map(|column| bit(row, column))).collect())
}

/// How samples up to a largest value become 8 bits.
struct Scale {
    max: u32,
    /// Pillow keeps gray above 8 bits as 16 bits, and its conversion to RGB clips them.
    clips: bool,
}

impl Scale {
    fn new(max: u32, channels: Channels) -> Result<Self, DecodeError> {
        if !(1..65536).contains(&max) {
            return Err(malformed(format!("the largest sample is {max}, expected 1 to 65535")));
        }
        Ok(Self { max, clips: max > 255 && channels == Channels::Gray })
    }

    fn warning(&self) -> Option<DecodeWarning> {
        let wide = if self.clips { DecodeWarning::SixteenBitClipped } else { DecodeWarning::SixteenBitReduced };
        (self.max > 255).then_some(wide)
    }

    fn apply(&self, value: u32) -> u8 {
        let white = if self.clips { 65535.0 } else { 255.0 };
        let scaled = (f64::from(value) / f64::from(self.max) * white).round_ties_even();
        scaled.min(255.0) as u8
    }

    /// Raw samples of one byte, or of two with the high one first.
    fn raw(&self, data: &[u8], count: usize, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let length = if self.max > 255 { count.saturating_mul(2) } else { count };
        let data = data.get(..length).ok_or_else(|| truncated(bytes, "pixel data"))?;
        if self.max > 255 {
            return Ok(data.as_chunks().0.iter().map(|&pair| self.apply(u16::from_be_bytes(pair).into())).collect());
        }
        let table: Vec<u8> = (0..=255).map(|value| self.apply(value)).collect();
        Ok(data.iter().map(|&value| table[usize::from(value)]).collect())
    }
}

/// Words between white space; `#` begins a comment to the end of the line.
struct Words<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Words<'a> {
    /// The bytes after the header.
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.position).copied();
        self.position += 1;
        byte
    }

    /// The next number of the header, and one white space after it.
    fn header(&mut self) -> Result<u32, DecodeError> {
        let mut word = Vec::new();
        while word.len() <= MAX_DIGITS {
            match self.next() {
                None => break,
                Some(byte) if is_space(byte) && word.is_empty() => {}
                Some(byte) if is_space(byte) => break,
                Some(b'#') => self.comment(),
                Some(byte) => word.push(byte),
            }
        }
        if word.is_empty() {
            return Err(truncated(self.bytes, "header"));
        }
        number(&word)
    }

    /// Steps over the rest of a line.
    fn comment(&mut self) {
        while !matches!(self.next(), None | Some(b'\r' | b'\n')) {}
    }

    /// `count` digits 0 or 1 of a plain bitmap, with or without white space between them; 1 is black.
    fn digits(&mut self, count: usize) -> Result<Vec<u8>, DecodeError> {
        let mut samples = Vec::new();
        while samples.len() < count {
            match self.next() {
                None => return Err(truncated(self.bytes, "pixel data")),
                Some(b'0') => samples.push(255),
                Some(b'1') => samples.push(0),
                Some(b'#') => self.comment(),
                Some(byte) if is_space(byte) => {}
                Some(byte) => return Err(malformed(format!("byte `{byte:02x}` is not a bit"))),
            }
        }
        Ok(samples)
    }

    /// `count` numbers of a plain file.
    fn numbers(&mut self, count: usize, scale: &Scale) -> Result<Vec<u8>, DecodeError> {
        let (mut samples, mut word) = (Vec::new(), Vec::new());
        while samples.len() < count {
            let byte = self.next();
            match byte {
                Some(b'#') => self.comment(),
                Some(byte) if !is_space(byte) => {
                    if word.len() == MAX_DIGITS {
                        return Err(malformed("a number is too long".to_owned()));
                    }
                    word.push(byte);
                }
                _ if !word.is_empty() => {
                    let value = number(&word)?;
                    if value > scale.max {
                        return Err(malformed(format!("sample {value} is larger than {}", scale.max)));
                    }
                    samples.push(scale.apply(value));
                    word.clear();
                }
                Some(_) => {}
                None => return Err(truncated(self.bytes, "pixel data")),
            }
        }
        Ok(samples)
    }
}

fn number(word: &[u8]) -> Result<u32, DecodeError> {
    let text = std::str::from_utf8(word).ok().filter(|text| text.len() <= MAX_DIGITS);
    let value = text.and_then(|text| text.parse().ok());
    value.ok_or_else(|| malformed(format!("`{}` is not a number", word.escape_ascii())))
}

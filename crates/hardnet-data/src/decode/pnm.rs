//! Portable bitmaps, graymaps and pixmaps, `P1` to `P6`: plain text or raw samples.

use super::{DecodeError, DecodeLimits, DecodeWarning, Decoded, Decoding, ImageFormat, to_image};
use crate::image::Channels;

const FORMAT: ImageFormat = ImageFormat::Pnm;

/// Digits of a number.
const MAX_DIGITS: usize = 10;

pub(super) fn decode(bytes: &[u8], decoding: Decoding, limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
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
    let scale = Scale::new(words.header()?, channels, is_plain, decoding)?;
    let samples = if is_plain { words.numbers(count, &scale)? } else { scale.raw(words.rest(), count, bytes)? };
    let warnings = Vec::from_iter(scale.warning());
    Ok(Decoded::new(to_image(FORMAT, size, channels, samples)?, warnings))
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
    rule: Rule,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Pillow stretches the range to 0..=255.
    Stretch,
    /// Pillow keeps gray above 8 bits as 16 bits, and its conversion to RGB clips them.
    Clip,
    /// OpenCV stretches plain samples of 8 bits, rounded down.
    StretchDown,
    /// OpenCV takes raw samples of 8 bits as they are, whatever the largest value.
    Keep,
    /// OpenCV takes the high byte of 16 bits, whatever the largest value.
    HighByte,
}

impl Scale {
    fn new(max: u32, channels: Channels, is_plain: bool, decoding: Decoding) -> Result<Self, DecodeError> {
        if !(1..65536).contains(&max) {
            return Err(malformed(format!("the largest sample is {max}, expected 1 to 65535")));
        }
        let rule = match decoding {
            Decoding::Pillow if max > 255 && channels == Channels::Gray => Rule::Clip,
            Decoding::Pillow => Rule::Stretch,
            Decoding::OpenCv if max > 255 => Rule::HighByte,
            Decoding::OpenCv if is_plain => Rule::StretchDown,
            Decoding::OpenCv => Rule::Keep,
        };
        Ok(Self { max, rule })
    }

    fn warning(&self) -> Option<DecodeWarning> {
        let clips = self.rule == Rule::Clip;
        let wide = if clips { DecodeWarning::SixteenBitClipped } else { DecodeWarning::SixteenBitReduced };
        (self.max > 255).then_some(wide)
    }

    fn apply(&self, value: u32) -> u8 {
        match self.rule {
            Rule::Stretch => self.stretch(value, 255.0),
            Rule::Clip => self.stretch(value, 65535.0),
            Rule::StretchDown => (value.min(self.max) * 255 / self.max) as u8,
            Rule::Keep => value.min(255) as u8,
            Rule::HighByte => (value >> 8).min(255) as u8,
        }
    }

    fn stretch(&self, value: u32, white: f64) -> u8 {
        let scaled = (f64::from(value) / f64::from(self.max) * white).round_ties_even();
        scaled.min(255.0) as u8
    }

    /// A number of a plain file. OpenCV lowers those that are too large.
    fn plain(&self, value: u32) -> Result<u8, DecodeError> {
        match self.rule {
            Rule::Stretch | Rule::Clip if value > self.max => {
                Err(malformed(format!("sample {value} is larger than {}", self.max)))
            }
            _ => Ok(self.apply(value.min(self.max))),
        }
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
                    samples.push(scale.plain(number(&word)?)?);
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

//! The orientation in a file's EXIF data, as the library that is followed finds it.
//!
//! JPEG has EXIF data in an application segment, PNG and WebP in a chunk. Data that cannot be understood are ignored,
//! and are never an error. TIFF's own tag is part of the format and is read with it ([`tiff`](super::tiff)). Oracles:
//! Pillow 13.0.0 and OpenCV 4.14.0, held by `tests/decode_opencv.rs`.

use std::collections::BTreeSet;

use super::{Decoding, ImageFormat, Orientation};

/// The orientation of a file, upright where it has none.
pub(super) fn orientation(format: ImageFormat, bytes: &[u8], decoding: Decoding) -> Orientation {
    let mut exif = match format {
        ImageFormat::Jpeg => in_jpeg(bytes),
        ImageFormat::Png => in_png(bytes, decoding),
        ImageFormat::WebP => Vec::from_iter(in_webp(bytes)),
        ImageFormat::Bmp | ImageFormat::Gif | ImageFormat::Pnm | ImageFormat::Tiff => Vec::new(),
    }
    .into_iter();
    let number = match decoding {
        Decoding::Pillow => {
            exif.next().and_then(|exif| Directory::new(without_signatures(exif))?.orientation_of_pillow())
        }
        // The first that has one, also where its number means nothing.
        Decoding::OpenCv => exif.find_map(|exif| Directory::new(exif)?.orientation_of_opencv()),
    };
    number.and_then(Orientation::from_exif).unwrap_or_default()
}

/// The signature of EXIF data in a JPEG.
const SIGNATURE: &[u8] = b"Exif\0\0";

/// Pillow steps over signatures that do not belong there.
fn without_signatures(mut exif: &[u8]) -> &[u8] {
    while let Some(rest) = exif.strip_prefix(SIGNATURE) {
        exif = rest;
    }
    exif
}

/// The EXIF segments before the image data.
fn in_jpeg(bytes: &[u8]) -> Vec<&[u8]> {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    const APP1: u8 = 0xE1;
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut found = Vec::new();
    let mut segment = || {
        // Stray bytes may stand between segments.
        let at =
            rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0x01 | 0xFF | 0xD0..=0xD8))?;
        let code = rest[at + 1];
        rest = &rest[at + 2..];
        if matches!(code, START_OF_SCAN | END_OF_IMAGE) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let payload = rest.get(2..length)?;
        rest = &rest[length..];
        Some((code, payload))
    };
    while let Some((code, payload)) = segment() {
        let exif = payload.strip_prefix(SIGNATURE).filter(|exif| code == APP1 && !exif.is_empty());
        found.extend(exif);
    }
    found
}

/// The chunk `eXIf`: of several, Pillow uses the last and OpenCV the first that begins as a TIFF file, and none of an
/// animation.
fn in_png(bytes: &[u8], decoding: Decoding) -> Vec<&[u8]> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((&[l0, l1, l2, l3, t0, t1, t2, t3], after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let Some(content) = after.get(..length) else { break };
        match (&[t0, t1, t2, t3], decoding) {
            (b"eXIf", Decoding::Pillow) => found = vec![content],
            (b"eXIf", Decoding::OpenCv) if found.is_empty() && byte_order(content).is_some() => found.push(content),
            (b"acTL", Decoding::OpenCv) if content.first_chunk() != Some(&1_u32.to_be_bytes()) => return Vec::new(),
            (b"IEND", _) => break,
            _ => {}
        }
        // After the content is its check sum.
        rest = after.get(length..).and_then(|rest| rest.get(4..)).unwrap_or_default();
    }
    found
}

/// The first chunk `EXIF`, if the header says that there is one.
fn in_webp(bytes: &[u8]) -> Option<&[u8]> {
    const HAS_EXIF: u8 = 0x08;
    let mut rest = bytes.get(12..)?;
    let header = rest.strip_prefix(b"VP8X\x0a\0\0\0")?;
    if header.first()? & HAS_EXIF == 0 {
        return None;
    }
    loop {
        let (&[n0, n1, n2, n3, l0, l1, l2, l3], after) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if [n0, n1, n2, n3] == *b"EXIF" {
            return after.get(..length);
        }
        rest = after.get(length.checked_add(length % 2)?..)?;
    }
}

/// Whether the numbers of EXIF data are big-endian, by their first bytes.
fn byte_order(data: &[u8]) -> Option<bool> {
    match data.first_chunk()? {
        b"II*\0" => Some(false),
        b"MM\0*" => Some(true),
        _ => None,
    }
}

/// The first directory of EXIF data, which is that of a TIFF file.
struct Directory<'a> {
    data: &'a [u8],
    big_endian: bool,
    /// Where the entries begin: tag, type, count, value or its place.
    entries: usize,
    count: usize,
}

/// Bytes of an entry.
const ENTRY: usize = 12;

/// Tags of fractions that OpenCV reads, and how many it reads: resolutions, white point, chromaticities, coefficients
/// of YCbCr, reference black and white.
const FRACTIONS: [(u16, usize); 6] = [(0x011A, 1), (0x011B, 1), (0x013E, 2), (0x013F, 6), (0x0211, 3), (0x0214, 6)];

/// The tag `Orientation`.
const ORIENTATION: u16 = 0x0112;

impl<'a> Directory<'a> {
    fn new(data: &'a [u8]) -> Option<Self> {
        let mut directory = Directory { data, big_endian: byte_order(data)?, entries: 0, count: 0 };
        let start = directory.long(4)?;
        directory.count = directory.short(start)?.into();
        directory.entries = start.checked_add(2)?;
        Some(directory)
    }

    /// Pillow checks the type, and takes the first of several values. It skips values that cannot fit into the data
    /// together with those before them, and gives up at one that ends outside the data.
    fn orientation_of_pillow(&self) -> Option<u32> {
        let mut read = BTreeSet::new();
        let mut total = 0;
        for at in self.entries() {
            self.data.get(at..at + ENTRY)?;
            let (tag, kind, count) = (self.short(at)?, self.short(at + 2)?, self.long(at + 4)?);
            let width = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16 => 8,
                _ => continue,
            };
            if read.contains(&tag) {
                continue;
            }
            let length = count.saturating_mul(width);
            let mut place = at + 8;
            if length > 4 {
                total = length.saturating_add(total);
                if total > self.data.len() {
                    continue;
                }
                place = self.long(place)?;
            }
            let value = self.data.get(place..place.checked_add(length)?)?;
            if value.is_empty() {
                continue;
            }
            if tag == ORIENTATION {
                return match kind {
                    3 | 8 => self.short(place).map(u32::from),
                    4 | 9 | 13 => u32::try_from(self.long(place)?).ok(),
                    6 => value.first().copied().map(u32::from),
                    _ => None,
                };
            }
            read.insert(tag);
        }
        None
    }

    /// OpenCV takes 16 bits whatever the type. It gives up at a text or a fraction that lies outside the data.
    fn orientation_of_opencv(&self) -> Option<u32> {
        const DESCRIPTION: u16 = 0x010E;
        const MODEL: u16 = 0x0110;
        const SOFTWARE: u16 = 0x0131;
        const DATE_TIME: u16 = 0x0132;
        const COPYRIGHT: u16 = 0x8298;
        for at in self.entries() {
            match self.short(at)? {
                ORIENTATION => return self.short(at + 8).map(u32::from),
                DESCRIPTION..=MODEL | SOFTWARE | DATE_TIME | COPYRIGHT => {
                    let length = self.long(at + 4)?;
                    let place = if length > 4 { self.long(at + 8)? } else { 8 };
                    self.data.get(place..place.checked_add(length)?)?;
                }
                tag => {
                    let fraction = FRACTIONS.iter().find(|(of, _)| *of == tag);
                    if let Some((_, count)) = fraction {
                        let place = self.long(at + 8)?;
                        self.data.get(place..place.checked_add(8 * count)?)?;
                    }
                }
            }
        }
        None
    }

    /// Where the entries are that begin within the data.
    fn entries(&self) -> impl Iterator<Item = usize> + '_ {
        (self.entries..self.data.len()).step_by(ENTRY).take(self.count)
    }

    fn short(&self, at: usize) -> Option<u16> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn long(&self, at: usize) -> Option<usize> {
        let bytes = *self.data.get(at..)?.first_chunk()?;
        usize::try_from(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }).ok()
    }
}

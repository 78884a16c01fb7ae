//! Masks from PNG files.
//!
//! | PNG | read as |
//! |---|---|
//! | 8-bit gray | the gray level of each pixel |
//! | gray of 1, 2 or 4 bits | the number of each pixel, not scaled to 255 |
//! | palette | the index of each pixel; the colors do not matter |
//! | RGB | the class of the color in a [`Palette`], an error without one |
//! | alpha | dropped where every pixel is opaque, otherwise an error |
//! | 16 bits a sample | an error |
//!
//! Each number then becomes a class by a [`LabelTable`].

use std::io::Cursor;

use png::{BitDepth, ColorType, DecodingError, Transformations};

use super::{LabelTable, Mask};
use crate::palette::Palette;

/// Most pixels of a mask: that of images, Pillow's limit.
const MAX_PIXELS: u64 = 178_956_970;

/// Memory the decoder may take in addition to the pixels.
const OVERHEAD_BYTES: usize = 16 << 20;

/// The longest palette, in bytes.
const MAX_PALETTE: u32 = 3 * 256;

/// Error of making or reading a mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// The number of values does not fit the size.
    #[error("a mask of `{width}x{height}` pixels needs as many values, and at least one, found {found}")]
    Shape {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Values given.
        found: usize,
    },
    /// The file is not a PNG.
    #[error("not a PNG, expected masks as PNG: other formats change the numbers")]
    NotPng,
    /// The file cannot be decoded.
    #[error("cannot decode the PNG: {reason}")]
    Malformed {
        /// The decoder's reason.
        reason: String,
    },
    /// The header announces more pixels than are read.
    #[error("`{width}x{height}` pixels are more than the limit of {MAX_PIXELS}")]
    TooManyPixels {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// 16 bits a sample.
    #[error("the mask has 16 bits a sample, expected 8: the number of a class, or colors")]
    SixteenBits,
    /// Colors, and no palette that says what they mean.
    #[error("the mask has colors, expected the number of a class in each pixel, or a table of colors")]
    NoPalette,
    /// A pixel is not opaque.
    #[error("the pixel in column {column}, row {row} of the mask is transparent, expected opaque pixels")]
    Transparent {
        /// Column, from 0.
        column: usize,
        /// Row, from 0.
        row: usize,
    },
    /// A color that the palette does not have.
    #[error("the color {red},{green},{blue} in column {column}, row {row} is not in the table of colors")]
    UnknownColor {
        /// Level of red.
        red: u8,
        /// Level of green.
        green: u8,
        /// Level of blue.
        blue: u8,
        /// Column, from 0.
        column: usize,
        /// Row, from 0.
        row: usize,
    },
    /// A number that is not a class.
    #[error("the label {label} in column {column}, row {row} is not a class, expected {expected}, or 255 to ignore it")]
    UnknownLabel {
        /// The number.
        label: u8,
        /// The numbers of classes.
        expected: String,
        /// Column, from 0.
        column: usize,
        /// Row, from 0.
        row: usize,
    },
    /// The mask is not of its image.
    #[error("the mask has {}x{} pixels, its image {}x{}", .mask.0, .mask.1, .image.0, .image.1)]
    SizeMismatch {
        /// Columns and rows of the mask.
        mask: (usize, usize),
        /// Columns and rows of the image.
        image: (usize, usize),
    },
}

/// How files become masks.
#[derive(Clone, Debug)]
pub struct MaskReader {
    table: LabelTable,
    palette: Option<Palette>,
}

impl MaskReader {
    /// Numbers in files become classes by `table`.
    pub fn new(table: LabelTable) -> Self {
        Self { table, palette: None }
    }

    /// Colors in files become classes by `palette`; files of numbers are read as before.
    pub fn palette(mut self, palette: Palette) -> Self {
        self.palette = Some(palette);
        self
    }

    /// Reads a PNG file.
    ///
    /// # Errors
    ///
    /// A [`MaskError`] with the first pixel that is not of a class.
    pub fn decode(&self, bytes: &[u8]) -> Result<Mask, MaskError> {
        let Png { width, height, samples, color } = Png::decode(bytes)?;
        let place = |pixel: usize| (pixel % width, pixel / width);
        let opaque = |channels: usize| match samples.chunks_exact(channels).position(|pixel| pixel[channels - 1] != 255)
        {
            Some(pixel) => {
                let (column, row) = place(pixel);
                Err(MaskError::Transparent { column, row })
            }
            None => Ok(()),
        };
        match color {
            ColorType::Grayscale | ColorType::Indexed => self.classes(width, height, samples),
            ColorType::GrayscaleAlpha => {
                opaque(2)?;
                self.classes(width, height, samples.as_chunks::<2>().0.iter().map(|pixel| pixel[0]).collect())
            }
            ColorType::Rgb => self.colors(width, height, samples.as_chunks::<3>().0.iter().copied()),
            ColorType::Rgba => {
                opaque(4)?;
                self.colors(width, height, samples.as_chunks::<4>().0.iter().map(|&[r, g, b, _]| [r, g, b]))
            }
        }
    }

    /// Checks that `mask` has the size of its image.
    ///
    /// # Errors
    ///
    /// [`MaskError::SizeMismatch`].
    pub fn check_size(mask: &Mask, image: (usize, usize)) -> Result<(), MaskError> {
        let mask = (mask.width(), mask.height());
        if mask == image { Ok(()) } else { Err(MaskError::SizeMismatch { mask, image }) }
    }

    fn classes(&self, width: usize, height: usize, mut labels: Vec<u8>) -> Result<Mask, MaskError> {
        for (pixel, label) in labels.iter_mut().enumerate() {
            *label = self.table.get(*label).ok_or_else(|| MaskError::UnknownLabel {
                label: *label,
                expected: self.table.expected(),
                column: pixel % width,
                row: pixel / width,
            })?;
        }
        Mask::new(width, height, labels)
    }

    fn colors(&self, width: usize, height: usize, colors: impl Iterator<Item = [u8; 3]>) -> Result<Mask, MaskError> {
        let palette = self.palette.as_ref().ok_or(MaskError::NoPalette)?;
        let mut last = None;
        let mut labels = Vec::with_capacity(width * height);
        for (pixel, color) in colors.enumerate() {
            let class = match last {
                Some((known, class)) if known == color => class,
                _ => palette.class(color).ok_or_else(|| {
                    let [red, green, blue] = color;
                    MaskError::UnknownColor { red, green, blue, column: pixel % width, row: pixel / width }
                })?,
            };
            last = Some((color, class));
            labels.push(class);
        }
        Mask::new(width, height, labels)
    }
}

/// The samples of a PNG: 8 bits each, numbers of fewer bits not scaled, indices of a palette as they are.
struct Png {
    width: usize,
    height: usize,
    samples: Vec<u8>,
    color: ColorType,
}

impl Png {
    fn decode(bytes: &[u8]) -> Result<Self, MaskError> {
        if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Err(MaskError::NotPng);
        }
        check_palettes(bytes)?;
        let malformed = |error: DecodingError| MaskError::Malformed { reason: error.to_string() };
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(Transformations::IDENTITY);
        let info = decoder.read_header_info().map_err(malformed)?;
        let (width, height, color, depth) = (info.width, info.height, info.color_type, info.bit_depth);
        let pixels = u64::from(width) * u64::from(height);
        if pixels > MAX_PIXELS {
            return Err(MaskError::TooManyPixels { width, height });
        }
        if depth == BitDepth::Sixteen {
            return Err(MaskError::SixteenBits);
        }
        decoder.set_limits(png::Limits { bytes: pixels as usize * color.samples() * 2 + OVERHEAD_BYTES });
        let mut reader = decoder.read_info().map_err(malformed)?;
        let length = reader.output_buffer_size().ok_or(MaskError::TooManyPixels { width, height })?;
        let mut samples = vec![0; length];
        reader.next_frame(&mut samples).map_err(malformed)?;
        // The image counts as whole only with what follows it: a check sum that does not fit shows there.
        reader.finish().map_err(malformed)?;
        let (width, height) = (width as usize, height as usize);
        if depth != BitDepth::Eight {
            samples = unpacked(&samples, width, height, depth as usize);
        }
        Ok(Self { width, height, samples, color })
    }
}

/// Checks that palettes are of whole entries, at most 256: the `png` crate panics on a palette that ends inside an
/// entry.
fn check_palettes(bytes: &[u8]) -> Result<(), MaskError> {
    let mut rest = &bytes[8..];
    while let Some(&[l0, l1, l2, l3, t0, t1, t2, t3]) = rest.first_chunk() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        match &[t0, t1, t2, t3] {
            b"PLTE" if !length.is_multiple_of(3) || length > MAX_PALETTE => {
                let reason = format!("a palette of {length} bytes is not of at most 256 entries of 3 bytes");
                return Err(MaskError::Malformed { reason });
            }
            b"IEND" => break,
            _ => {}
        }
        // Length, type and check sum are 12 bytes in addition to the content.
        rest = rest.get(length as usize..).and_then(|rest| rest.get(12..)).unwrap_or_default();
    }
    Ok(())
}

/// The numbers of rows of `width` numbers of `bits` bits, the first in the high bits; each row begins with a byte.
fn unpacked(rows: &[u8], width: usize, height: usize, bits: usize) -> Vec<u8> {
    let (per_byte, stride) = (8 / bits, (width * bits).div_ceil(8));
    let mut labels = Vec::with_capacity(width * height);
    for row in rows.chunks_exact(stride).take(height) {
        labels.extend((0..width).map(|column| {
            let shift = 8 - bits * (column % per_byte + 1);
            (row[column / per_byte] >> shift) & ((1 << bits) - 1)
        }));
    }
    labels
}

//! TIFF: the first image, as Pillow or OpenCV shows it.
//!
//! The `tiff` crate gives the samples as stored; what they mean is decided here by Pillow's table of layouts. Unlike in
//! other formats, Pillow turns the image as its orientation tag says. OpenCV's pixels are those of libtiff's
//! `TIFFReadRGBAStrip`.

use std::io::Cursor;

use ::tiff::decoder::{Decoder, DecodingResult, Limits};
use ::tiff::tags::Tag;
use ::tiff::{TiffError, TiffResult};

use super::jpeg::light;
use super::{
    DecodeError, DecodeLimits, DecodeWarning, Decoded, Decoding, ImageFormat, Orientation, one_line, to_image,
};
use crate::image::Channels;

const FORMAT: ImageFormat = ImageFormat::Tiff;

/// Memory the decoder may take in addition to the pixels, for tables and a strip.
const OVERHEAD_BYTES: usize = 16 << 20;

/// Interpretations of samples.
mod photometric {
    pub(super) const WHITE_IS_ZERO: u16 = 0;
    pub(super) const BLACK_IS_ZERO: u16 = 1;
    pub(super) const RGB: u16 = 2;
    pub(super) const PALETTE: u16 = 3;
    pub(super) const CMYK: u16 = 5;
}

/// A fourth sample that colors are multiplied by.
const ASSOCIATED_ALPHA: u16 = 1;
/// A fourth sample that colors are not multiplied by.
const UNASSOCIATED_ALPHA: u16 = 2;

pub(super) fn decode(bytes: &[u8], decoding: Decoding, limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let error = |error| tiff_error(bytes.len(), error);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width, height) = decoder.dimensions().map_err(error)?;
    limits.check(FORMAT, width.into(), height.into())?;
    let layout = Layout { decoding, ..Layout::read(&mut decoder, bytes.starts_with(b"MM")).map_err(error)? };
    layout.check()?;
    if layout.photometric == photometric::PALETTE {
        let file = as_gray(bytes, decoder.ifd_pointer().map_or(0, |directory| directory.0), layout.big_endian)?;
        let decoder = Decoder::new(Cursor::new(&file[..])).map_err(error)?;
        return decode_samples(decoder, &layout, (width as usize, height as usize), bytes.len());
    }
    decode_samples(decoder, &layout, (width as usize, height as usize), bytes.len())
}

/// The file with its samples declared as gray: the decoder refuses palettes, whose indices are stored in the same way.
fn as_gray(bytes: &[u8], directory: u64, big_endian: bool) -> Result<Vec<u8>, DecodeError> {
    let half = |pair| if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
    let is_wide = bytes.get(2..4).is_some_and(|version| version.contains(&43));
    let (count, entry) = if is_wide { (8, 20) } else { (2, 12) };
    let start = usize::try_from(directory).unwrap_or(usize::MAX).saturating_add(count);
    let mut file = bytes.to_vec();
    let entries = file.get_mut(start..).unwrap_or_default().chunks_exact_mut(entry);
    let tag = |entry: &&mut [u8]| half([entry[0], entry[1]]) == Tag::PhotometricInterpretation.to_u16();
    let Some(entry) = entries.into_iter().find(tag) else {
        return Err(malformed("the palette image has no photometric interpretation".to_owned()));
    };
    let value = entry.len() - if is_wide { 8 } else { 4 };
    let gray = photometric::BLACK_IS_ZERO;
    entry[value..value + 2].copy_from_slice(&if big_endian { gray.to_be_bytes() } else { gray.to_le_bytes() });
    Ok(file)
}

fn decode_samples(
    decoder: Decoder<Cursor<&[u8]>>,
    layout: &Layout,
    (width, height): (usize, usize),
    len: usize,
) -> Result<Decoded, DecodeError> {
    let error = |error| tiff_error(len, error);
    let samples = width.saturating_mul(height).saturating_mul(layout.samples);
    let mut memory = Limits::default();
    memory.decoding_buffer_size = samples.saturating_mul(2);
    memory.intermediate_buffer_size = memory.decoding_buffer_size.saturating_add(OVERHEAD_BYTES);
    let mut decoder = decoder.with_limits(memory);
    let mut result = DecodingResult::U8(Vec::new());
    let planes = decoder.read_image_to_buffer(&mut result).map_err(error)?;
    let stride = planes.plane_stride.map(usize::from);
    let samples = match result {
        DecodingResult::U8(packed) if layout.bits < 8 => unpack(&packed, width, layout.bits),
        DecodingResult::U8(samples) => samples.into_iter().map(u16::from).collect(),
        DecodingResult::U16(samples) => samples,
        _ => return Err(unsupported("samples of this type".to_owned())),
    };
    let count = width * height;
    let samples = match stride {
        Some(stride) if planes.planes > 1 => {
            let stride = stride / if layout.bits == 16 { 2 } else { 1 };
            let at = |pixel: usize, plane: usize| samples.get(plane * stride + pixel).copied().unwrap_or(0);
            (0..count).flat_map(|pixel| (0..layout.samples).map(move |plane| at(pixel, plane))).collect()
        }
        _ => samples,
    };
    // The decoder leaves out a sample without a meaning.
    let stored = samples.len() / count;
    if samples.len() != count * stored
        || (stored != layout.samples && (layout.extra != [0] || stored + 1 != layout.samples))
    {
        return Err(malformed("the samples do not fill the image".to_owned()));
    }
    let (channels, samples) = layout.colors(&samples, stored);
    let image = to_image(FORMAT, (width, height), channels, samples)?;
    let orientation = Orientation::from_exif(layout.orientation.into()).unwrap_or_default();
    Ok(Decoded::new(orientation.apply(image), layout.warnings()))
}

/// The meaning of the samples of a pixel.
struct Layout {
    decoding: Decoding,
    big_endian: bool,
    photometric: u16,
    bits: u16,
    samples: usize,
    /// Meanings of the samples after the color.
    extra: Vec<u16>,
    /// Whether all samples are unsigned numbers of the same size, with the first pixel in the high bits.
    is_plain: bool,
    /// Red, green and blue of each index, one color after the other.
    palette: Vec<u16>,
    orientation: u16,
}

impl Layout {
    fn read(decoder: &mut Decoder<Cursor<&[u8]>>, big_endian: bool) -> TiffResult<Self> {
        let mut number = |tag, default| Ok::<u16, TiffError>(decoder.find_tag_unsigned(tag)?.unwrap_or(default));
        let samples = number(Tag::SamplesPerPixel, 1)?;
        let photometric = number(Tag::PhotometricInterpretation, photometric::WHITE_IS_ZERO)?;
        let (fill_order, orientation) = (number(Tag::FillOrder, 1)?, number(Tag::Orientation, 1)?);
        let mut list = |tag| Ok::<Vec<u16>, TiffError>(decoder.find_tag_unsigned_vec(tag)?.unwrap_or_default());
        let (bits, formats, extra) = (list(Tag::BitsPerSample)?, list(Tag::SampleFormat)?, list(Tag::ExtraSamples)?);
        let palette = list(Tag::ColorMap)?;
        let first = bits.first().copied().unwrap_or(1);
        let is_plain =
            fill_order == 1 && bits.iter().all(|&bits| bits == first) && formats.iter().all(|&format| format == 1);
        let samples = usize::from(samples);
        let decoding = Decoding::Pillow;
        Ok(Self { decoding, big_endian, photometric, bits: first, samples, extra, is_plain, palette, orientation })
    }

    /// Checks that Pillow or OpenCV knows the layout and that it is read here.
    fn check(&self) -> Result<(), DecodeError> {
        let known = match (self.photometric, self.bits) {
            (photometric::WHITE_IS_ZERO, 16) => self.samples == 1 && !self.big_endian,
            (photometric::WHITE_IS_ZERO, 1 | 2 | 4 | 8) => self.samples == 1,
            (photometric::BLACK_IS_ZERO, 8) if self.samples == 2 => match self.extra[..] {
                [ASSOCIATED_ALPHA] => self.decoding == Decoding::OpenCv,
                ref extra => matches!(extra, [0 | UNASSOCIATED_ALPHA]),
            },
            (photometric::BLACK_IS_ZERO, 1 | 2 | 4 | 8 | 16) => self.samples == 1,
            (photometric::RGB, 8) if self.samples == 4 => matches!(self.extra[..], [] | [0..=2 | 999]),
            (photometric::RGB, 16) if self.samples == 4 => matches!(self.extra[..], [] | [0..=2]),
            (photometric::RGB, 8 | 16) => self.samples == 3,
            (photometric::PALETTE, 1 | 2 | 4 | 8) => self.samples == 1,
            (photometric::CMYK, 8 | 16) => self.samples == 4,
            _ => false,
        };
        if known && self.is_plain {
            return Ok(());
        }
        let Self { photometric, bits, samples, .. } = self;
        Err(unsupported(format!("{samples} samples of {bits} bits with photometric interpretation {photometric}")))
    }

    fn warnings(&self) -> Vec<DecodeWarning> {
        let has_alpha = match self.photometric {
            photometric::BLACK_IS_ZERO => matches!(self.extra[..], [ASSOCIATED_ALPHA | UNASSOCIATED_ALPHA]),
            photometric::RGB => self.samples == 4 && self.extra != [0],
            _ => false,
        };
        let is_gray = self.photometric <= photometric::BLACK_IS_ZERO;
        let clips = is_gray && self.decoding == Decoding::Pillow;
        let wide = if clips { DecodeWarning::SixteenBitClipped } else { DecodeWarning::SixteenBitReduced };
        let warnings = [
            has_alpha.then_some(DecodeWarning::AlphaDropped),
            (self.bits == 16).then_some(wide),
            (self.photometric == photometric::CMYK).then_some(DecodeWarning::CmykConverted),
        ];
        warnings.into_iter().flatten().collect()
    }

    /// Gray or RGB of 8 bits, from `stored` samples a pixel.
    fn colors(&self, samples: &[u16], stored: usize) -> (Channels, Vec<u8>) {
        if let Some(colors) = self.colors_of_opencv(samples, stored) {
            return colors;
        }
        let eight = |sample: u16| if self.bits == 16 { (sample >> 8) as u8 } else { sample as u8 };
        let pixels = samples.chunks_exact(stored);
        match self.photometric {
            photometric::PALETTE => {
                let count = self.palette.len() / 3;
                let color = |index: u16, plane: usize| {
                    let entry = Some(usize::from(index)).filter(|&index| index < count);
                    entry.map_or(0, |index| (self.palette[plane * count + index] >> 8) as u8)
                };
                let rgb = samples.iter().flat_map(|&index| [0, 1, 2].map(|plane| color(index, plane)));
                (Channels::Rgb, rgb.collect())
            }
            photometric::CMYK => {
                let rgb = pixels.flat_map(|inks| {
                    let white = 255 - eight(inks[3]);
                    [0, 1, 2].map(|ink| light(eight(inks[ink]), white))
                });
                (Channels::Rgb, rgb.collect())
            }
            photometric::RGB if self.samples == 4 && self.extra == [ASSOCIATED_ALPHA] => {
                let rgb = pixels.flat_map(|pixel| {
                    let alpha = eight(pixel[3]);
                    [0, 1, 2].map(|channel| divide(eight(pixel[channel]), alpha))
                });
                (Channels::Rgb, rgb.collect())
            }
            photometric::RGB => {
                (Channels::Rgb, pixels.flat_map(|pixel| [0, 1, 2].map(|channel| eight(pixel[channel]))).collect())
            }
            // The decoder has inverted what Pillow leaves as it is.
            photometric::WHITE_IS_ZERO if self.bits == 16 => {
                (Channels::Gray, samples.iter().map(|&sample| (!sample).min(255) as u8).collect())
            }
            _ => {
                // Each number of bits fills the range from 0 to 255.
                let scale = if self.bits < 8 { 255 / ((1 << self.bits) - 1) } else { 1 };
                (Channels::Gray, pixels.map(|pixel| (pixel[0] * scale).min(255) as u8).collect())
            }
        }
    }
}

impl Layout {
    /// OpenCV's pixels where they are others than Pillow's, and where it reads the layout.
    fn colors_of_opencv(&self, samples: &[u16], stored: usize) -> Option<(Channels, Vec<u8>)> {
        if self.decoding == Decoding::Pillow {
            return None;
        }
        let pixels = samples.chunks_exact(stored);
        match (self.photometric, self.bits) {
            // The decoder has inverted white-is-zero.
            (photometric::WHITE_IS_ZERO | photometric::BLACK_IS_ZERO, 16) => {
                Some((Channels::Gray, pixels.map(|pixel| (pixel[0] >> 8) as u8).collect()))
            }
            (photometric::PALETTE, 4 | 8) if self.palette.iter().all(|&level| level < 256) => {
                let count = self.palette.len() / 3;
                let color = |&index: &u16| {
                    [0, 1, 2].map(|plane| {
                        let entry = Some(usize::from(index)).filter(|&index| index < count);
                        entry.map_or(0, |index| self.palette[plane * count + index] as u8)
                    })
                };
                Some((Channels::Rgb, samples.iter().flat_map(color).collect()))
            }
            (photometric::CMYK, 8) => {
                let lit = |inks: &[u16]| [0, 1, 2].map(|ink| ((255 - inks[3]) * (255 - inks[ink]) / 255) as u8);
                Some((Channels::Rgb, pixels.flat_map(lit).collect()))
            }
            (photometric::RGB, 8 | 16) => {
                let eight =
                    |sample: u16| if self.bits == 16 { ((u32::from(sample) + 128) / 257) as u16 } else { sample };
                let multiplies = self.samples == 4 && self.extra == [UNASSOCIATED_ALPHA];
                let color = |pixel: &[u16]| {
                    let alpha = if multiplies { eight(pixel[3]) } else { 255 };
                    [0, 1, 2].map(|channel| multiplied(eight(pixel[channel]), alpha))
                };
                Some((Channels::Rgb, pixels.flat_map(color).collect()))
            }
            _ => None,
        }
    }
}

/// A color times its alpha, both at most 255.
fn multiplied(color: u16, alpha: u16) -> u8 {
    ((color * alpha + 127) / 255) as u8
}

/// A color by the alpha that it was multiplied by.
fn divide(color: u8, alpha: u8) -> u8 {
    match alpha {
        0 => 0,
        alpha => (u16::from(color) * 255 / u16::from(alpha)).min(255) as u8,
    }
}

/// Samples of less than 8 bits, each row filled up to whole bytes.
fn unpack(packed: &[u8], width: usize, bits: u16) -> Vec<u16> {
    let bits = usize::from(bits);
    let row = (width * bits).div_ceil(8).max(1);
    let sample = |row: &[u8], column: usize| {
        let at = column * bits;
        u16::from(row[at / 8] >> (8 - bits - at % 8)) & ((1 << bits) - 1)
    };
    packed.chunks_exact(row).flat_map(|row| (0..width).map(move |column| sample(row, column))).collect()
}

fn malformed(reason: String) -> DecodeError {
    DecodeError::Malformed { format: FORMAT, reason }
}

fn unsupported(feature: String) -> DecodeError {
    DecodeError::Unsupported { format: FORMAT, feature }
}

fn tiff_error(len: usize, error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format: FORMAT, len, missing: "pixel data" }
        }
        TiffError::UnsupportedError(error) => unsupported(one_line(&error)),
        error => malformed(one_line(&error)),
    }
}

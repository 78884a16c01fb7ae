//! Decoding of image files to what Pillow's `Image.open(file).convert("RGB")` holds.
//!
//! The format is detected from the content. Orientation tags but those of TIFF, color profiles and gamma are ignored,
//! alpha is dropped without compositing, as Pillow does. Gray images stay [`Channels::Gray`](crate::Channels::Gray).
//!
//! All formats but JPEG are exact, except for BMP of 16 bits a pixel (one level) and lossy WebP. A JPEG is exact with
//! the feature `exact-jpeg`. By default it is not: the standard leaves the rounding of the inverse transform and the
//! interpolation of chroma open, so the pure Rust decoder ([`JPEG_DECODER`] says which is in use) and Pillow's
//! libjpeg-turbo differ by a few levels in some pixels; most where chroma is subsampled, at the right and lower edge,
//! and in images of few pixels. What follows (color conversion, CMYK) is libjpeg's and Pillow's arithmetic. Oracle:
//! Pillow 13.0.0, held by `tests/decode.rs` over stored files and pixels, with the tested bound for JPEG.

mod bmp;
mod error;
mod gif;
mod jpeg;
mod png;
mod pnm;
mod scratch;
mod sniff;
mod tiff;
mod webp;

use std::fmt;

use crate::image::{Channels, Image, ImageError};
pub use error::DecodeError;
pub(crate) use scratch::DecodeScratch;
pub use sniff::ContentGuess;

/// The JPEG decoder and its version, for results that depend on it.
pub const JPEG_DECODER: &str = jpeg::NAME;

/// A format that [`decode`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImageFormat {
    /// Baseline, extended sequential or progressive, 8 bits, Huffman-coded.
    Jpeg,
    /// Any color type and bit depth; of an animation, the default image.
    Png,
    /// Windows bitmap.
    Bmp,
    /// Of an animation, the first frame.
    Gif,
    /// Portable bitmap, graymap or pixmap, `P1` to `P6`.
    Pnm,
    /// The first image; uncompressed, or compressed by LZW, deflate, PackBits or as fax.
    Tiff,
    /// Lossy or lossless; of an animation, the first frame.
    WebP,
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImageFormat::Jpeg => "jpeg",
            ImageFormat::Png => "png",
            ImageFormat::Bmp => "bmp",
            ImageFormat::Gif => "gif",
            ImageFormat::Pnm => "pnm",
            ImageFormat::Tiff => "tiff",
            ImageFormat::WebP => "webp",
        })
    }
}

/// Bounds on what a file may make us allocate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// Most pixels of an image, checked against the header before anything is allocated.
    pub max_pixels: u64,
}

impl Default for DecodeLimits {
    /// 178,956,970 pixels: above it Pillow raises `DecompressionBombError`.
    fn default() -> Self {
        DecodeLimits { max_pixels: 178_956_970 }
    }
}

impl DecodeLimits {
    /// Accepts at most `count` pixels.
    pub fn max_pixels(mut self, count: u64) -> Self {
        self.max_pixels = count;
        self
    }

    /// Checks sizes a header announces.
    fn check(&self, format: ImageFormat, width: u64, height: u64) -> Result<(), DecodeError> {
        if width == 0 || height == 0 {
            let reason = format!("the header announces {width}x{height} pixels");
            return Err(DecodeError::Malformed { format, reason });
        }
        if width.saturating_mul(height) > self.max_pixels {
            return Err(DecodeError::TooManyPixels { width, height, max_pixels: self.max_pixels });
        }
        Ok(())
    }
}

/// A decoded image and what decoding lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded {
    /// The image.
    pub image: Image,
    /// Losses of Pillow's `convert("RGB")` on this file and faults that it ignores, each kind at most once.
    pub warnings: Vec<DecodeWarning>,
}

impl Decoded {
    fn lossless(image: Image) -> Self {
        Decoded { image, warnings: Vec::new() }
    }
}

/// A loss on the way to 8-bit RGB, shared with Pillow, or a fault of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeWarning {
    /// Alpha or a transparent color was dropped; hidden colors show.
    AlphaDropped,
    /// 16-bit samples were reduced to 8 bits: to their high byte, in pixmaps by rounding.
    SixteenBitReduced,
    /// 16-bit gray samples were clipped to 255, not scaled: what Pillow makes of its mode `I;16`. Such an image is
    /// mostly white.
    SixteenBitClipped,
    /// CMYK inks were turned into RGB by the plain formula, without a color profile.
    CmykConverted,
    /// A JPEG breaks the standard, but all of the image was read: stray bytes between its segments or after the image
    /// data, or no end-of-image marker.
    JpegIrregular,
    /// Parts of a JPEG are lost. They are coarse, gray or arbitrary; Pillow shows them without a warning.
    JpegDamaged,
}

impl fmt::Display for DecodeWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeWarning::AlphaDropped => "transparency was dropped",
            DecodeWarning::SixteenBitReduced => "16-bit samples were reduced to 8 bits",
            DecodeWarning::SixteenBitClipped => "16-bit gray samples were clipped to 255 as Pillow does, not scaled",
            DecodeWarning::CmykConverted => "cmyk was converted without a color profile",
            DecodeWarning::JpegIrregular => "the jpeg has stray bytes or no end marker; all of the image was read",
            DecodeWarning::JpegDamaged => {
                "the jpeg is damaged; parts of the image are coarse, gray or arbitrary, as in Pillow"
            }
        })
    }
}

/// Decodes a whole file.
///
/// # Errors
/// [`DecodeError::UnknownFormat`], [`DecodeError::Truncated`], [`DecodeError::Malformed`],
/// [`DecodeError::Unsupported`], and [`DecodeError::TooManyPixels`] before anything is allocated.
///
/// A JPEG is read where Pillow reads it without `LOAD_TRUNCATED_IMAGES`, with a warning if it is not as the standard
/// says: a cut file is an error, a file with all rows but without its end is not, and below a cut after which someone
/// appended an end-of-image marker the image is gray. A PNG must be complete to its last pixel and a BMP to the padding
/// of its last row; Pillow does without the padding.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    decode_with(&mut DecodeScratch::default(), bytes, limits)
}

/// [`decode`] with the memory of an earlier image.
pub(crate) fn decode_with(
    scratch: &mut DecodeScratch,
    bytes: &[u8],
    limits: &DecodeLimits,
) -> Result<Decoded, DecodeError> {
    match sniff::format(bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::decode(scratch, bytes, limits),
        Ok(ImageFormat::Png) => png::decode(bytes, limits),
        Ok(ImageFormat::Bmp) => bmp::decode(bytes, limits),
        Ok(ImageFormat::Gif) => gif::decode(bytes, limits),
        Ok(ImageFormat::Pnm) => pnm::decode(bytes, limits),
        Ok(ImageFormat::Tiff) => tiff::decode(bytes, limits),
        Ok(ImageFormat::WebP) => webp::decode(bytes, limits),
        Err(found) => Err(DecodeError::UnknownFormat { found }),
    }
}

/// The image of a decoder's samples.
fn to_image(
    format: ImageFormat,
    (width, height): (usize, usize),
    channels: Channels,
    samples: Vec<u8>,
) -> Result<Image, DecodeError> {
    let malformed = |error: ImageError| DecodeError::Malformed { format, reason: error.to_string() };
    Image::new(width, height, channels, samples).map_err(malformed)
}

/// The library's error in terms of the file.
fn raster_error(format: ImageFormat, len: usize, error: image::ImageError) -> DecodeError {
    match error {
        image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format, len, missing: "pixel data" }
        }
        image::ImageError::Unsupported(error) => DecodeError::Unsupported { format, feature: one_line(&error) },
        error => DecodeError::Malformed { format, reason: one_line(&error) },
    }
}

/// A foreign message as part of ours: its first line without a final stop.
fn one_line(message: &dyn fmt::Display) -> String {
    let message = message.to_string();
    message.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

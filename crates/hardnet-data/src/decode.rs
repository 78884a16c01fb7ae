//! Decoding of image files to what Pillow's `Image.open(file).convert("RGB")` holds.
//!
//! The format is detected from the content. Color profiles and gamma are ignored, alpha is dropped without compositing,
//! as Pillow does. Gray images stay [`Channels::Gray`](crate::Channels::Gray).
//!
//! [`DecodeOptions`] follow OpenCV's conversions instead, and turn images upright by their EXIF data, which OpenCV does
//! and Pillow does not. Both turn a TIFF by its tag. Oracle: OpenCV 4.14.0, held by `tests/decode_opencv.rs`.
//!
//! All formats but JPEG are exact, except for BMP of 16 bits a pixel (one level) and lossy WebP. A JPEG is exact with
//! the feature `exact-jpeg`. By default it is not: the standard leaves the rounding of the inverse transform and the
//! interpolation of chroma open, so the pure Rust decoder ([`JPEG_DECODER`] says which is in use) and Pillow's
//! libjpeg-turbo differ by a few levels in some pixels; most where chroma is subsampled, at the right and lower edge,
//! and in images of few pixels. What follows (color conversion, CMYK) is libjpeg's and Pillow's arithmetic. Oracle:
//! Pillow 13.0.0, held by `tests/decode.rs` over stored files and pixels, with the tested bound for JPEG.

mod bmp;
mod error;
mod exif;
mod gif;
mod jpeg;
mod options;
mod orientation;
mod png;
mod pnm;
mod scratch;
mod sniff;
mod tiff;
mod webp;

use std::fmt;

use crate::image::{Channels, Image, ImageError};
pub use error::DecodeError;
pub use options::{DecodeLimits, DecodeOptions, Decoding, Exif, UnknownExif};
pub use orientation::Orientation;
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

/// A decoded image and what decoding lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded {
    /// The image.
    pub image: Image,
    /// Losses on the way to 8-bit RGB, shared with the library that is followed, and faults that it ignores; each kind
    /// at most once.
    pub warnings: Vec<DecodeWarning>,
    /// The orientation in the file's EXIF data. [`DecodeOptions::exif`] says whether the image was turned by it.
    pub orientation: Orientation,
}

impl Decoded {
    fn new(image: Image, warnings: Vec<DecodeWarning>) -> Self {
        Decoded { image, warnings, orientation: Orientation::Upright }
    }

    fn lossless(image: Image) -> Self {
        Decoded::new(image, Vec::new())
    }
}

/// A loss on the way to 8-bit RGB, shared with Pillow or OpenCV, or a fault of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeWarning {
    /// Alpha or a transparent color was dropped; hidden colors show.
    AlphaDropped,
    /// 16-bit samples were reduced to 8 bits: to their high byte, or by rounding.
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
    /// The EXIF data say how to turn the image, which was ignored as Pillow does.
    OrientationIgnored,
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
            DecodeWarning::OrientationIgnored => "the exif orientation was ignored",
        })
    }
}

/// Decodes a whole file as Pillow does. [`DecodeOptions`] have the alternatives.
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
    DecodeOptions::default().limits(limits.clone()).decode(bytes)
}

/// [`DecodeOptions::decode`] with the memory of an earlier image.
pub(crate) fn decode_with(
    scratch: &mut DecodeScratch,
    bytes: &[u8],
    options: &DecodeOptions,
) -> Result<Decoded, DecodeError> {
    let &DecodeOptions { decoding, exif, ref limits } = options;
    let format = sniff::format(bytes).map_err(|found| DecodeError::UnknownFormat { found })?;
    scratch.decoding = decoding;
    let mut decoded = match format {
        ImageFormat::Jpeg => jpeg::decode(scratch, bytes, limits),
        ImageFormat::Png => png::decode(bytes, decoding, limits),
        ImageFormat::Bmp => bmp::decode(bytes, decoding, limits),
        ImageFormat::Gif => gif::decode(bytes, decoding, limits),
        ImageFormat::Pnm => pnm::decode(bytes, decoding, limits),
        ImageFormat::Tiff => tiff::decode(bytes, decoding, limits),
        ImageFormat::WebP => webp::decode(bytes, limits),
    }?;
    decoded.orientation = exif::orientation(format, bytes, decoding);
    if !decoded.orientation.is_upright() {
        match exif {
            Exif::Apply => decoded.image = decoded.orientation.apply(decoded.image),
            Exif::Ignore => decoded.warnings.push(DecodeWarning::OrientationIgnored),
        }
    }
    Ok(decoded)
}

/// Whether `decoded`, of `bytes` by other options with the same limits, is what `options` give.
///
/// Pillow and OpenCV agree on upright JPEGs, and WebPs, unless they are of inks.
pub(crate) fn serves(decoded: &Decoded, bytes: &[u8], options: &DecodeOptions) -> bool {
    let Ok(format @ (ImageFormat::Jpeg | ImageFormat::WebP)) = sniff::format(bytes) else { return false };
    let of_inks = decoded.warnings.contains(&DecodeWarning::CmykConverted);
    let is_upright = || exif::orientation(format, bytes, options.decoding).is_upright();
    !of_inks && decoded.orientation.is_upright() && is_upright()
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

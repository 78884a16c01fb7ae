//! How files are decoded: whose conversions, what becomes of an orientation, how much memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{DecodeError, DecodeScratch, Decoded, ImageFormat, decode_with};

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
    pub(super) fn check(&self, format: ImageFormat, width: u64, height: u64) -> Result<(), DecodeError> {
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

/// The library whose conversions to 8-bit RGB are followed.
///
/// Both give the same pixels for most files. They differ in 16-bit samples, CMYK, transparency in GIF and TIFF, BMP of
/// 16 bits a pixel, and portable graymaps whose largest value is not 255; `docs/decoding.md` has the table. A file
/// that OpenCV refuses is read as Pillow reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decoding {
    /// `Image.open(file).convert("RGB")`.
    #[default]
    Pillow,
    /// `cv2.imdecode(bytes, cv2.IMREAD_COLOR)`, which `cv2.imread` equals; the channels are red, green, blue here.
    OpenCv,
}

/// How the orientation in a file's EXIF data is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::exhaustive_enums)]
pub enum Exif {
    /// The image is turned upright, as OpenCV and viewers do.
    Apply,
    /// The image stays as it is stored, as in Pillow and torchvision.
    #[default]
    Ignore,
}

impl Exif {
    /// The names that [`FromStr`] reads.
    pub const NAMES: [&str; 2] = ["apply", "ignore"];

    /// The name that [`FromStr`] and serde read.
    pub const fn name(self) -> &'static str {
        match self {
            Exif::Apply => "apply",
            Exif::Ignore => "ignore",
        }
    }
}

impl fmt::Display for Exif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Exif {
    type Err = UnknownExif;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "apply" => Ok(Exif::Apply),
            "ignore" => Ok(Exif::Ignore),
            _ => Err(UnknownExif { name: name.to_owned() }),
        }
    }
}

/// Error of a name that is not that of an [`Exif`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown use of the exif orientation `{name}`, expected one of {}", Exif::NAMES.join(", "))]
#[non_exhaustive]
pub struct UnknownExif {
    /// The name given.
    pub name: String,
}

/// How image files are decoded. By default as Pillow does it, and the orientation is ignored.
///
/// ```
/// use hardnet_data::{DecodeOptions, Decoding, Exif, Image, encode_png};
///
/// let file = encode_png(&Image::from_rgb8(1, 2, vec![9; 6])?)?;
/// let decoded = DecodeOptions::default().decoding(Decoding::OpenCv).exif(Exif::Apply).decode(&file)?;
/// assert_eq!(decoded.image.height(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// Whose conversions are followed.
    pub decoding: Decoding,
    /// How the orientation is treated.
    pub exif: Exif,
    /// Bounds on memory.
    pub limits: DecodeLimits,
}

impl DecodeOptions {
    /// Sets [`decoding`](Self::decoding).
    pub fn decoding(mut self, decoding: Decoding) -> Self {
        self.decoding = decoding;
        self
    }

    /// Sets [`exif`](Self::exif).
    pub fn exif(mut self, exif: Exif) -> Self {
        self.exif = exif;
        self
    }

    /// Sets [`limits`](Self::limits).
    pub fn limits(mut self, limits: DecodeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Decodes a whole file.
    ///
    /// # Errors
    /// As [`decode`](crate::decode()).
    pub fn decode(&self, bytes: &[u8]) -> Result<Decoded, DecodeError> {
        decode_with(&mut DecodeScratch::default(), bytes, self)
    }
}

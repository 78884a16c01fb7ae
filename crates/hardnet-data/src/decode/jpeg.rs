//! JPEG: checks on the marker structure, a library for the entropy-coded data, libjpeg's color conversion.
//!
//! The library is `zune-jpeg` ([`zune`]) or, with the feature `exact-jpeg`, libjpeg-turbo ([`turbo`]). Either is handed
//! only what it needs: the table, frame and scan segments and the data up to the end-of-image marker. Exif, profiles,
//! thumbnails, junk between segments and anything behind the image never reach it.

mod color;
mod segments;
#[cfg(feature = "exact-jpeg")]
mod turbo;
#[cfg(not(feature = "exact-jpeg"))]
mod ycbcr;
#[cfg(not(feature = "exact-jpeg"))]
mod zune;

use super::{DecodeError, DecodeLimits, DecodeScratch, DecodeWarning, Decoded, ImageFormat, to_image};
use crate::image::Channels;
use color::Encoding;
use segments::JpegLayout;
#[cfg(feature = "exact-jpeg")]
pub(super) use turbo::NAME;
#[cfg(feature = "exact-jpeg")]
use turbo::samples;
#[cfg(not(feature = "exact-jpeg"))]
pub(super) use zune::NAME;
#[cfg(not(feature = "exact-jpeg"))]
use zune::samples;

pub(super) fn decode(scratch: &mut DecodeScratch, bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let layout = JpegLayout::read(bytes)?;
    limits.check(ImageFormat::Jpeg, layout.width.into(), layout.height.into())?;
    let encoding = Encoding::try_from(&layout)?;
    let samples = samples(scratch, bytes, &layout, encoding)?;
    let channels = if encoding == Encoding::Gray { Channels::Gray } else { Channels::Rgb };
    let warnings = match encoding {
        Encoding::Cmyk | Encoding::Ycck => vec![DecodeWarning::CmykConverted],
        _ => vec![],
    };
    let image = to_image(ImageFormat::Jpeg, (layout.width.into(), layout.height.into()), channels, samples)?;
    Ok(Decoded { image, warnings })
}

fn malformed(reason: impl Into<String>) -> DecodeError {
    DecodeError::Malformed { format: ImageFormat::Jpeg, reason: reason.into() }
}

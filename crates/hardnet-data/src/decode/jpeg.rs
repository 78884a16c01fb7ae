//! JPEG: checks on the marker structure, a library for the entropy-coded data, libjpeg's color conversion.
//!
//! The library is `zune-jpeg` ([`zune`]) or, with the feature `exact-jpeg`, libjpeg-turbo ([`turbo`]). Either is handed
//! only what it needs: the table, frame and scan segments and the data up to the end-of-image marker. Exif, profiles,
//! thumbnails, junk between segments and anything after the image never reach it. A file that breaks the standard, or
//! that the library refuses, is read by [`rescue`] as far as Pillow reads it.

mod color;
mod rescue;
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
pub(super) use color::light;
use rescue::Rescued;
use segments::JpegLayout;
#[cfg(feature = "exact-jpeg")]
use turbo as library;
#[cfg(not(feature = "exact-jpeg"))]
use zune as library;

/// The decoder's name and version.
pub(super) const NAME: &str = library::NAME;

const END_OF_IMAGE: &[u8] = &[0xFF, segments::marker::EOI];

pub(super) fn decode(scratch: &mut DecodeScratch, bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let refusal = match JpegLayout::read(bytes) {
        Ok(layout) => {
            let encoding = Encoding::new(&layout.component_ids, layout.jfif, layout.adobe_transform)?;
            limits.check(ImageFormat::Jpeg, layout.width.into(), layout.height.into())?;
            if is_doubtful(&layout, bytes, limits) {
                let keep = layout.progressive;
                let rescued = Rescued::read(bytes, limits, keep)?;
                if rescued.damaged || rescued.irregular {
                    let rescued = if keep { rescued } else { Rescued::read(bytes, limits, true)? };
                    return rescued_image(scratch, &rescued);
                }
            }
            match regular_image(scratch, bytes, &layout, encoding) {
                Ok(decoded) => return Ok(decoded),
                Err(refusal) => refusal,
            }
        }
        Err(refusal) => refusal,
    };
    match Rescued::read(bytes, limits, true) {
        Ok(rescued) => rescued_image(scratch, &rescued),
        Err(error @ DecodeError::TooManyPixels { .. }) => Err(error),
        Err(_) => Err(refusal),
    }
}

/// Whether a file may have damage that the library does not find in its intervals.
fn is_doubtful(layout: &JpegLayout, bytes: &[u8], limits: &DecodeLimits) -> bool {
    match layout {
        JpegLayout { suspicious: true, .. } => true,
        _ if !library::OVERLOOKS_DAMAGE => false,
        JpegLayout { one_scan: true, .. } => false,
        // The first scan has the DC coefficients alone, a small part of the data.
        JpegLayout { progressive: true, .. } => !rescue::first_scan_is_intact(bytes, limits),
        _ => true,
    }
}

/// The image of a file that follows the standard.
fn regular_image(
    scratch: &mut DecodeScratch,
    bytes: &[u8],
    layout: &JpegLayout,
    encoding: Encoding,
) -> Result<Decoded, DecodeError> {
    library::check_sampling(&layout.sampling)?;
    let first = library::first_segments(encoding);
    let intervals = layout.essential(bytes, first, library::END_OF_INTERVAL, &mut scratch.data);
    let size = (layout.width.into(), layout.height.into());
    let samples = library::samples(scratch, size, layout.component_ids.len(), encoding, &intervals)?;
    let warning = match layout {
        JpegLayout { incomplete: true, .. } => Some(DecodeWarning::JpegDamaged),
        JpegLayout { irregular: true, .. } => Some(DecodeWarning::JpegIrregular),
        _ => None,
    };
    to_decoded(size, encoding, samples, warning)
}

/// The image of a file that breaks the standard.
fn rescued_image(scratch: &mut DecodeScratch, rescued: &Rescued) -> Result<Decoded, DecodeError> {
    library::check_sampling(&rescued.sampling())?;
    rescued.rewrite(library::first_segments(rescued.encoding), &mut scratch.data)?;
    let (width, height) = rescued.size();
    let size = (width.into(), height.into());
    let samples = library::samples(scratch, size, rescued.component_count(), rescued.encoding, &[])?;
    let warning = match rescued {
        Rescued { damaged: true, .. } => Some(DecodeWarning::JpegDamaged),
        Rescued { irregular: true, .. } => Some(DecodeWarning::JpegIrregular),
        _ => None,
    };
    to_decoded(size, rescued.encoding, samples, warning)
}

fn to_decoded(
    size: (usize, usize),
    encoding: Encoding,
    samples: Vec<u8>,
    warning: Option<DecodeWarning>,
) -> Result<Decoded, DecodeError> {
    let channels = if encoding == Encoding::Gray { Channels::Gray } else { Channels::Rgb };
    let mut warnings = Vec::from_iter(warning);
    if matches!(encoding, Encoding::Cmyk | Encoding::Ycck) {
        warnings.push(DecodeWarning::CmykConverted);
    }
    Ok(Decoded::new(to_image(ImageFormat::Jpeg, size, channels, samples)?, warnings))
}

fn malformed(reason: impl Into<String>) -> DecodeError {
    DecodeError::Malformed { format: ImageFormat::Jpeg, reason: reason.into() }
}

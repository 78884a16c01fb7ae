//! JPEG: checks on the marker structure, `zune-jpeg` for the entropy-coded data, libjpeg's colour conversion.
//!
//! The decoder is handed only what it needs: the table, frame and scan segments and the data up to the end-of-image marker.
//! Application segments (Exif, profiles, thumbnails, Adobe's colour flag), junk between segments and anything behind the
//! picture never reach it; it runs in its strict mode and returns the components unconverted.

mod colour;
mod segments;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::{DecodeWarning, Decoded, Format, Limits, one_line};
use crate::image::{Channels, Image, ImageError};
use colour::Encoding;
use segments::Layout;

/// The largest side a JPEG header can express.
const MAX_SIDE: usize = u16::MAX as usize;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, ImageError> {
    let layout = Layout::read(bytes)?;
    limits.check(Format::Jpeg, layout.width.into(), layout.height.into())?;
    let encoding = Encoding::of(&layout)?;
    let components = components(&layout.essential(bytes), encoding.components())?;

    let (width, height) = (usize::from(layout.width), usize::from(layout.height));
    let (channels, samples, warnings) = match encoding {
        Encoding::Grey => (Channels::Grey, components, vec![]),
        Encoding::Rgb => (Channels::Rgb, components, vec![]),
        Encoding::YCbCr => (Channels::Rgb, colour::ycbcr_to_rgb(components), vec![]),
        Encoding::Cmyk => (Channels::Rgb, colour::cmyk_to_rgb(&components), vec![DecodeWarning::CmykConverted]),
        Encoding::Ycck => (Channels::Rgb, colour::ycck_to_rgb(&components), vec![DecodeWarning::CmykConverted]),
    };
    Ok(Decoded { image: Image::new(width, height, channels, samples)?, warnings })
}

/// The components as stored, upsampled and interleaved: `[height, width, count]`.
fn components(data: &[u8], count: usize) -> Result<Vec<u8>, ImageError> {
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(MAX_SIDE).set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options);
    decoder.decode_headers().map_err(decoder_error)?;
    // Asking for the colour space the decoder believes in makes it copy components through.
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::Unknown);
    if stored.num_components() != count {
        return Err(malformed("the scan header disagrees with the frame header"));
    }
    decoder.set_options(options.jpeg_set_out_colorspace(stored));
    decoder.decode().map_err(decoder_error)
}

fn decoder_error(error: DecodeErrors) -> ImageError {
    match error {
        DecodeErrors::Unsupported(feature) => {
            ImageError::Unsupported { format: Format::Jpeg, feature: format!("{feature:?}") }
        }
        // Its `Display` is meant for developers; `Format` and its like carry a sentence.
        DecodeErrors::Format(reason)
        | DecodeErrors::HuffmanDecode(reason)
        | DecodeErrors::DqtError(reason)
        | DecodeErrors::SosError(reason)
        | DecodeErrors::SofError(reason)
        | DecodeErrors::MCUError(reason) => malformed(one_line(&reason)),
        DecodeErrors::FormatStatic(reason) => malformed(one_line(&reason)),
        DecodeErrors::ExhaustedData => malformed("the image data ends early"),
        error => malformed(one_line(&format!("{error:?}"))),
    }
}

fn malformed(reason: impl Into<String>) -> ImageError {
    ImageError::Malformed { format: Format::Jpeg, reason: reason.into() }
}

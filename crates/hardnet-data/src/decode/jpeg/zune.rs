//! Components by `zune-jpeg` in its strict mode, unconverted, so that color is libjpeg's arithmetic.
//!
//! Adobe's segment is kept from it: its flag would change what the decoder believes the components are.

mod reader;

use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::color::{self, Encoding};
use super::{malformed, ycbcr};
use crate::decode::{DecodeError, DecodeScratch, ImageFormat, one_line};
use reader::Reader;

/// The decoder's name and version.
pub(in crate::decode) const NAME: &str = "zune-jpeg 0.5";

/// The largest side a JPEG header can express.
const MAX_SIDE: usize = u16::MAX as usize;

/// The bytes before the tables.
pub(super) fn first_segments(_: Encoding) -> &'static [u8] {
    &[]
}

/// Checks that no component is sampled more finely than the first: the decoder panics on some such images.
pub(super) fn check_sampling(factors: &[(usize, usize)]) -> Result<(), DecodeError> {
    let finer = |&&(h, v): &&(usize, usize)| factors.first().is_some_and(|&(h0, v0)| h > h0 || v > v0);
    match factors.iter().find(finer) {
        None => Ok(()),
        Some((h, v)) => {
            let feature = format!("a later component with sampling factors {h}x{v}, larger than the first one's");
            Err(DecodeError::Unsupported { format: ImageFormat::Jpeg, feature })
        }
    }
}

/// Whether the decoder says nothing of damage that [`END_OF_INTERVAL`] does not bring out.
pub(super) const OVERLOOKS_DAMAGE: bool = true;

/// The bytes after the data of an interval. The decoder fills missing data up with zeros and says nothing, but a code
/// of ones alone is an error. A complete interval needs none of these bytes; the decoder reads up to seven in advance.
pub(super) const END_OF_INTERVAL: &[u8] = &[0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0];

/// The image in `scratch.data`, `[height, width, channels]`, gray or RGB. Its `intervals`, which end at these positions
/// with [`END_OF_INTERVAL`], must be used up to that.
pub(super) fn samples(
    scratch: &mut DecodeScratch,
    _: (usize, usize),
    component_count: usize,
    encoding: Encoding,
    intervals: &[usize],
) -> Result<Vec<u8>, DecodeError> {
    let data = std::mem::take(&mut scratch.data);
    let components = components(scratch, &data, component_count, intervals);
    scratch.data = data;
    let components = components?;
    Ok(match encoding {
        Encoding::Gray | Encoding::Rgb => components,
        Encoding::YCbCr => ycbcr::ycbcr_to_rgb(components),
        Encoding::Cmyk => color::cmyk_to_rgb(&components, scratch.decoding),
        Encoding::Ycck => ycbcr::ycck_to_rgb(&components, scratch.decoding),
    })
}

/// The components as stored, upsampled and interleaved: `[height, width, count]`.
fn components(
    scratch: &mut DecodeScratch,
    data: &[u8],
    count: usize,
    intervals: &[usize],
) -> Result<Vec<u8>, DecodeError> {
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(MAX_SIDE).set_max_height(MAX_SIDE);
    let mut reader = Reader::new(data, intervals);
    let mut decoder = JpegDecoder::new_with_options(&mut reader, options);
    decoder.decode_headers().map_err(decoder_error)?;
    // Asking for the color space the decoder believes in makes it copy components through.
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::Unknown);
    if stored.num_components() != count {
        return Err(malformed("the scan header disagrees with the frame header"));
    }
    decoder.set_options(options.jpeg_set_out_colorspace(stored));
    let length = decoder.output_buffer_size().ok_or_else(|| malformed("the image has no size"))?;
    let mut components = scratch.samples(length);
    decoder.decode_into(&mut components).map_err(decoder_error)?;
    drop(decoder);
    if !reader.is_used_up() {
        return Err(malformed("the image data does not end where the image is complete"));
    }
    Ok(components)
}

fn decoder_error(error: DecodeErrors) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(feature) => {
            DecodeError::Unsupported { format: ImageFormat::Jpeg, feature: format!("{feature:?}") }
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

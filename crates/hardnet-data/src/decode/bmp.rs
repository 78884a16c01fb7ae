//! BMP, through the `image` crate.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{ColorType, ImageDecoder};

use super::{DecodeError, DecodeLimits, DecodeWarning, Decoded, ImageFormat, raster_error, to_image};
use crate::image::Channels;

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let format = ImageFormat::Bmp;
    let error = |error| raster_error(format, bytes.len(), error);
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width, height) = decoder.dimensions();
    limits.check(format, width.into(), height.into())?;

    let color = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(error)?;
    let (width, height) = (width as usize, height as usize);
    match color {
        ColorType::Rgb8 => Ok(Decoded::lossless(to_image(format, (width, height), Channels::Rgb, samples)?)),
        ColorType::Rgba8 => {
            let samples = samples.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
            let image = to_image(format, (width, height), Channels::Rgb, samples)?;
            Ok(Decoded { image, warnings: vec![DecodeWarning::AlphaDropped] })
        }
        other => Err(DecodeError::Unsupported { format, feature: format!("{other:?}") }),
    }
}

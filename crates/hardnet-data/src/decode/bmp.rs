//! BMP, through the `image` crate.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{ColorType, ImageDecoder};

use super::{DecodeError, DecodeLimits, DecodeWarning, Decoded, Decoding, ImageFormat, raster_error, to_image};
use crate::image::Channels;

pub(super) fn decode(bytes: &[u8], decoding: Decoding, limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let format = ImageFormat::Bmp;
    let error = |error| raster_error(format, bytes.len(), error);
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width, height) = decoder.dimensions();
    limits.check(format, width.into(), height.into())?;

    let color = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(error)?;
    let (width, height) = (width as usize, height as usize);
    if decoding == Decoding::OpenCv
        && let Some(bits) = sixteen_bits(bytes)
    {
        samples.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = shifted(*pixel, bits));
    }
    match color {
        ColorType::Rgb8 => Ok(Decoded::lossless(to_image(format, (width, height), Channels::Rgb, samples)?)),
        ColorType::Rgba8 => {
            let samples = samples.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
            let image = to_image(format, (width, height), Channels::Rgb, samples)?;
            Ok(Decoded::new(image, vec![DecodeWarning::AlphaDropped]))
        }
        other => Err(DecodeError::Unsupported { format, feature: format!("{other:?}") }),
    }
}

/// The bits of red, green and blue of an image with 16 bits a pixel, in the two layouts that OpenCV knows.
fn sixteen_bits(bytes: &[u8]) -> Option<[u32; 3]> {
    const MASKS: u32 = 3;
    let long = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let bits = u16::from_le_bytes(*bytes.get(28..)?.first_chunk()?);
    if long(14)? < 40 || bits != 16 {
        return None;
    }
    match (long(30)?, [long(54)?, long(58)?, long(62)?]) {
        (MASKS, [0xF800, 0x7E0, 0x1F]) => Some([5, 6, 5]),
        (MASKS, [0x7C00, 0x3E0, 0x1F]) | (0, _) => Some([5, 5, 5]),
        _ => None,
    }
}

/// Samples of few `bits` that the decoder has stretched to 0..=255, shifted as OpenCV does.
fn shifted(pixel: [u8; 3], bits: [u32; 3]) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let most = (1_u32 << bits[channel]) - 1;
        let stored = (u32::from(pixel[channel]) * most + 127) / 255;
        (stored << (8 - bits[channel])) as u8
    })
}

//! Pixels by libjpeg-turbo, the decoder of Pillow, with the settings Pillow leaves at their defaults: the accurate
//! inverse transform and interpolated chroma.
//!
//! Unlike Pillow, anything libjpeg-turbo warns of (damaged data) is an error.

use turbojpeg::{Decompressor, PixelFormat};

use super::color::{self, Encoding};
use super::malformed;
use super::segments::JpegLayout;
use crate::decode::{DecodeError, DecodeScratch, one_line};

/// The decoder's name and version.
pub(in crate::decode) const NAME: &str = "libjpeg-turbo 3.1";

/// The image, `[height, width, channels]`, gray or RGB.
pub(super) fn samples(
    scratch: &mut DecodeScratch,
    bytes: &[u8],
    layout: &JpegLayout,
    encoding: Encoding,
) -> Result<Vec<u8>, DecodeError> {
    let (width, height) = (usize::from(layout.width), usize::from(layout.height));
    let format = match encoding {
        Encoding::Gray => PixelFormat::GRAY,
        Encoding::Rgb | Encoding::YCbCr => PixelFormat::RGB,
        Encoding::Cmyk | Encoding::Ycck => PixelFormat::CMYK,
    };
    let pitch = width * format.size();
    let mut pixels = scratch.samples(pitch * height);
    let image = turbojpeg::Image { pixels: &mut pixels[..], width, pitch, height, format };
    layout.essential(bytes, &adobe(encoding), &mut scratch.data);
    let decoded = Decompressor::new().and_then(|mut decoder| decoder.decompress(&scratch.data, image));
    decoded.map_err(|error| malformed(one_line(&error)))?;
    Ok(match encoding {
        Encoding::Cmyk | Encoding::Ycck => color::cmyk_to_rgb(&pixels),
        _ => pixels,
    })
}

/// Adobe's segment as it says `encoding`. The file's own may hold a number that libjpeg only guesses about, with a
/// warning.
fn adobe(encoding: Encoding) -> [u8; 16] {
    let transform = match encoding {
        Encoding::Gray | Encoding::Rgb | Encoding::Cmyk => 0,
        Encoding::YCbCr => 1,
        Encoding::Ycck => 2,
    };
    let mut segment = *b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    segment[15] = transform;
    segment
}

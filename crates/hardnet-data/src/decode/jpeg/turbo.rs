//! Pixels by libjpeg-turbo, the decoder of Pillow, with the settings Pillow leaves at their defaults: the accurate
//! inverse transform and interpolated chroma.
//!
//! Anything libjpeg-turbo warns of is an error here; [`rescue`](super::rescue) reads such files.

use turbojpeg::{Decompressor, PixelFormat};

use super::color::{self, Encoding};
use super::malformed;
use crate::decode::{DecodeError, DecodeScratch, one_line};

/// The decoder's name and version.
pub(in crate::decode) const NAME: &str = "libjpeg-turbo 3.1";

/// The bytes before the tables.
pub(super) fn first_segments(encoding: Encoding) -> &'static [u8] {
    adobe(encoding)
}

/// All sampling factors that libjpeg knows are read.
pub(super) fn check_sampling(_: &[(usize, usize)]) -> Result<(), DecodeError> {
    Ok(())
}

/// Whether the decoder says nothing of damage.
pub(super) const OVERLOOKS_DAMAGE: bool = false;

/// The bytes after the data of one sequential scan, and before its restart markers.
pub(super) const END_OF_INTERVAL: &[u8] = &[];

/// The image in `scratch.data`, `[height, width, channels]`, gray or RGB.
pub(super) fn samples(
    scratch: &mut DecodeScratch,
    (width, height): (usize, usize),
    _: usize,
    encoding: Encoding,
    _: &[usize],
) -> Result<Vec<u8>, DecodeError> {
    let format = match encoding {
        Encoding::Gray => PixelFormat::GRAY,
        Encoding::Rgb | Encoding::YCbCr => PixelFormat::RGB,
        Encoding::Cmyk | Encoding::Ycck => PixelFormat::CMYK,
    };
    let pitch = width * format.size();
    let mut pixels = scratch.samples(pitch * height);
    let image = turbojpeg::Image { pixels: &mut pixels[..], width, pitch, height, format };
    let decoded = Decompressor::new().and_then(|mut decoder| decoder.decompress(&scratch.data, image));
    decoded.map_err(|error| malformed(one_line(&error)))?;
    Ok(match encoding {
        Encoding::Cmyk | Encoding::Ycck => color::cmyk_to_rgb(&pixels, scratch.decoding),
        _ => pixels,
    })
}

/// Adobe's segment as it says `encoding`. The file's own may hold a number that libjpeg only guesses about, with a
/// warning.
fn adobe(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::Gray | Encoding::Rgb | Encoding::Cmyk => b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0",
        Encoding::YCbCr => b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01",
        Encoding::Ycck => b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x02",
    }
}

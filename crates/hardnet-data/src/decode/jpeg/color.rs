//! Which colors the components of a JPEG are, and the ways of Pillow and OpenCV from CMYK to RGB.

use crate::decode::{DecodeError, Decoding, ImageFormat};

/// The meaning of the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Gray,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

impl Encoding {
    /// libjpeg's rule: JFIF means YCbCr, else Adobe's flag decides, else the component identifiers.
    pub(super) fn new(component_ids: &[u8], jfif: bool, adobe_transform: Option<u8>) -> Result<Encoding, DecodeError> {
        match *component_ids {
            [_] => Ok(Encoding::Gray),
            [_, _, _] if jfif => Ok(Encoding::YCbCr),
            [a, b, c] => Ok(match (adobe_transform, [a, b, c]) {
                (Some(0), _) | (None, [b'R', b'G', b'B']) => Encoding::Rgb,
                _ => Encoding::YCbCr,
            }),
            [_, _, _, _] => Ok(match adobe_transform {
                Some(0) | None => Encoding::Cmyk,
                Some(_) => Encoding::Ycck,
            }),
            _ => {
                let feature = format!("{} components", component_ids.len());
                Err(DecodeError::Unsupported { format: ImageFormat::Jpeg, feature })
            }
        }
    }
}

/// Interleaved CMYK to RGB. Pillow and OpenCV take every CMYK JPEG for inverted, as Adobe writes them: 255 is no ink.
pub(super) fn cmyk_to_rgb(samples: &[u8], decoding: Decoding) -> Vec<u8> {
    let pixels = samples.as_chunks::<4>().0.iter();
    pixels.flat_map(|&[c, m, y, k]| [c, m, y].map(|ink| light_by(decoding, 255 - ink, k))).collect()
}

/// The part of `white`, which black leaves, that an `ink` lets through.
pub(super) fn light_by(decoding: Decoding, ink: u8, white: u8) -> u8 {
    match decoding {
        Decoding::Pillow => light(ink, white),
        // At most `white`: the product is divided by more than the ink's largest value.
        Decoding::OpenCv => white - ((u16::from(ink) * u16::from(white)) >> 8) as u8,
    }
}

/// The same in Pillow: `white - ink * white / 255`, the product
/// rounded as Pillow's `MULDIV255` does.
pub(in crate::decode) fn light(ink: u8, white: u8) -> u8 {
    let product = u32::from(ink) * u32::from(white) + 128;
    // At most `white`, as the rounded quotient of a product with a factor of at most 255.
    white - ((product + (product >> 8)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_is_the_rounded_product() {
        for ink in 0..=255_u8 {
            for white in 0..=255_u8 {
                let exact = f64::from(ink) * f64::from(white) / 255.0;
                assert_eq!(light(ink, white), white - exact.round() as u8, "{ink} {white}");
            }
        }
    }

    #[test]
    fn light_of_opencv_is_the_high_byte_of_the_product() {
        for ink in 0..=255_u8 {
            for white in 0..=255_u8 {
                let exact = f64::from(ink) * f64::from(white) / 256.0;
                assert_eq!(light_by(Decoding::OpenCv, ink, white), white - exact.floor() as u8, "{ink} {white}");
            }
        }
    }
}

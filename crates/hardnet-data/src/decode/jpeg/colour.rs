//! Which colours the components of a JPEG are, and the way to RGB: libjpeg's arithmetic for YCbCr, Pillow's for CMYK.

use super::segments::Layout;
use crate::decode::Format;
use crate::image::ImageError;

/// The meaning of the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

impl Encoding {
    /// libjpeg's rule: JFIF means YCbCr, else Adobe's flag decides, else the component identifiers.
    pub(super) fn of(layout: &Layout) -> Result<Encoding, ImageError> {
        match layout.component_ids[..] {
            [_] => Ok(Encoding::Grey),
            [_, _, _] if layout.jfif => Ok(Encoding::YCbCr),
            [a, b, c] => Ok(match (layout.adobe_transform, [a, b, c]) {
                (Some(0), _) | (None, [b'R', b'G', b'B']) => Encoding::Rgb,
                _ => Encoding::YCbCr,
            }),
            [_, _, _, _] => Ok(match layout.adobe_transform {
                Some(0) | None => Encoding::Cmyk,
                Some(_) => Encoding::Ycck,
            }),
            _ => {
                let feature = format!("{} components", layout.component_ids.len());
                Err(ImageError::Unsupported { format: Format::Jpeg, feature })
            }
        }
    }

    /// Components of a pixel.
    pub(super) fn components(self) -> usize {
        match self {
            Encoding::Grey => 1,
            Encoding::Rgb | Encoding::YCbCr => 3,
            Encoding::Cmyk | Encoding::Ycck => 4,
        }
    }
}

/// Interleaved YCbCr to RGB, in place.
pub(super) fn ycbcr_to_rgb(mut samples: Vec<u8>) -> Vec<u8> {
    for pixel in samples.as_chunks_mut::<3>().0 {
        *pixel = rgb_of_ycbcr(*pixel);
    }
    samples
}

/// Interleaved CMYK to RGB. Pillow takes every CMYK JPEG for inverted, as Adobe writes them: 255 is no ink.
pub(super) fn cmyk_to_rgb(samples: &[u8]) -> Vec<u8> {
    let pixels = samples.as_chunks::<4>().0.iter();
    pixels.flat_map(|&[c, m, y, k]| [c, m, y].map(|ink| light(255 - ink, k))).collect()
}

/// Interleaved YCCK to RGB. libjpeg's CMYK is the complement of the RGB in YCC, Pillow's inversion undoes that.
pub(super) fn ycck_to_rgb(samples: &[u8]) -> Vec<u8> {
    let pixels = samples.as_chunks::<4>().0.iter();
    pixels.flat_map(|&[y, cb, cr, k]| rgb_of_ycbcr([y, cb, cr]).map(|ink| light(ink, k))).collect()
}

/// JFIF's YCbCr to RGB in 16-bit fixed point, rounded where libjpeg rounds.
fn rgb_of_ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    const fn fixed(factor: f64) -> i32 {
        (factor * 65536.0 + 0.5) as i32
    }
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((const { fixed(1.402) } * cr + HALF) >> 16);
    let green = y + ((HALF - const { fixed(0.344_14) } * cb - const { fixed(0.714_14) } * cr) >> 16);
    let blue = y + ((const { fixed(1.772) } * cb + HALF) >> 16);
    [red, green, blue].map(|level| level.clamp(0, 255) as u8)
}

/// What an `ink` lets through of the `white` that black leaves: `white - ink * white / 255`, the product rounded as
/// Pillow's `MULDIV255` does.
fn light(ink: u8, white: u8) -> u8 {
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
    fn neutral_chroma_is_grey() {
        for level in 0..=255 {
            assert_eq!(rgb_of_ycbcr([level, 128, 128]), [level; 3]);
        }
        // libjpeg's tables at the ends of the range
        assert_eq!(rgb_of_ycbcr([128, 0, 0]), [0, 255, 0]);
        assert_eq!(rgb_of_ycbcr([76, 85, 255]), [254, 0, 0]);
        assert_eq!(rgb_of_ycbcr([100, 127, 129]), [101, 100, 98]);
    }
}

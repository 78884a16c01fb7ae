//! libjpeg's way from YCbCr to RGB.

use super::color::light_by;
use crate::decode::Decoding;

/// Interleaved YCbCr to RGB, in place.
pub(super) fn ycbcr_to_rgb(mut samples: Vec<u8>) -> Vec<u8> {
    for pixel in samples.as_chunks_mut::<3>().0 {
        *pixel = pixel_to_rgb(*pixel);
    }
    samples
}

/// Interleaved YCCK to RGB. libjpeg's CMYK is the complement of the RGB in YCC, the inversion of Pillow and OpenCV
/// undoes that.
pub(super) fn ycck_to_rgb(samples: &[u8], decoding: Decoding) -> Vec<u8> {
    let pixels = samples.as_chunks::<4>().0.iter();
    pixels.flat_map(|&[y, cb, cr, k]| pixel_to_rgb([y, cb, cr]).map(|ink| light_by(decoding, ink, k))).collect()
}

/// JFIF's YCbCr to RGB in 16-bit fixed point, rounded where libjpeg rounds.
fn pixel_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neutral_chroma_is_gray() {
        for level in 0..=255 {
            assert_eq!(pixel_to_rgb([level, 128, 128]), [level; 3]);
        }
        // libjpeg's tables at the ends of the range
        assert_eq!(pixel_to_rgb([128, 0, 0]), [0, 255, 0]);
        assert_eq!(pixel_to_rgb([76, 85, 255]), [254, 0, 0]);
        assert_eq!(pixel_to_rgb([100, 127, 129]), [101, 100, 98]);
    }
}

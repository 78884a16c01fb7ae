//! libjpeg's way from YCbCr to RGB.

use hardnet_simd::{Isa, Kernel, Simd, dispatch};

use super::color::light_by;
use crate::decode::Decoding;

/// Pixels that are converted together: some vectors of any instruction set.
const BLOCK: usize = 128;

/// Interleaved YCbCr to RGB, in place.
pub(super) fn ycbcr_to_rgb(mut samples: Vec<u8>) -> Vec<u8> {
    dispatch(Isa::best(), ToRgb(samples.as_chunks_mut().0));
    samples
}

/// Interleaved YCCK to RGB. libjpeg's CMYK is the complement of the RGB in YCC, the inversion of Pillow and OpenCV
/// undoes that.
pub(super) fn ycck_to_rgb(samples: &[u8], decoding: Decoding) -> Vec<u8> {
    let pixels = samples.as_chunks::<4>().0;
    let mut inks = ycbcr_to_rgb(pixels.iter().flat_map(|&[y, cb, cr, _]| [y, cb, cr]).collect());
    for (inks, [_, _, _, k]) in inks.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
        *inks = inks.map(|ink| light_by(decoding, ink, *k));
    }
    inks
}

/// Converts pixels in place.
struct ToRgb<'a>(&'a mut [[u8; 3]]);

impl Kernel for ToRgb<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (blocks, rest) = self.0.as_chunks_mut();
        for block in blocks {
            block_to_rgb(block);
        }
        let mut last = [[0; 3]; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        block_to_rgb(&mut last);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// JFIF's YCbCr to RGB in 16-bit fixed point, rounded where libjpeg rounds. Loops over planes of 16-bit values are what
/// compilers make vectors of.
#[inline(always)]
fn block_to_rgb(pixels: &mut [[u8; 3]; BLOCK]) {
    /// A factor without its whole part, which is added by itself: products with the rest fit in 16 bits.
    const fn fraction(factor: f64, whole: i32) -> i32 {
        (factor * 65536.0 + 0.5) as i32 - (whole << 16)
    }
    // Half of the upper half of twice a product, rounded up, is the rounded upper half of the product.
    let rounded = |chroma: i16, factor: i32| ((((2 * i32::from(chroma) * factor) >> 16) as i16) + 1) >> 1;
    let (mut luma, mut cb, mut cr) = ([0_i16; BLOCK], [0_i16; BLOCK], [0_i16; BLOCK]);
    for (index, &[y, b, r]) in pixels.iter().enumerate() {
        (luma[index], cb[index], cr[index]) = (y.into(), i16::from(b) - 128, i16::from(r) - 128);
    }
    let (mut red, mut green, mut blue) = ([0_u8; BLOCK], [0_u8; BLOCK], [0_u8; BLOCK]);
    for index in 0..BLOCK {
        let (y, b, r) = (luma[index], cb[index], cr[index]);
        let chroma = -const { fraction(0.344_14, 0) } * i32::from(b) - const { fraction(0.714_14, 1) } * i32::from(r);
        red[index] = (y + r + rounded(r, const { fraction(1.402, 1) })).clamp(0, 255) as u8;
        green[index] = (y - r + ((chroma + (1 << 15)) >> 16) as i16).clamp(0, 255) as u8;
        blue[index] = (y + 2 * b + rounded(b, const { fraction(1.772, 2) })).clamp(0, 255) as u8;
    }
    for (index, pixel) in pixels.iter_mut().enumerate() {
        *pixel = [red[index], green[index], blue[index]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arithmetic of libjpeg's tables, in 32 bits.
    fn by_libjpeg([y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let fixed = |factor: f64| (factor * 65536.0 + 0.5) as i32;
        let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
        let red = y + ((fixed(1.402) * cr + (1 << 15)) >> 16);
        let green = y + (((1 << 15) - fixed(0.344_14) * cb - fixed(0.714_14) * cr) >> 16);
        let blue = y + ((fixed(1.772) * cb + (1 << 15)) >> 16);
        [red, green, blue].map(|level| level.clamp(0, 255) as u8)
    }

    #[test]
    fn every_chroma_is_converted_as_by_libjpeg() {
        let chroma = || (0..=255).flat_map(|cb| (0..=255).map(move |cr| (cb, cr)));
        // One pixel more than whole blocks.
        let pixels = [0, 1, 76, 128, 179, 254, 255].into_iter().flat_map(|y| chroma().map(move |(cb, cr)| [y, cb, cr]));
        let pixels: Vec<_> = pixels.chain([[9, 8, 7]]).collect();
        let expected: Vec<_> = pixels.iter().copied().map(by_libjpeg).collect();
        for isa in Isa::of_f32() {
            let mut found = pixels.clone();
            dispatch(isa, ToRgb(&mut found));
            assert!(found == expected, "{isa}");
        }
        assert_eq!(ycbcr_to_rgb(vec![9, 8, 7]), by_libjpeg([9, 8, 7]));
    }

    #[test]
    fn neutral_chroma_is_gray() {
        let convert = |pixel: [u8; 3]| ycbcr_to_rgb(pixel.to_vec());
        for level in 0..=255 {
            assert_eq!(convert([level, 128, 128]), [level; 3]);
        }
        // libjpeg's tables at the ends of the range
        assert_eq!(convert([128, 0, 0]), [0, 255, 0]);
        assert_eq!(convert([76, 85, 255]), [254, 0, 0]);
        assert_eq!(convert([100, 127, 129]), [101, 100, 98]);
    }
}

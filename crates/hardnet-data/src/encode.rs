//! Images as files.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::image::{Channels, Image, ImageError};

/// The longest side of a PNG, in pixels.
const MAX_SIDE: u32 = (1 << 31) - 1;

/// Encodes `image` as a PNG of 8 bits, which [`decode`](crate::decode()) turns into the same image.
///
/// # Errors
/// [`ImageError::Side`] if a side is above 2^31 - 1 pixels, which is what the format can say.
pub fn encode_png(image: &Image) -> Result<Vec<u8>, ImageError> {
    let color = match image.channels() {
        Channels::Gray => ExtendedColorType::L8,
        Channels::Rgb => ExtendedColorType::Rgb8,
    };
    let (width, height) = (side("width", image.width())?, side("height", image.height())?);
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Best, FilterType::Adaptive)
        .write_image(image.samples(), width, height, color)
        .expect("a vector takes any number of bytes, and an image has the samples of its size");
    Ok(file)
}

fn side(name: &'static str, pixels: usize) -> Result<u32, ImageError> {
    let fitting = u32::try_from(pixels).ok().filter(|&pixels| pixels <= MAX_SIDE);
    fitting.ok_or(ImageError::Side { name, value: pixels as u64, max: MAX_SIDE.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeLimits, decode};

    #[test]
    fn decoding_gives_the_same_image() {
        for (width, height, channels) in [(1, 1, Channels::Gray), (7, 5, Channels::Rgb), (33, 2, Channels::Gray)] {
            let samples = (0..width * height * channels.count()).map(|i| (i * 89 % 251) as u8).collect();
            let image = Image::new(width, height, channels, samples).unwrap();
            let decoded = decode(&encode_png(&image).unwrap(), &DecodeLimits::default()).unwrap();
            assert_eq!((decoded.image.samples(), decoded.image.channels()), (image.samples(), channels));
            assert!(decoded.image == image && decoded.warnings.is_empty());
        }
    }
}

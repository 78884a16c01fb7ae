//! Masks as PNG files.

use png::{BitDepth, ColorType, Compression, Encoder};

use super::Mask;
use crate::palette::Palette;

impl Mask {
    /// The mask as a PNG of 8-bit gray: the number of its class in each pixel.
    pub fn encode_png(&self) -> Vec<u8> {
        self.encode(ColorType::Grayscale, None)
    }

    /// The mask as a PNG with a palette: the number of its class in each pixel, in the color that `palette` has for it.
    /// Pixels without a class are black.
    pub fn encode_colored_png(&self, palette: &Palette) -> Vec<u8> {
        let colors: Vec<u8> = (0..=255u8).flat_map(|class| palette.color(class)).collect();
        self.encode(ColorType::Indexed, Some(colors))
    }

    /// The mask with each number replaced by `numbers` of it; numbers beyond its end stay.
    pub fn renumbered(&self, numbers: &[u8]) -> Self {
        let number = |&label: &u8| numbers.get(usize::from(label)).copied().unwrap_or(label);
        Self { labels: self.labels.iter().map(number).collect(), ..*self }
    }

    fn encode(&self, color: ColorType, palette: Option<Vec<u8>>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(color);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Balanced);
        if let Some(palette) = palette {
            encoder.set_palette(palette);
        }
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&self.labels)?;
            writer.finish()
        });
        written.expect("a vector takes any number of bytes, and a mask has the values of its size");
        bytes
    }
}

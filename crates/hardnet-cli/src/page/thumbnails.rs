//! Small pictures of what the network saw.

use hardnet_data::{Batch, Channels, Image, ImageError, Loader, LoaderOptions, Pipeline, Sample, encode_png};

use crate::failure::Result;

/// The longest side, in pixels.
const SIDE: u32 = 128;

/// Each sample's crop as PNG, at most [`SIDE`] pixels wide; none where the image cannot be read.
pub(crate) fn of(samples: Vec<Sample>, pipeline: &Pipeline) -> Result<Vec<Option<Vec<u8>>>> {
    let mut pngs = vec![None; samples.len()];
    if samples.is_empty() {
        return Ok(pngs);
    }
    let crop = pipeline.crop.min(SIDE);
    // Without normalization a tensor is the samples divided by 255.
    let mut pipeline = pipeline.clone().with_image_size(crop);
    (pipeline.mean, pipeline.std) = ([0.0; 3], [1.0; 3]);
    let options = LoaderOptions::default();
    for Batch { images, samples, .. } in Loader::new(samples, pipeline, options)? {
        for (index, tensor) in samples.iter().zip(&images) {
            pngs[*index] = Some(encode_png(&picture(tensor, crop as usize)?)?);
        }
    }
    Ok(pngs)
}

/// The picture of a tensor `[3, side, side]` with values of 0 to 1; a grey one if its three planes are the same.
fn picture(tensor: &[f32], side: usize) -> std::result::Result<Image, ImageError> {
    let level = |value: f32| (value * 255.0).round() as u8;
    let (red, rest) = tensor.split_at(side * side);
    let (green, blue) = rest.split_at(side * side);
    if red == green && red == blue {
        return Image::new(side, side, Channels::Gray, red.iter().copied().map(level).collect());
    }
    let pixels = red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b].map(level));
    Image::from_rgb8(side, side, pixels.collect())
}

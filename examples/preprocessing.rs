//! Replaces the preprocessing: first by other numbers, then by a function of your own.
//!
//! ```sh
//! cargo run -p hardnet-examples --example preprocessing
//! ```

use anyhow::Result;
use hardnet::data::{DecodeLimits, Interpolation, decode};
use hardnet::{Classifier, Image, Pipeline};
use hardnet_examples::{WEIGHTS, demo_files};

fn main() -> Result<()> {
    let image = decode(&demo_files(1)?[0], &DecodeLimits::default())?.image;

    // A pipeline is data: sizes, filter, means and deviations.
    let by_weights = Classifier::from_pretrained(WEIGHTS)?;
    let mut pipeline: Pipeline = by_weights.pipeline().clone().with_interpolation(Interpolation::Bicubic);
    pipeline.resize = 72; // and the crop stays 64x64
    let cropped = Classifier::builder().pipeline(pipeline).from_pretrained(WEIGHTS)?;
    for (name, classifier) in [("weights", &by_weights), ("bicubic", &cropped)] {
        println!("{name}: {:?}", classifier.classify(&image)?.top(1));
    }

    // Or make the tensor yourself, `[3, side, side]`.
    let tensor = nearest(&image, by_weights.image_size(), by_weights.pipeline());
    let logits = by_weights.logits(&[tensor])?;
    println!("nearest: {:?}", by_weights.labels().hits(logits.row(0), 1));
    Ok(())
}

/// Scales a square image by its nearest pixels and normalizes it.
fn nearest(image: &Image, side: usize, pipeline: &Pipeline) -> Vec<f32> {
    let channels = image.channels().count();
    let mut tensor = Vec::with_capacity(3 * side * side);
    for plane in 0..3 {
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let (row, column) = (y * image.height() / side, x * image.width() / side);
            let sample = image.samples()[(row * image.width() + column) * channels + plane.min(channels - 1)];
            tensor.push((f32::from(sample) / 255.0 - pipeline.mean[plane]) / pipeline.std[plane]);
        }
    }
    tensor
}

//! Takes feature maps of images, and compares images by the means of their deepest map.
//!
//! ```sh
//! cargo run -p hardnet-examples --example features
//! ```

use anyhow::Result;
use hardnet::data::{DecodeLimits, decode};
use hardnet::{Classifier, TapKind, Taps};
use hardnet_examples::{WEIGHTS, demo_files};

fn main() -> Result<()> {
    let taps = Taps::Strides(vec![4, 8, 16, 32], TapKind::Transition);
    let classifier = Classifier::builder().features(taps).from_pretrained(WEIGHTS)?;
    let files = demo_files(6)?;
    let mut tensors = Vec::new();
    for file in &files {
        tensors.push(classifier.prepare(&decode(file, &DecodeLimits::default())?.image)?);
    }
    let maps = classifier.features(&tensors)?;
    for map in &maps {
        println!("stride {:>2}  {:<8} {:?}", map.info.stride, map.info.module, map.shape);
    }

    let deepest = maps.last().expect("four maps were requested");
    let means = deepest.pooled();
    let embeddings: Vec<_> = means.chunks(deepest.info.channels).collect();
    for (number, embedding) in embeddings.iter().enumerate() {
        let name = classifier.classify(&files[number])?.top(1).remove(0).name;
        println!("image {number}, {name:<12} similarity to image 0: {:.3}", cosine(embeddings[0], embedding));
    }
    Ok(())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

//! Turns images into vectors and finds for each image the one that is most like it.
//!
//! ```sh
//! cargo run -p hardnet-examples --example embed
//! ```

use std::ops::ControlFlow;

use anyhow::Result;
use hardnet::eval::{BatchDone, EvalOptions, Observer};
use hardnet::{Classifier, EmbedOptions};
use hardnet_examples::{WEIGHTS, demo_images};

const IMAGES: usize = 200;

/// Vectors of length 1, and the classes of their images.
#[derive(Default)]
struct Vectors {
    vectors: Vec<Vec<f32>>,
    classes: Vec<Option<u32>>,
}

impl Observer for Vectors {
    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        for image in batch.images() {
            // The features of an embedder take the place of logits.
            let norm = dot(image.logits, image.logits).sqrt();
            self.vectors.push(image.logits.iter().map(|value| value / norm).collect());
            self.classes.push(image.sample.label());
        }
        ControlFlow::Continue(())
    }
}

fn main() -> Result<()> {
    let embedder = Classifier::builder().embedder(hardnet::weights::open(WEIGHTS)?, &EmbedOptions::default())?;
    let (_folder, mut dataset) = demo_images()?;
    dataset.subsample_evenly(IMAGES);
    let mut found = Vectors::default();
    embedder.embed_all(dataset.samples, &EvalOptions::default(), &mut found)?;
    println!(
        "{} vectors of {:?} values, the means of {}",
        found.vectors.len(),
        embedder.shape(),
        embedder.info().module
    );

    let nearest = |image: usize| {
        let others = (0..found.vectors.len()).filter(|other| *other != image);
        let likeness = |other: &usize| dot(&found.vectors[image], &found.vectors[*other]);
        others.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or(image)
    };
    let right = (0..found.vectors.len()).filter(|&image| found.classes[image] == found.classes[nearest(image)]).count();
    println!("{right} of them are nearest to a vector of their own class");
    Ok(())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

//! Classifies several images in one call, which reads the weights once for all of them.
//!
//! ```sh
//! cargo run -p hardnet-examples --example batch
//! cargo run -p hardnet-examples --example batch -- hardnet68.upstream_in1k a.jpg b.jpg c.jpg
//! ```

use anyhow::Result;
use hardnet::{Classification, Classifier};
use hardnet_examples::{WEIGHTS, demo_files};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(weights) = arguments.next() else {
        let classifier = Classifier::builder().batch_size(8).from_pretrained(WEIGHTS)?;
        show(&classifier.classify_batch(&demo_files(8)?)?);
        return Ok(());
    };
    let photos: Vec<String> = arguments.collect();
    let classifier = Classifier::builder().batch_size(photos.len()).from_pretrained(&weights)?;
    show(&classifier.classify_batch(&photos)?);
    Ok(())
}

fn show(classifications: &[Classification]) {
    for (number, classification) in classifications.iter().enumerate() {
        let hit = &classification.top(1)[0];
        println!("image {number}: {:5.1} %  {}", 100.0 * hit.probability, hit.name);
    }
}

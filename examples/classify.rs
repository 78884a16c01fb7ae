//! Classifies a photograph. Without arguments, a bundled network classifies a bundled image.
//!
//! ```sh
//! cargo run -p hardnet-examples --example classify
//! cargo run -p hardnet-examples --example classify -- hardnet68.upstream_in1k photo.jpg
//! ```

use anyhow::{Result, bail};
use hardnet::Classifier;
use hardnet_examples::{WEIGHTS, demo_files};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let classification = match &arguments[..] {
        [] => Classifier::from_pretrained(WEIGHTS)?.classify(&demo_files(1)?[0])?,
        [weights, photo] => Classifier::from_pretrained(weights)?.classify(photo)?,
        _ => bail!("usage: classify [WEIGHTS PHOTO]"),
    };
    for hit in classification.top(5) {
        println!("{:5.1} %  {}", 100.0 * hit.probability, hit.name);
    }
    Ok(())
}

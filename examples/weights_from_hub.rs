//! Opens weights by name and shows the progress of the download: tags, `hf://` addresses and paths.
//!
//! ```sh
//! cargo run -p hardnet-examples --example weights_from_hub
//! cargo run -p hardnet-examples --example weights_from_hub -- hardnet68.upstream_in1k
//! cargo run -p hardnet-examples --example weights_from_hub -- hf://owner/name@revision/model.safetensors
//! ```
//!
//! Without an argument it lists the tags, and opens the one whose weights are part of the program.

use anyhow::Result;
use hardnet::Classifier;
use hardnet::weights::{Event, FetchOptions, WeightsSource, registry};
use hardnet_examples::WEIGHTS;

fn main() -> Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| {
        registry().iter().for_each(|entry| println!("{:<28} {} classes", entry.tag, entry.classes));
        WEIGHTS.into()
    });
    let source: WeightsSource = name.parse()?;
    // Caches, tokens and proxies as the environment says (HF_HOME, HF_TOKEN, ...).
    let options = FetchOptions::from_env();
    let file = source.open(&options, &mut |event| match event {
        Event::Requesting { address, .. } => println!("requesting {address}"),
        Event::Received(bytes) => print!("\r{:.1} MB", bytes as f64 / 1e6),
        Event::Retrying { why, pause } => println!("{why}; again in {:.1} s", pause.as_secs_f64()),
        _ => {}
    })?;
    println!("{}: {} classes, SHA-256 {}", file.path().display(), file.config().classes(), file.sha256()?);
    let classifier = Classifier::builder().from_weights(file)?;
    println!("{classifier:?}, images of {0}x{0} pixels", classifier.image_size());
    Ok(())
}

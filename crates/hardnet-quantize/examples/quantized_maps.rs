//! Writes the maps of a quantized network for one image, by the reference in plain loops, and the logits of all images,
//! by the engine: `tests/onnx/int8.py` compares other programs with them.
//!
//! ```sh
//! cargo run --release -p hardnet-quantize --example quantized_maps -- WEIGHTS IMAGES SIDE FOLDER
//! ```
//!
//! IMAGES are normalized, `[N, 3, SIDE, SIDE]` in little-endian f32. A map of bytes is a file of its node's name, and
//! `logits` has the logits in f32.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use hardnet_engine::{Plan, PlanOptions};
use hardnet_graph::Graph;
use hardnet_params::WeightsFile;
use hardnet_quantize::reference::{self, Map};
use hardnet_quantize::{QuantizeOptions, quantize};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, images, side, folder] = &arguments[..] else {
        return Err("expected WEIGHTS IMAGES SIDE FOLDER".into());
    };
    let weights = WeightsFile::open(weights)?;
    let graph = Graph::new(weights.config())?;
    let quantized = quantize(&graph, &weights.parameters(), &QuantizeOptions::default())?;
    let side: usize = side.parse()?;
    let images: Vec<f32> = fs::read(images)?.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let images: Vec<&[f32]> = images.chunks_exact(3 * side * side).collect();
    let first = images.first().ok_or("no image of that side")?;
    let maps = reference::run(&graph, &quantized, first, (side, side), &HashMap::new())?;
    fs::create_dir_all(folder)?;
    for (node, map) in graph.inference().nodes().iter().zip(&maps) {
        if let Map::Bytes(bytes, _) = map {
            fs::write(Path::new(folder).join(&node.name), bytes)?;
        }
    }
    let mut plan = Plan::quantized(weights.config(), &quantized, &PlanOptions::default().size(side, side))?;
    let mut logits = Vec::new();
    for image in images {
        logits.extend(plan.run(&[image])?);
    }
    fs::write(Path::new(folder).join("logits"), logits.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}

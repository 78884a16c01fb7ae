//! Writes the maps of a quantized network for one image, by the reference in plain loops: `tests/onnx/int8.py` compares
//! the layers of other programs with them.
//!
//! ```sh
//! cargo run --release -p hardnet-quantize --example quantized_maps -- WEIGHTS IMAGE SIDE FOLDER
//! ```
//!
//! IMAGE is a normalized one, `[3, SIDE, SIDE]` in little-endian f32. A map of bytes is a file of its node's name, and
//! that of the last layer `logits`, in f32.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use hardnet_graph::Graph;
use hardnet_params::WeightsFile;
use hardnet_quantize::reference::{self, Map};
use hardnet_quantize::{QuantizeOptions, quantize};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, image, side, folder] = &arguments[..] else {
        return Err("expected WEIGHTS IMAGE SIDE FOLDER".into());
    };
    let weights = WeightsFile::open(weights)?;
    let graph = Graph::new(weights.config())?;
    let quantized = quantize(&graph, &weights.parameters(), &QuantizeOptions::default())?;
    let side: usize = side.parse()?;
    let image: Vec<f32> = fs::read(image)?.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let maps = reference::run(&graph, &quantized, &image, (side, side), &HashMap::new())?;
    fs::create_dir_all(folder)?;
    for (node, map) in graph.inference().nodes().iter().zip(&maps) {
        if let Map::Bytes(bytes, _) = map {
            fs::write(Path::new(folder).join(&node.name), bytes)?;
        }
    }
    let logits = maps.last().map(Map::values).unwrap_or_default();
    fs::write(Path::new(folder).join("logits"), logits.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}

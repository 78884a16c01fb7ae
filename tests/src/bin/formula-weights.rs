//! Writes untrained weights that follow from their names alone, for trying the program out and for comparing logits:
//!
//! ```sh
//! cargo run -p hardnet-tests --bin formula-weights -- hardnet68 formula.safetensors
//! ```

use anyhow::{Context, Result};
use hardnet_model::{Config, Graph, Variant};
use hardnet_testing::formula::{self, Encoding};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, path] = &arguments[..] else { anyhow::bail!("usage: formula-weights MODEL FILE.safetensors") };
    let params = Graph::new(&Config::from(model.parse::<Variant>()?))?.params();
    let tensors = params.into_iter().map(|param| (param.name, param.shape)).collect();
    std::fs::write(path, formula::safetensors(&tensors, Encoding::F32, None))
        .with_context(|| format!("cannot write `{path}`"))
}

//! Writes untrained weights that follow from their names alone, for trying the program out and for comparing logits:
//!
//! ```sh
//! cargo run -p hardnet-tests --bin formula-weights -- hardnet68 formula.safetensors
//! ```

use anyhow::{Context, Result};
use hardnet_model::Variant;
use hardnet_params::synthetic;
use hardnet_testing::weights_file::{self, Encoding};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, path] = &arguments[..] else { anyhow::bail!("usage: formula-weights MODEL FILE.safetensors") };
    let tensors = synthetic::parameters(&model.parse::<Variant>()?.into())?;
    std::fs::write(path, weights_file::safetensors(tensors, Encoding::F32, None))
        .with_context(|| format!("cannot write `{path}`"))
}

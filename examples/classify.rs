//! Names what a photograph shows:
//!
//! ```sh
//! cargo run --release -p hardnet-examples --example classify -- hardnet68.safetensors photo.jpg
//! ```

use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use hardnet_data::{DecodeLimits, Pipeline, decode, imagenet};
use hardnet_eval::top_k;
use hardnet_model::HarDNet;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, photo] = &arguments[..] else { bail!("usage: classify WEIGHTS.safetensors PHOTO") };

    let network = HarDNet::load(weights, &Device::Cpu)?;
    let image = decode(&std::fs::read(photo)?, &DecodeLimits::default())?.image;
    let pixels = Pipeline::pil_bilinear().tensor(&image)?;
    let logits = network.forward(&Tensor::from_vec(pixels, (1, 3, 224, 224), &Device::Cpu)?)?;
    for hit in top_k(&logits.flatten_all()?.to_vec1::<f32>()?, 5) {
        let name = imagenet::classes().get(hit.index).map_or("?", |class| class.name);
        println!("{:5.1} %  {name}", 100.0 * hit.probability);
    }
    Ok(())
}

//! Writes synthetic weights of the published networks, images, and their logits by this engine, for comparisons with
//! other programs: `tests/onnx/readers.py` reads them.
//!
//! ```sh
//! cargo run --release -p hardnet-engine --example synthetic_logits -- FOLDER
//! ```
//!
//! Of segmentation networks there are weights alone.
//!
//! Numbers are little-endian f32 without a header. Images are `fixed` `[1, 3, 224, 224]`, `free` `[2, 3, 193, 225]`,
//! and `pixels` `[1, 224, 224, 3]`, which are bytes that the logits' images are normalized from.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use hardnet_engine::{Plan, PlanOptions};
use hardnet_graph::{Config, SegmentationVariant, StemPadding, Variant};
use hardnet_params::synthetic::{self, Synthetic};
use hardnet_params::{Metadata, write_weights};

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err("expected the folder to write to".into());
    };
    fs::create_dir_all(&folder)?;
    let write = |name: String, values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(folder.join(name), bytes)
    };
    let fixed = synthetic::values("x", &[1, 3, 224, 224]);
    let free = synthetic::values("x", &[2, 3, 193, 225]);
    let pixels: Vec<u8> = (0..224 * 224 * 3_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut planes = vec![0.0; pixels.len()];
    for (at, &sample) in pixels.iter().enumerate() {
        let channel = at % 3;
        planes[channel * 224 * 224 + at / 3] = (f32::from(sample) / 255.0 - MEAN[channel]) / STD[channel];
    }
    write("fixed.f32".into(), &fixed)?;
    write("free.f32".into(), &free)?;
    fs::write(folder.join("pixels.u8"), &pixels)?;
    let notebook = Config::from(Variant::HarDNet68).with_stem_padding(StemPadding::TopLeft);
    let variants = Variant::ALL.map(|variant| (variant.name(), Config::from(variant)));
    let write_network = |name: &str, config: Config| -> Result<(), Box<dyn Error>> {
        let weights = fs::File::create(folder.join(format!("{name}.safetensors")))?;
        Ok(write_weights(&Metadata::new(config), &Synthetic, std::io::BufWriter::new(weights))?)
    };
    for variant in SegmentationVariant::ALL {
        write_network(variant.name(), variant.into())?;
    }
    for (name, config) in variants.into_iter().chain([("notebook", notebook)]) {
        write_network(name, config.clone())?;
        for (image, values, batch, height, width) in
            [("fixed", &fixed, 1, 224, 224), ("free", &free, 2, 193, 225), ("pixels", &planes, 1, 224, 224)]
        {
            let mut plan = Plan::new(&config, &Synthetic, &PlanOptions::default().size(height, width).batch(batch))?;
            let images: Vec<_> = values.chunks(3 * height * width).collect();
            write(format!("{name}.{image}.f32"), &plan.run(&images)?)?;
        }
    }
    Ok(())
}

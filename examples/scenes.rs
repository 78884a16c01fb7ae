//! Writes scenes of shapes with masks as a data set: `DIR/train/images`, `DIR/train/masks`, `DIR/val/images` and
//! `DIR/val/masks`. Without arguments, a few into a temporary folder.
//!
//! ```sh
//! cargo run -p hardnet-examples --example scenes -- scenes 1000 100
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use hardnet::data::encode_png;
use hardnet::segmentation::scenes;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => write(tempfile::tempdir()?.path(), 4, 2),
        [folder, train, val] => write(Path::new(folder), train.parse()?, val.parse()?),
        _ => bail!("usage: scenes [DIR TRAIN VAL]"),
    }
}

/// Writes so many scenes of each part, which differ.
fn write(folder: &Path, train: u32, val: u32) -> Result<()> {
    for (part, seed, count) in [("train", 1, train), ("val", 2, val)] {
        let (images, masks) = (folder.join(part).join("images"), folder.join(part).join("masks"));
        fs::create_dir_all(&images)?;
        fs::create_dir_all(&masks)?;
        for index in 0..count {
            let scene = scenes::draw(seed, index, 192, 128);
            fs::write(images.join(format!("{index:05}.png")), encode_png(&scene.image)?)?;
            fs::write(masks.join(format!("{index:05}.png")), scene.mask.encode_png())?;
        }
        println!("{count} scenes in {}", folder.join(part).display());
    }
    Ok(())
}

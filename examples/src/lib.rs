//! How to use the crates in a program of your own: `cargo run -p hardnet-examples --example classify`.
//!
//! The examples run without arguments, on the demonstration: a small network and 1,000 test images of Fashion-MNIST,
//! which are part of the repository. This library unpacks the images for them.

use anyhow::Result;
use hardnet::data::Dataset;
use hardnet_demo::fashion_mnist::{CLASSES, SAMPLE_TAR, VAL_LIST};
use tempfile::TempDir;

/// Name of the demonstration's weights.
pub const WEIGHTS: &str = "hardnet39ds.fashion_mnist";

/// Unpacks the demonstration's labeled images; they are on disk for as long as the folder lives.
pub fn demo_images() -> Result<(TempDir, Dataset)> {
    let folder = TempDir::new()?;
    let (archive, list) = (folder.path().join("images.tar"), folder.path().join("list.txt"));
    std::fs::write(&archive, SAMPLE_TAR)?;
    std::fs::write(&list, VAL_LIST)?;
    let dataset = Dataset::from_list(&list, archive, CLASSES.len())?;
    Ok((folder, dataset))
}

/// Returns the content of the first `count` PNG files of the demonstration.
pub fn demo_files(count: usize) -> Result<Vec<Vec<u8>>> {
    let (_folder, dataset) = demo_images()?;
    let archived = dataset.samples.iter().take(count).filter_map(|sample| sample.archived());
    Ok(archived.map(|file| file.read()).collect::<Result<_, _>>()?)
}

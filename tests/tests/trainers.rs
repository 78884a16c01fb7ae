//! Files saved by the code of widespread training programs are the network that torch computes with.
//!
//! `tests/trainers/make_files.py` trained a very small HarDNet, saved it and wrote down its logits.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use hardnet_model::{HarDNet, WeightsFile};
use serde_json::{Map, Value};

const SIDE: usize = 32;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("trainers")
}

/// The image that `picture` of the script makes.
fn picture() -> Vec<f32> {
    (0..3 * SIDE * SIDE).map(|value| ((value * 37 + value / 7) % 64) as f32 / 64.0 - 0.5).collect()
}

#[test]
fn files_of_training_programs_give_the_logits_of_torch() {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: Map<String, Value> = serde_json::from_str(&text).unwrap();
    for (file, what) in &expected {
        let weights = WeightsFile::open(folder().join("files").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let network = HarDNet::from_file(&weights, &Device::Cpu).unwrap();
        let image = Tensor::from_vec(picture(), (1, 3, SIDE, SIDE), &Device::Cpu).unwrap();
        let logits: Vec<f32> = network.forward(&image).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let values = what["logits"].as_array().unwrap();
        assert_eq!(logits.len(), values.len(), "{file}");
        for (logit, expected) in logits.iter().zip(values) {
            let expected = expected.as_f64().unwrap() as f32;
            assert!((logit - expected).abs() < 1e-5 * expected.abs().max(1.0), "{file}: {logit}, expected {expected}");
        }
    }
}

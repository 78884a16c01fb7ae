//! Files saved by the code of widespread training programs, written by `tests/trainers/make_files.py`.

mod support;

use std::path::PathBuf;

use hardnet_checkpoint::{Checkpoint, ReadOptions};
use serde_json::{Value, json};
use support::fnv1a;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/trainers")
}

fn expected() -> serde_json::Map<String, Value> {
    let text = std::fs::read_to_string(folder().join("expected.json")).expect("the values are readable");
    serde_json::from_str(&text).expect("the values are JSON")
}

fn tensors(checkpoint: &Checkpoint) -> Value {
    let tensor = |(index, tensor): (usize, &hardnet_checkpoint::TensorInfo)| {
        let hash = fnv1a(&checkpoint.read(index).expect("the tensor is readable"));
        let dtype = tensor.dtype.to_string();
        json!({"name": tensor.name, "dtype": dtype, "shape": tensor.shape, "fnv": format!("{hash:016x}")})
    };
    checkpoint.tensors().iter().enumerate().map(tensor).collect()
}

#[test]
fn files_of_training_programs_read_as_torch_reads_them() {
    let expected = expected();
    assert!(expected.len() >= 13, "{} files", expected.len());
    for (file, what) in &expected {
        let path = folder().join("files").join(file);
        let checkpoint = Checkpoint::open(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(format!("{:?}", checkpoint.format()), what["format"].as_str().expect("text"), "{file}");
        assert_eq!(checkpoint.wrapper(), what["wrapper"].as_str(), "{file}");
        assert_eq!(tensors(&checkpoint), what["tensors"], "{file}");
        let dictionaries: serde_json::Map<String, Value> =
            checkpoint.dictionaries().iter().map(|found| (found.path.clone(), found.tensors.into())).collect();
        let listed = what["dictionaries"].as_object().expect("an object");
        for (path, tensors) in listed {
            // One that is not read still counts its counters.
            let read = checkpoint.wrapper().unwrap_or(".") == path;
            let counters = if read { 0 } else { what["counters"].as_array().map_or(0, Vec::len) };
            let found = dictionaries.get(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{file}: no {path}"));
            let expected = tensors.as_u64().expect("a number");
            assert!((expected..=expected + counters as u64).contains(&found), "{file}: {found} tensors in {path}");
        }
        let names: Vec<&str> = checkpoint.counters().iter().map(|counter| counter.name.as_str()).collect();
        assert_eq!(json!(names), what["counters"], "{file}");
        assert!(checkpoint.opaque().is_empty() && checkpoint.passed_over().is_empty(), "{file}");
        if let Some(entry) = what.get("entry") {
            let path_of = entry["path"].as_str().expect("text");
            let other = Checkpoint::open_with(&path, &ReadOptions::default().entry(path_of)).expect("the file has it");
            assert_eq!(other.wrapper(), Some(path_of), "{file}");
            assert_eq!(tensors(&other), entry["tensors"], "{file}: {path_of}");
        }
    }
}

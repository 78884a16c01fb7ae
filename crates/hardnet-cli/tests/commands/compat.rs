//! Files that version 0.1 wrote, which later versions must read: `tests/compat`.

use std::fs;
use std::path::{Path, PathBuf};

use hardnet_checkpoint::Checkpoint;
use hardnet_eval::{LineFields, PredictionLine};
use serde_json::Value;

use super::support::Folder;

/// Largest difference between results of different instruction sets.
const TOLERANCE: f64 = 1e-4;

/// The folder in which the stored runs were made.
const ORIGINAL_FOLDER: &str = "/tmp/compat/w";

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat").join(name)
}

/// A folder with copies of the stored files `names`.
fn copies(names: &[&str]) -> Folder {
    let folder = Folder::new();
    for name in names {
        folder.write(name, fs::read(stored(name)).unwrap());
    }
    folder
}

/// Replaces a text in the header of a safetensors file.
fn replace_in_header(path: &Path, from: &str, to: &str) {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert!(header.contains(from), "`{from}` in the header of {}", path.display());
    let header = header.replace(from, to);
    fs::write(path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat()).unwrap();
}

/// All f32 values of a file by tensor.
fn tensors(path: &Path) -> Vec<(String, Vec<f32>)> {
    let checkpoint = Checkpoint::open(path).unwrap();
    let values = |index| checkpoint.read(index).unwrap().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    checkpoint.tensors().iter().enumerate().map(|(index, tensor)| (tensor.name.clone(), values(index))).collect()
}

#[test]
fn weights_of_version_0_1_are_read() {
    let folder = copies(&["tiny.safetensors", "converted.safetensors", "whole/best.safetensors"]);
    folder.pictures("photos", 1);
    for file in ["tiny.safetensors", "converted.safetensors", "whole/best.safetensors"] {
        let held = folder.run(&format!("info --json --weights {file}")).exits(0).json();
        assert_eq!(held["model"], "custom", "{file}");
        let predicted = folder.run(&format!("predict --json photos/0.png --weights {file}")).exits(0);
        let line = &predicted.json_lines()[0];
        let name = line["top"][0]["name"].as_str().unwrap();
        assert!(["shirt", "shoe", "bag"].contains(&name), "{file}: {line}");
    }
}

#[test]
fn a_run_of_version_0_1_is_resumed() {
    let mut names = vec!["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
    names.extend(["run/best.safetensors", "run/last.safetensors", "run/state.safetensors"]);
    names.extend(["run/metrics.jsonl", "run/run.json", "run/curves.svg"]);
    let folder = copies(&names);
    let here = folder.path("").canonicalize().unwrap();
    replace_in_header(&folder.path("run/state.safetensors"), ORIGINAL_FOLDER, here.to_str().unwrap());

    let run = folder.run("train --resume run --threads 1 -j 0 --json").exits(0).says("resumed after 1 epoch");
    let run = run.says("the run has no list of its images to compare with; their number is the same, 18");
    let report = run.json();
    let expected = fs::read_to_string(stored("whole/metrics.jsonl")).unwrap();
    let expected: Vec<Value> = expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let epochs = report["epochs"].as_array().unwrap();
    assert_eq!((epochs.len(), expected.len()), (2, 2));
    for (epoch, expected) in epochs.iter().zip(&expected) {
        for name in ["epoch", "steps", "learning_rate", "train_images", "train_errors", "best"] {
            assert_eq!(epoch[name], expected[name], "{name}");
        }
        for (found, expected) in [
            (&epoch["train_loss"], &expected["train_loss"]),
            (&epoch["validation"]["loss"], &expected["validation"]["loss"]),
        ] {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() < TOLERANCE, "{found} and {expected}");
        }
    }
    for ((name, found), (_, expected)) in
        tensors(&folder.path("run/last.safetensors")).iter().zip(tensors(&stored("whole/last.safetensors")))
    {
        for (found, expected) in found.iter().zip(expected) {
            assert!(f64::from(found - expected).abs() < TOLERANCE, "{name}: {found} and {expected}");
        }
    }
}

/// Fields of predictions that version 0.1 did not write.
const ADDED: [&str; 3] = ["width", "height", "run"];

#[test]
fn predictions_of_version_0_1_are_read() {
    let text = fs::read_to_string(stored("predictions.jsonl")).unwrap();
    let lines: Vec<PredictionLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 24);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!((line.path.as_ref(), line.label, line.top.len()), (&*index.to_string(), Some(index % 3), 3));
        assert_eq!(line.correct, Some(line.top[0].index == index % 3));
        assert_eq!(line.fields, LineFields::default());
    }
}

#[test]
fn predictions_have_the_fields_and_values_of_version_0_1() {
    let folder = copies(&["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "whole/best.safetensors"]);
    let eval =
        "eval --weights whole/best.safetensors --data-dir train-images-idx3-ubyte --predictions predictions.jsonl";
    folder.run(eval).exits(0);
    let lines = |text: String| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let found = lines(fs::read_to_string(folder.path("predictions.jsonl")).unwrap());
    let expected = lines(fs::read_to_string(stored("predictions.jsonl")).unwrap());
    assert_eq!((found.len(), expected.len()), (24, 24));
    for (found, expected) in found.iter().zip(&expected) {
        let names = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let kept: Vec<_> = names(found).into_iter().filter(|name| !ADDED.contains(&name.as_str())).collect();
        assert_eq!(kept, names(expected));
        for name in ["path", "label", "correct"] {
            assert_eq!(found[name], expected[name]);
        }
        for (found, expected) in found["top"].as_array().unwrap().iter().zip(expected["top"].as_array().unwrap()) {
            assert_eq!((&found["index"], &found["name"]), (&expected["index"], &expected["name"]));
            let difference = found["probability"].as_f64().unwrap() - expected["probability"].as_f64().unwrap();
            assert!(difference.abs() < TOLERANCE, "{found} and {expected}");
        }
    }
}

#[test]
fn predictions_of_version_0_1_are_compared_without_what_they_lack() {
    let names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "whole/best.safetensors", "predictions.jsonl"];
    let folder = copies(&names);
    let data = "--data-dir train-images-idx3-ubyte";
    folder.run(&format!("eval -q --weights whole/best.safetensors {data} --predictions now.jsonl")).exits(0);
    let run = folder.run(&format!("compare predictions.jsonl now.jsonl --json --page page.html {data}")).exits(0);
    let report = run.json();
    assert_eq!((&report["images"], &report["with_size"]), (&24.into(), &24.into()));
    assert_eq!(report["comparisons"][0]["agreement"]["correct"], 24);
    assert_eq!((&report["runs"][0]["run"], &report["runs"][1]["run"]["model"]), (&Value::Null, &"custom".into()));
    run.says("`predictions.jsonl` does not say which weights and settings it was made with");
    folder.write("again.jsonl", fs::read(stored("predictions.jsonl")).unwrap());
    let run = folder.run("compare predictions.jsonl again.jsonl --json").exits(0);
    assert_eq!(run.json()["comparisons"][0]["short_sides"], serde_json::json!([]));
    run.says("no file has sizes of images, so differences by size are not known");
}

#[cfg(feature = "hub")]
#[test]
fn cached_weights_of_version_0_1_are_found() {
    let folder = Folder::new();
    let cache = "cache/weights/hardnet39ds.fashion_mnist";
    folder.write(&format!("{cache}/origin.json"), fs::read(stored("cache/origin.json")).unwrap());
    let weights = folder.write(&format!("{cache}/model.safetensors"), hardnet_demo::fashion_mnist::WEIGHTS);
    let listed = folder.run("list --weights --json").exits(0).json();
    let entry = listed.as_array().unwrap().iter().find(|entry| entry["tag"] == "hardnet39ds.fashion_mnist").unwrap();
    assert_eq!((&entry["cached"], &entry["check"]), (&weights.to_str().unwrap().into(), &"verified".into()));
}

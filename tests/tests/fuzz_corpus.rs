//! The stored inputs of the fuzz targets, `fuzz/corpus-stored/`, given to the very functions that fuzzing calls.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

// A library of its own workspace, whose items are public for the fuzz targets.
#[allow(unreachable_pub)]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// Replays the inputs of one target and compares how many of them are accepted: none would mean that nothing is tested.
fn replay(name: &str, target: fn(&[u8]) -> bool, expected: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus-stored").join(name);
    let inputs = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut accepted = 0;
    for input in inputs {
        let path = input.expect("the folder is readable").path();
        let bytes = fs::read(&path).expect("an input is readable");
        let result = catch_unwind(|| target(&bytes));
        accepted += usize::from(result.unwrap_or_else(|_| panic!("{} breaks a promise", path.display())));
    }
    assert_eq!(accepted, expected, "accepted inputs of `{name}`");
}

#[test]
fn checkpoint() {
    replay("checkpoint", targets::checkpoint, 43);
}

#[test]
fn network() {
    replay("network", targets::network, 3);
}

#[test]
fn streamed() {
    replay("checkpoint", targets::streamed, 43);
    replay("onnx", targets::streamed, 10);
}

#[test]
fn onnx() {
    replay("onnx", targets::onnx, 7);
}

#[test]
fn tensors() {
    replay("tensors", targets::tensors, 6);
}

#[test]
fn list() {
    replay("list", targets::list, 8);
}

#[test]
fn kaggle() {
    replay("kaggle", targets::kaggle, 4);
}

#[test]
fn predictions() {
    replay("predictions", targets::predictions, 5);
}

#[test]
fn meta_mat() {
    replay("meta_mat", targets::meta_mat, 2);
}

#[test]
fn tar_index() {
    replay("tar_index", targets::tar_index, 6);
}

#[test]
fn webdataset() {
    replay("webdataset", targets::webdataset, 6);
}

#[test]
fn index_cache() {
    replay("index_cache", targets::index_cache, 6);
}

#[test]
fn idx() {
    replay("idx", targets::idx, 3);
}

#[test]
fn serve() {
    replay("serve", targets::serve, 13);
}

#[test]
fn mask() {
    replay("mask", targets::mask, 9);
}

#[test]
fn mask_text() {
    replay("mask_text", targets::mask_text, 4);
}

#[test]
fn image() {
    replay("image", targets::image, 149);
}

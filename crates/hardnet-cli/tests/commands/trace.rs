//! `hardnet trace`.

use super::support::{Folder, picture_png};

/// The rows are those that `tests/parity/trace.py` prints of the same picture with Pillow 13.0.0 and torchvision.
#[test]
fn pixels_and_tensor_are_those_of_pillow_and_torchvision() {
    let folder = Folder::new();
    folder.write("picture.png", picture_png());
    let run = folder.run("trace picture.png").exits(0).says("decoder: ");
    assert_eq!(run.stdout, include_str!("trace/picture.txt"));
}

#[test]
fn the_last_module_gives_the_logits_of_the_engine() {
    let folder = Folder::new();
    folder.hardnet39ds();
    folder.write("picture.png", picture_png());
    let run = folder.run("trace --weights hardnet39ds.safetensors --json --save stages picture.png").exits(0);
    let rows = run.json_lines();
    let stages: Vec<_> = rows.iter().map(|row| row["stage"].as_str().unwrap()).collect();
    assert_eq!(stages[..5], ["decoded", "resized", "cropped", "tensor", "base.0"]);
    assert_eq!(stages[stages.len() - 1], "logits");
    let [module, logits] = [&rows[rows.len() - 2], &rows[rows.len() - 1]];
    assert_eq!((&module["shape"], &logits["shape"]), (&serde_json::json!([1000]), &serde_json::json!([1000])));
    for field in ["min", "max", "mean"] {
        let difference = module[field].as_f64().unwrap() - logits[field].as_f64().unwrap();
        assert!(difference.abs() < 1e-4, "{field}: {difference}");
    }
    for (stage, row) in stages.iter().zip(&rows) {
        let array = std::fs::read(folder.path(&format!("stages/{stage}.npy"))).unwrap();
        let header = 10 + usize::from(u16::from_le_bytes([array[8], array[9]]));
        assert_eq!((&array[..8], header % 64, array[header - 1]), (&b"\x93NUMPY\x01\x00"[..], 0, b'\n'));
        let elements: u64 = row["shape"].as_array().unwrap().iter().map(|extent| extent.as_u64().unwrap()).product();
        let size = if ["decoded", "resized", "cropped"].contains(stage) { 1 } else { 4 };
        assert_eq!((array.len() - header) as u64, size * elements, "{stage}");
    }
}

#[test]
fn an_image_that_is_none_is_named() {
    let folder = Folder::new();
    folder.write("picture.png", b"text");
    folder.run("trace picture.png").exits(2).says("picture.png");
    folder.run("trace missing.png").exits(2).says("cannot read `missing.png`");
}

//! `hardnet quantize`, and its files in the other commands.

use std::fs;

use super::support::Folder;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("photos", 6);
    folder
}

#[test]
fn quantize_writes_a_file_and_says_how_it_was_made() {
    let folder = folder();
    let run = folder.run("quantize small.safetensors q.safetensors").exits(0).says("ranges: without images");
    assert_eq!(run.stdout, "q.safetensors\n");
    folder.run("quantize small.safetensors again.safetensors").exits(0);
    assert!(fs::read(folder.path("q.safetensors")).unwrap() == fs::read(folder.path("again.safetensors")).unwrap());
    let source = folder.run("inspect --json small.safetensors").exits(0).json();
    let found = folder.run("inspect --json q.safetensors").exits(0).json();
    assert_eq!(found["usable"], true);
    let [metadata, before] = [&found, &source].map(|found| &found["metadata"]["hardnet"]);
    assert_eq!(metadata["source"]["sha256"], source["sha256"]);
    for field in ["config", "labels", "pipeline"] {
        assert_eq!(metadata[field], before[field], "{field}");
    }
    assert_eq!(metadata["quantization"]["method"], "without images");
    assert!(metadata["tool"].as_str().unwrap().starts_with("hardnet "));
    assert!(found["totals"]["i8"]["values"].as_u64().unwrap() > 0);
    folder.run("quantize small.safetensors q.safetensors").exits(2).says("already exists").says("--force");
    folder.run("quantize q.safetensors r.safetensors").exits(2).says("8-bit integers").says("quantized already");
    assert!(!folder.path("r.safetensors").exists());
}

#[test]
fn commands_that_compute_take_the_file() {
    let folder = folder();
    folder.list(6);
    folder.run("quantize small.safetensors q.safetensors").exits(0);
    let predict = |weights: &str| folder.run(&format!("predict {weights} --logits photos")).exits(0).stdout;
    let logits = |lines: &str| {
        let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        line["logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect::<Vec<_>>()
    };
    let stored = logits(&predict("--weights q.safetensors"));
    assert_eq!(stored, logits(&predict("--weights small.safetensors --precision int8")));
    let floats = logits(&predict("--weights small.safetensors"));
    assert!(stored != floats && stored.len() == floats.len());
    for command in [
        "eval --data-dir photos --val-list list.txt --weights q.safetensors --json",
        "embed photos --weights q.safetensors -o v.npy",
        "bench --weights q.safetensors --iters 1",
        "bench --weights small.safetensors --iters 1 --precision int8",
        "info --weights q.safetensors",
    ] {
        folder.run(command).exits(0);
    }
}

#[test]
fn commands_that_need_floating_point_say_so() {
    let folder = folder();
    folder.run("quantize small.safetensors q.safetensors").exits(0);
    for command in [
        "convert q.safetensors c.safetensors",
        "export q.safetensors q.onnx",
        "predict --weights q.safetensors --engine candle photos",
        "predict --weights q.safetensors --precision f32 photos",
    ] {
        folder.run(command).exits(2).says("are 8-bit integers, expected floating point").says("hint: pass the file");
    }
    folder.run("predict --weights small.safetensors --precision int8 --engine candle photos").exits(2).says("floating");
}

#[test]
fn ranges_are_measured_on_folders_and_lists() {
    let folder = folder();
    let quantize = |arguments: &str| {
        let command = format!("quantize small.safetensors q.safetensors --force --json {arguments}");
        folder.run(&command).exits(0).json()
    };
    for (method, name) in [("min-max", "min-max"), ("percentile=99.9", "percentile 99.9"), ("mse", "mse")] {
        let report = quantize(&format!("--calibrate photos --method {method}"));
        assert_eq!((&report["method"], &report["calibration_images"]), (&name.into(), &6.into()));
    }
    assert_eq!(quantize("--calibrate photos --calibrate-images 2")["calibration_images"], 2);
    folder.write("list.txt", "photos/1.png\nphotos/3.png\nphotos/5.png\n");
    assert_eq!(quantize("--calibrate list.txt")["calibration_images"], 3);
    folder.write("names.txt", "1.png\n2.png\n");
    assert_eq!(quantize("--calibrate names.txt --data-dir photos")["calibration_images"], 2);
    let run = |arguments: &str| folder.run(&format!("quantize small.safetensors x.safetensors {arguments}")).exits(2);
    run("--calibrate photos --method median").says("unknown method `median`");
    run("--calibrate none").says("none");
    run("--method mse").says("--calibrate");
    assert!(!folder.path("x.safetensors").exists());
}

#[test]
fn the_report_compares_with_f32() {
    let folder = folder();
    // The statistics of synthetic weights are not those of their maps.
    let command = "quantize small.safetensors q.safetensors --calibrate photos --method min-max --images photos \
                   --report page.html --json";
    let report = folder.run(command).exits(0).json();
    let agreement = &report["agreement"];
    assert_eq!((&agreement["images"], &agreement["errors"]), (&6.into(), &0.into()));
    assert!(agreement["same_class"].as_u64().unwrap() >= 5, "{agreement}");
    assert!(agreement["logits_db"].as_f64().unwrap() > 15.0, "{agreement}");
    assert!(agreement["mean_kl"].as_f64().unwrap() < 0.01, "{agreement}");
    let layers = report["layers"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["map_db"].as_f64().unwrap() > 10.0), "{layers:?}");
    assert!(layers.iter().all(|layer| layer["integer"] == layer["weights_db"].is_number()));
    let page = fs::read_to_string(folder.path("page.html")).unwrap();
    for text in ["Same class as f32", "Signal to noise by layer", "base.1", "6 of <bdi>photos</bdi>", "Equalization"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("<script"));
    folder.run(command).exits(2).says("already exists");
}

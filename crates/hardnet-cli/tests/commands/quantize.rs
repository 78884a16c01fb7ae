//! `hardnet quantize`, and its files in the other commands.

use std::fs;

use super::segment::{draw_scenes, scenes_weights};
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
    assert_eq!((&found["quantization"], source.get("quantization")), (&"without images".into(), None));
    let text = folder.run("inspect q.safetensors").exits(0).stdout;
    assert!(text.contains("integers  weights and maps of 8 bits; ranges: without images\n"), "{text}");
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

/// A file and quantization on the fly give the same in every command.
#[test]
fn precision_int8_is_the_file() {
    let folder = folder();
    folder.list(6);
    folder.run("quantize small.safetensors q.safetensors").exits(0);
    let both = |command: &str| {
        ["--weights q.safetensors", "--weights small.safetensors --precision int8"]
            .map(|weights| folder.run(&format!("{command} {weights}")).exits(0))
    };
    let [file, on_the_fly] = both("eval --data-dir photos --val-list list.txt --json").map(|run| run.json());
    for field in ["top1", "top5", "loss"] {
        assert!(!file[field].is_null(), "{field}");
        assert_eq!(file[field], on_the_fly[field], "{field}");
    }
    folder.run("embed photos --stage stride8 -o file.npy --weights q.safetensors").exits(0);
    folder.run("embed photos --stage stride8 -o fly.npy --weights small.safetensors --precision int8").exits(0);
    let [file, on_the_fly] = ["file.npy", "fly.npy"].map(|name| fs::read(folder.path(name)).unwrap());
    assert!(file.len() > 1000 && file == on_the_fly);
    let [file, on_the_fly] = both("bench --iters 1 --json").map(|run| run.json());
    assert_eq!([&file["precision"], &on_the_fly["precision"]], ["int8", "int8"]);
    assert_eq!(file["plan_mib"], on_the_fly["plan_mib"]);
}

/// Overwrites the first value of a tensor.
fn overwrite(folder: &Folder, file: &str, tensor: &str, value: f32) {
    let mut bytes = fs::read(folder.path("q.safetensors")).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..start]).unwrap();
    let at = start + header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    folder.write(file, bytes);
}

#[test]
fn damaged_files_are_refused_with_the_tensor_and_the_reason() {
    let folder = folder();
    folder.run("quantize small.safetensors q.safetensors").exits(0);
    let scale = "base.1.conv.scale";
    for (tensor, value, reason) in [
        (scale, f32::NAN, "not finite"),
        (scale, 0.0, "scales that are not from 1e-30 to 1e30"),
        (scale, -0.5, "scales that are not from 1e-30 to 1e30"),
        ("base.1.conv.bias", f32::INFINITY, "not finite"),
    ] {
        overwrite(&folder, "damaged.safetensors", tensor, value);
        for command in ["predict photos --weights", "eval --data-dir photos --weights", "info --weights"] {
            folder.run(&format!("{command} damaged.safetensors")).exits(2).says(tensor).says(reason);
        }
        let found = folder.run("inspect --json damaged.safetensors").json();
        assert_eq!(found["usable"], false, "{tensor}");
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
    let trace = "trace photos/0.png --weights";
    folder
        .run(&format!("{trace} small.safetensors --precision int8"))
        .exits(2)
        .says("floating point")
        .says("hint: drop");
    folder.run(&format!("{trace} q.safetensors")).exits(2).says("expected floating point");
    folder.run("train -o run --weights q.safetensors --data-dir photos").exits(2);
}

#[test]
fn networks_for_pixels_are_measured_in_integers() {
    let run = folder().run("bench fc-hardnet70 --img-size 64 --iters 1 --precision int8 --no-reference").exits(0);
    assert!(run.stdout.contains("int8"), "{run:?}");
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

#[test]
fn segmentation_networks_are_quantized_and_compared_by_pixels() {
    let folder = Folder::new();
    scenes_weights(&folder);
    draw_scenes(&folder, 3);
    let quantize = "quantize scenes.safetensors q.safetensors --images images --report r.html --json";
    let report = folder.run(quantize).exits(0).says("preprocessing: paddleseg (from the weights file)").json();
    let (pixels, agreement) = (&report["pixels"], &report["agreement"]);
    assert_eq!((pixels["images"].as_u64(), pixels["pixels"].as_u64()), (Some(3), Some(40 * (48 + 53 + 58))));
    assert!(agreement.is_null() && pixels["same_class"].as_u64() > Some(40 * 140), "{report}");
    assert!(report["bytes"].as_u64().unwrap() < report["source_bytes"].as_u64().unwrap() / 2);
    let page = fs::read_to_string(folder.path("r.html")).unwrap();
    assert!(page.contains("Same class as f32") && page.contains("pixels of 3 images"), "{page}");

    folder.run("segment --weights q.safetensors -o stored images").exits(0);
    folder.run("segment --weights scenes.safetensors --precision int8 -o made images").exits(0);
    folder.run("segment --weights scenes.safetensors -o floats images").exits(0);
    let mask = |file: &str| fs::read(folder.path(file)).unwrap();
    assert!(["0", "1", "2"].iter().all(|at| mask(&format!("stored/{at}.png")) == mask(&format!("made/{at}.png"))));
    assert!(["0", "1", "2"].iter().any(|at| mask(&format!("stored/{at}.png")) != mask(&format!("floats/{at}.png"))));
    let eval = folder.run("eval --weights q.safetensors --images images --masks masks --json").exits(0).json();
    assert_eq!(eval["task"], "segmentation");

    for weights in ["q.safetensors", "scenes.safetensors"] {
        folder.run(&format!("export {weights} q.onnx --int8 qdq --size 48x40 --force --json")).exits(0);
    }
    // Three sizes of images.
    let calibrated = "quantize scenes.safetensors c.safetensors --calibrate images --images images --json";
    let report = folder.run(calibrated).exits(0).json();
    assert_eq!((report["method"].as_str(), report["calibration_images"].as_u64()), (Some("mse"), Some(3)));
    assert!(report["pixels"]["same_class"].as_u64() > Some(40 * 140), "{report}");
    folder.run("segment --weights c.safetensors -o measured images").exits(0);
    assert!(["0", "1", "2"].iter().any(|at| mask(&format!("measured/{at}.png")) != mask(&format!("made/{at}.png"))));
    folder.write("images/3.png", "not an image");
    let run = folder.run(&format!("{calibrated} --force")).exits(0).says("3.png").says("left out");
    assert_eq!((&run.json()["calibration_images"], &run.json()["pixels"]["errors"]), (&3.into(), &1.into()));
    folder.run("segment --weights q.safetensors --precision f32 -o x images").exits(2).says("8-bit integers");
}

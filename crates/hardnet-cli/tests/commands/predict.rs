//! `hardnet predict`.

use std::fs::{self, File};

use hardnet_classifier::Classifier;
use hardnet_data::{DecodeLimits, decode};
use hardnet_testing::golden::picture_logits;

use super::support::{Folder, picture_png};

#[test]
fn logits_agree_with_onnx_runtime_on_pillows_tensor() {
    let folder = Folder::new();
    folder.hardnet39ds();
    folder.write("picture.png", picture_png());
    let run = folder.run("predict --weights hardnet39ds.safetensors --logits picture.png").exits(0);
    let line = &run.json_lines()[0];
    assert_eq!(line["path"], "picture.png");
    let logits: Vec<f32> = line["logits"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    let expected = picture_logits("hardnet39ds");
    assert_eq!(logits.len(), expected.len());
    let worst = logits.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
    let best = (0..1000).max_by(|&a, &b| expected[a].total_cmp(&expected[b])).unwrap();
    assert_eq!(line["top"][0]["index"], best);
    assert_eq!(line["top"].as_array().unwrap().len(), 5);
}

#[test]
fn people_get_names() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 2);
    let run = folder.run("predict --weights small.safetensors -k 2 images").exits(0);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert_eq!((lines[0], lines[3]), ("images/0.png", "images/1.png"));
    assert!(["shirt (0)", "shoe (1)", "bag (2)"].iter().any(|name| lines[1].ends_with(name)), "{}", lines[1]);
}

#[test]
fn standard_input_is_a_picture_too() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 1);
    let from_file = folder.run("predict --weights small.safetensors --json images/0.png").exits(0).json_lines();
    let file = File::open(folder.path("images/0.png")).unwrap();
    let from_stdin = folder.run_with("predict --weights small.safetensors --json -", file.into()).exits(0).json_lines();
    assert_eq!(from_stdin[0]["path"], "-");
    assert_eq!(from_stdin[0]["top"], from_file[0]["top"]);
    folder.run("predict --weights small.safetensors -").exits(2).says("standard input");
}

#[test]
fn one_bad_image_does_not_hide_the_others() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 3);
    folder.write("images/1.png", b"");
    let run = folder.run("predict --weights small.safetensors --json images").exits(2).says("1.png");
    assert_eq!(run.json_lines().len(), 2);
}

#[test]
fn without_weights_it_says_which_model_it_would_need() {
    let folder = Folder::new();
    folder
        .run("predict photo.jpg")
        .exits(2)
        .says("error: no weights given")
        .says("hint: pass --weights hardnet68.upstream_in1k")
        .says("--weights hardnet39ds.fashion_mnist, which is bundled");
    folder.run("predict -m hardnet85 photo.jpg").exits(2).says("pass --weights hardnet85.upstream_in1k");
}

/// The first sneaker among the demonstration's images.
#[test]
fn a_shoe_is_named() {
    use hardnet_demo::fashion_mnist::{CLASSES, SAMPLE_TAR, VAL_LIST};

    let folder = Folder::new();
    std::fs::write(folder.path("sample.tar"), SAMPLE_TAR).unwrap();
    let sneaker = CLASSES.iter().position(|class| *class == "Sneaker").unwrap();
    let first = VAL_LIST.lines().position(|line| line.ends_with(&format!(" {sneaker}"))).unwrap();
    let run = folder.run("predict --weights hardnet39ds.fashion_mnist --json sample.tar").exits(0);
    let line: serde_json::Value = serde_json::from_str(run.stdout.lines().nth(first).unwrap()).unwrap();
    assert_eq!(line["top"][0]["name"], "Sneaker", "{line}");
}

#[test]
fn missing_images_are_told_before_the_network_is_read() {
    let folder = Folder::new();
    folder.run("predict --weights nothing.safetensors photo.jpg").exits(2).says("photo.jpg");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::Stdio;

    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 40);
    let mut child = folder
        .command("predict -q --weights small.safetensors images")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The cache laid out as Python's `huggingface_hub` does; `HF_HUB_OFFLINE` is set for every run here.
#[cfg(feature = "hub")]
#[test]
fn weights_in_the_hubs_cache_need_no_network() {
    let folder = Folder::new();
    folder.pictures("images", 1);
    let repository = "huggingface/hub/models--someone--clothes";
    folder.write(&format!("{repository}/refs/main"), "0123456789abcdef0123456789abcdef01234567");
    let weights = std::fs::read(folder.small_weights()).unwrap();
    folder
        .write(&format!("{repository}/snapshots/0123456789abcdef0123456789abcdef01234567/model.safetensors"), weights);
    folder.run("predict --weights hf://someone/clothes images").exits(0);
    folder
        .run("predict --weights hf://someone/clothes/other.safetensors images")
        .exits(2)
        .says("HF_HUB_OFFLINE is set");
    folder
        .run("predict --weights hf://someone/clothes@v2 images")
        .exits(2)
        .says("hf://someone/clothes@v2/model.safetensors");
}

/// The files hold the drawing of the library, of the class that is printed first.
#[test]
fn activation_maps_are_drawn_over_the_images() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images/left", 2);
    folder.pictures("images", 1);
    let lines = folder.run("predict --weights small.safetensors --json --cam maps images").exits(0).json_lines();
    assert_eq!(lines.len(), 3);
    let classifier = Classifier::builder().activation_maps(true).load(folder.path("small.safetensors")).unwrap();
    let read = |name: &str| decode(&fs::read(folder.path(name)).unwrap(), &DecodeLimits::default()).unwrap().image;
    for line in &lines {
        let path = line["path"].as_str().unwrap();
        let image = read(path);
        let class = line["top"][0]["index"].as_u64().unwrap() as usize;
        let map = classifier.activation_map(classifier.prepare(&image).unwrap(), class).unwrap();
        let drawn = map.draw(&image, classifier.pipeline().region((image.width(), image.height())));
        let file = path.replacen("images", "maps", 1).replace(".png", "_cam.png");
        assert_eq!(read(&file).samples(), drawn.samples(), "{file}");
    }
    folder.run("predict --weights small.safetensors --cam maps images").exits(2).says("--force");
    folder.run("predict --weights small.safetensors --cam maps --force images").exits(0);
    let both = "predict --weights small.safetensors --cam others images/0.png images/left/0.png";
    folder.run(both).exits(2).says("the same output file");
    folder.run("predict --weights small.safetensors --cam images/0.png images").exits(2).says("expected a folder");
    let file = File::open(folder.path("images/0.png")).unwrap();
    folder.run_with("predict --weights small.safetensors --cam piped -", file.into()).exits(0);
    assert_eq!(fs::read(folder.path("piped/stdin_cam.png")).unwrap(), fs::read(folder.path("maps/0_cam.png")).unwrap());
}

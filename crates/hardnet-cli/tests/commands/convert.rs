//! `hardnet convert`, and other commands on what it reads and writes.

use std::fs;

use super::support::{Folder, notebook_metadata, png, small, weights};

/// A file of the real torch or paddlepaddle package, by `tests/checkpoints/make_files.py`.
fn real(name: &str) -> String {
    format!("{}/../../tests/checkpoints/small/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn convert_writes_the_same_bytes_each_time_and_prints_the_path() {
    let folder = Folder::new();
    let input = real("dense.notebook.p2.pdparams");
    let run = folder.run(&format!("convert {input} a.safetensors")).exits(0).says("Paddle, notebook names");
    assert_eq!(run.stdout, "a.safetensors\n");
    folder.run(&format!("convert {input} b.safetensors")).exits(0);
    assert!(fs::read(folder.path("a.safetensors")).unwrap() == fs::read(folder.path("b.safetensors")).unwrap());
    let json = folder.run("inspect --json a.safetensors").exits(0).json();
    let metadata = &json["metadata"]["hardnet"];
    assert_eq!((&metadata["scheme"], &metadata["config"]["stem"]["padding"]), (&"notebook".into(), &"top_left".into()));
    let source = folder.run(&format!("inspect --json {input}")).exits(0).json();
    assert_eq!(metadata["source"]["sha256"], source["sha256"]);
    assert_eq!((&json["usable"], &json["totals"]["f32"]["tensors"]), (&true.into(), &62.into()));
    let left: Vec<_> = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn convert_replaces_nothing_unless_told() {
    let folder = Folder::new();
    folder.small_weights();
    folder.write("out.safetensors", "mine");
    let run = folder.run("convert small.safetensors out.safetensors").exits(2);
    run.says("`out.safetensors` already exists").says("hint: pass --force");
    assert_eq!(fs::read(folder.path("out.safetensors")).unwrap(), b"mine");
    folder.run("convert --dry-run --force small.safetensors out.safetensors").exits(0).says("nothing was written");
    assert_eq!(fs::read(folder.path("out.safetensors")).unwrap(), b"mine");
    folder.run("convert --force small.safetensors out.safetensors").exits(0);
    folder.run("convert --force small.safetensors small.safetensors").exits(0);
    fs::create_dir(folder.path("folder")).unwrap();
    folder.run("convert --force small.safetensors folder").exits(2).says("`folder` is a folder");
    folder.run("convert small.safetensors no/such/out.safetensors").exits(2).says("cannot write in `no/such`");
    folder.run("convert small.safetensors").exits(2).says("<OUT>");
}

#[cfg(unix)]
#[test]
fn a_converted_file_has_the_mode_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.small_weights();
    folder.run("convert small.safetensors out.safetensors").exits(0);
    let mode = |name: &str| fs::metadata(folder.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("out.safetensors"), mode("small.safetensors"));
}

#[test]
fn metadata_survives_and_flags_replace_it() {
    let folder = Folder::new();
    folder.small_weights();
    folder.write("names.txt", "red\ngreen \nblue\n\n");
    folder.write("two.txt", "red\ngreen\n");
    folder.write("gap.txt", "red\n\nblue\n");
    let metadata =
        |name: &str| folder.run(&format!("inspect --json {name}")).exits(0).json()["metadata"]["hardnet"].clone();
    folder.run("convert small.safetensors kept.safetensors").exits(0);
    let kept = metadata("kept.safetensors");
    assert_eq!((&kept["labels"][1], &kept["pipeline"]["crop"]), (&"shoe".into(), &24.into()));
    let flags = "--labels names.txt --pipeline pil-bicubic --dtype f16";
    folder.run(&format!("convert small.safetensors named.safetensors {flags}")).exits(0);
    let named = metadata("named.safetensors");
    assert_eq!(named["labels"], serde_json::json!(["red", "green", "blue"]));
    assert_eq!(named["pipeline"], "pil-bicubic");
    folder.run("convert small.safetensors x.safetensors --img-size 48").exits(0);
    assert_eq!(metadata("x.safetensors")["pipeline"]["resize"], 64);
    let refused = |flags: &str| folder.run(&format!("convert small.safetensors y.safetensors {flags}")).exits(2);
    refused("--labels two.txt").says("2 class names for a network of 3 classes").says("hint: ");
    refused("--labels gap.txt").says("line 2 of `gap.txt` is empty");
    refused("--dtype f64").says("expected f32, f16 or bf16");
    refused("--license mit").says("--hub-layout");
}

#[test]
fn every_format_is_evaluated_as_it_is_and_converted() {
    let folder = Folder::new();
    folder.write("a.png", png(40, 30, |x, y, c| (x * 5 + y * 3) as u8 ^ (c as u8 * 70)));
    let logits = |weights: &str| {
        let run = folder.run(&format!("predict --weights {weights} --pipeline pil-bilinear --logits a.png")).exits(0);
        run.json()["logits"].clone()
    };
    let expected = logits(&real("dense.legacy.pth"));
    assert_eq!(expected.as_array().unwrap().len(), 3);
    for name in
        ["dense.zip.pth", "dense.checkpoint.pth.tar", "dense.paddleclas.p4.pdparams", "dense.notebook.p3.pdparams"]
    {
        assert_eq!(logits(&real(name)), expected, "{name}");
        let run = folder.run(&format!("convert --force {} out.safetensors", real(name))).exits(0);
        if name.contains("checkpoint") {
            run.says("from `state_dict`, pytorch names");
        }
        assert_eq!(logits("out.safetensors"), expected, "{name}");
    }
}

#[test]
fn a_hub_folder_has_weights_configuration_and_card() {
    let folder = Folder::new();
    folder.hardnet39ds();
    let flags = "--license MIT --top1 72.08 --source https://example.org/weights";
    let run = folder.run(&format!("convert hardnet39ds.safetensors --hub-layout hub {flags}")).exits(0);
    assert_eq!(run.stdout, "hub/model.safetensors\nhub/config.json\nhub/README.md\n");
    let config: serde_json::Value = serde_json::from_slice(&fs::read(folder.path("hub/config.json")).unwrap()).unwrap();
    assert_eq!((&config["architecture"], &config["num_features"]), (&"hardnet39ds".into(), &1024.into()));
    let pretrained = &config["pretrained_cfg"];
    assert_eq!((&pretrained["classifier"], &pretrained["pool_size"][0]), (&"base.14.3".into(), &7.into()));
    assert_eq!((&pretrained["crop_pct"], &pretrained["mean"][0]), (&0.875.into(), &0.485.into()));
    let card = fs::read_to_string(folder.path("hub/README.md")).unwrap();
    let digest = folder.run("inspect --json hardnet39ds.safetensors").exits(0).json()["sha256"].clone();
    for part in ["license: mit\n", "| top-1 | 72.08 % |", "https://example.org/weights", digest.as_str().unwrap()] {
        assert!(card.contains(part), "{part} in {card}");
    }
    assert!(!card.contains("top-5"), "{card}");
    folder.run("predict --weights hub/model.safetensors nothing.png").exits(2).says("nothing.png");
    folder
        .run("convert hardnet39ds.safetensors --hub-layout hub")
        .exits(2)
        .says("`hub/model.safetensors` already exists");
    folder.run("convert hardnet39ds.safetensors --hub-layout new --license a:b").exits(2).says("expected a short name");
}

#[test]
fn a_hub_folder_says_nothing_of_preprocessing_that_is_not_known() {
    let folder = Folder::new();
    folder.write("own.safetensors", weights(&small(), Some(&notebook_metadata().1.replace("top_left", "symmetric"))));
    let read = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
    folder.run("convert own.safetensors --hub-layout hub").exits(0);
    let config: serde_json::Value = serde_json::from_str(&read("hub/config.json")).unwrap();
    assert_eq!((&config["pretrained_cfg"]["num_classes"], config["pretrained_cfg"].get("mean")), (&3.into(), None));
    assert!(read("hub/README.md").contains("| preprocessing | not stated |"));
    folder.run("convert own.safetensors --hub-layout hub --force --pipeline pil-bicubic").exits(0);
    let config: serde_json::Value = serde_json::from_str(&read("hub/config.json")).unwrap();
    assert_eq!(config["pretrained_cfg"]["interpolation"], "bicubic");
    assert!(read("hub/README.md").contains("| preprocessing | pil-bicubic: "));
}

#[test]
fn inspect_says_why_convert_refuses() {
    let folder = Folder::new();
    let mut bytes = weights(&small(), None);
    // The last value of the last tensor of a file without metadata.
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    folder.write("nan.safetensors", &bytes);
    folder
        .run("convert nan.safetensors out.safetensors")
        .exits(2)
        .says("1 not finite (")
        .says("hint: `hardnet inspect");
    assert!(!folder.path("out.safetensors").exists());
    let json = folder.run("inspect --json nan.safetensors").exits(0).json();
    assert_eq!(json["usable"], false);
    assert_eq!(json["differences"]["not_finite"].as_array().unwrap().len(), 1);
    let run = folder.run("inspect nan.safetensors").exits(0);
    assert!(run.stdout.contains("1 not finite ("), "{run:?}");

    folder.write("whole.pth", b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R.");
    let run = folder.run("inspect whole.pth").exits(2).says("global `os system` at offset 2 is refused");
    assert!(run.stdout.contains("sha256    ") && run.stdout.contains("whole.pth, 23 bytes"), "{run:?}");
}

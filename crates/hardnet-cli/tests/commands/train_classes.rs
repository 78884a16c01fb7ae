//! Classes of `hardnet train`: their names, their order and their weights.

use std::fs;

use super::support::Folder;
use super::train::{bytes, last_line, ready};

/// Class folders define the classes and their names. A head for other classes is replaced, with a warning.
#[test]
fn classes_come_from_the_images() {
    let folder = ready();
    for class in ["ant", "bee", "cat", "dog"] {
        folder.pictures(&format!("animals/{class}"), 2);
    }
    let run = folder
        .run("train -o run --weights small.safetensors --data-dir animals --epochs 1 -b 4 --threads 1 -j 1 --freeze-until 3")
        .exits(0)
        .says("warning: no validation set; pass --val-dir or --hold-out")
        .says("warning: the head of `small.safetensors` has 3 classes; replacing it with a random one for 4")
        .says("first 3 modules frozen");
    assert_eq!(last_line(&run), "run/last.safetensors");
    let predicted = folder.run("predict --weights run/last.safetensors images/0.png").exits(0);
    assert!(["ant", "bee", "cat", "dog"].iter().all(|name| predicted.stdout.contains(name)), "{predicted:?}");
}

/// The class names in the metadata of a weights file.
fn class_names(folder: &Folder, file: &str) -> Vec<String> {
    let file = hardnet_model::WeightsFile::open(folder.path(file)).unwrap();
    file.metadata().unwrap().labels.clone().unwrap()
}

const FOLDERS: &str = "train -o run --weights small.safetensors --epochs 1 -b 4 --threads 1 -j 1";

/// Folders are classes in the order of their names as text, whatever they are called, and evaluation agrees by name.
#[test]
fn classes_are_named_after_folders() {
    for names in [&["1", "2", "3"][..], &["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"]] {
        let folder = ready();
        for name in names {
            folder.pictures(&format!("train/{name}"), 2);
        }
        // Evaluated in part, where folders cannot be told by their number.
        folder.pictures(&format!("val/{}", names[2]), 3);
        folder.run(&format!("{FOLDERS} --data-dir train --val-dir val")).exits(0).says("3 validation images");
        assert_eq!(class_names(&folder, "run/last.safetensors"), names);
        let settings: serde_json::Value = serde_json::from_slice(&bytes(&folder, "run/run.json")).unwrap();
        assert_eq!(settings["metadata"]["labels"], serde_json::json!(names));
        let eval = "eval --weights run/last.safetensors --data-dir val --predictions predictions.jsonl";
        folder.run(eval).exits(0).says(&format!("class names, 1 of {} classes", names.len()));
        let predictions = fs::read_to_string(folder.path("predictions.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(predictions.lines().next().unwrap()).unwrap();
        assert_eq!(line["label"], 2);
        folder.run("train --resume run --threads 1").exits(0).says("resumed after 1 epoch");
    }
}

/// Weights that name exactly these classes keep their order, so that their head fits.
#[test]
fn classes_of_the_weights_keep_their_order() {
    let folder = ready();
    for name in ["bag", "shirt", "shoe"] {
        folder.pictures(&format!("same/{name}"), 2);
        folder.pictures(&format!("other/{name}s"), 2);
    }
    folder.run(&format!("{FOLDERS} --data-dir same")).exits(0).says("labels: class names, 3 of 3 classes");
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["shirt", "shoe", "bag"]);
    folder
        .run(&format!("{FOLDERS} --data-dir other --force"))
        .exits(0)
        .says("starts from the head of `small.safetensors`, whose classes have other names");
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["bags", "shirts", "shoes"]);
    // With names of one's own, folders are found again by theirs.
    folder.write("names.txt", "x\ny\nz\n");
    let named = FOLDERS.replace("--epochs 1", "--epochs 2 --stop-after 1");
    folder.run(&format!("{named} --data-dir other --force --labels names.txt")).exits(0);
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["x", "y", "z"]);
    folder.run("train --resume run --threads 1").exits(0).says("labels: class names, 3 of 3 classes");
}

/// A class map gives the classes their order and their first names, and may merge labels.
#[test]
fn a_class_map_says_what_labels_mean() {
    let folder = ready();
    for name in ["train/a", "train/b", "train/c", "val/c"] {
        folder.pictures(name, 2);
    }
    folder.write("map.csv", "label,index\r\nb,0\r\na,1\r\nc,1\r\n");
    let start = FOLDERS.replace("--epochs 1", "--epochs 2 --stop-after 1");
    let train = format!("{start} --data-dir train --val-dir val --class-map map.csv");
    folder.run(&train).exits(0).says("2 of 2 classes").says("1 of 2 classes");
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["b", "a"]);
    folder.run("train --resume run --threads 1").exits(0).says("labels: class map `");
    let eval = "eval --weights run/last.safetensors --class-map map.csv --data-dir val --predictions p.jsonl";
    folder.run(eval).exits(0);
    assert!(fs::read_to_string(folder.path("p.jsonl")).unwrap().lines().all(|line| line.contains("\"label\":1,")));
}

#[test]
fn validation_folders_are_those_of_training() {
    let folder = ready();
    for name in ["train/cat", "train/dog", "train/fox", "val/bird", "val/cat", "val/dog"] {
        folder.pictures(name, 2);
    }
    let run = folder.run(&format!("{FOLDERS} --data-dir train --val-dir val")).exits(2);
    run.says("`bird`").says("`fox`");
    assert!(!folder.path("run").exists());
    fs::remove_dir_all(folder.path("val/bird")).unwrap();
    folder.run(&format!("{FOLDERS} --data-dir train --val-dir val")).exits(0).says("class names, 2 of 3 classes");
}

#[test]
fn folders_of_systems_are_not_classes() {
    let folder = ready();
    for name in ["train/cat", "train/dog"] {
        folder.pictures(name, 3);
    }
    folder.write("train/__MACOSX/cat/._0.png", [0, 5, 22, 7]);
    folder.write("train/@eaDir/cat/0.png", "thumbnail");
    fs::create_dir(folder.path("train/lost+found")).unwrap();
    folder.write("train/Thumbs.db", "thumbnails");
    folder.run(&format!("{FOLDERS} --data-dir train")).exits(0).says("6 training images");
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["cat", "dog"]);
}

/// Uneven classes are noted unless something is done about them, which is stored and shown.
#[test]
fn uneven_classes_are_weighted_or_drawn_alike() {
    let folder = ready();
    folder.pictures("train/cat", 10);
    folder.pictures("train/dog", 2);
    folder.pictures("train/fox", 4);
    let note = "the classes are uneven, from 2 images of `dog` to 10 of `cat`";
    let train = format!("{FOLDERS} --data-dir train --force");
    folder.run(&train).exits(0).says(note).says("--class-weights balanced or --sampler balanced");
    folder.write("weights.csv", "name,weight\nfox,1.5\ndog,4\ncat,0.5\n");
    let balanced = serde_json::json!("balanced");
    let file = serde_json::json!({"values": [0.5, 4.0, 1.5]});
    for (flags, shown, stored) in [
        ("--class-weights balanced", ", balanced class weights", ("class_weights", &balanced)),
        ("--class-weights weights.csv", ", class weights 0.5 to 4", ("class_weights", &file)),
        ("--sampler balanced", ", balanced sampler", ("sampler", &balanced)),
    ] {
        let run = folder.run(&format!("{train} {flags}")).exits(0).says(shown);
        assert!(!run.stderr.contains("uneven"), "{run:?}");
        let settings: serde_json::Value = serde_json::from_slice(&bytes(&folder, "run/run.json")).unwrap();
        assert_eq!(&settings["recipe"][stored.0], stored.1);
    }
    folder.write("weights.csv", "fox,1.5\ndog,4\n");
    folder
        .run(&format!("{train} --class-weights weights.csv"))
        .exits(2)
        .says("`weights.csv` has no weight for the class `cat`");
    folder
        .run(&format!("{train} --class-weights absent.csv"))
        .exits(2)
        .says("cannot read `absent.csv`")
        .says("hint: pass balanced, or a file");
}

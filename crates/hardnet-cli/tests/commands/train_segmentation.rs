//! `hardnet train` of segmentation networks.

use std::collections::HashMap;
use std::fs;

use hardnet_checkpoint::Checkpoint;
use hardnet_data::encode_png;
use hardnet_graph::Graph;
use hardnet_segmentation::{cityscapes, scenes};
use serde_json::Value;

use super::segment::{draw_scenes, small_config};
use super::support::{Folder, weights};

const TRAIN: &str = "train -o run --model net.toml --labels names.txt --images images --masks masks --hold-out 3 \
                     --epochs 2 -b 3 --crop-size 48x40 --threads 1 -j 1";

/// Twelve scenes with masks, the description of a small network, and names of its classes.
fn ready() -> Folder {
    let folder = Folder::new();
    draw_scenes(&folder, 12);
    folder.write("net.toml", small_config().to_toml());
    folder.write("names.txt", scenes::CLASSES.join("\n"));
    folder
}

/// The tensors of a weights file by name.
fn tensors(folder: &Folder, file: &str) -> HashMap<String, Vec<u8>> {
    let checkpoint = Checkpoint::open(folder.path(file)).unwrap();
    let tensors = checkpoint.tensors().iter().enumerate();
    tensors.map(|(index, tensor)| (tensor.name.clone(), checkpoint.read(index).unwrap().to_vec())).collect()
}

fn bytes(folder: &Folder, file: &str) -> Vec<u8> {
    fs::read(folder.path(file)).unwrap()
}

/// A run, stopped in its middle and resumed, is the run that was not stopped; what it writes, eval and segment take.
#[test]
fn a_run_is_resumed_and_its_weights_are_used() {
    let folder = ready();
    let run = folder
        .run(TRAIN)
        .exits(0)
        .says("holding out 3 of 12 training images for validation")
        .says("recipe fchardnet: 2 epochs, batch size 3, SGD, momentum 0.9, weight decay 0.0005 on all parameters")
        .says("learning rate 0.02, falling with the remaining share of the run to the power of 0.9, updated each batch")
        .says("images: crops of 48x40, scaled by 0.5 to 2, horizontal flips with probability 0.5; loss of the pixels");
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("epoch 1/2  ") && lines[0].contains("validation mIoU"), "{lines:?}");

    let halves = TRAIN.replace("-o run", "-o halves");
    folder.run(&format!("{halves} --stop-after 1")).exits(0).says("resume with: hardnet train --resume halves");
    folder.run("train --resume halves --threads 1 -j 0").exits(0).says("resumed after 1 epoch");
    for file in ["last.safetensors", "best.safetensors"] {
        assert!(bytes(&folder, &format!("run/{file}")) == bytes(&folder, &format!("halves/{file}")), "{file}");
    }

    let metrics = fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
    let metrics: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let best = metrics.iter().rfind(|epoch| epoch["best"] == true).unwrap();
    assert_eq!((&best["validation"], best["segmentation"]["iou"].as_array().map(Vec::len)), (&Value::Null, Some(5)));
    // The held-out images again, by the other command.
    for name in fs::read_to_string(folder.path("run/val-images.txt")).unwrap().lines() {
        let (image, mask) = name.split_once('\t').unwrap();
        folder.write(&format!("val/images/{image}"), bytes(&folder, &format!("images/{image}")));
        folder.write(&format!("val/masks/{mask}"), bytes(&folder, &format!("masks/{mask}")));
    }
    let weights = "--weights run/best.safetensors";
    let report = folder.run(&format!("eval {weights} --images val/images --masks val/masks --json")).exits(0).json();
    let (found, expected) = (report["mean_iou"].as_f64(), best["segmentation"]["mean_iou"].as_f64());
    assert!((100.0 * found.unwrap() - expected.unwrap()).abs() < 1e-5, "{found:?} {expected:?}");
    assert_eq!(report["classes"][2]["name"], "disk");
    folder.run(&format!("segment {weights} -o out images/0.png")).exits(0);
    assert!(folder.path("out/0.png").is_file());
}

#[test]
fn lists_cityscapes_and_encoders_are_taken() {
    let folder = ready();
    folder.write("train.txt", (0..8).map(|i| format!("images/{i}.png masks/{i}.png\n")).collect::<String>());
    folder.write("val.txt", "images/9.png\tmasks/9.png\n");
    let lists = "train -o listed --model net.toml --data-dir . --train-list train.txt --val-list val.txt --epochs 1 \
                 -b 4 --crop-size 48x40 --threads 1 --loss cross-entropy --color 0.3 --lr 0.01 --pipeline paddleseg";
    folder.run(lists).exits(0).says("8 training images, 1 validation images").says("loss of all pixels");
    let settings: Value = serde_json::from_slice(&bytes(&folder, "listed/run.json")).unwrap();
    assert_eq!(settings["protocol"]["convention"], "paddleseg");
    assert_eq!(settings["recipe"]["segmentation"]["loss"]["kind"], "cross_entropy");

    for (index, split) in (0..6).zip(["train", "train", "train", "train", "val", "val"]) {
        let (scene, base) = (scenes::draw(1, index, 64, 48), format!("{split}/ulm/ulm_{index}"));
        folder.write(&format!("city/leftImg8bit/{base}_leftImg8bit.png"), encode_png(&scene.image).unwrap());
        let mask = scene.mask.renumbered(&cityscapes::LABEL_IDS);
        folder.write(&format!("city/gtFine/{base}_gtFine_labelIds.png"), mask.encode_png());
    }
    // The encoder of the listed run under a decoder of other classes.
    let city = "train -o city-run --model net.toml --weights listed/last.safetensors --num-classes 19 --data-dir city \
                --epochs 1 -b 2 --crop-size 48x40 --input-size image --threads 1";
    folder
        .run(city)
        .exits(0)
        .says("4 training images, 2 validation images")
        .says("the last layer of `listed/last.safetensors` has 5 classes; replacing it with a random one for 19");
}

/// The encoder of a classifier's or a backbone's file is taken where names and shapes agree; the rest is random.
#[test]
fn an_encoder_is_taken_from_weights_without_a_decoder() {
    let folder = ready();
    let encoder = small_config().without_head();
    folder.write("encoder.safetensors", weights(&encoder, None));
    let taken = Graph::new(&encoder).unwrap().params().len();
    let all = Graph::new(&small_config()).unwrap().params().len();
    let command = TRAIN.replace("--epochs 2", "--epochs 1 --lr 1e-30 --weight-decay 0 --weights encoder.safetensors");
    let said = format!("{taken} of {all} parameters are those of `encoder.safetensors`, the others are random");
    folder.run(&command).exits(0).says(&said);
    // At such a learning rate, the weights of the run are those that it began with.
    let [run, own] = ["run/last.safetensors", "encoder.safetensors"].map(|file| tensors(&folder, file));
    for (name, values) in own.iter().filter(|(name, _)| name.ends_with("conv.weight")) {
        assert_eq!(run.get(name), Some(values), "{name}");
    }

    folder.hardnet39ds();
    let other = command.replace("encoder.safetensors", "hardnet39ds.safetensors");
    folder.run(&other).exits(2).says("hardnet39ds.safetensors");
}

/// The network and the settings of the demonstration in docs/segmentation.md, on fewer scenes and for fewer epochs.
#[test]
fn the_demonstration_learns() {
    let folder = Folder::new();
    for (part, seed, count) in [("train", 1, 120), ("val", 2, 20)] {
        for index in 0..count {
            let scene = scenes::draw(seed, index, 192, 128);
            folder.write(&format!("{part}/images/{index:05}.png"), encode_png(&scene.image).unwrap());
            folder.write(&format!("{part}/masks/{index:05}.png"), scene.mask.encode_png());
        }
    }
    folder.write("names.txt", scenes::CLASSES.join("\n"));
    folder.write("scenes.toml", include_str!("../../../../examples/scenes.toml"));
    folder
        .run(
            "train -o run --model scenes.toml --labels names.txt --images train/images --masks train/masks \
             --val-images val/images --val-masks val/masks --epochs 3 -b 4 --crop-size 96x64 --lr 0.05 \
             --random-scale 0.45,0.6 --input-size 96x64 --loss cross-entropy --threads 1",
        )
        .exits(0);
    let report =
        folder.run("eval --weights run/best.safetensors --images val/images --masks val/masks --json").exits(0).json();
    let iou = |class: usize| report["classes"][class]["iou"].as_f64().unwrap();
    // Sky and ground are most of a scene; the shapes take longer.
    assert!(iou(0) > 0.8 && iou(1) > 0.75 && report["mean_iou"].as_f64().unwrap() > 0.38, "{report}");
    let quantized = "quantize run/best.safetensors q.safetensors --images val/images --json";
    let pixels = &folder.run(quantized).exits(0).json()["pixels"];
    let count = |field: &str| pixels[field].as_f64().unwrap();
    assert!(count("same_class") > 0.99 * count("pixels"), "{pixels}");
    let integers = "eval --weights q.safetensors --images val/images --masks val/masks --json";
    let integers = folder.run(integers).exits(0).json()["mean_iou"].as_f64().unwrap();
    assert!(integers > report["mean_iou"].as_f64().unwrap() - 0.01, "{integers} in 8-bit integers, {report}");
    let json = folder.run("export q.safetensors q.onnx --int8 qdq --json").exits(0).json();
    assert_eq!(json["outputs"][0], "logits: f32[1, 5, 64, 96]");
    folder.run("segment --weights run/best.safetensors -o masks --format overlay val/images").exits(0);
    assert!(folder.path("masks/00019_overlay.png").is_file());
}

#[test]
fn what_does_not_fit_is_said_before_training() {
    let folder = ready();
    let changed = |from: &str, to: &str| TRAIN.replace(from, to);
    for (command, message) in [
        (changed("--masks masks", ""), "--images requires --masks"),
        (changed("--model net.toml", "--model hardnet39ds"), "--images is for segmentation networks"),
        (changed("--hold-out 3", "--hold-out 12"), "--hold-out 12 leaves none of the 12 images for training"),
        (changed("48x40", "3x3"), "input of 3x3 pixels is too small"),
        (changed("48x40", "image"), "--crop-size is `image`, expected WIDTHxHEIGHT"),
        (changed("--images images --masks masks", "--data-dir images"), "does not have the folders `leftImg8bit`"),
        (format!("{TRAIN} --sampler balanced"), "`sampler` is balanced, expected shuffled for a segmentation network"),
        (format!("{TRAIN} --loss cross-entropy --hard-pixels 5"), "--hard-pixels and --hard-loss require"),
        (format!("{TRAIN} --crop none"), "--crop, --crop-scale and --crop-ratio are for classifiers"),
        (format!("{TRAIN} --img-size 32"), "--img-size is for classifiers"),
        (format!("{TRAIN} --num-classes 4"), "5 class names for a network of 4 classes"),
    ] {
        folder.run(&command).exits(2).says(message);
        assert!(!folder.path("run/state.safetensors").exists(), "{command}");
    }
    folder.write("bad.txt", "images/0.png\n");
    let list = "train -o run --model net.toml --data-dir . --train-list bad.txt";
    folder.run(list).exits(2).says("line 1 of").says("expected an image and a mask with a tab or one space");
}

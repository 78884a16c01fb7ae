//! `hardnet eval` of segmentation networks.

use hardnet_data::encode_png;
use hardnet_segmentation::{Confusion, Mask, Segmenter, cityscapes, scenes};
use serde_json::Value;

use super::merge::{read, save};
use super::segment::{draw_scenes, scenes_weights};
use super::support::Folder;

const EVAL: &str = "eval --weights scenes.safetensors --images images --masks masks";

fn ready(count: u32) -> Folder {
    let folder = Folder::new();
    scenes_weights(&folder);
    draw_scenes(&folder, count);
    folder
}

/// The counts of the library for the scenes.
fn expected(folder: &Folder, count: u32) -> Confusion {
    let segmenter = Segmenter::load(folder.path("scenes.safetensors")).unwrap();
    let mut confusion = Confusion::new(scenes::CLASSES.len());
    for index in 0..count {
        let scene = scenes::draw(1, index, 48 + 5 * index as usize, 40);
        confusion.add(&scene.mask, &segmenter.segment(&scene.image).unwrap().mask).unwrap();
    }
    confusion
}

#[test]
fn figures_are_those_of_the_library() {
    let folder = ready(4);
    let report = folder.run(&format!("{EVAL} --json --predictions p.jsonl --per-class c.csv")).exits(0).json();
    let confusion = expected(&folder, 4);
    let figures = confusion.figures();
    for (name, value) in [
        ("mean_iou", figures.mean_iou),
        ("pixel_accuracy", figures.pixel_accuracy),
        ("mean_accuracy", figures.mean_accuracy),
        ("frequency_weighted_iou", figures.frequency_weighted_iou),
    ] {
        assert!((report[name].as_f64().unwrap() - value).abs() < 1e-15, "{name}");
    }
    let rows: Vec<Vec<u64>> = serde_json::from_value(report["confusion"].clone()).unwrap();
    assert_eq!(rows, confusion.rows().map(<[u64]>::to_vec).collect::<Vec<_>>());
    assert_eq!((report["task"].as_str(), report["pixels"].as_u64()), (Some("segmentation"), Some(confusion.total())));
    let names: Vec<_> = report["classes"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, scenes::CLASSES);
    let lines = std::fs::read_to_string(folder.path("p.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.iter().map(|line| line["file"].as_str().unwrap()).collect::<Vec<_>>(),
        ["0.png", "1.png", "2.png", "3.png"]
    );
    assert_eq!(lines.iter().map(|line| line["correct"].as_u64().unwrap()).sum::<u64>(), confusion.correct());
    let table = std::fs::read_to_string(folder.path("c.csv")).unwrap();
    assert!(table.starts_with("class,name,iou_percent,accuracy_percent,pixels,predicted_pixels\n0,sky,"), "{table}");
    let text = folder.run(EVAL).exits(0).stdout;
    assert!(text.starts_with(&format!("mean IoU            {:.2} %", 100.0 * figures.mean_iou)), "{text}");
}

#[test]
fn cityscapes_folders_are_found_with_label_ids_and_train_ids() {
    let folder = Folder::new();
    let config = super::segment::small_config().with_classes(19);
    folder.write(
        "city.safetensors",
        super::support::weights(
            &config,
            Some(&serde_json::to_string(&hardnet_model::Metadata::new(config.clone())).unwrap()),
        ),
    );
    for (city, kind) in [("ulm", "labelIds"), ("bonn", "labelTrainIds")] {
        let scene = scenes::draw(1, 2, 64, 48);
        let mask = if kind == "labelIds" { scene.mask.renumbered(&cityscapes::LABEL_IDS) } else { scene.mask.clone() };
        let base = format!("{city}/{city}_000000_000019");
        folder.write(&format!("root/leftImg8bit/val/{base}_leftImg8bit.png"), encode_png(&scene.image).unwrap());
        folder.write(&format!("root/gtFine/val/{base}_gtFine_{kind}.png"), mask.encode_png());
    }
    let run = "eval --weights city.safetensors --data-dir root --json --input-size 64x48";
    let report = folder.run(run).exits(0).json();
    // Both images are the same, and so are their masks.
    let rows: Vec<Vec<u64>> = serde_json::from_value(report["confusion"].clone()).unwrap();
    assert!(rows.iter().flatten().all(|pixels| pixels % 2 == 0));
    assert_eq!((report["data"]["split"].as_str(), report["data"]["images"].as_u64()), (Some("val"), Some(2)));
    assert_eq!(report["preprocessing"]["name"], Value::Null, "the size is another");
    for index in 0..2 {
        let run = folder.run(&format!("{run} --shard {index}/2")).exits(0);
        assert_ne!(run.json()["confusion"], report["confusion"]);
        save(&folder, &run, &format!("r{index}.json"));
    }
    folder.run("merge r0.json r1.json -o merged.json").exits(0);
    let merged: Value = serde_json::from_str(&read(&folder, "merged.json")).unwrap();
    assert_eq!((&merged["confusion"], &merged["mean_iou"]), (&report["confusion"], &report["mean_iou"]));
    folder.run(&format!("{run} --split train")).exits(2);
    folder.run("eval --weights city.safetensors --data-dir .").exits(2).says("does not have the folders `leftImg8bit`");
    scenes_weights(&folder);
    folder.run("eval --weights scenes.safetensors --data-dir root").exits(2).says("the network has 5");
}

#[test]
fn the_page_shows_the_worst_images_and_escapes_names() {
    let folder = ready(3);
    folder.run(&format!("{EVAL} --report out")).exits(0);
    let page = std::fs::read_to_string(folder.path("out/index.html")).unwrap();
    for text in ["Mean IoU", "IoU by class", "Most confused", "Lowest mean IoU", "triangle", "prediction", "truth"] {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("data:image/png").count(), 9);
    folder.run(&format!("{EVAL} --report out")).exits(2).says("already exists");
}

#[test]
fn masks_that_do_not_fit_cost_only_their_images() {
    let folder = ready(4);
    folder.write("masks/0.png", Mask::new(3, 3, vec![0; 9]).unwrap().encode_png());
    folder.write("masks/1.png", Mask::new(53, 40, vec![7; 53 * 40]).unwrap().encode_png());
    let run = folder.run(&format!("{EVAL} --json")).exits(2).says("2 images could not be read, 0 allowed");
    assert!(run.stderr.contains("the mask has 3x3 pixels, its image 48x40"), "{}", run.stderr);
    assert!(run.stderr.contains("the label 7 in column 0, row 0 is not a class"), "{}", run.stderr);
    assert_eq!((run.json()["errors"].as_u64(), run.json()["data"]["images"].as_u64()), (Some(2), Some(4)));
    folder.run(&format!("{EVAL} --allow-errors 1 --ignore-labels 7")).exits(0);
    folder.write("images/extra.png", "");
    folder.run(EVAL).exits(2).says("extra.png` has no mask");
}

#[test]
fn options_are_checked_and_a_least_figure_decides_the_exit_code() {
    let folder = ready(1);
    folder.small_weights();
    folder.run(&format!("{EVAL} --min-miou 100")).exits(1).says("below --min-miou 100");
    folder.run(&format!("{EVAL} --min-miou 0")).exits(0);
    folder.run(&format!("{EVAL} --val-list l.txt")).exits(2).says("--val-list is for classifiers");
    folder.run(&format!("{EVAL} --img-size 32")).exits(2).says("--img-size is for classifiers");
    folder.run(&format!("{EVAL} --pipeline pil-bilinear")).exits(2).says("unknown preprocessing `pil-bilinear`");
    folder.run(&format!("{EVAL} --pipeline fchardnet --input-size 64x48 --flip --scales 1,1.25")).exits(0);
    folder.run("eval --weights scenes.safetensors").exits(2).says("--masks FOLDER");
    folder.run("eval --weights small.safetensors --data-dir images --flip").exits(2).says("for segmentation networks");
    folder.run("eval --weights small.safetensors --images images --masks masks").exits(2).says("--images is for");
}

#[test]
fn masks_of_colors_are_read_by_a_table() {
    let folder = ready(2);
    for index in 0..2 {
        let mask = scenes::draw(1, index, 48 + 5 * index as usize, 40).mask;
        let colors =
            mask.labels().iter().flat_map(|&label| if label == 255 { [9; 3] } else { [label, 100, 7] }).collect();
        let image = hardnet_data::Image::from_rgb8(mask.width(), mask.height(), colors).unwrap();
        folder.write(&format!("masks/{index}.png"), encode_png(&image).unwrap());
    }
    folder.run(EVAL).exits(2).says("the mask has colors");
    let lines: String =
        scenes::CLASSES.iter().enumerate().map(|(class, name)| format!("{class} 100 7 {name}\n")).collect();
    folder.write("colors.txt", lines.clone() + "9 9 9 ignored\n");
    let report = folder.run(&format!("{EVAL} --mask-colors colors.txt --json")).exits(0).json();
    assert_eq!(report["correct"].as_u64(), Some(expected(&folder, 2).correct()));
    folder.write("colors.txt", lines);
    folder.run(&format!("{EVAL} --mask-colors colors.txt")).exits(2).says("the color 9,9,9 in column");
}

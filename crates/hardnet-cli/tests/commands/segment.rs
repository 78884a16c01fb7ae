//! `hardnet segment`.

use std::path::Path;

use hardnet_data::encode_png;
use hardnet_model::{Config, Metadata};
use hardnet_segmentation::{LabelTable, Mask, MaskReader, Palette, Segmenter, overlay, scenes};
use serde_json::Value;

use super::support::{Folder, weights};

const SEGMENT: &str = "segment --weights scenes.safetensors";

/// A small segmentation network for scenes.
pub(crate) fn small_config() -> Config {
    let mut config = Config::from(hardnet_graph::SegmentationVariant::FcHarDNet70).with_classes(scenes::CLASSES.len());
    config.blocks.truncate(2);
    config
}

/// Its untrained weights, `scenes.safetensors`, with names and preprocessing.
pub(crate) fn scenes_weights(folder: &Folder) {
    let mut metadata = Metadata::new(small_config());
    metadata.labels = Some(scenes::CLASSES.map(String::from).to_vec());
    metadata.pipeline = Some("paddleseg".into());
    let metadata = serde_json::to_string(&metadata).unwrap();
    folder.write("scenes.safetensors", weights(&small_config(), Some(&metadata)));
}

/// Scenes `0.png`, `1.png`, ... of growing width in the folder `images`, and their masks in `masks`.
pub(crate) fn draw_scenes(folder: &Folder, count: u32) {
    for index in 0..count {
        let scene = scenes::draw(1, index, 48 + 5 * index as usize, 40);
        folder.write(&format!("images/{index}.png"), encode_png(&scene.image).unwrap());
        folder.write(&format!("masks/{index}.png"), scene.mask.encode_png());
    }
}

fn ready(count: u32) -> Folder {
    let folder = Folder::new();
    scenes_weights(&folder);
    draw_scenes(&folder, count);
    folder
}

fn read_mask(path: &Path) -> Mask {
    MaskReader::new(LabelTable::indices(5)).decode(&std::fs::read(path).unwrap()).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn files_and_lines_are_those_of_the_library() {
    let folder = ready(3);
    let run = folder.run(&format!("{SEGMENT} -o out --format overlay,indices,colors images --json")).exits(0);
    let report = run.json();
    assert_eq!((report["segmented"].as_u64(), report["formats"].as_array().map(Vec::len)), (Some(3), Some(3)));
    assert_eq!(report["preprocessing"]["name"], "paddleseg");
    let segmenter = Segmenter::load(folder.path("scenes.safetensors")).unwrap();
    let lines = lines(&folder.path("out/areas.jsonl"));
    assert_eq!(lines.len(), 3);
    for (index, line) in lines.iter().enumerate() {
        let scene = scenes::draw(1, index as u32, 48 + 5 * index, 40);
        let found = segmenter.segment(&scene.image).unwrap();
        for name in ["", "_colors"] {
            assert_eq!(read_mask(&folder.path(&format!("out/{index}{name}.png"))), found.mask);
        }
        let bytes = std::fs::read(folder.path(&format!("out/{index}_overlay.png"))).unwrap();
        let picture = hardnet_data::decode(&bytes, &Default::default()).unwrap().image;
        let palette = Palette::for_names(&scenes::CLASSES);
        assert_eq!(picture, overlay(&found.mask, &scene.image, &palette).unwrap());
        assert_eq!(line["file"], Path::new("images").join(format!("{index}.png")).display().to_string());
        assert_eq!(line["masks"]["overlay"], format!("{index}_overlay.png"));
        let areas = serde_json::to_string(&found.areas()).unwrap();
        assert_eq!(line["areas"], serde_json::from_str::<Value>(&areas).unwrap());
        assert_eq!((line["width"].as_u64(), line["height"].as_u64()), (Some(48 + 5 * index as u64), Some(40)));
    }
}

#[test]
fn folders_below_are_repeated_and_names_must_differ() {
    let folder = ready(2);
    std::fs::create_dir_all(folder.path("photos/a.b/c")).unwrap();
    std::fs::copy(folder.path("images/0.png"), folder.path("photos/a.b/c/x.y.png")).unwrap();
    std::fs::copy(folder.path("images/1.png"), folder.path("photos/z.png")).unwrap();
    folder.run(&format!("{SEGMENT} -o out photos")).exits(0);
    assert!(folder.path("out/a.b/c/x.y.png").is_file() && folder.path("out/z.png").is_file());
    std::fs::copy(folder.path("images/1.png"), folder.path("photos/z.bmp")).unwrap();
    folder.run(&format!("{SEGMENT} -o other photos")).exits(2).says("would have the same output file");
    assert!(!folder.path("other").exists());
}

#[test]
fn a_list_names_images_below_a_folder() {
    let folder = ready(3);
    folder.write("list.txt", "2.png\n0.png\n");
    folder.run(&format!("{SEGMENT} -o out --list list.txt --data-dir images")).exits(0);
    let files: Vec<_> = lines(&folder.path("out/areas.jsonl")).iter().map(|line| line["file"].clone()).collect();
    assert_eq!(files, ["2.png", "0.png"]);
    assert!(folder.path("out/2.png").is_file() && !folder.path("out/1.png").exists());
}

#[test]
fn an_interrupted_run_is_continued_to_the_same_bytes() {
    let folder = ready(4);
    folder.run(&format!("{SEGMENT} -o whole images")).exits(0);
    folder.run(&format!("{SEGMENT} -o out images")).exits(0);
    // As a run leaves it that is killed while it writes its third line.
    let complete = std::fs::read_to_string(folder.path("out/areas.jsonl")).unwrap();
    std::fs::remove_file(folder.path("out/areas.jsonl")).unwrap();
    let two: String = complete.split_inclusive('\n').take(2).collect();
    folder.write("out/areas.jsonl.partial", format!("{}{two}{{\"file\":\"ima", settings(&folder)));
    for name in ["2.png", "3.png"] {
        std::fs::remove_file(folder.path(&format!("out/{name}"))).unwrap();
    }
    folder.run(&format!("{SEGMENT} -o out images --force --flip --resume")).exits(2).says("differs in `preprocessing`");
    folder.run(&format!("{SEGMENT} -o out images")).exits(2).says("0.png` already exists");
    folder.run(&format!("{SEGMENT} -o out images --resume")).exits(0).says("continuing after 2 of 4 images");
    for name in ["areas.jsonl", "0.png", "1.png", "2.png", "3.png"] {
        let read = |run: &str| std::fs::read(folder.path(&format!("{run}/{name}"))).unwrap();
        assert_eq!(read("out"), read("whole"), "{name}");
    }
    assert!(!folder.path("out/areas.jsonl.partial").exists());
}

/// The first line of the partial file of such a run.
fn settings(folder: &Folder) -> String {
    // A folder where the file of the second image should be stops the run after the first.
    std::fs::create_dir_all(folder.path("stopped/1.png")).unwrap();
    folder.run(&format!("{SEGMENT} -o stopped images --resume")).exits(2).says("is a folder");
    let text = std::fs::read_to_string(folder.path("stopped/areas.jsonl.partial")).unwrap();
    text.split_inclusive('\n').next().unwrap().to_owned()
}

#[test]
fn unreadable_images_cost_only_themselves() {
    let folder = ready(3);
    folder.write("images/1.png", "not an image");
    // Too small for the network, which only the network can say.
    folder.write("images/2.png", super::support::png(9, 2, |x, _, _| x as u8));
    let run = folder
        .run(&format!("{SEGMENT} -o out images"))
        .exits(2)
        .says("2 images could not be read, 0 allowed")
        .says("2.png")
        .says("hint: --input-size WIDTHxHEIGHT resizes all images, to at least");
    assert!(run.stdout.contains("masks  1 image in `out`"), "{run:?}");
    assert_eq!(lines(&folder.path("out/areas.jsonl")).len(), 1);
    folder.run(&format!("{SEGMENT} -o out images --force --allow-errors 2")).exits(0);
    folder.run(&format!("{SEGMENT} -o out images --force --allow-errors 1 --input-size 64x48")).exits(0);
}

#[test]
fn options_are_checked() {
    let folder = ready(1);
    folder.small_weights();
    folder.run("segment --weights small.safetensors -o out images").exits(2).says("is not a segmentation network");
    folder.run("predict --weights scenes.safetensors images/0.png").exits(2).says("segments images");
    folder.run(&format!("{SEGMENT} -o out --format label-ids images")).exits(2).says("needs the classes of Cityscapes");
    folder.run(&format!("{SEGMENT} -o out --scales 0 images")).exits(2).says("the scale 0 is not accepted");
    folder.run(&format!("{SEGMENT} -o out --input-size 4 images")).exits(2).says("expected `image` or WIDTHxHEIGHT");
    folder.run(&format!("{SEGMENT} -o out --engine candle images")).exits(2).says("drop --engine candle");
    folder.write("colors.txt", "1 2 3\n");
    folder.run(&format!("{SEGMENT} -o out --colors colors.txt images")).exits(2).says("has no color for class 1");
    folder.run(&format!("{SEGMENT} -o out")).exits(2).says("<IMAGE>");
    folder
        .run(&format!("{SEGMENT} -o out --pipeline fchardnet --input-size 64x48 --flip --scales 1,1.5 images"))
        .exits(0);
}

//! `hardnet eval` with several pipelines in one pass.

use serde_json::{Value, json};

use super::eval::ready;
use super::support::Folder;

const EVAL: &str = "eval --weights small.safetensors --data-dir images --val-list list.txt --img-size 24";

fn lines(folder: &Folder, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.path(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every result and file is that of an evaluation with this pipeline alone.
#[test]
fn several_pipelines_give_what_each_gives_alone() {
    let folder = ready();
    folder.write("images/4.png", b"not a picture at all");
    let names = ["pil-bilinear", "paddleclas", "paddle-cv2"];
    let files = |prefix: &str| format!("--predictions {prefix}.jsonl --per-class {prefix}.csv --report {prefix}");
    let flags = "--json --allow-errors 1";
    let run = folder.run(&format!("{EVAL} {flags} --pipeline {} {}", names.join(","), files("all"))).exits(0);
    // The warning about swapped channels, and the image that cannot be read, are told once.
    assert_eq!(run.stderr.matches("blue, green and red").count(), 1, "{run:#?}");
    assert_eq!(run.stderr.matches("4.png").count(), 1, "{run:#?}");
    let reports = run.json_lines();
    assert_eq!(reports.len(), 3);
    for (name, mut report) in names.into_iter().zip(reports) {
        let mut alone = folder.run(&format!("{EVAL} {flags} --pipeline {name} {}", files(name))).exits(0).json();
        for timed in ["seconds", "images_per_second"] {
            report[timed].take();
            alone[timed].take();
        }
        assert_eq!(report, alone);
        assert_eq!((&report["errors"], &report["top1"]["total"]), (&1.into(), &8.into()));
        assert_eq!(lines(&folder, &format!("all.{name}.jsonl")), lines(&folder, &format!("{name}.jsonl")));
        let table = |path: String| std::fs::read_to_string(folder.path(&path)).unwrap();
        assert_eq!(table(format!("all.{name}.csv")), table(format!("{name}.csv")));
        assert!(table(format!("all/index.{name}.html")).contains("Evaluation"));
    }
    // The pipelines see different pixels.
    assert_ne!(lines(&folder, "pil-bilinear.jsonl")[0]["top"], lines(&folder, "paddleclas.jsonl")[0]["top"]);
    assert!(!folder.path("all.jsonl").exists() && !folder.path("all/index.html").exists());
    let again = format!("{EVAL} --pipeline paddleclas,pil-bicubic --predictions all.jsonl");
    folder.run(&again).exits(2).says("all.paddleclas.jsonl` already exists");
    assert!(!folder.path("all.pil-bicubic.jsonl").exists());
}

#[test]
fn people_get_a_row_for_each_pipeline() {
    let run = ready().run(&format!("{EVAL} --pipeline torchvision,paddleclas")).exits(0);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].starts_with("pipeline ") && lines[0].ends_with(" images"), "{lines:#?}");
    assert!(lines[1].starts_with("torchvision ") && lines[2].starts_with("paddleclas "), "{lines:#?}");
    assert!(lines[1].ends_with(" 9") && lines[3].starts_with("speed "), "{lines:#?}");
    run.says("pipeline: torchvision: resize short side to 27 (bilinear), center crop 24 (--pipeline, --img-size)")
        .says("pipeline: paddleclas: resize short side to 27 (cv2-linear), center crop 24, exif orientation applied");
}

#[test]
fn a_pipeline_of_another_size_than_the_weights_is_told() {
    let eval =
        "eval --weights small.safetensors --data-dir images --val-list list.txt --pipeline torchvision,paddleclas";
    ready().run(eval).exits(0).says("made for images of 24 pixels, not of 224; pass --img-size 24 to keep that size");
}

#[test]
fn every_pipeline_must_reach_the_accuracy_that_is_wanted() {
    let run = ready().run(&format!("{EVAL} --pipeline torchvision,paddleclas --min-top1 100")).exits(1);
    run.says("top-1 by `torchvision` is ").says("top-1 by `paddleclas` is ");
}

#[test]
fn pipelines_that_make_no_sense_together_are_refused() {
    let folder = ready();
    let eval = |flags: &str| folder.run(&format!("{EVAL} {flags}")).exits(2);
    eval("--pipeline paddleclas,paddleclas").says("`--pipeline` names `paddleclas` twice");
    eval("--pipeline torchvision,pil-bilinear").says("names `torchvision` again, as `pil-bilinear`");
    eval("--pipeline paddleclas,pillow")
        .says("possible values: pil-bilinear, torchvision, pil-bicubic, paddleclas, paddle-cv2, published");
    eval("--pipeline paddleclas --crop-mode squash")
        .says("expected center, the only one of the convention `paddleclas`");
    let demo = "eval --num-samples 5 --pipeline";
    folder
        .run(&format!("{demo} published,pil-bilinear"))
        .exits(2)
        .says("different sizes: `in the file` of 64 pixels, `pil-bilinear` of 224")
        .says("hint: pass --img-size");
}

#[test]
fn crop_modes_are_timms() {
    let folder = ready();
    let eval = |flags: &str| folder.run(&format!("{EVAL} --pipeline torchvision {flags} --json")).exits(0);
    let squashed = eval("--crop-mode squash --crop-pct 1 --interpolation bicubic").says(
        "custom: resize both sides to 24 (bicubic), center crop 24 (--pipeline, --img-size, --crop-pct, --crop-mode",
    );
    assert_eq!(squashed.json()["pipeline"]["crop_mode"], "squash");
    eval("--crop-mode border --crop-pct 1").says("resize long side to 24 (bilinear), center crop 24 with borders");
    let centered = eval("--crop-mode center").json();
    assert_eq!(centered["pipeline"]["crop_mode"], Value::Null);
    assert_eq!(centered["loss"], eval("").json()["loss"]);
    assert_ne!(centered["loss"], squashed.json()["loss"]);
    folder.run(&format!("{EVAL} --crop-mode crop")).exits(2).says("possible values: center, squash, border");
}

/// The bundled weights have one published accuracy, by the pipeline in their file, for more images than are bundled.
#[test]
fn published_accuracies_are_measured_again() {
    let folder = Folder::new();
    let run = folder.run("eval --pipeline published --json").exits(0);
    let run = run.says("center crop 64 (published)").says("published for: Fashion-MNIST test, 10,000 images");
    let report = run.json();
    let expected = json!({
        "top1": 93.91, "top5": 99.91, "top1_difference": 0.19, "top5_difference": -0.11,
        "source": "measured by this project, with these weights",
    });
    assert_eq!((&report["top1"]["correct"], &report["published"]), (&941.into(), &json!([expected])));
    let run = folder.run("eval --pipeline published --predictions p.jsonl").exits(0);
    let rows: Vec<Vec<_>> = run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected =
        "in the file 94.10 % 93.91 % +0.19 99.80 % 99.91 % -0.11 1000 measured by this project, with these weights";
    assert_eq!(rows[1].join(" "), expected);
    // One pipeline has the file that was named.
    assert_eq!(lines(&folder, "p.jsonl").len(), 1000);
}

#[test]
fn weights_without_published_accuracies_name_the_remedy() {
    let folder = ready();
    let eval = "eval --weights small.safetensors --data-dir images --val-list list.txt";
    folder
        .run(&format!("{eval} --pipeline published"))
        .exits(2)
        .says("no published accuracies are known of `small.safetensors`")
        .says("hardnet list --weights");
    folder.run("eval --pipeline published --img-size 32").exits(2).says("`--img-size` changes the pipelines");
}

#[test]
fn a_pipeline_of_segmentation_networks_is_not_one_of_classifiers() {
    let folder = ready();
    for command in [EVAL, "predict --weights small.safetensors images"] {
        folder.run(&format!("{command} --pipeline fchardnet")).exits(2).says("fchardnet is for segmentation networks");
    }
}

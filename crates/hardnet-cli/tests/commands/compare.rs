//! `hardnet compare`.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::support::Folder;

/// A line about an image, as version 0.1 wrote it.
fn line(name: &str, label: usize, class: usize) -> String {
    let top = json!([{ "index": class, "name": format!("name {class}"), "probability": 0.75 }]);
    json!({ "path": name, "label": label, "correct": label == class, "top": top }).to_string()
}

/// Predictions of images `0`, `1`, .. of class 0, taken for these classes.
fn predictions(folder: &Folder, name: &str, classes: &[usize]) {
    let lines = classes.iter().enumerate().map(|(image, &class)| line(&image.to_string(), 0, class) + "\n");
    folder.write(name, lines.collect::<String>());
}

fn by_name(folder: &Folder, file: &str) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(folder.path(file)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["path"].as_str().unwrap().to_owned(), line)).collect()
}

/// The demonstration, resized by two filters.
#[test]
fn two_runs_of_the_demonstration_are_compared_image_by_image() {
    let folder = Folder::new();
    for filter in ["bilinear", "cv2-nearest"] {
        folder.run(&format!("eval -q --interpolation {filter} --predictions {filter}.jsonl")).exits(0);
    }
    folder.write("images.tar", hardnet_demo::fashion_mnist::SAMPLE_TAR);
    let run =
        folder.run("compare bilinear.jsonl cv2-nearest.jsonl --json --page flips.html --data-dir images.tar").exits(0);
    let report = run.json();
    let (first, second) = (by_name(&folder, "bilinear.jsonl"), by_name(&folder, "cv2-nearest.jsonl"));
    let is = |line: &Value, field: &str| line[field].as_bool().unwrap();
    let count = |test: &dyn Fn(&Value, &Value) -> bool| {
        first.iter().filter(|(name, first)| test(first, &second[*name])).count()
    };
    let lost = count(&|first, second| is(first, "correct") && !is(second, "correct"));
    let gained = count(&|first, second| !is(first, "correct") && is(second, "correct"));
    let same = count(&|first, second| first["top"][0]["index"] == second["top"][0]["index"]);
    assert!(lost > 3 && gained > 0 && same < 1000, "{lost} {gained} {same}");

    let pair = &report["comparisons"][0];
    assert_eq!((&report["images"], &pair["agreement"]["correct"]), (&1000.into(), &same.into()));
    let top1 = &pair["top1"];
    assert_eq!((&top1["only_reference"], &top1["only_other"]), (&lost.into(), &gained.into()));
    let difference = (gained as f64 - lost as f64) / 10.0;
    assert!((top1["difference"].as_f64().unwrap() - difference).abs() < 1e-9, "{top1}");
    let bound = |place: usize| top1["ci95"][place].as_f64().unwrap();
    assert!(bound(0) < difference && difference < bound(1), "{top1}");
    let p_value = top1["p_value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&p_value), "{top1}");

    // Each change is the two lines of its image, and groups add up.
    let changes = pair["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1000 - same);
    for change in changes {
        let name = change["path"].as_str().unwrap();
        let (first, second) = (&first[name], &second[name]);
        assert_eq!((&change["reference"], &change["other"]), (&first["top"][0], &second["top"][0]));
        let verdict = match (is(first, "correct"), is(second, "correct")) {
            (true, _) => "lost",
            (_, true) => "gained",
            _ => "both wrong",
        };
        assert_eq!((&change["label"], &change["verdict"]), (&first["label"], &verdict.into()), "{change}");
        assert_eq!((&change["width"], &change["height"]), (&28.into(), &28.into()));
    }
    for groups in ["classes", "short_sides", "aspect_ratios"] {
        let sum = |field: &str| -> u64 {
            pair[groups].as_array().unwrap().iter().map(|group| group[field].as_u64().unwrap()).sum()
        };
        let found = ["images", "changed", "only_reference", "only_other"].map(sum);
        assert_eq!(found, [1000, 1000 - same as u64, lost as u64, gained as u64], "{groups}");
    }
    let settings = pair["settings"].as_array().unwrap();
    let interpolation = settings.iter().find(|setting| setting["name"] == "pipeline.interpolation").unwrap();
    assert_eq!((&interpolation["reference"], &interpolation["other"]), (&"bilinear".into(), &"cv2-nearest".into()));
    assert!(settings.iter().all(|setting| setting["name"].as_str().unwrap().starts_with("pipeline.")), "{settings:?}");
    assert_eq!(report["notes"], json!([]));

    // Every image that becomes wrong or right has its picture.
    let page = fs::read_to_string(folder.path("flips.html")).unwrap();
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), lost.min(48) + gained.min(48));
    assert!(!page.contains("class=\"gone\"") && page.contains("cv2-nearest.jsonl against bilinear.jsonl"));
}

#[test]
fn people_get_a_table() {
    let folder = Folder::new();
    predictions(&folder, "a.jsonl", &[0, 0, 0, 0, 1, 2]);
    predictions(&folder, "b.jsonl", &[0, 0, 1, 2, 0, 1]);
    let run = folder.run("compare a.jsonl b.jsonl -n 1").exits(0);
    let expected = "\
6 images

run        top-1  top-5  pipeline
a.jsonl  66.67 %      -  -
b.jsonl  50.00 %      -  -

b.jsonl against a.jsonl
  agreement  33.33 %  (2 of 6 have the same class, 95 % interval 9.68 to 70.00)
  top-1      -16.67 points  (95 % interval -63.02 to +39.76; McNemar's exact test: p = 1.000)
  changes    2 right to wrong, 1 wrong to right, 1 wrong in another way

  class     images  changed      %  lost  gained  net
  0 name 0       6        4  66.67     2       1   -1

  right to wrong, 1 of 2
    2  name 0 75.0 % -> name 1 75.0 %

  wrong to right
    4  name 1 75.0 % -> name 0 75.0 %
";
    assert_eq!(run.stdout, expected, "{}", run.stdout);
    run.says("`a.jsonl` does not say which weights and settings it was made with")
        .says("no file has sizes of images, so differences by size are not known");
    folder.run("compare -q a.jsonl b.jsonl").exits(0);
}

#[test]
fn several_runs_have_a_matrix_and_are_compared_with_the_first() {
    let folder = Folder::new();
    for (name, classes) in [("a", [0, 0, 0, 0]), ("b", [0, 0, 1, 1]), ("c", [0, 2, 1, 2])] {
        predictions(&folder, &format!("{name}.jsonl"), &classes);
    }
    let report = folder.run("compare a.jsonl b.jsonl c.jsonl --json").exits(0).json();
    assert_eq!(report["agreement"], json!([[4, 2, 1], [2, 4, 2], [1, 2, 4]]));
    let lost: Vec<_> =
        report["comparisons"].as_array().unwrap().iter().map(|pair| &pair["top1"]["only_reference"]).collect();
    assert_eq!(lost, [2, 3]);
    let run = folder.run("compare a.jsonl b.jsonl c.jsonl").exits(0);
    for part in ["agreement, %", "2 b.jsonl   50.00  100.00   50.00", "c.jsonl against a.jsonl"] {
        assert!(run.stdout.contains(part), "{part} in {}", run.stdout);
    }
    folder.run("compare a.jsonl b.jsonl c.jsonl --page p.html").exits(0);
    let page = fs::read_to_string(folder.path("p.html")).unwrap();
    assert!(page.contains("2 runs against a.jsonl") && page.contains("<h2 class=\"part\"><bdi>c.jsonl</bdi></h2>"));
}

#[test]
fn a_least_agreement_is_a_check() {
    let folder = Folder::new();
    predictions(&folder, "a.jsonl", &[0, 0, 0, 0]);
    predictions(&folder, "b.jsonl", &[0, 0, 0, 1]);
    folder.run("compare a.jsonl b.jsonl --min-agreement 75").exits(0);
    folder
        .run("compare a.jsonl b.jsonl --min-agreement 76 --json")
        .exits(1)
        .says("`b.jsonl` agrees with `a.jsonl` on 75.00 % of the images, below --min-agreement 76")
        .json();
    folder.run("compare a.jsonl b.jsonl --min-agreement 101").exits(2).says("a percentage from 0 to 100");
}

#[test]
fn files_of_other_images_need_a_flag() {
    let folder = Folder::new();
    predictions(&folder, "a.jsonl", &[0, 0, 0, 0]);
    predictions(&folder, "b.jsonl", &[0, 1]);
    folder
        .run("compare a.jsonl b.jsonl")
        .exits(2)
        .says("`a.jsonl` and `b.jsonl` are of different images: 2 are only in the first, the first is `2`")
        .says("hint: pass --common to compare only images that all files have");
    let run = folder.run("compare a.jsonl b.jsonl --common --json").exits(0);
    assert_eq!(run.json()["images"], 2);
    run.says("2 images of `a.jsonl` left out, which other files do not have");
    folder.write("c.jsonl", line("elsewhere/0", 0, 0));
    folder.run("compare a.jsonl c.jsonl --common").exits(2).says("no image is in all 2 files");
    folder.write("d.jsonl", [line("0", 1, 0), line("1", 0, 1)].join("\n"));
    folder.run("compare b.jsonl d.jsonl").exits(2).says("`0` has label 0 in `b.jsonl` and 1 in `d.jsonl`");
}

#[test]
fn what_is_not_predictions_is_refused() {
    let folder = Folder::new();
    predictions(&folder, "a.jsonl", &[0, 0]);
    let good = line("0", 0, 0);
    for (content, expected) in [
        (format!("{good}\n{}", &good[..30]), "`b.jsonl`, line 2: column 30: EOF while parsing"),
        (format!("{good}\n\n{good}\n"), "`b.jsonl`, line 3: `0` is already in line 1"),
        (String::new(), "`b.jsonl` has no predictions"),
        ("{\n  \"top1\": 1\n}".into(), "`b.jsonl`, line 1: "),
        ("x".repeat(5 << 20), "`b.jsonl` line 1 is longer than 4194304 bytes"),
    ] {
        folder.write("b.jsonl", content);
        let run = folder.run("compare a.jsonl b.jsonl").exits(2).says(expected);
        run.says("hint: pass files that `hardnet eval --predictions` wrote");
    }
    folder.run("compare a.jsonl none.jsonl").exits(2).says("cannot read `none.jsonl`");
    folder.run("compare a.jsonl").exits(2).says("2");
    folder.run("compare a.jsonl a.jsonl --data-dir images").exits(2).says("--page");
}

#[test]
fn a_page_is_not_overwritten_and_does_without_pictures() {
    let folder = Folder::new();
    predictions(&folder, "a.jsonl", &[0, 0, 1]);
    predictions(&folder, "b.jsonl", &[0, 1, 0]);
    folder.pictures("images", 1);
    folder.run("compare a.jsonl b.jsonl --page p.html").exits(0);
    let page = fs::read_to_string(folder.path("p.html")).unwrap();
    assert!(page.contains("Right to wrong") && !page.contains("<img") && !page.contains("NaN"), "{page}");
    folder.run("compare a.jsonl b.jsonl --page p.html").exits(2).says("already exists").says("--force");
    let run = folder.run("compare a.jsonl b.jsonl --page p.html --force --data-dir images").exits(0);
    run.says("2 images of the page not found in `images`");
    assert_eq!(fs::read_to_string(folder.path("p.html")).unwrap().matches("class=\"gone\"").count(), 2);
    folder.run("compare a.jsonl b.jsonl --page q.html --data-dir none").exits(2).says("`none`");
    assert!(!folder.path("q.html").exists());
}

//! `hardnet eval`.

use super::support::{Folder, notebook_metadata, weights};

/// A folder with weights, nine pictures and their list.
pub(super) fn ready() -> Folder {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 9);
    folder.list(9);
    folder
}

const EVAL: &str = "eval --weights small.safetensors --data-dir images --val-list list.txt";

/// Images of the demonstration whose class is the most probable, and among the five most probable.
const CORRECT: [usize; 2] = [941, 998];

#[test]
fn json_has_every_field() {
    let run = ready().run(&format!("{EVAL} --json --threads 2 -j 1")).exits(0);
    let report = run.json();
    let keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "schema_version tool model weights engine device threads workers batch_size data pipeline decoder \
                    exif oriented top1 top5 loss errors seconds images_per_second partial";
    let (mut keys, mut expected): (Vec<_>, Vec<_>) = (keys, expected.split_whitespace().collect());
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["model"], "custom");
    assert_eq!((&report["device"], &report["threads"]), (&"cpu".into(), &2.into()));
    assert_eq!(report["weights"]["path"], "small.safetensors");
    assert_eq!(report["weights"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!((&report["pipeline"]["crop"], &report["pipeline"]["interpolation"]), (&24.into(), &"bicubic".into()));
    assert_eq!((&report["errors"], &report["partial"]), (&0.into(), &false.into()));
    assert_eq!(report["top1"]["total"], 9);
    // Three classes: the right one is always among the first five.
    assert_eq!(report["top5"]["correct"], 9);
    assert_eq!(report["top5"]["percent"], 100.0);
    let interval = report["top5"]["ci95"].as_array().unwrap();
    assert!((interval[0].as_f64().unwrap() - 70.085_5).abs() < 1e-3, "{interval:?}");
    assert!(report["loss"].as_f64().unwrap() > 0.0);
    let seconds = &report["seconds"];
    let part = |name: &str| seconds[name].as_f64().unwrap();
    assert!(part("loading") + part("network") <= part("total"), "{seconds}");
}

#[test]
fn batch_size_and_workers_change_nothing() {
    let folder = ready();
    let figures = |flags: &str| {
        let report = folder.run(&format!("{EVAL} --json {flags}")).exits(0).json();
        (report["top1"]["correct"].clone(), (report["loss"].as_f64().unwrap() * 1e4).round())
    };
    let expected = figures("");
    for flags in ["-b 1 -j 1", "-b 4 -j 2", "-b 64 -j 0"] {
        assert_eq!(figures(flags), expected, "{flags}");
    }
}

#[test]
fn people_get_lines() {
    let run = ready()
        .run(EVAL)
        .exits(0)
        .says("pipeline: custom: resize short side to 32 (bicubic), center crop 24 (from the weights file)");
    let starts: Vec<_> = run.stdout.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(starts, ["top-1", "top-5", "loss", "speed"]);
}

#[test]
fn quiet_leaves_only_results() {
    let run = ready().run(&format!("{EVAL} -q")).exits(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn flags_override_the_pipeline_of_the_weights() {
    let folder = ready();
    let run = folder.run(&format!("{EVAL} --json --img-size 48 --interpolation bilinear")).exits(0).says(
        "resize short side to 64 (bilinear), center crop 48 (from the weights file, --img-size, --interpolation)",
    );
    assert_eq!(run.json()["pipeline"]["resize"], 64);
    folder
        .run(&format!("{EVAL} --pipeline pil-bilinear --img-size 64 --crop-pct 1.0"))
        .exits(0)
        .says("custom: resize short side to 64 (bilinear), center crop 64 (--pipeline, --img-size, --crop-pct)");
    folder.run(&format!("{EVAL} --crop-pct 1.5")).exits(2).says("error: ");
}

#[test]
fn the_notebooks_weights_are_resized_bicubically() {
    let folder = ready();
    let (config, metadata) = notebook_metadata();
    folder.write("notebook.safetensors", weights(&config, Some(&metadata)));
    let run = folder.run("eval --weights notebook.safetensors --data-dir images --val-list list.txt").exits(0);
    run.says("pil-bicubic: resize short side to 256 (bicubic), center crop 224 (default for the notebook's weights)");
}

#[test]
fn a_number_of_samples_is_spread_over_the_list() {
    let folder = ready();
    let run = folder.run(&format!("{EVAL} --num-samples 3 --predictions p.jsonl")).exits(0);
    run.says("3 of 9 images, evenly spaced");
    let lines = std::fs::read_to_string(folder.path("p.jsonl")).unwrap();
    let names: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(names, ["0.png", "3.png", "6.png"]);
}

#[test]
fn predictions_agree_with_the_result() {
    let folder = ready();
    let report = folder.run(&format!("{EVAL} --json --predictions p.jsonl")).exits(0).json();
    let lines = std::fs::read_to_string(folder.path("p.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 9);
    let correct = lines.iter().filter(|line| line["top"][0]["index"] == line["label"]).count();
    assert_eq!(report["top1"]["correct"], correct);
    assert!(lines.iter().all(|line| line["correct"] == (line["top"][0]["index"] == line["label"])));
    assert_eq!(lines[4]["label"], 1);
    assert!(["shirt", "shoe", "bag"].contains(&lines[4]["top"][0]["name"].as_str().unwrap()));
    // Nothing else is left next to it.
    let left = std::fs::read_dir(folder.path(""))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".hardnet"));
    assert_eq!(left.count(), 0);
}

/// The rows are the counts of `--predictions`, which is written in the same run, as a page is.
#[test]
fn classes_have_a_table() {
    let folder = ready();
    let report =
        folder.run(&format!("{EVAL} --json --per-class c.csv --predictions p.jsonl --report page")).exits(0).json();
    let lines = std::fs::read_to_string(folder.path("p.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let table = std::fs::read_to_string(folder.path("c.csv")).unwrap();
    let (header, rows) = table.split_once('\n').unwrap();
    assert_eq!(header, "class,name,images,top1_correct,top1_percent,top5_correct,top5_percent,predicted,mistaken_for");
    let names = ["shirt", "shoe", "bag"];
    let mut correct = 0;
    for (class, row) in rows.lines().enumerate() {
        let right = lines.iter().filter(|line| line["label"] == class && line["correct"] == true).count();
        let predicted = lines.iter().filter(|line| line["top"][0]["index"] == class).count();
        let start =
            format!("{class},{},3,{right},{:.2},3,100.00,{predicted},", names[class], 100.0 * right as f64 / 3.0);
        let mistaken = row.strip_prefix(&start).unwrap_or_else(|| panic!("{row}, expected {start}"));
        assert_eq!(mistaken.is_empty(), right == 3, "{row}");
        assert!(right == 3 || names.contains(&mistaken), "{row}");
        correct += right;
    }
    assert_eq!((rows.lines().count(), &report["top1"]["correct"]), (3, &correct.into()));
    folder.run(&format!("{EVAL} --per-class c.csv")).exits(2).says("c.csv` already exists");
    folder.run(&format!("{EVAL} --per-class c.csv --force")).exits(0);
}

#[test]
fn class_folders_need_no_list() {
    let folder = Folder::new();
    folder.small_weights();
    for class in ["shirt", "shoe", "bag"] {
        folder.pictures(&format!("images/{class}"), 2);
    }
    let report = folder.run("eval --weights small.safetensors --data-dir images --json").exits(0).json();
    assert_eq!(report["top1"]["total"], 6);
    assert_eq!(report["data"]["val_list"], serde_json::Value::Null);
}

/// The same images in an archive give the same result.
#[test]
fn a_tar_archive_is_a_folder() {
    let folder = ready();
    let made = std::process::Command::new("tar")
        .args(["cf", "images.tar", "images"])
        .current_dir(folder.path(""))
        .status()
        .unwrap();
    assert!(made.success());
    let figures = |data: &str| {
        let flags = format!("--data-dir {data} --val-list list.txt --json");
        let report = folder.run(&format!("eval --weights small.safetensors {flags}")).exits(0).json();
        (report["top1"].clone(), report["loss"].clone())
    };
    assert_eq!(figures("images.tar"), figures("images"));
}

#[test]
fn a_wanted_accuracy_that_is_missed_is_exit_1() {
    let folder = ready();
    folder.run(&format!("{EVAL} --min-top1 100")).exits(1).says("below --min-top1 100");
    folder.run(&format!("{EVAL} --min-top1 0")).exits(0);
}

#[test]
fn unreadable_images_are_counted_and_named() {
    let folder = ready();
    folder.write("images/4.png", b"not a picture at all");
    let run =
        folder.run(&format!("{EVAL} --json")).exits(2).says("4.png").says("1 images could not be read, 0 allowed");
    let report = run.json();
    assert_eq!((&report["errors"], &report["top1"]["total"]), (&1.into(), &8.into()));
    folder.run(&format!("{EVAL} --allow-errors 1")).exits(0).says("4.png");
}

#[cfg(unix)]
#[test]
fn ctrl_c_prints_what_was_done() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let folder = ready();
    // Enough work that the signal comes in the middle: one image a batch, in a network of full size.
    folder.hardnet39ds();
    let lines: String = (0..9).map(|number| format!("{number}.png 0\n")).collect();
    folder.write("list.txt", lines);
    for copy in 1..40 {
        for number in 0..9 {
            std::fs::copy(
                folder.path(&format!("images/{number}.png")),
                folder.path(&format!("images/{copy}-{number}.png")),
            )
            .unwrap();
        }
    }
    let many: String = (1..40).flat_map(|copy| (0..9).map(move |number| format!("{copy}-{number}.png 0\n"))).collect();
    folder.write("list.txt", many);
    let mut child = folder
        .command("eval --weights hardnet39ds.safetensors --data-dir images --val-list list.txt --json -b 1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The line on the pipeline comes right before the run.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("pipeline: ") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the program ended early");
    }
    std::thread::sleep(std::time::Duration::from_millis(700));
    let signaled = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signaled.success());
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["partial"], true);
    let done = report["top1"]["total"].as_u64().unwrap();
    assert!(done > 0 && done < 351, "{done}");
}

/// The images of an IDX file are those of the same pictures in a list.
#[test]
fn idx_files_are_evaluated_as_lists_are() {
    let folder = Folder::new();
    folder.small_weights();
    let grey = |image: u32, x: u32, y: u32| (image * 37 + x * 11 + y * 5) as u8;
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28];
    for image in 0..9 {
        images.extend((0..28 * 28).map(|at| grey(image, at % 28, at / 28)));
        folder.write(&format!("images/{image}.png"), super::support::png(28, 28, |x, y, _| grey(image, x, y)));
    }
    folder.write("t10k-images-idx3-ubyte", images);
    let labels = [0, 1, 2].repeat(3);
    folder.write("t10k-labels-idx1-ubyte", [&[0, 0, 8, 1, 0, 0, 0, 9][..], &labels].concat());
    folder.list(9);
    let figures = |source: &str| {
        let report = folder.run(&format!("eval --weights small.safetensors --json {source}")).exits(0).json();
        (report["top1"].clone(), report["loss"].clone())
    };
    let own = figures("--data-dir t10k-images-idx3-ubyte");
    assert_eq!(own, figures("--data-dir images --val-list list.txt"));
    folder
        .run("eval --weights small.safetensors --data-dir t10k-images-idx3-ubyte --val-list list.txt")
        .exits(2)
        .says("has its own labels");
}

#[test]
fn a_report_is_one_page() {
    let folder = ready();
    folder.write("other.txt", "kept");
    let report = folder.run(&format!("{EVAL} --json --report out/page")).exits(0).json();
    let left: Vec<_> = std::fs::read_dir(folder.path("out/page")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["index.html"]);
    let page = std::fs::read_to_string(folder.path("out/page/index.html")).unwrap();
    let percent = report["top1"]["percent"].as_f64().unwrap();
    assert!(page.contains(&format!("{percent:.2}&nbsp;%")), "{percent}");
    assert!(page.contains(report["weights"]["sha256"].as_str().unwrap()));
    assert!(
        page.contains("<bdi>shoe</bdi>") && page.contains("custom: resize short side to 32 (bicubic), center crop 24")
    );
    // Every mistake is a picture.
    let mistakes = 9 - report["top1"]["correct"].as_u64().unwrap() as usize;
    assert!(mistakes > 0);
    assert_eq!(page.matches("<img src=\"data:image/png;base64,iVBORw0KGgo").count(), mistakes);
}

/// The demonstration: its exact count, whatever computes it.
#[test]
fn given_nothing_it_evaluates_what_comes_with_the_program() {
    let folder = Folder::new();
    // `plan` is the old name of the native engine.
    for (flag, engine) in [("native", "native"), ("plan", "native"), ("candle", "candle")] {
        let run = folder.run(&format!("eval --json --engine {flag}")).exits(0).says("For ImageNet:");
        let report = run.json();
        assert_eq!(report["weights"]["path"], "hardnet39ds.fashion_mnist");
        assert_eq!((&report["engine"], &report["top1"]["total"]), (&engine.into(), &1000.into()));
        assert_eq!((&report["top1"]["correct"], &report["top5"]["correct"]), (&CORRECT[0].into(), &CORRECT[1].into()));
        assert_eq!(report["data"]["data_dir"], "bundled sample of the Fashion-MNIST test set");
    }
    let run = folder.run("eval --weights hardnet39ds.fashion_mnist --num-samples 10").exits(0);
    run.says("10 of 1000 images");
    // Other weights and other networks want images of their own.
    folder.run("eval -m hardnet68").exits(2).says("no weights given for hardnet68");
    folder.small_weights();
    folder.run("eval --weights small.safetensors").exits(2).says("no images given");
    folder.run("eval --data-dir images").exits(2).says("no weights given");
    assert_eq!(std::fs::read_dir(folder.path("")).unwrap().count(), 1, "nothing is left but the weights");
}

#[test]
fn predictions_replace_others_only_with_force() {
    let folder = ready();
    folder.write("p.jsonl", "old");
    folder
        .run(&format!("{EVAL} --predictions p.jsonl"))
        .exits(2)
        .says("p.jsonl` already exists")
        .says("hint: pass --force");
    assert_eq!(std::fs::read_to_string(folder.path("p.jsonl")).unwrap(), "old");
    folder.run(&format!("{EVAL} --predictions p.jsonl --force")).exits(0);
    assert_eq!(std::fs::read_to_string(folder.path("p.jsonl")).unwrap().lines().count(), 9);
}

#[test]
fn a_report_replaces_another_only_with_force() {
    let folder = ready();
    folder.write("page/index.html", "old");
    let old = || std::fs::read_to_string(folder.path("page/index.html")).unwrap() == "old";
    // It is refused before any image is read.
    let run = folder
        .run(&format!("{EVAL} --report page"))
        .exits(2)
        .says("index.html` already exists")
        .says("hint: pass --force");
    assert!(run.stdout.is_empty() && old());
    folder.run(&format!("{EVAL} --report page --force")).exits(0);
    assert!(!old());
    folder.run(&format!("{EVAL} --report list.txt")).exits(2).says("cannot create folder `list.txt`");
    folder.run(&format!("{EVAL} --force")).exits(2).says("--report");
}

/// The images of a report lie where those of the evaluation lie.
#[test]
fn a_report_of_an_archive_has_its_pictures() {
    let folder = ready();
    let made =
        std::process::Command::new("tar").args(["cf", "images.tar", "images"]).current_dir(folder.path("")).status();
    assert!(made.unwrap().success());
    let run = |data: &str| {
        let flags =
            format!("eval --weights small.safetensors --data-dir {data} --val-list list.txt --report {data}-page");
        folder.run(&flags).exits(0);
        let page = std::fs::read_to_string(folder.path(&format!("{data}-page/index.html"))).unwrap();
        page.split("<div class=\"mistakes\">").nth(1).unwrap().split("</section>").next().unwrap().to_string()
    };
    assert_eq!(run("images"), run("images.tar"));
}

//! `hardnet embed`.

use std::collections::HashMap;
use std::path::Path;

use hardnet_base::npy::{self, ElementType, NpzWriter};
use hardnet_classifier::{Classifier, EmbedOptions, Embedder, Stage};
use hardnet_data::{Dataset, DecodeLimits, decode};
use hardnet_model::{Config, Variant, WeightsFile};
use hardnet_testing::golden::picture_logits;

use super::support::{Folder, metadata, picture_png, small, weights};

const EMBED: &str = "embed --weights small.safetensors --data-dir images";

/// A folder with weights and nine pictures.
fn ready() -> Folder {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 9);
    folder
}

/// The rows of a `.npy` file, with its shape.
fn read_npy(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let head = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = std::str::from_utf8(&bytes[10..head]).unwrap();
    let shape = text.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape: Vec<usize> = shape.split(',').filter_map(|extent| extent.trim().parse().ok()).collect();
    assert_eq!(bytes[..head], npy::header(ElementType::F32, &shape));
    let values: Vec<f32> = bytes[head..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(values.len(), shape.iter().product::<usize>());
    (shape, values)
}

/// The embedder of the small weights, in batches of `batch`.
fn embedder(folder: &Folder, batch: usize, options: EmbedOptions) -> Embedder {
    let file = WeightsFile::open(folder.path("small.safetensors")).unwrap();
    Classifier::builder().batch_size(batch).embedder(file, &options).unwrap()
}

/// Its rows of the pictures, which it computes in batches of `batch`.
fn expected(folder: &Folder, batch: usize, options: EmbedOptions) -> Vec<f32> {
    let embedder = embedder(folder, batch, options);
    let mut files: Vec<_> = Dataset::from_paths(&[folder.path("images")]).unwrap().samples;
    files.sort_by_key(|sample| sample.path().into_owned());
    let tensor = |sample: &hardnet_data::Sample| {
        let bytes = std::fs::read(sample.path()).unwrap();
        embedder.prepare(&decode(&bytes, &DecodeLimits::default()).unwrap().image).unwrap()
    };
    let tensors: Vec<_> = files.iter().map(tensor).collect();
    tensors.chunks(batch).flat_map(|batch| embedder.rows(batch).unwrap().into_vec()).collect()
}

#[test]
fn an_array_has_the_values_of_the_library_to_the_last_bit() {
    let folder = ready();
    let run = folder.run(&format!("{EMBED} -o out.npy -b 4")).exits(0).says("mean of each channel of base.");
    let (shape, values) = read_npy(&folder.path("out.npy"));
    let channels = embedder(&folder, 1, EmbedOptions::default()).info().channels;
    assert_eq!(shape, [9, channels]);
    assert_eq!(values, expected(&folder, 4, EmbedOptions::default()));
    let names: String = (0..9).map(|number| format!("{number}.png\n")).collect();
    assert_eq!(std::fs::read_to_string(folder.path("out.names.txt")).unwrap(), names);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(lines[0].starts_with(&format!("rows   9 x {channels}  (mean of each channel of base.")), "{lines:?}");
    assert_eq!(lines[2..], ["out.npy", "out.names.txt"]);
    let left = std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["images", "out.names.txt", "out.npy", "small.safetensors"]);
}

#[test]
fn stages_are_pooled_or_whole() {
    let folder = ready();
    for (stage, flag) in [(Stage::Last, "last"), (Stage::Index(2), "2"), ("stride8".parse().unwrap(), "stride8")] {
        for maps in [false, true] {
            let options = EmbedOptions::default().stage(stage).maps(maps);
            let flags = if maps { "--maps" } else { "" };
            let json =
                folder.run(&format!("{EMBED} -o out.npy -b 2 --stage {flag} {flags} --json --force")).exits(0).json();
            let (shape, values) = read_npy(&folder.path("out.npy"));
            let embedder = embedder(&folder, 1, options);
            assert_eq!((shape[0], &shape[1..]), (9, &embedder.shape()[..]), "{flag}");
            assert_eq!(values, expected(&folder, 2, options), "{flag}");
            assert_eq!(
                (json["stage"]["module"].as_str(), json["stage"]["pooled"].as_bool()),
                (Some(embedder.info().module.as_str()), Some(!maps))
            );
        }
    }
    folder.run(&format!("{EMBED} -o out.npy --stage stride64 --force")).exits(2).says("no feature map at stride 64");
    folder.run(&format!("{EMBED} -o out.npy --stage middle")).exits(2).says("unknown stage `middle`, expected last");
}

/// The vector times the classifier's weights gives the logits that ONNX Runtime computed.
#[test]
fn vectors_agree_with_onnx_runtime_on_pillows_tensor() {
    let folder = Folder::new();
    folder.hardnet39ds();
    folder.write("picture.png", picture_png());
    folder.run("embed --weights hardnet39ds.safetensors -o out.npy picture.png").exits(0);
    let (shape, vector) = read_npy(&folder.path("out.npy"));
    assert_eq!(shape, [1, 1024]);
    let head: HashMap<_, _> = hardnet_params::synthetic::parameters(&Config::from(Variant::HarDNet39Ds))
        .unwrap()
        .into_iter()
        .map(|(name, _, values)| (name, values))
        .collect();
    let (weight, bias) = (&head["base.14.3.weight"], &head["base.14.3.bias"]);
    for (class, expected) in picture_logits("hardnet39ds").into_iter().enumerate() {
        let row = &weight[class * 1024..][..1024];
        let logit: f64 = row.iter().zip(&vector).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
        let logit = logit + f64::from(bias[class]);
        assert!((logit - f64::from(expected)).abs() < 1e-4, "class {class}: {logit} {expected}");
    }
}

#[test]
fn candle_gives_the_same_values_within_1e_5() {
    let folder = ready();
    folder.run(&format!("{EMBED} -o native.npy")).exits(0);
    folder.run(&format!("{EMBED} -o candle.npy --engine candle")).exits(0);
    let [native, candle] = ["native.npy", "candle.npy"].map(|name| read_npy(&folder.path(name)).1);
    let scale = native.iter().fold(1.0f32, |scale, value| scale.max(value.abs()));
    assert!(native.iter().zip(&candle).all(|(a, b)| (a - b).abs() < 1e-5 * scale));
}

/// An archive of nine pictures in three class folders.
#[test]
fn an_archive_has_names_labels_and_classes() {
    let folder = Folder::new();
    folder.small_weights();
    for class in ["fox", "cat", "d\u{f6}g"] {
        folder.pictures(&format!("images/{class}"), 3);
    }
    folder.run(&format!("{EMBED} -o out.npz")).exits(0).says("`cat` is 0, `fox` is 2");
    folder.run(&format!("{EMBED} -o out.npy")).exits(0);
    folder.run(&format!("{EMBED} -o out.jsonl")).exits(0);
    let (shape, values) = read_npy(&folder.path("out.npy"));
    let classes = ["cat", "d\u{f6}g", "fox"];
    let names: Vec<String> = classes.iter().flat_map(|class| (0..3).map(move |n| format!("{class}/{n}.png"))).collect();
    let labels: Vec<u8> = (0..9i64).flat_map(|index| (index / 3).to_le_bytes()).collect();

    // The archive is the one of these arrays, which is NumPy's: see `hardnet-base`.
    let mut archive = NpzWriter::new(std::io::Cursor::new(Vec::new()));
    archive.array("embeddings", ElementType::F32, &shape, |out| out.write_all(&npy::f32_bytes(&values))).unwrap();
    archive.texts("names", names.iter().map(String::as_str)).unwrap();
    archive.array("labels", ElementType::I64, &[9], |out| out.write_all(&labels)).unwrap();
    archive.texts("classes", classes.into_iter()).unwrap();
    let archive = archive.finish().unwrap().into_inner();
    assert!(std::fs::read(folder.path("out.npz")).unwrap() == archive);

    let read = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    assert_eq!(std::fs::read(folder.path("out.labels.npy")).unwrap(), npy::array(ElementType::I64, &[9], &labels));
    assert_eq!(read("out.classes.txt").lines().collect::<Vec<_>>(), classes);
    assert_eq!(read("out.names.txt").lines().collect::<Vec<_>>(), names);
    let lines: Vec<serde_json::Value> = read("out.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(
            (line["file"].as_str(), line["label"].as_u64()),
            (Some(names[index].as_str()), Some(index as u64 / 3))
        );
        assert_eq!(line["class"], classes[index / 3]);
        let vector: Vec<f32> =
            line["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
        assert_eq!(vector, values[index * shape[1]..][..shape[1]], "{index}");
    }
    assert_eq!(lines.len(), 9);
}

#[test]
fn lists_may_have_labels_or_none() {
    let folder = ready();
    folder.list(9);
    folder.write("names.txt", "\u{feff}8.png\n\n 0.png \n");
    let read = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    folder.run(&format!("{EMBED} --list list.txt -o out.npy")).exits(0);
    assert_eq!(read("out.names.txt").lines().count(), 9);
    let labels: Vec<u8> = (0..9i64).flat_map(|index| (index % 3).to_le_bytes()).collect();
    assert_eq!(std::fs::read(folder.path("out.labels.npy")).unwrap(), npy::array(ElementType::I64, &[9], &labels));
    folder.run(&format!("{EMBED} --list names.txt -o two.npy -b 1 --batch-invariant")).exits(0);
    assert_eq!(read("two.names.txt"), "8.png\n0.png\n");
    assert!(!folder.path("two.labels.npy").exists());
    folder.run(&format!("{EMBED} -o all.npy --batch-invariant")).exits(0);
    let [(shape, two), (_, all)] = ["two.npy", "all.npy"].map(|name| read_npy(&folder.path(name)));
    assert_eq!(two, [&all[8 * shape[1]..], &all[..shape[1]]].concat());
    // Labels of a run that is replaced do not stay next to rows that have none.
    folder.run(&format!("{EMBED} --list names.txt -o out.npy --force")).exits(0);
    assert!(!folder.path("out.labels.npy").exists());
    folder.write("missing.txt", "0.png\nmissing.png\n");
    folder.run(&format!("{EMBED} --list missing.txt -o out.npz")).exits(2).says("missing.png");
}

/// Names alone are found in an archive too, and a folder without images does not hide those next to it.
#[test]
fn names_are_found_in_archives_and_images_next_to_empty_folders() {
    let folder = Folder::new();
    folder.small_weights();
    folder.write("images.tar", hardnet_demo::fashion_mnist::SAMPLE_TAR);
    let line = hardnet_demo::fashion_mnist::VAL_LIST.lines().nth(3).unwrap();
    let name = line.split_whitespace().next().unwrap();
    folder.write("names.txt", format!("{name}\n"));
    let run = "embed --weights small.safetensors -o out.npy --force";
    folder.run(&format!("{run} --data-dir images.tar --list names.txt")).exits(0);
    assert_eq!(std::fs::read_to_string(folder.path("out.names.txt")).unwrap(), format!("{name}\n"));
    let listed = read_npy(&folder.path("out.npy")).1;
    folder.write("line.txt", format!("{line}\n"));
    folder.run(&format!("{run} --data-dir images.tar --list line.txt")).exits(0);
    assert_eq!(read_npy(&folder.path("out.npy")).1, listed);

    folder.pictures("images", 2);
    std::fs::create_dir(folder.path("images/empty")).unwrap();
    folder.run(&format!("{run} --data-dir images")).exits(0);
    assert_eq!(std::fs::read_to_string(folder.path("out.names.txt")).unwrap(), "0.png\n1.png\n");
}

#[test]
fn images_that_cannot_be_read_have_no_row() {
    let folder = ready();
    folder.write("images/4.png", b"not a picture at all");
    folder.write("images/9.png", b"");
    for name in ["out.npy", "out.jsonl"] {
        let run = folder.run(&format!("{EMBED} -o {name} -b 2")).exits(2).says("4.png").says("9.png");
        run.says("2 images could not be read, 0 allowed");
    }
    let json = folder.run(&format!("{EMBED} -o out.npy --force --allow-errors 2 --json")).exits(0).json();
    assert_eq!((&json["embedded"], &json["errors"], &json["data"]["images"]), (&8.into(), &2.into(), &10.into()));
    assert_eq!(read_npy(&folder.path("out.npy")).0[0], 8);
    let names = std::fs::read_to_string(folder.path("out.names.txt")).unwrap();
    assert_eq!(names, "0.png\n1.png\n2.png\n3.png\n5.png\n6.png\n7.png\n8.png\n");
    assert_eq!(std::fs::read_to_string(folder.path("out.jsonl")).unwrap().lines().count(), 8);
}

#[test]
fn files_replace_others_only_with_force() {
    let folder = ready();
    folder.write("out.names.txt", "old");
    folder.run(&format!("{EMBED} -o out.npy")).exits(2).says("`out.names.txt` already exists").says("pass --force");
    folder.run(&format!("{EMBED} -o out.npz")).exits(0);
    folder.run(&format!("{EMBED} -o out.npz")).exits(2).says("`out.npz` already exists");
    folder.run(&format!("{EMBED} -o out.npz --force")).exits(0);
    folder.run(&format!("{EMBED} -o out.bin")).exits(2).says(".npy, .npz or .jsonl");
    folder.run("embed --weights small.safetensors -o a.npy").exits(2).says("no images given");
    folder.run("embed -o a.npy images").exits(2).says("no weights given").says("hint: pass --weights");
    folder.run(&format!("{EMBED} -o a.npy images")).exits(2).says("cannot be used with");
    assert_eq!(std::fs::read_to_string(folder.path("out.names.txt")).unwrap(), "old");
}

#[test]
fn a_backbone_without_a_classifier_is_enough() {
    let folder = ready();
    let config = small().without_head();
    let mut metadata: serde_json::Value = serde_json::from_str(&metadata(config.clone())).unwrap();
    metadata.as_object_mut().unwrap().remove("labels");
    folder.write("backbone.safetensors", weights(&config, Some(&metadata.to_string())));
    folder.run(&format!("{EMBED} -o whole.npy")).exits(0);
    folder.run("embed --weights backbone.safetensors --data-dir images -o backbone.npy").exits(0);
    let [whole, backbone] = ["whole.npy", "backbone.npy"].map(|name| std::fs::read(folder.path(name)).unwrap());
    assert!(whole == backbone);
    folder.run("predict --weights backbone.safetensors images").exits(2).says("a backbone without a classifier");
}

/// The files that an interrupted run leaves: those of `run`, stopped by `kill` after some images.
#[cfg(unix)]
fn interrupt(folder: &Folder, run: &str, signal: &str) -> Option<i32> {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let mut child = folder.command(run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("pipeline: ") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the program ended early");
    }
    let journal = run.split_whitespace().find(|word| word.starts_with("out.")).unwrap().to_string() + ".partial.jsonl";
    let started = std::time::Instant::now();
    // Some images, but not all of them.
    while std::fs::read(folder.path(&journal)).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count()) < 8 {
        assert!(started.elapsed().as_secs() < 60, "nothing is written to `{journal}`");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    child.wait().unwrap().code()
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_is_resumed_byte_for_byte() {
    let folder = Folder::new();
    // Enough work that the signal comes in the middle.
    folder.hardnet39ds();
    folder.pictures("images", 40);
    folder.write("images/05.png", b"not a picture");
    folder.write("images/31.png", b"");
    // The file of rows is the same for .npy and .npz.
    let formats =
        [("npy", &["out.npy", "out.names.txt"][..], 5), ("jsonl", &["out.jsonl"], 5), ("npz", &["out.npz"], 1)];
    for (format, files, count) in formats {
        let run = |out: &str| {
            format!("embed --weights hardnet39ds.safetensors --data-dir images -b 2 --img-size 160 -o {out}.{format}")
        };
        folder.run(&run("whole")).exits(2).says("2 images could not be read");
        assert_eq!(interrupt(&folder, &run("out"), "-INT"), Some(130), "{format}");
        let (partial, journal) = (format!("out.{format}.partial"), format!("out.{format}.partial.jsonl"));
        let [rows, lines] = [&partial, &journal].map(|name| std::fs::read(folder.path(name)).unwrap());
        assert!(!folder.path(&format!("out.{format}")).exists());
        folder.run(&run("out")).exits(2).says("an interrupted run left it: pass --resume");
        // As Ctrl-C leaves them, and as kills in the middle of a write or a computer that lost power do.
        let cut = |bytes: &[u8], less: usize| bytes[..bytes.len() - less].to_vec();
        let states = [
            (rows.clone(), lines.clone()),
            (rows.clone(), cut(&lines, 7)),
            ([&rows[..], b"half a row"].concat(), lines.clone()),
            (cut(&rows, 9), lines.clone()),
            (rows.clone(), lines.split_inclusive(|b| *b == b'\n').next().unwrap().to_vec()),
        ];
        for (number, (rows, lines)) in states.into_iter().enumerate().take(count) {
            folder.write(&partial, rows);
            folder.write(&journal, lines);
            let json = folder.run(&(run("out") + " --resume --json --force")).exits(2).says("continuing after").json();
            assert_eq!(json["resumed"].as_u64().unwrap() > 0, number < 4, "{number}");
            assert_eq!((&json["embedded"], &json["errors"]), (&39.into(), &2.into()));
            for name in files {
                let [resumed, whole] = [name.to_string(), name.replace("out", "whole")]
                    .map(|name| std::fs::read(folder.path(&name)).unwrap());
                assert!(resumed == whole, "{name}, state {number}");
            }
            assert!(!folder.path(&partial).exists() && !folder.path(&journal).exists());
        }
    }
    // A kill without warning.
    let run = "embed --weights hardnet39ds.safetensors --data-dir images -b 2 --img-size 160 -o out.npy --force";
    assert_eq!(interrupt(&folder, run, "-KILL"), None);
    folder.run(&format!("{run} --resume")).exits(2).says("continuing after");
    assert!(std::fs::read(folder.path("out.npy")).unwrap() == std::fs::read(folder.path("whole.npy")).unwrap());
}

#[cfg(unix)]
#[test]
fn another_run_is_not_resumed() {
    let folder = Folder::new();
    folder.hardnet39ds();
    folder.pictures("images", 40);
    let run = "embed --weights hardnet39ds.safetensors --data-dir images -b 2 -o out.npy";
    interrupt(&folder, run, "-INT");
    let differs = |flags: &str, expected: &str| {
        folder.run(&format!("{run} --resume {flags}")).exits(2).says(expected).says("hint: ");
    };
    differs("--batch-invariant", "differs in `batch_invariant`: `out.npy.partial.jsonl` has false, this run has true");
    differs("--stage stride8", "differs in `");
    differs("--img-size 96", "differs in `pipeline`");
    differs("--engine candle", "differs in `engine`");
    std::fs::rename(folder.path("images/1.png"), folder.path("images/01.png")).unwrap();
    differs("", "the images have changed: image 1 is `1.png` in `out.npy.partial.jsonl`, now ");
    std::fs::rename(folder.path("images/01.png"), folder.path("images/1.png")).unwrap();
    let journal = std::fs::read(folder.path("out.npy.partial.jsonl")).unwrap();
    folder.write("out.npy.partial.jsonl", b"something else\n");
    differs("", "line 1, was not written by `hardnet embed`");
    folder.write("out.npy.partial.jsonl", [&journal[..], b"{}\n"].concat());
    differs("", "was not written by `hardnet embed`");
    folder.run(&format!("{run} --force")).exits(0);
    folder.run(&format!("{run} --force --resume")).exits(0).says("nothing to resume");
}

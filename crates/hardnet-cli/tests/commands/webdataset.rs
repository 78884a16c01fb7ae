//! `--webdataset` of `hardnet eval`, `predict` and `embed`.

use serde_json::Value;

use super::merge::{names, read, save, without_times};
use super::support::{Folder, png};

const EVAL: &str = "eval --weights small.safetensors --threads 1 -j 1 --json --force -b 2";

/// An entry of a tar file.
fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    bytes[156] = b'0';
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A tar file of pictures of these numbers, with the class by the number.
fn tar(numbers: std::ops::Range<u8>) -> Vec<u8> {
    let class = |number| entry(&format!("pictures/{number}.cls"), format!("{}\n", number % 3).as_bytes());
    numbers.flat_map(|number| [picture(number), class(number)].concat()).collect()
}

/// A picture in a tar file.
fn picture(number: u8) -> Vec<u8> {
    let picture = png(40, 30, |x, y, c| (x * 5 + y * 3) as u8 ^ (c as u8 * 70) ^ number);
    entry(&format!("pictures/{number}.png"), &picture)
}

/// Weights, and four tar files of 12 pictures: one cannot be read, and one has no class.
fn ready() -> Folder {
    let folder = Folder::new();
    folder.small_weights();
    let end = [0; 1024];
    folder.write("t-00.tar", [&tar(0..4)[..], &end].concat());
    folder.write("t-01.tar", end);
    folder.write("t-02.tar", [&tar(4..5)[..], &end].concat());
    let damaged = [entry("pictures/10.png", b"damaged"), entry("pictures/10.cls", b"1")].concat();
    let odd = entry("pictures/11.jpg", b"without a class");
    folder.write("t-03.tar", [&tar(5..10)[..], &damaged, &odd, &end].concat());
    folder
}

#[test]
fn merged_shards_of_tar_files_are_one_process() {
    let folder = ready();
    let eval = format!("{EVAL} --webdataset t-{{00..03}}.tar --allow-errors 2 --per-class whole.csv");
    let whole = folder.run(&format!("{eval} --predictions whole.jsonl")).exits(0);
    let whole = whole.says("`t-03.tar/pictures/11` has an image, but no class").says("t-03.tar/pictures/10.png");
    let report = whole.json();
    assert_eq!((&report["data"]["tars"], &report["data"]["images"]), (&4.into(), &12.into()));
    assert_eq!((&report["errors"], &report["top1"]["total"]), (&2.into(), &10.into()));
    // The same pictures in a folder.
    folder.pictures("images", 10);
    folder.list(10);
    let in_folder = folder
        .run("eval --weights small.safetensors --data-dir images --val-list list.txt --json -b 1")
        .exits(0)
        .json();
    assert_eq!(in_folder["top1"], report["top1"]);
    assert!((in_folder["loss"].as_f64().unwrap() - report["loss"].as_f64().unwrap()).abs() < 1e-4);
    for count in [1, 2, 3, 4, 7] {
        for index in 0..count {
            let run = folder.run(&format!("{eval} --shard {index}/{count} --predictions p{index}.jsonl")).exits(0);
            save(&folder, &run, &format!("r{index}.json"));
        }
        let merge = format!("merge {}-o merged.json --per-class merged.csv --force", names("r", count, "json"));
        folder.run(&merge).exits(0);
        assert_eq!(without_times(&read(&folder, "merged.json")), without_times(&whole.stdout), "{count} shards");
        assert_eq!(read(&folder, "merged.csv"), read(&folder, "whole.csv"), "{count} shards");
        folder.run(&format!("merge {}-o merged.jsonl --force", names("p", count, "jsonl"))).exits(0);
        assert_eq!(read(&folder, "merged.jsonl"), read(&folder, "whole.jsonl"), "{count} shards");
    }
    folder
        .run(&format!("{EVAL} --webdataset t-{{00..03}}.tar --predictions p.jsonl"))
        .exits(2)
        .says("2 images could not be read");
}

#[test]
fn a_key_in_two_tar_files_is_found_at_the_merge() {
    let folder = ready();
    folder.write("u-0.tar", [&tar(0..2)[..], &[0; 1024]].concat());
    folder.write("u-1.tar", [&tar(1..3)[..], &[0; 1024]].concat());
    for index in 0..2 {
        folder
            .run(&format!("{EVAL} --webdataset u-{{0,1}}.tar --shard {index}/2 --predictions p{index}.jsonl"))
            .exits(0);
    }
    let run = folder.run("merge p0.jsonl p1.jsonl -o merged.jsonl").exits(2);
    run.says("the key `pictures/1` is in `p0.jsonl` and again in `p1.jsonl`, shard 1/2");
    assert!(!folder.path("merged.jsonl").exists());
    folder.run(&format!("{EVAL} --webdataset u-{{0,2}}.tar --shard 0/2 --predictions p0.jsonl")).exits(0);
    folder.run("merge p0.jsonl p1.jsonl -o merged.jsonl").exits(2).says("is of other images than `p0.jsonl`");
}

#[test]
fn broken_tar_files_and_patterns_are_errors() {
    let folder = ready();
    let whole = std::fs::read(folder.path("t-00.tar")).unwrap();
    folder.write("t-02.tar", &whole[..whole.len() / 2]);
    let run =
        folder.run(&format!("{EVAL} --webdataset t-{{00..03}}.tar --allow-errors 9 --predictions p.jsonl")).exits(2);
    let run = run.says("t-02.tar");
    assert!(run.stdout.is_empty() && !folder.path("p.jsonl").exists(), "{run:?}");
    folder
        .run(&format!("{EVAL} --webdataset t-{{00..x}}.tar --predictions p.jsonl"))
        .exits(2)
        .says("`{00..x}` in a pattern is neither");
    folder
        .run(&format!("{EVAL} --webdataset t-00.tar --data-dir images --predictions p.jsonl"))
        .exits(2)
        .says("cannot be used with");
}

/// Weights, and five tar files of 12 pictures: some have classes, one has none, one is empty, and one cannot be read.
fn ready_with_few_classes() -> Folder {
    let folder = ready();
    let end = [0; 1024];
    folder.write("s-0.tar", [&tar(0..3)[..], &end].concat());
    folder.write("s-1.tar", end);
    folder.write("s-2.tar", [&picture(3)[..], &end].concat());
    folder.write("s-3.tar", [&picture(4)[..], &tar(5..6), &entry("pictures/6.cls", b"1"), &end].concat());
    let damaged = [entry("pictures/10.png", b"damaged"), entry("pictures/10.cls", b"1")].concat();
    folder.write("s-4.tar", [&picture(7)[..], &picture(8), &damaged, &picture(9), &end].concat());
    // The same pictures in a folder, but for the key without an image.
    folder.pictures("images", 10);
    std::fs::remove_file(folder.path("images/6.png")).unwrap();
    folder
}

/// The documents of lines without what names the image and the run's images.
fn without_names(text: &str) -> Vec<Value> {
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let object = line.as_object_mut().unwrap();
        object.retain(|field, _| !["path", "file", "label", "correct", "class"].contains(&field.as_str()));
        drop(object["run"].as_object_mut().unwrap().remove("data"));
        line
    };
    text.lines().map(line).collect()
}

#[test]
fn predictions_of_tar_files_are_those_of_a_folder_and_of_shards() {
    let folder = ready_with_few_classes();
    let predict = "predict --weights small.safetensors --json --logits --threads 1 -j 1 -b 2 --batch-invariant";
    let tars = format!("{predict} --webdataset s-{{0..4}}.tar");
    let whole = folder.run(&tars).exits(2);
    let whole = whole.says("s-3.tar/pictures/6` has a class, but no image").says("s-4.tar/pictures/10.png");
    let lines = whole.json_lines();
    let labels: Vec<_> = lines.iter().map(|line| line.get("label").and_then(Value::as_u64)).collect();
    assert_eq!(labels, [Some(0), Some(1), Some(2), None, None, Some(2), None, None, None]);
    assert_eq!((&lines[5]["path"], lines[5]["correct"].is_boolean()), (&"pictures/5.png".into(), true));
    assert_eq!(lines[0]["run"]["data"], serde_json::json!({"data_dir": "s-{0..4}.tar", "tars": 5}));
    let in_folder = folder.run(&format!("{predict} images")).exits(0);
    assert_eq!(without_names(&whole.stdout), without_names(&in_folder.stdout));
    for count in [1, 2, 3, 5, 7] {
        for index in 0..count {
            save(&folder, &folder.run(&format!("{tars} --shard {index}/{count}")), &format!("p{index}.jsonl"));
        }
        let run = folder.run(&format!("merge {}-o merged.jsonl --force", names("p", count, "jsonl"))).exits(0);
        run.says("2 images could not be read");
        assert_eq!(read(&folder, "merged.jsonl"), whole.stdout, "{count} shards");
    }
    let text = folder.run("predict --weights small.safetensors --webdataset s-{0..4}.tar").exits(2);
    assert!(text.stdout.starts_with("pictures/0.png\n"), "{text:?}");
    for flags in ["images", "--cam maps", "-"] {
        folder.run(&format!("{tars} {flags}")).exits(2).says("cannot be used with");
    }
}

#[test]
fn rows_of_tar_files_are_those_of_a_folder_and_of_shards() {
    let folder = ready_with_few_classes();
    let embed = "embed --weights small.safetensors --threads 1 -j 1 -b 2 --batch-invariant --force --allow-errors 2";
    let tars = format!("{embed} --webdataset s-{{0..4}}.tar");
    let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let whole = folder.run(&format!("{tars} -o whole.npy --json")).exits(0).json();
    assert_eq!((&whole["embedded"], &whole["errors"], &whole["data"]["images"]), (&9.into(), &2.into(), &11.into()));
    folder.run(&format!("{tars} -o whole.npz")).exits(0);
    folder.run(&format!("{tars} -o whole.jsonl")).exits(0);
    folder.run(&format!("{embed} --data-dir images -o folder.npy")).exits(0);
    folder.run(&format!("{embed} --data-dir images -o folder.jsonl")).exits(0);
    assert_eq!(bytes("whole.npy"), bytes("folder.npy"));
    assert_eq!(without_names(&read(&folder, "whole.jsonl")), without_names(&read(&folder, "folder.jsonl")));
    let labels: Vec<i64> =
        bytes("whole.labels.npy")[128..].chunks(8).map(|label| i64::from_le_bytes(label.try_into().unwrap())).collect();
    assert_eq!(labels, [0, 1, 2, -1, -1, 2, -1, -1, -1]);
    assert!(read(&folder, "whole.names.txt").starts_with("pictures/0.png\npictures/1.png\n"));
    for count in [1, 2, 3, 5, 7] {
        for index in 0..count {
            let shard = format!("{tars} --shard {index}/{count}");
            folder.run(&format!("{shard} -o a{index}.npy")).exits(0);
            folder.run(&format!("{shard} -o l{index}.jsonl")).exits(0);
        }
        folder.run(&format!("merge {}-o l.jsonl --force", names("l", count, "jsonl"))).exits(0);
        assert_eq!(read(&folder, "l.jsonl"), read(&folder, "whole.jsonl"), "{count} shards");
        folder.run(&format!("merge {}-o a.npy --force", names("a", count, "npy"))).exits(0);
        for ending in ["npy", "names.txt", "labels.npy"] {
            assert!(bytes(&format!("a.{ending}")) == bytes(&format!("whole.{ending}")), "{ending}, {count} shards");
        }
        folder.run(&format!("merge {}-o a.npz --force", names("a", count, "npy"))).exits(0);
        assert!(bytes("a.npz") == bytes("whole.npz"), "{count} shards");
    }
    // Labels that were lost are not taken for none.
    folder.run(&format!("{tars} --shard 0/2 -o a0.npy")).exits(0);
    folder.run(&format!("{tars} --shard 1/2 -o a1.npy")).exits(0);
    std::fs::remove_file(folder.path("a1.labels.npy")).unwrap();
    folder.run("merge a0.npy a1.npy -o a.npy --force").exits(2).says("`a1.labels.npy` is not there");
}

/// Without any class there is no file of labels.
#[test]
fn rows_without_classes_have_no_labels() {
    let folder = ready_with_few_classes();
    let embed = "embed --weights small.safetensors --webdataset s-{1,2}.tar -o";
    folder.run(&format!("{embed} a.npy")).exits(0);
    assert!(!folder.path("a.labels.npy").exists());
    folder.run(&format!("{embed} whole.npz")).exits(0);
    for index in 0..2 {
        folder.run(&format!("{embed} a{index}.npy --shard {index}/2")).exits(0);
    }
    folder.run("merge a0.npy a1.npy -o a.npz").exits(0);
    let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert!(bytes("a.npz") == bytes("whole.npz"));
}

#[test]
fn keys_of_predictions_and_rows_are_compared_at_the_merge() {
    let folder = ready();
    folder.write("u-0.tar", [&tar(0..2)[..], &[0; 1024]].concat());
    folder.write("u-1.tar", [&tar(1..3)[..], &[0; 1024]].concat());
    for index in 0..2 {
        let shard = format!("--weights small.safetensors --webdataset u-{{0,1}}.tar --shard {index}/2");
        save(&folder, &folder.run(&format!("predict {shard} --json")).exits(0), &format!("p{index}.jsonl"));
        folder.run(&format!("embed {shard} -o l{index}.jsonl")).exits(0);
        folder.run(&format!("embed {shard} -o a{index}.npy")).exits(0);
    }
    for (kind, ending, output) in
        [("p", "jsonl", "m.jsonl"), ("l", "jsonl", "m.jsonl"), ("a", "npy", "m.npy"), ("a", "npy", "m.npz")]
    {
        let run = folder.run(&format!("merge {}-o {output}", names(kind, 2, ending))).exits(2);
        run.says(&format!("the key `pictures/1` is in `{kind}0.{ending}` and again in `{kind}1.{ending}`, shard 1/2"));
        assert!(!folder.path(output).exists());
    }
}

/// A tar file that is cut off ends the run; the rows before it are not lost.
#[test]
fn rows_of_a_run_that_ended_are_resumed() {
    let folder = ready_with_few_classes();
    let whole = std::fs::read(folder.path("s-3.tar")).unwrap();
    for ending in ["npy", "jsonl", "npz"] {
        let embed = "embed --weights small.safetensors --webdataset s-{0..4}.tar -b 2 --allow-errors 2 --threads 1";
        folder.run(&format!("{embed} -o whole.{ending}")).exits(0);
        folder.write("s-3.tar", &whole[..whole.len() / 2]);
        folder.run(&format!("{embed} -o out.{ending}")).exits(2).says("s-3.tar");
        assert!(!folder.path(&format!("out.{ending}")).exists());
        folder.run(&format!("{embed} -o out.{ending}")).exits(2).says("pass --resume");
        folder.run(&format!("{embed} -o out.{ending} --resume")).exits(2).says("s-3.tar");
        folder.write("s-3.tar", &whole);
        // A row or line that was cut off, and a journal that was: the pictures of their tar file are computed again.
        let partial = folder.path(&format!("out.{ending}.partial"));
        let bytes = std::fs::read(&partial).unwrap();
        std::fs::write(&partial, &bytes[..bytes.len() - 1]).unwrap();
        let json = folder.run(&format!("{embed} -o out.{ending} --resume --json")).exits(0).json();
        assert_eq!(json["resumed"], 3, "{ending}");
        let names = ["", "names.", "labels."].map(|name| format!("{name}{ending}"));
        for name in names.iter().filter(|name| folder.path(&format!("whole.{name}")).exists()) {
            let bytes = |run: &str| std::fs::read(folder.path(&format!("{run}.{name}"))).unwrap();
            assert!(bytes("out") == bytes("whole"), "{name}");
        }
    }
    // Other tar files are other images.
    let embed = "embed --weights small.safetensors --webdataset s-{0,3}.tar -b 2 --allow-errors 2 --threads 1 -o o.npy";
    folder.write("s-3.tar", &whole[..whole.len() / 2]);
    folder.run(embed).exits(2);
    folder.write("s-0.tar", [&tar(1..3)[..], &[0; 1024]].concat());
    let run = folder.run(&format!("{embed} --resume")).exits(2);
    run.says("image 0 is `pictures/0.png` with label 0 in `o.npy.partial.jsonl`, now `pictures/1.png` with label 1");
    folder.write("s-0.tar", [0; 1024]);
    folder.write("s-3.tar", [0; 1024]);
    folder.run(&format!("{embed} --resume")).exits(2).says("now no such image");
}

/// A tar file that is not there is named before the first image is read; those of other shards are not looked for.
#[test]
fn missing_tar_files_are_named_at_once() {
    let folder = ready();
    let commands = ["eval --json --predictions x.jsonl", "predict --json", "embed -o x.jsonl"];
    for command in commands.map(|command| format!("{command} --weights small.safetensors --webdataset")) {
        let run = folder.run(&format!("{command} t-{{00,02,04}}.tar")).exits(2).says("cannot read `t-04.tar`");
        assert!(run.stdout.is_empty() && !folder.path("x.jsonl.partial").exists(), "{run:?}");
        folder.run(&format!("{command} t-{{00,02,04}}.tar --shard 0/3")).exits(0);
        let _ = std::fs::remove_file(folder.path("x.jsonl"));
    }
}

/// Tar files of something else are not a result without images, silently.
#[test]
fn tar_files_without_images_are_warned_about() {
    let folder = ready();
    folder.write("notes.tar", [&entry("notes/1.webp", b"picture")[..], &[0; 1024]].concat());
    let warning = "warning: no image in 2 tar files: names of images end in .jpg, .jpeg or .png";
    for command in ["eval", "predict", "embed -o x.npy"] {
        let command = format!("{command} --weights small.safetensors --webdataset");
        folder.run(&format!("{command} {{notes,t-01}}.tar")).exits(0).says(warning);
        let run = folder.run(&format!("{command} t-{{01,00}}.tar").replace("x.npy", "y.npy")).exits(0);
        assert!(!run.stderr.contains("no image in"), "{run:?}");
    }
}

#[test]
fn tar_files_that_cannot_be_read_end_predictions_and_rows() {
    let folder = ready();
    let whole = std::fs::read(folder.path("t-00.tar")).unwrap();
    folder.write("cut.tar", &whole[..whole.len() / 2]);
    folder.write("gzip.tar", [b"\x1f\x8b", &whole[2..]].concat());
    folder.write("empty.tar", "");
    for name in ["cut", "gzip", "empty", "none"] {
        let pattern = format!("--weights small.safetensors --webdataset {{t-00,{name}}}.tar");
        folder.run(&format!("predict {pattern} --json --shard 0/1")).exits(2).says(&format!("{name}.tar"));
        folder.run(&format!("embed {pattern} -o {name}.npy")).exits(2).says(&format!("{name}.tar"));
        assert!(!folder.path(&format!("{name}.npy")).exists());
    }
    for command in ["predict --json", "embed -o x.npy"] {
        let run = folder.run(&format!("{command} --weights small.safetensors --webdataset t-{{0..x}}.tar")).exits(2);
        run.says("`{0..x}` in a pattern is neither");
    }
    folder.run("embed --weights small.safetensors --webdataset t-00.tar --data-dir . -o x.npy").exits(2);
}

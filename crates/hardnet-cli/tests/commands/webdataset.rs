//! `hardnet eval --webdataset`.

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
    let mut bytes = Vec::new();
    for number in numbers {
        let picture = png(40, 30, |x, y, c| (x * 5 + y * 3) as u8 ^ (c as u8 * 70) ^ number);
        bytes.extend(entry(&format!("pictures/{number}.png"), &picture));
        bytes.extend(entry(&format!("pictures/{number}.cls"), format!("{}\n", number % 3).as_bytes()));
    }
    bytes
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
    let eval = format!("{EVAL} --webdataset t-{{00..03}}.tar --allow-errors 2");
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
        folder.run(&format!("merge {}-o merged.json --force", names("r", count, "json"))).exits(0);
        assert_eq!(without_times(&read(&folder, "merged.json")), without_times(&whole.stdout), "{count} shards");
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
    run.says("the key `pictures/1` is in `p0.jsonl` and `p1.jsonl`, shard 1/2 again");
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
    folder.run(&format!("{EVAL} --webdataset t-{{00..04}}.tar --predictions p.jsonl")).exits(2).says("t-02.tar");
    folder
        .run(&format!("{EVAL} --webdataset none-{{0..1}}.tar --predictions p.jsonl"))
        .exits(2)
        .says("cannot read `none-0.tar`");
    folder
        .run(&format!("{EVAL} --webdataset t-{{00..x}}.tar --predictions p.jsonl"))
        .exits(2)
        .says("`{00..x}` in a pattern is neither");
    folder
        .run(&format!("{EVAL} --webdataset t-00.tar --data-dir images --predictions p.jsonl"))
        .exits(2)
        .says("cannot be used with");
}

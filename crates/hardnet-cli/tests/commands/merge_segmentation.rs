//! `--shard` of segmentation networks and `hardnet merge`.

use super::merge::{names, page_without_times, read, save, without_times};
use super::segment::{draw_scenes, scenes_weights};
use super::support::Folder;

const EVAL: &str = "eval --weights scenes.safetensors --images images --masks masks --json --allow-errors 1 --force";
const SEGMENT: &str = "segment --weights scenes.safetensors --allow-errors 1 --force images";

/// Five scenes, of which one cannot be read.
fn ready() -> Folder {
    let folder = Folder::new();
    scenes_weights(&folder);
    draw_scenes(&folder, 5);
    folder.write("images/3.png", "damaged");
    folder
}

/// More shards than images: some are empty, others have the unreadable image alone.
#[test]
fn merged_evaluations_are_those_of_one_process() {
    let folder = ready();
    let outputs = "--per-class whole.csv --report whole";
    let whole = folder.run(&format!("{EVAL} --predictions whole.jsonl {outputs}")).exits(0);
    assert_eq!((&whole.json()["errors"], &whole.json()["data"]["images"]), (&1.into(), &5.into()));
    for count in [1, 2, 3, 5, 7] {
        for index in (0..count).rev() {
            let shard = format!("--shard {index}/{count} --predictions p{index}.jsonl --per-class c.csv --report page");
            let run = folder.run(&format!("{EVAL} {shard}")).exits(0);
            assert_eq!(run.json()["shard"]["count"], count);
            save(&folder, &run, &format!("r{index}.json"));
        }
        assert!(!folder.path("c.csv").exists() && !folder.path("page").exists());
        let outputs = "-o merged.json --per-class merged.csv --report merged --min-miou 0 --force";
        let run = folder.run(&format!("merge {}{outputs}", names("r", count, "json"))).exits(0);
        let run = run.says("warning: 1 image could not be read");
        assert_eq!(run.stdout, "merged.csv\nmerged/index.html\nmerged.json\n");
        assert_eq!(without_times(&read(&folder, "merged.json")), without_times(&whole.stdout), "{count} shards");
        assert_eq!(read(&folder, "merged.csv"), read(&folder, "whole.csv"), "{count} shards");
        let page = |run: &str| page_without_times(&read(&folder, &format!("{run}/index.html")));
        assert!(page("merged") == page("whole") && page("merged").matches("<img ").count() == 12, "{count} shards");
        folder.run(&format!("merge {}-o merged.jsonl --force", names("p", count, "jsonl"))).exits(0);
        assert_eq!(read(&folder, "merged.jsonl"), read(&folder, "whole.jsonl"), "{count} shards");
    }
}

#[test]
fn shards_write_their_masks_to_one_folder() {
    let folder = ready();
    folder.run(&format!("{SEGMENT} -o whole --format indices,overlay")).exits(0);
    for count in [2, 3, 6] {
        for index in 0..count {
            folder.run(&format!("{SEGMENT} -o out{count} --format indices,overlay --shard {index}/{count}")).exits(0);
        }
        let files: String = (0..count).map(|index| format!("out{count}/areas.{index}-of-{count}.jsonl ")).collect();
        folder.run(&format!("merge {files}-o merged.jsonl --force")).exits(0).says("1 image could not be read");
        assert_eq!(read(&folder, "merged.jsonl"), read(&folder, "whole/areas.jsonl"), "{count} shards");
        for file in ["0.png", "1_overlay.png", "2.png", "4.png", "4_overlay.png"] {
            let bytes = |output: &str| std::fs::read(folder.path(&format!("{output}/{file}"))).unwrap();
            assert!(bytes(&format!("out{count}")) == bytes("whole"), "{file} of {count} shards");
        }
    }
    let again = "segment --weights scenes.safetensors --allow-errors 1 images -o out2 --shard 0/2";
    folder.run(again).exits(2).says("already exists");
}

#[test]
fn what_is_not_one_run_is_refused() {
    let folder = ready();
    for index in 0..2 {
        let run = folder.run(&format!("{EVAL} --shard {index}/2 --predictions p{index}.jsonl")).exits(0);
        save(&folder, &run, &format!("r{index}.json"));
    }
    let refused = |files: &str, message: &str| {
        folder.run(&format!("merge {files} -o merged")).exits(2).says(message);
        assert!(!folder.path("merged").exists(), "{files}");
    };
    refused("r0.json", "shard 1 of 2 is missing");
    refused("p1.jsonl p1.jsonl", "are both shard 1/2");
    save(&folder, &folder.run(&format!("{EVAL} --predictions whole.jsonl")).exits(0), "whole.json");
    refused("whole.json", "`whole.json` is the result of a whole run, not of a shard");
    refused("whole.jsonl", "`whole.jsonl` does not end in a line about its shard");

    let differs = |flags: &str, field: &str| {
        let run = folder.run(&format!("{EVAL} {flags} --shard 1/2 --predictions q1.jsonl")).exits(0);
        save(&folder, &run, "other.json");
        refused("r0.json other.json", &format!("error: `other.json`, shard 1/2, differs from `r0.json` in `{field}`"));
        refused("p0.jsonl q1.jsonl", "error: `q1.jsonl`, shard 1/2, differs from `p0.jsonl` in `");
    };
    differs("--flip", "preprocessing.flip");
    differs("--input-size 64x48", "preprocessing.name");
    differs("--ignore-labels 3", "output");
    differs("--precision int8", "precision");

    let changed = |from: &str, to: &str, message: &str| {
        folder.write("changed.json", read(&folder, "r1.json").replacen(from, to, 1));
        refused("r0.json changed.json", message);
    };
    changed("\"pixels\": ", "\"pixels\": 1", "counts that do not belong together");
    changed("\"errors\": ", "\"errors\": 1", "counts that do not belong together");
    changed("\"version\": \"", "\"version\": \"9", "differs from `r0.json` in `tool.version`");
    changed("\"task\"", "\"job\"", "is not a result of `eval --json` of a segmentation network");
    let lines = read(&folder, "p1.jsonl");
    folder.write("changed.jsonl", lines.replacen("\"version\":\"", "\"version\":\"9", 1));
    refused("p0.jsonl changed.jsonl", "differs from `p0.jsonl` in `");
    folder.write("changed.jsonl", lines.split_once('\n').unwrap().1);
    refused("p0.jsonl changed.jsonl", "has a line");
}

#[test]
fn what_shards_cannot_do_is_said() {
    let folder = ready();
    let eval = "eval --weights scenes.safetensors --images images --masks masks --shard 0/2";
    for (flags, message) in [
        ("--report x", "`--report` of a shard is a part of its result"),
        ("--per-class x", "`--per-class` of a shard is a part of its result"),
        ("--min-miou 1", "`--min-miou` is about all images"),
    ] {
        folder.run(&format!("{eval} {flags}")).exits(2).says(message);
    }
    for index in 0..2 {
        let run = folder.run(&format!("{EVAL} --shard {index}/2 --predictions p.jsonl")).exits(0);
        save(&folder, &run, &format!("r{index}.json"));
    }
    folder.run("merge r0.json r1.json -o m.json --report m").exits(2).says("has no images for the page");
    folder.run("merge r0.json r1.json -o m.json --min-top1 1").exits(2).says("have `--min-miou`");
    assert!(!folder.path("m.json").exists());
    let run = folder.run("merge r0.json r1.json -o m.json --per-class m.csv --min-miou 100").exits(1);
    run.says("below --min-miou 100");
    assert!(folder.path("m.json").exists() && folder.path("m.csv").exists());
}

//! `hardnet merge` of shards of `hardnet eval`.

use serde_json::Value;

use super::support::{Folder, Run};

pub(super) const SMALL: &str = "--weights small.safetensors --data-dir images --threads 1 -j 1";

/// A folder with weights, ten pictures, of which one cannot be read, and their list.
pub(super) fn ready() -> Folder {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 10);
    folder.write("images/7.png", "damaged");
    folder.list(10);
    folder
}

/// Writes stdout of a run to a file.
pub(super) fn save(folder: &Folder, run: &Run, name: &str) {
    folder.write(name, &run.stdout);
}

/// The text of a result without its times.
pub(super) fn without_times(text: &str) -> String {
    let mut lines = text.lines().collect::<Vec<_>>();
    if lines.len() > 5 {
        let start = lines.iter().position(|line| line.trim() == "\"seconds\": {").unwrap();
        lines.drain(start..start + 6);
    }
    lines.join("\n")
}

/// A page without its times.
pub(super) fn page_without_times(text: &str) -> String {
    let is_time =
        |line: &&str| ["<div><h2>Images/s</h2>", "<dt>Seconds</dt>"].iter().any(|time| line.starts_with(time));
    assert_eq!(text.lines().filter(is_time).count(), 2);
    text.lines().filter(|line| !is_time(line)).collect::<Vec<_>>().join("\n")
}

pub(super) fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of the shards' files.
pub(super) fn names(prefix: &str, count: usize, ending: &str) -> String {
    (0..count).map(|index| format!("{prefix}{index}.{ending} ")).collect()
}

/// Batches of 1 and 3 images, with which shards are empty or have one image; and of 16, with which one has all.
#[test]
fn merged_evaluations_are_those_of_one_process() {
    let folder = ready();
    for batch in [1, 3, 16] {
        let eval = format!("eval {SMALL} --val-list list.txt --json --allow-errors 1 -b {batch} --force");
        let whole = folder.run(&format!("{eval} --predictions whole.jsonl")).exits(0);
        assert_eq!((&whole.json()["errors"], &whole.json()["top1"]["total"]), (&1.into(), &9.into()));
        for count in [1, 2, 3, 4, 7, 12] {
            for index in (0..count).rev() {
                let shard = format!("{eval} --shard {index}/{count} --predictions p{index}.jsonl");
                let run = folder.run(&shard).exits(0);
                assert_eq!(
                    (&run.json()["shard"]["index"], &run.json()["shard"]["count"]),
                    (&index.into(), &count.into())
                );
                save(&folder, &run, &format!("r{index}.json"));
            }
            let run = folder.run(&format!("merge {}-o merged.json --force", names("r", count, "json"))).exits(0);
            assert_eq!(run.says("warning: 1 image could not be read").stdout, "merged.json\n");
            let merged = read(&folder, "merged.json");
            assert_eq!(without_times(&merged), without_times(&whole.stdout), "{count} shards, batches of {batch}");
            folder.run(&format!("merge {}-o merged.jsonl --force", names("p", count, "jsonl"))).exits(0);
            assert_eq!(read(&folder, "merged.jsonl"), read(&folder, "whole.jsonl"), "{count} shards");
        }
    }
}

#[test]
fn the_demonstration_merges_to_the_result_of_one_process() {
    let folder = Folder::new();
    let outputs = "--per-class whole.csv --report whole";
    let whole = folder.run(&format!("eval --json --predictions whole.jsonl {outputs} -q")).exits(0);
    for index in 0..3 {
        let eval = format!("eval --json --shard auto --predictions p{index}.jsonl --per-class c.csv --report page -q");
        let mut command = folder.command(&eval);
        let run: Run = command
            .env("SLURM_PROCID", index.to_string())
            .env("SLURM_NTASKS", "3")
            .env("SLURM_STEP_ID", "0")
            .output()
            .unwrap()
            .into();
        save(&folder, &run.exits(0), &format!("r{index}.json"));
    }
    // More mistakes than a page shows: those of all shards.
    let merge = "merge r2.json r0.json r1.json -o merged.json --per-class merged.csv --report merged";
    assert_eq!(folder.run(merge).exits(0).stdout, "merged.csv\nmerged/index.html\nmerged.json\n");
    assert_eq!(without_times(&read(&folder, "merged.json")), without_times(&whole.stdout));
    assert_eq!(read(&folder, "merged.csv"), read(&folder, "whole.csv"));
    let [merged, expected] =
        ["merged", "whole"].map(|run| page_without_times(&read(&folder, &format!("{run}/index.html"))));
    assert!(merged == expected && merged.matches("<img ").count() == 24);
    assert!(!folder.path("c.csv").exists() && !folder.path("page").exists());
    folder.run("merge p0.jsonl p1.jsonl p2.jsonl -o merged.jsonl").exits(0);
    assert_eq!(read(&folder, "merged.jsonl"), read(&folder, "whole.jsonl"));
    assert_eq!(read(&folder, "merged.jsonl").lines().count(), 1000);
}

#[test]
fn several_pipelines_merge() {
    let folder = ready();
    let eval =
        format!("eval {SMALL} --val-list list.txt --json --allow-errors 1 -b 2 --pipeline pil-bilinear,paddleclas");
    let whole = folder.run(&format!("{eval} --per-class whole.csv --report whole")).exits(0).json_lines();
    for index in 0..2 {
        let shard = format!("{eval} --shard {index}/2 --per-class c.csv --report page");
        save(&folder, &folder.run(&shard).exits(0), &format!("r{index}.json"));
    }
    let run = folder.run("merge r0.json r1.json -o merged.json --per-class merged.csv --report merged --min-top1 100");
    run.exits(1).says("error: top-1 by `pil-bilinear` is ").says("error: top-1 by `paddleclas` is ");
    for pipeline in ["pil-bilinear", "paddleclas"] {
        let table = |run: &str| read(&folder, &format!("{run}.{pipeline}.csv"));
        assert_eq!(table("merged"), table("whole"));
        let page = |run: &str| page_without_times(&read(&folder, &format!("{run}/index.{pipeline}.html")));
        assert!(page("merged") == page("whole"), "{pipeline}");
    }
    let merged: Vec<Value> =
        read(&folder, "merged.json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(merged.len(), 2);
    for (mut merged, mut whole) in merged.into_iter().zip(whole) {
        for value in [&mut merged, &mut whole] {
            let object = value.as_object_mut().unwrap();
            drop((object.remove("seconds"), object.remove("images_per_second")));
        }
        assert_eq!(merged, whole);
    }
}

/// The table of classes, the page and the check of top-1 are those of one process, with shards that are empty or have
/// one image, of which one cannot be read.
#[test]
fn tables_pages_and_checks_of_merged_evaluations_are_those_of_one_process() {
    let folder = ready();
    let eval = format!("eval {SMALL} --val-list list.txt --json --allow-errors 1 -b 1 --force");
    let whole = folder.run(&format!("{eval} --per-class whole.csv --report whole --min-top1 0")).exits(0);
    for count in [1, 3, 7, 12] {
        for index in 0..count {
            let shard = format!("{eval} --shard {index}/{count} --per-class c.csv --report page");
            let run = folder.run(&shard).exits(0).says("--report of all shards is written by `hardnet merge --report`");
            save(&folder, &run, &format!("r{index}.json"));
        }
        assert!(!folder.path("c.csv").exists() && !folder.path("page").exists());
        let outputs = "-o merged.json --per-class merged.csv --report merged --min-top1 0 --force";
        folder.run(&format!("merge {}{outputs}", names("r", count, "json"))).exits(0);
        assert_eq!(without_times(&read(&folder, "merged.json")), without_times(&whole.stdout), "{count} shards");
        assert_eq!(read(&folder, "merged.csv"), read(&folder, "whole.csv"), "{count} shards");
        let page = |run: &str| page_without_times(&read(&folder, &format!("{run}/index.html")));
        assert!(page("merged") == page("whole") && page("merged").contains("<img "), "{count} shards");
    }
    let merge = format!("merge {}-o merged.json", names("r", 12, "json"));
    let whole = folder.run(&format!("{} --min-top1 99.5", eval.replace(" --force", ""))).exits(1);
    let message = whole.stderr.lines().find(|line| line.contains("below --min-top1 99.5")).unwrap();
    folder.run(&format!("{merge} --force --min-top1 99.5")).exits(1).says(message);
    folder.run(&format!("{merge} --report merged")).exits(2).says("already exists");
    folder.run(&format!("{merge} --force --report merged --per-class merged")).exits(2).says("`merged` is a folder");
    folder.run(&format!("{merge} --force --min-miou 1")).exits(2).says("classifiers have `--min-top1`");
    folder.run(&format!("{merge} --force --min-top1 nan")).exits(2).says("expected a number from 0 to 100");
    let twice = folder.run(&format!("{merge} --force --per-class merged.json")).exits(2);
    twice.says("two results are to be written to `merged.json`").says("--report a name of its own");
    assert_eq!(without_times(&read(&folder, "merged.json")), without_times(&whole.stdout));
}

#[test]
fn tables_and_pages_need_shards_that_counted_for_them() {
    let folder = ready();
    let eval = format!("eval {SMALL} --val-list list.txt --json --allow-errors 1 -b 2");
    for index in 0..2 {
        let run = folder.run(&format!("{eval} --shard {index}/2 --report page")).exits(0);
        save(&folder, &run, &format!("r{index}.json"));
        save(&folder, &folder.run(&format!("{eval} --shard {index}/2")).exits(0), &format!("plain{index}.json"));
        let run = folder.run(&format!("{eval} --shard {index}/2 --predictions p{index}.jsonl")).exits(0);
        save(&folder, &run, "unused.json");
    }
    let refused = |files: &str, outputs: &str, message: &str| {
        folder.run(&format!("merge {files} -o m.json {outputs}")).exits(2).says(message);
        assert!(!folder.path("m.json").exists() && !folder.path("m.csv").exists(), "{files}");
    };
    refused("r0.json plain1.json", "--report m", "`plain1.json`, shard 1/2, has no counts for the page");
    refused("r0.json r1.json", "--per-class m.csv", "`r0.json`, shard 0/2, has no counts of classes");
    refused(
        "plain0.json plain1.json",
        "--per-class m.csv",
        "hint: run its command with --per-class and --shard 0/2 again",
    );
    for option in ["--per-class m.csv", "--report m", "--min-top1 1"] {
        refused("p0.jsonl p1.jsonl", option, "is not about these results");
    }
    // The merge itself does not need them, and none of them is a part of its result.
    folder.run("merge r0.json plain1.json -o m.json").exits(0);
    assert!(!read(&folder, "m.json").contains("details"));
    std::fs::remove_file(folder.path("m.json")).unwrap();

    let whole: Value = serde_json::from_str(&read(&folder, "r1.json")).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = whole.clone();
        change(&mut value["details"]);
        folder.write("changed.json", serde_json::to_string_pretty(&value).unwrap());
        refused("r0.json changed.json", "--report m", "`changed.json`");
    };
    changed(&|details| details["classes"] = 0.into());
    changed(&|details| details["classes"] = 2.into());
    changed(&|details| details["page"]["breakdown"]["confusion"][0][2] = 9.into());
    changed(&|details| details["page"]["breakdown"]["confusion"][0][1] = 9.into());
    changed(&|details| details["page"]["breakdown"]["calibration"]["bins"][14]["top1"]["total"] = 99.into());
    changed(&|details| details["page"]["breakdown"]["mistakes"][0]["image"] = 0.into());
    changed(&|details| details["page"]["breakdown"]["mistakes"][0]["label"] = 7.into());
    changed(&|details| details["page"]["pictures"] = Value::Array(Vec::new()));
    changed(&|details| details["page"]["pictures"][0]["png"] = "\"><script>".into());
}

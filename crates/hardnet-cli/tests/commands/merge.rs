//! `--shard` and `hardnet merge`.

use std::path::PathBuf;

use serde_json::Value;

use super::support::{Folder, Run};

const SMALL: &str = "--weights small.safetensors --data-dir images --threads 1 -j 1";

/// A folder with weights, ten pictures, of which one cannot be read, and their list.
fn ready() -> Folder {
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
    let run = folder.run("merge r0.json r1.json -o merged.json --per-class merged.csv --report merged --min-top1 101");
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

#[test]
fn predictions_and_embeddings_merge() {
    let folder = ready();
    let predict = "predict --weights small.safetensors --json images -b 2";
    let whole = folder.run(predict).exits(2);
    let embed = "embed --weights small.safetensors --data-dir images --allow-errors 1 -b 2 -o";
    folder.run(&format!("{embed} whole.npy")).exits(0);
    folder.run(&format!("{embed} whole.jsonl")).exits(0);
    folder.run(&format!("{embed} whole.npz")).exits(0);
    for count in [1, 3, 6] {
        for index in 0..count {
            let shard = format!("--shard {index}/{count} --force");
            // The run with the damaged image fails, and has all others.
            let run = folder.run(&format!("{predict} --shard {index}/{count}"));
            save(&folder, &run, &format!("p{index}.jsonl"));
            folder.run(&format!("{embed} a{index}.npy {shard}")).exits(0);
            folder.run(&format!("{embed} l{index}.jsonl {shard}")).exits(0);
        }
        folder.run(&format!("merge {}-o p.jsonl --force", names("p", count, "jsonl"))).exits(0);
        assert_eq!(read(&folder, "p.jsonl"), whole.stdout, "{count} shards");
        folder.run(&format!("merge {}-o l.jsonl --force", names("l", count, "jsonl"))).exits(0);
        assert_eq!(read(&folder, "l.jsonl"), read(&folder, "whole.jsonl"), "{count} shards");
        let run = folder.run(&format!("merge {}-o a.npy --force", names("a", count, "npy"))).exits(0);
        assert_eq!(run.stdout, "a.names.txt\na.npy\n");
        let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
        assert_eq!(bytes("a.npy"), bytes("whole.npy"), "{count} shards");
        assert_eq!(bytes("a.names.txt"), bytes("whole.names.txt"));
        let run = folder.run(&format!("merge {}-o a.npz --force", names("a", count, "npy"))).exits(0);
        assert_eq!(run.stdout, "a.npz\n");
        assert_eq!(bytes("a.npz"), bytes("whole.npz"), "{count} shards");
    }
}

#[test]
fn labels_and_classes_of_embeddings_merge() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images/a", 3);
    folder.pictures("images/b", 2);
    let embed = "embed --weights small.safetensors --data-dir images -b 1 -o";
    folder.run(&format!("{embed} whole.npy")).exits(0);
    folder.run(&format!("{embed} whole.npz")).exits(0);
    for index in 0..2 {
        folder.run(&format!("{embed} a{index}.npy --shard {index}/2")).exits(0);
    }
    folder.run("merge a0.npy a1.npy -o a.npy").exits(0);
    folder.run("merge a0.npy a1.npy -o a.npz").exits(0);
    folder.run("merge a0.npy a1.npy -o a.bin").exits(2).says("expected a name that ends in .npy or .npz");
    for ending in ["npy", "npz", "names.txt", "labels.npy", "classes.txt"] {
        let bytes = |name: &str| std::fs::read(folder.path(&format!("{name}.{ending}"))).unwrap();
        assert_eq!(bytes("a"), bytes("whole"), "{ending}");
    }
    // A row that is lost.
    let path: PathBuf = folder.path("a1.npy");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
    folder
        .run("merge a0.npy a1.npy -o a.npy --force")
        .exits(2)
        .says("does not have the 3 rows of its shard in `a1.npy`");
    let run = folder.run("merge a0.npy a1.npy -o b.npz").exits(2);
    run.says("does not have the 3 rows of its shard in `a1.npy`");
    assert!(!folder.path("b.npz").exists());
    folder.write("a0.names.txt", "one\n");
    folder.run("merge a0.npy a1.npy -o a.npy --force").exits(2).says("has 2 rows, but `a0.names.txt` has 1 lines");
    std::fs::remove_file(folder.path("a1.shard.json")).unwrap();
    folder.run("merge a0.npy a1.npy -o a.npy --force").exits(2).says("`a1.shard.json` is not there");
}

#[test]
fn what_is_not_one_run_is_refused() {
    let folder = ready();
    let eval = format!("eval {SMALL} --val-list list.txt --json --allow-errors 1 -b 2 --force");
    for index in 0..3 {
        let run = folder.run(&format!("{eval} --shard {index}/3 --predictions p{index}.jsonl")).exits(0);
        save(&folder, &run, &format!("r{index}.json"));
    }
    let refused = |files: &str, message: &str| {
        folder.run(&format!("merge {files} -o merged")).exits(2).says(message);
        assert!(!folder.path("merged").exists(), "{files}");
    };
    refused(
        "r0.json r2.json",
        "error: shard 1 of 3 is missing\n\nhint: add its file, or run the command again with --shard 1/3",
    );
    refused("r1.json", "shard 0, 2 of 3 are missing");
    refused("r0.json r1.json r1.json r2.json", "`r1.json` and `r1.json` are both shard 1/3");
    refused("p0.jsonl p1.jsonl", "shard 2 of 3 is missing");
    refused(
        "r0.json p1.jsonl r2.json",
        "`r0.json` is a result of `eval --json`, `p1.jsonl` is JSON lines about images",
    );
    refused("r0.json r1.json none.json", "cannot read `none.json`");
    save(&folder, &folder.run(&format!("{eval} --shard 1/2 --predictions half.jsonl")).exits(0), "half.json");
    refused("r0.json half.json r2.json", "`r0.json` is one of 3 shards, `half.json` one of 2");
    save(&folder, &folder.run(&format!("{eval} --predictions whole.jsonl")).exits(0), "whole.json");
    refused("whole.json", "`whole.json` is the result of a whole run, not of a shard");

    let differs = |flags: &str, field: &str| {
        let run = folder.run(&format!("{eval} {flags} --shard 1/3 --predictions q1.jsonl")).exits(0);
        save(&folder, &run, "other.json");
        refused("r0.json other.json r2.json", &format!("error: `other.json`, shard 1/3, {field}"));
        refused("p0.jsonl q1.jsonl p2.jsonl", "error: `q1.jsonl`, shard 1/3, ");
    };
    let version = env!("CARGO_PKG_VERSION");
    for (file, old) in [("r1.json", "old.json"), ("p1.jsonl", "old.jsonl")] {
        let own = read(&folder, file);
        let other = ["\"version\": ", "\"version\":"].iter().fold(own.clone(), |text, field| {
            text.replace(&format!("{field}\"{version}\""), &format!("{field}\"0.0.9\""))
        });
        assert_ne!(other, own);
        folder.write(old, other);
        let (first, last) = (file.replace('1', "0"), file.replace('1', "2"));
        refused(
            &format!("{first} {old} {last}"),
            &format!(
                "`{old}`, shard 1/3, differs from `{first}` in `tool.version`: \"0.0.9\" instead of \"{version}\""
            ),
        );
    }
    differs("--img-size 16", "differs from `r0.json` in `pipeline.crop`: 16 instead of 24");
    differs("--exif apply", "differs from `r0.json` in `exif`: \"apply\" instead of \"ignore\"");
    differs("--engine candle", "differs from `r0.json` in `engine`");
    folder.write("list.txt", read(&folder, "list.txt").replace("4.png 1", "4.png 2"));
    differs("", "is of other images than `r0.json`: their names or labels differ");
    folder.list(10);
    let other = super::support::small().with_classes(3);
    folder.write("small.safetensors", super::support::weights(&other, None));
    let run = folder.run(&format!("{eval} --shard 1/3 --img-size 24 --crop-pct 0.75 --predictions q1.jsonl")).exits(0);
    save(&folder, &run, "other.json");
    refused("r0.json other.json r2.json", "`other.json`, shard 1/3, differs from `r0.json` in `");
}

/// A file that was cut off where its process died, or that was changed, never merges.
#[test]
fn dead_and_changed_shards_are_named() {
    let folder = ready();
    let predict = "predict --weights small.safetensors --json images/1.png images/2.png images/3.png images/4.png -b 2";
    for index in 0..2 {
        save(&folder, &folder.run(&format!("{predict} --shard {index}/2")).exits(0), &format!("p{index}.jsonl"));
    }
    let whole = read(&folder, "p1.jsonl");
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 3);
    let refused = |text: &str, message: &str| {
        folder.write("changed.jsonl", text);
        folder.run("merge p0.jsonl changed.jsonl -o merged").exits(2).says(message);
    };
    for end in [0, 1, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..end], "`changed.jsonl` does not end in a line about its shard");
    }
    refused(&format!("{}\n", lines[..2].join("\n")), "does not end in a line about its shard");
    refused(
        &format!("{}\n{}\n", lines[0], lines[2]),
        "`changed.jsonl`, shard 1/2, has a line 2 that is not of its run",
    );
    refused(&format!("{}\n{}", lines[0], whole), "has more lines than the 2 it counts");
    refused(&whole.replacen("small.safetensors", "large.safetensors", 1), "has a line 1 that is not of its run");
    refused(&lines[2].replace("\"rows\":2", "\"rows\":18446744073709551615"), "does not end in a line");
    let counts = whole.replace("\"rows\":2", "\"rows\":18446744073709551615");
    refused(&counts, "has counts that do not belong together");
}

#[test]
fn what_shards_cannot_do_is_said() {
    let folder = ready();
    let eval = format!("eval {SMALL} --val-list list.txt --shard 0/2");
    folder.run(&format!("{eval} --report page")).exits(2).says("hint: pass --json, and --report to `hardnet merge`");
    folder.run(&format!("{eval} --per-class c.csv")).exits(2).says("`--per-class` of a shard is a part of its result");
    folder.run(&format!("{eval} --min-top1 1")).exits(2).says("hint: pass --min-top1 to `hardnet merge`");
    folder.run(&format!("{eval} --shard 2/2")).exits(2);
    let predict = "predict --weights small.safetensors images/1.png --shard 0/2";
    folder.run(predict).exits(2).says("hint: pass --json");
    folder.run(&format!("{predict} --json -")).exits(2).says("standard input is one image");
    let embed = "embed --weights small.safetensors --data-dir images --shard 0/2 -o a.npz";
    folder.run(embed).exits(2).says("not as .npz");
    let auto = |variables: &[(&str, &str)], flag: &str| -> Run {
        let mut command = folder.command(&format!("eval {SMALL} --val-list list.txt --shard {flag}"));
        command.envs(variables.iter().copied()).output().unwrap().into()
    };
    auto(&[], "auto").exits(2).says("no launcher has set its variables: `SLURM_ARRAY_TASK_ID`").says("--shard K/N");
    auto(&[("JOB_COMPLETION_INDEX", "1")], "auto").exits(2).says("hint: pass it: --shard auto/N");
    auto(&[("RANK", "1")], "auto").exits(2).says("`RANK` is set, but `WORLD_SIZE` is not");
    let both = [("RANK", "1"), ("WORLD_SIZE", "2"), ("PMI_RANK", "0"), ("PMI_SIZE", "2")];
    auto(&both, "auto").exits(2).says("`RANK` says shard 1/2, `PMI_RANK` says shard 0/2").says("--shard LAUNCHER");
    auto(&both, "mpich").exits(0).says("shard 0/2: 0 of 10 images");
}

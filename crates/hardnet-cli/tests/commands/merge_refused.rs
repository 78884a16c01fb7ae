//! Errors of `hardnet merge` and `--shard`.

use super::merge::{SMALL, read, ready, save};
use super::support::Run;

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
    refused("r1.json", "shards 0, 2 of 3 are missing\n\nhint: add their files");
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

//! The commands of `docs/fine-tuning.md`, run as written.

use std::path::Path;
use std::process::{Command, Stdio};

use super::support::{Folder, Run};

/// A block of code of the guide: the language and the text.
fn blocks(guide: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in guide.lines() {
        match line.strip_prefix("```") {
            Some(language) if !open => {
                blocks.push((language, String::new()));
                open = true;
            }
            Some(_) => open = false,
            None if open => blocks.last_mut().unwrap().1.extend([line, "\n"]),
            None => {}
        }
    }
    blocks
}

/// The numbers of a line, which depend on the processor, as `#`.
fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            c => text.push(c),
        }
    }
    text
}

#[test]
fn the_guide_to_fine_tuning_runs_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let guide = std::fs::read_to_string(root.join("docs/fine-tuning.md")).unwrap();
    let folder = Folder::new();
    std::fs::create_dir(folder.path("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hardnet"), folder.path("bin/hardnet")).unwrap();
    std::os::unix::fs::symlink(root.join("weights"), folder.path("weights")).unwrap();
    let search = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap());
    let (mut runs, mut files): (Vec<Run>, Vec<String>) = Default::default();
    let blocks = blocks(&guide);
    for (language, text) in &blocks {
        match *language {
            "sh" => {
                let mut command = Command::new("sh");
                command.args(["-euc", text]).current_dir(folder.path("")).env("PATH", &search);
                command.env("HARDNET_CACHE", folder.path("cache")).env("HF_HUB_OFFLINE", "1").stdin(Stdio::null());
                let run: Run = command.output().unwrap().into();
                runs.push(run.exits(0));
                assert!(runs.len() > 1 || files.iter().all(|file| folder.path(file).is_file()), "{files:?}");
            }
            // Files, or what the command before says.
            "text" => {
                for line in text.lines() {
                    match runs.last() {
                        None => files.push(line.to_owned()),
                        Some(run) => {
                            let mut said = run.stdout.lines().chain(run.stderr.lines());
                            let is_said = said.any(|said| without_numbers(said) == without_numbers(line));
                            assert!(is_said, "nothing says {line:?}: {run:#?}");
                        }
                    }
                }
            }
            other => panic!("a block of `{other}`"),
        }
    }
    assert!(blocks.iter().filter(|(language, _)| *language == "sh").count() >= 7);

    // The files that the guide refers to exist, and its networks classify well.
    for file in
        ["head/best.safetensors", "clothes/run/curves.svg", "clothes/run/metrics.jsonl", "clothes/report/index.html"]
    {
        assert!(folder.path(file).is_file(), "{file}");
    }
    let report =
        folder.run("eval --weights clothes/run/best.safetensors --data-dir clothes/val --json").exits(0).json();
    assert!(report["top1"]["percent"].as_f64().unwrap() > 60.0, "{report}");
    let predicted = &runs.last().unwrap().stdout;
    assert!(predicted.contains("dress"), "{predicted}");
}

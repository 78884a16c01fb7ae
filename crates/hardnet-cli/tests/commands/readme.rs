//! Commands that the documentation answers questions with.

use hardnet_model::{Config, Metadata, Variant};

use super::support::{Folder, png, weights};

/// The lines of shell code in a part of a page.
fn commands(page: &str) -> Vec<&str> {
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    blocks.flat_map(str::lines).filter(|line| line.starts_with("hardnet ")).collect()
}

#[test]
fn answers_to_questions_are_commands_that_run() {
    let readme = include_str!("../../../../README.md");
    let answers = readme.split("## Common questions").nth(1).unwrap().split("\n## ").next().unwrap();
    let page = include_str!("../../../../docs/embeddings.md");
    let mut commands = [commands(answers), commands(page)].concat();
    // ImageNet's development kit needs ImageNet's classes.
    commands.retain(|command| !command.contains("--devkit"));
    assert!(commands.len() >= 9, "{commands:#?}");

    let folder = Folder::new();
    let config = Config::from(Variant::HarDNet39Ds).with_classes(3);
    let mut metadata = Metadata::new(config.clone());
    metadata.labels = Some(["bag", "shirt", "shoe"].map(String::from).to_vec());
    let bytes = weights(&config, Some(&serde_json::to_string(&metadata).unwrap()));
    // The format of a file follows from its content.
    folder.write("hardnet68.pth", bytes);
    let picture = |seed: u8| png(40, 30, move |x, y, c| (x * 5 + y * 3) as u8 ^ (c as u8 * 70) ^ seed);
    for (seed, name) in (0..).zip(["val/bag/0.png", "val/shirt/0.png", "val/shoe/0.png", "folder/c.jpg"]) {
        folder.write(name, picture(seed));
    }
    for name in ["photos/0.jpg", "photos/1.jpg", "a.jpg", "b.jpg"] {
        folder.write(name, picture(9));
    }
    folder.write("val_list.txt", "bag/0.png 0\nshirt/0.png 1\nshoe/0.png 2\n");
    let mut tar = std::process::Command::new("tar");
    assert!(tar.args(["cf", "archive.tar", "photos"]).current_dir(folder.path("")).status().unwrap().success());

    for command in commands {
        let (arguments, redirected) = command.split_once(" > ").map_or((command, None), |(a, to)| (a, Some(to)));
        // One page may write what the other did.
        let written = arguments.split_whitespace().skip_while(|word| *word != "-o").nth(1);
        if let Some(written) = written {
            let _ = std::fs::remove_file(folder.path(written));
        }
        let run = folder.run(arguments.strip_prefix("hardnet ").unwrap()).exits(0);
        assert!(!run.stdout.is_empty(), "{command}");
        if redirected.is_some() {
            assert_eq!(run.json_lines().len(), 2, "{command}");
        }
    }
    for file in ["classes.csv", "predictions.jsonl", "photos.npz", "vectors.npy", "val.jsonl", "flips.html"] {
        assert!(folder.path(file).exists(), "{file}");
    }
}

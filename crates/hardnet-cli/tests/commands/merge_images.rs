//! `hardnet merge` of shards of `hardnet predict` and `hardnet embed`.

use std::path::PathBuf;

use super::merge::{names, read, ready, save};
use super::support::Folder;

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
    // In place of a shard: it is one no longer.
    std::fs::copy(folder.path("a0.shard.json"), folder.path("c.shard.json")).unwrap();
    folder.run("merge a0.npy a1.npy -o c.npy").exits(2).says("`c.shard.json` already exists");
    folder.run("merge a0.npy a1.npy -o c.npy --force").exits(0);
    assert!(!folder.path("c.shard.json").exists());
    // A row that is lost, and nothing is replaced.
    folder.write("a.names.txt", "kept");
    let path: PathBuf = folder.path("a1.npy");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
    folder
        .run("merge a0.npy a1.npy -o a.npy --force")
        .exits(2)
        .says("does not have the 3 rows of its shard in `a1.npy`");
    assert_eq!(read(&folder, "a.names.txt"), "kept");
    let run = folder.run("merge a0.npy a1.npy -o b.npz").exits(2);
    run.says("does not have the 3 rows of its shard in `a1.npy`");
    assert!(!folder.path("b.npz").exists());
    std::fs::write(&path, &bytes).unwrap();
    folder.write("a0.names.txt", "one\n");
    folder.run("merge a0.npy a1.npy -o a.npy --force").exits(2).says("has 2 rows, but `a0.names.txt` has 1 lines");
    std::fs::remove_file(folder.path("a1.shard.json")).unwrap();
    folder.run("merge a0.npy a1.npy -o a.npy --force").exits(2).says("`a1.shard.json` is not there");
}

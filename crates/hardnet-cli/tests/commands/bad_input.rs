//! Broken, hostile and misplaced files: an error that helps, never a panic, a hang or a wrong answer.

use std::time::Instant;

use hardnet_model::{Config, Variant};

use super::support::{Folder, jpeg, png, weights};

const EVAL: &str = "eval --weights small.safetensors --data-dir images --val-list list.txt";

/// A folder with weights and one image of these bytes, with its list.
fn one_image(name: &str, bytes: &[u8]) -> Folder {
    let folder = Folder::new();
    folder.small_weights();
    folder.write(&format!("images/{name}"), bytes);
    folder.write("list.txt", format!("{name} 0\n"));
    folder
}

#[test]
fn images_that_are_none() {
    let jpeg = jpeg();
    one_image("whole.jpg", &jpeg).run(EVAL).exits(0);
    let cases: [(&str, &[u8], &str); 5] = [
        ("truncated.jpg", &jpeg[..jpeg.len() / 2], "truncated"),
        ("cut-in-the-header.jpg", &jpeg[..30], "truncated"),
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"This is a letter, not a photograph.", "text"),
        ("page.jpg", b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    ];
    for (name, bytes, expected) in cases {
        let run = one_image(name, bytes).run(&format!("{EVAL} --json")).exits(2).says(name).says(expected);
        assert_eq!(run.json()["errors"], 1, "{name}");
    }
}

#[test]
fn shapes_at_the_edge_are_images() {
    for (name, width, height) in [("dot.png", 1, 1), ("wide.png", 30_000, 2), ("tall.png", 2, 30_000)] {
        let started = Instant::now();
        let report =
            one_image(name, &png(width, height, |x, _, _| x as u8)).run(&format!("{EVAL} --json")).exits(0).json();
        assert_eq!(report["top1"]["total"], 1, "{name}");
        assert!(started.elapsed().as_secs() < 20, "{name} took {:?}", started.elapsed());
    }
}

#[test]
fn a_folder_in_place_of_an_image() {
    let folder = one_image("a.png", &png(8, 8, |_, _, _| 0));
    std::fs::create_dir(folder.path("images/b.png")).unwrap();
    folder.write("list.txt", "a.png 0\nb.png 1\n");
    folder.run(EVAL).exits(2).says("list.txt").says("b.png");
}

#[cfg(unix)]
#[test]
fn a_file_without_permission() {
    use std::os::unix::fs::PermissionsExt;

    let folder = one_image("a.png", &png(8, 8, |_, _, _| 0));
    let set =
        |mode| std::fs::set_permissions(folder.path("images/a.png"), std::fs::Permissions::from_mode(mode)).unwrap();
    set(0);
    // The superuser reads everything.
    if std::fs::File::open(folder.path("images/a.png")).is_err() {
        folder.run(EVAL).exits(2).says("a.png").says("ermission denied");
    } else {
        folder.run(EVAL).exits(0);
    }
}

#[test]
fn lists_with_mistakes_stop_before_any_work() {
    let folder = one_image("a.png", &png(8, 8, |_, _, _| 0));
    let cases = [
        ("a.png 3\n", "`list.txt`: the label `3` (line 1) is outside 0..3"),
        ("\na.png 0\nb.png 1\n", "b.png"),
        ("a.png 0\na.png 0\n", "line 2"),
        ("a.png zero\n", "`list.txt`: 1 of the 1 labels fit no class: `zero` (line 1); the classes are `shirt`"),
        ("", "list.txt"),
    ];
    for (list, expected) in cases {
        folder.write("list.txt", list);
        let run = folder.run(EVAL).exits(2).says(expected);
        assert_eq!(run.stdout, "", "{list:?}");
    }
    folder.write("list.txt", "a.png 0\n");
    folder
        .run("eval --weights small.safetensors --data-dir images --val-list nothing.txt")
        .exits(2)
        .says("nothing.txt");
    folder.run("eval --weights small.safetensors --data-dir nowhere --val-list list.txt").exits(2).says("nowhere");
    folder.run("eval --weights small.safetensors --data-dir images").exits(2).says("--val-list");
}

#[test]
fn weights_that_do_not_fit() {
    let folder = one_image("a.png", &png(8, 8, |_, _, _| 0));
    let whole = weights(&Config::from(Variant::HarDNet39Ds), None);
    folder.write("other.safetensors", &whole);
    folder.write("truncated.safetensors", &whole[..whole.len() / 2]);
    folder.write("text.safetensors", "not weights");
    folder.write("weights.pth", b"PK\x03\x04\x00\x00");
    let eval = |flags: &str| folder.run(&format!("eval --data-dir images --val-list list.txt {flags}")).exits(2);
    eval("--weights truncated.safetensors").says("is not a readable model file").says("hint: the file may be damaged");
    eval("--weights text.safetensors")
        .says("unknown format: the file starts with `not weights`")
        .says("hint: check that the download is complete");
    eval("--weights weights.pth").says("`zip archive` at offset 6 is not valid");
    eval("--weights other.safetensors -m hardnet68")
        .says("holds hardnet39ds, not hardnet68")
        .says("hint: drop --model");
    eval("--weights nothing.safetensors").says("cannot read weights `nothing.safetensors`");
    eval("--weights images").says("cannot read weights `images`");
    eval("").says("error: no weights given").says("hint: pass --weights");
    eval("--weights hf://someone/hardnet68").says("HF_HUB_OFFLINE is set");
    eval("--weights hf://someone").says("expected hf://owner/name");
    let mut damaged = weights(&super::support::small(), Some(&super::support::metadata(super::support::small())));
    let end = damaged.len();
    damaged[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    folder.write("damaged.safetensors", damaged);
    eval("--weights damaged.safetensors")
        .says("`damaged.safetensors` does not fit the network of its metadata: 1 not finite (");
}

#[test]
fn devices_that_are_not_built_in_name_their_feature() {
    let folder = one_image("a.png", &png(8, 8, |_, _, _| 0));
    if !cfg!(feature = "cuda") {
        folder
            .run(&format!("{EVAL} --device cuda:1"))
            .exits(2)
            .says("this build does not support device `cuda:1`")
            .says("--features cuda");
    }
    if !cfg!(feature = "metal") {
        folder.run(&format!("{EVAL} --device metal")).exits(2).says("--features metal");
    }
    folder.run(&format!("{EVAL} --device tpu")).exits(2).says("expected auto, cpu, cuda, cuda:N or metal");
}

#[test]
fn numbers_that_make_no_sense() {
    let folder = one_image("a.png", &png(8, 8, |_, _, _| 0));
    for flags in [
        "-b 0",
        "--threads 0",
        "--num-samples 0",
        "--img-size 0",
        "--crop-pct nan",
        "--img-size 99999999",
        "-b 99999999999",
    ] {
        let run = folder.run(&format!("{EVAL} {flags}"));
        // A batch larger than the list is the whole list.
        let code = if flags.starts_with("-b 9") { 0 } else { 2 };
        run.exits(code);
    }
    for flags in ["-b 0", "--img-size 0", "--img-size x", "--img-size 4294967296"] {
        folder.run(&format!("{EVAL} {flags}")).exits(2).says("expected a whole number from 1");
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_in_place_of_weights_do_not_hang() {
    let folder = one_image("a.png", &png(8, 8, |_, _, _| 0));
    let made = std::process::Command::new("mkfifo").arg(folder.path("pipe.safetensors")).status().unwrap();
    assert!(made.success());
    for path in ["pipe.safetensors", "/dev/zero", "images"] {
        folder
            .run(&format!("eval --data-dir images --val-list list.txt --weights {path}"))
            .exits(2)
            .says("not a regular file");
        folder.run(&format!("inspect {path}")).exits(2).says("not a regular file");
    }
}

/// U+009B is the one-character form of `ESC [`, with which a file could drive the terminal.
#[test]
fn inspect_prints_no_control_characters_of_a_file() {
    let folder = Folder::new();
    let header = "{\"__metadata__\":{\"k\u{9b}2J\":\"v\u{9b}2J\"},\
                  \"t\u{9b}2J\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    let length = (header.len() as u64).to_le_bytes();
    folder.write("hostile.safetensors", [&length[..], header.as_bytes(), &[0; 4]].concat());
    let run = folder.run("inspect --tensors hostile.safetensors").exits(0);
    for text in ["k\\u{9b}2J: \"v\\u{9b}2J\"", "t\\u{9b}2J"] {
        assert!(run.stdout.contains(text), "{text} is missing in {run:#?}");
    }
    assert!(!run.stdout.chars().any(|c| c.is_control() && c != '\n'), "{run:#?}");
}

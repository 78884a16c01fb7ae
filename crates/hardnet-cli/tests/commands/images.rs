//! Image files as people have them: JPEGs with odd ends, other formats, files that are not read.

use std::path::Path;

use super::support::{Folder, png};

/// A file that Pillow made.
fn pillow(name: &str) -> Vec<u8> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hardnet-data/tests/pillow/files");
    std::fs::read(files.join(name)).unwrap()
}

/// Writes a JPEG as it is, and with ends as cameras and copies leave them.
fn odd_jpegs(folder: &Folder) {
    let whole = pillow("rgb420.jpg");
    let (body, end) = whole.split_at(whole.len() - 2);
    for (name, bytes) in [
        ("whole.jpg", whole.clone()),
        ("zeros_for_end.jpg", [body, &[0; 66]].concat()),
        ("two_bytes_before_end.jpg", [body, &[0; 2], end].concat()),
        ("211_bytes_before_end.jpg", [body, &[0x5a; 211], end].concat()),
        ("bytes_behind_end.jpg", [&whole, &[0; 4096][..]].concat()),
    ] {
        folder.write(&format!("jpeg/{name}"), bytes);
    }
    folder.write("cut_in_half.jpg", &whole[..whole.len() / 2]);
}

#[test]
fn jpegs_that_viewers_show_are_read_with_one_warning() {
    let folder = Folder::new();
    folder.small_weights();
    odd_jpegs(&folder);
    let run = folder.run("predict --weights small.safetensors --logits jpeg").exits(0);
    let lines = run.json_lines();
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line["logits"] == lines[0]["logits"]), "{lines:#?}");
    let warnings: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    let first = Path::new("jpeg").join("211_bytes_before_end.jpg");
    let expected = format!(
        "warning: 3 images: the jpeg has stray bytes or no end marker; all of the image was read; the first is `{}`",
        first.display()
    );
    assert_eq!(warnings, [expected]);

    let names = ["whole", "zeros_for_end", "two_bytes_before_end", "211_bytes_before_end", "bytes_behind_end"];
    folder.write("list.txt", names.map(|name| format!("{name}.jpg 0\n")).concat());
    let run = folder.run("eval --json --weights small.safetensors --data-dir jpeg --val-list list.txt").exits(0);
    assert_eq!((&run.json()["top1"]["total"], &run.json()["errors"]), (&5.into(), &0.into()));
    let run = run.says("warning: 3 images: the jpeg has stray bytes");
    assert_eq!(run.stderr.matches("warning: ").count(), 1, "{run:#?}");

    folder.run("predict --weights small.safetensors cut_in_half.jpg").exits(2).says("the jpeg data is truncated");
}

#[test]
fn damaged_jpegs_are_read_with_a_warning() {
    let folder = Folder::new();
    folder.small_weights();
    folder.write("early.jpg", pillow("damaged_early_end.jpg"));
    folder.write("restart.jpg", pillow("damaged_restart_lost.jpg"));
    let run = folder.run("predict --weights small.safetensors early.jpg restart.jpg").exits(0);
    run.says("warning: 2 images: the jpeg is damaged").says("the first is `early.jpg`");
}

#[test]
fn other_formats_are_read_by_their_content() {
    let folder = Folder::new();
    folder.small_weights();
    for (name, file) in [
        ("a.tif", "rgb_tiff_lzw.tif"),
        ("b.tiff", "tiles.tif"),
        ("c.webp", "lossless.webp"),
        ("d.ppm", "rgb.ppm"),
        ("e.pgm", "grey.pgm"),
        ("f.jpg", "palette.gif"),
        ("g.jpg", "lossy75.webp"),
        ("i.gif", "animated.gif"),
        ("j.pbm", "bits.pbm"),
    ] {
        folder.write(&format!("formats/{name}"), pillow(file));
    }
    folder.write("formats/h.JPEG", png(20, 20, |x, y, c| (x * y) as u8 ^ c as u8));
    let run = folder.run("predict --weights small.safetensors --json formats").exits(0);
    assert_eq!(run.json_lines().len(), 10, "{run:#?}");
}

#[test]
fn files_that_are_not_read_are_counted_before_the_work() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("photos", 2);
    for number in 0..9 {
        folder.write(&format!("photos/sub/{number}.heic"), b"\0\0\0\x18ftypheic");
    }
    for number in 0..3 {
        folder.write(&format!("photos/{number}.avif"), b"\0\0\0\x1cftypavif");
    }
    let run = folder.run("predict --weights small.safetensors --json photos").exits(0);
    assert_eq!(run.json_lines().len(), 2);
    let run = run.says("skipping 12 files: 9 .heic, 3 .avif");
    assert_eq!(run.stderr.matches("heic").count(), 1, "{run:#?}");
    for class in ["bag", "shirt", "shoe"] {
        folder.pictures(&format!("classes/{class}"), 1);
        folder.write(&format!("classes/{class}/a.heic"), b"\0\0\0\x18ftypheic");
    }
    let run = folder.run("eval --json --weights small.safetensors --data-dir classes").exits(0);
    assert_eq!(run.json()["data"]["images"], 3);
    run.says("skipping 3 files: 3 .heic");

    // A file that is named is an error.
    folder.run("predict --weights small.safetensors photos/0.avif").exits(2).says("it looks like `avif`");
    folder.write("list.txt", "0.png 0\n0.avif 1\n");
    let run = folder.run("eval --json --weights small.safetensors --data-dir photos --val-list list.txt");
    assert_eq!(run.json()["errors"], 1, "{run:#?}");
    run.says("it looks like `avif`");
}

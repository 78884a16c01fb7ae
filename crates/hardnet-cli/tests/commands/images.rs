//! Image files as people have them: JPEGs with odd ends, other formats, files that are not read.

use std::path::Path;

use hardnet_data::{DecodeOptions, Exif, encode_png};

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

/// Writes a JPEG that EXIF data turn by a quarter, twice; without these data; and upright as a PNG.
fn rotated(folder: &Folder) {
    let rotated = pillow("rotated_by_exif.jpg");
    let start = rotated.windows(2).position(|pair| pair == b"\xff\xe1").unwrap();
    let length = usize::from(u16::from_be_bytes([rotated[start + 2], rotated[start + 3]]));
    let upright = DecodeOptions::default().exif(Exif::Apply).decode(&rotated).unwrap().image;
    assert_eq!((upright.width(), upright.height()), (45, 67));
    folder.write("photos/a.jpg", &rotated);
    folder.write("photos/b.jpg", &rotated);
    folder.write("stored.jpg", [&rotated[..start], &rotated[start + 2 + length..]].concat());
    folder.write("upright.png", encode_png(&upright).unwrap());
}

#[test]
fn an_orientation_is_ignored_with_one_warning_unless_it_is_applied() {
    let folder = Folder::new();
    folder.small_weights();
    rotated(&folder);
    let logits = |arguments: &str| {
        let run = folder.run(&format!("predict --weights small.safetensors --logits {arguments}")).exits(0);
        (run.json_lines().remove(0)["logits"].clone(), run)
    };
    let (stored, run) = logits("stored.jpg");
    assert!(!run.stderr.contains("warning"), "{run:#?}");
    let (upright, _) = logits("upright.png");
    assert_ne!(stored, upright);

    let (ignored, run) = logits("photos");
    assert_eq!(ignored, stored);
    let first = Path::new("photos").join("a.jpg");
    let warning = format!(
        "warning: 2 images: the exif orientation was ignored, as in torchvision; pass --exif apply to turn them upright; \
         the first is `{}`",
        first.display()
    );
    let run = run.says(&warning);
    assert_eq!(run.stderr.matches("warning").count(), 1, "{run:#?}");
    let (applied, run) = logits("--exif apply photos");
    assert_eq!(applied, upright);
    assert!(!run.stderr.contains("warning"), "{run:#?}");
    run.says("center crop 24, exif orientation applied (from the weights file, --exif)");

    // OpenCV applies it.
    let (by_opencv, run) = logits("--pipeline paddleclas --img-size 24 photos");
    assert!(!run.stderr.contains("warning"), "{run:#?}");
    assert_eq!(by_opencv, logits("--pipeline paddleclas --img-size 24 upright.png").0);
    let (unlike_opencv, _) = logits("--pipeline paddleclas --img-size 24 --exif ignore photos");
    assert_eq!(unlike_opencv, logits("--pipeline paddleclas --img-size 24 stored.jpg").0);

    folder
        .run("predict --weights small.safetensors --exif turn photos")
        .exits(2)
        .says("possible values: apply, ignore");
}

#[test]
fn every_command_that_reads_images_knows_the_orientation() {
    let folder = Folder::new();
    folder.small_weights();
    rotated(&folder);
    let ignored = "the exif orientation was ignored, as in torchvision; pass --exif apply";
    let file = std::fs::File::open(folder.path("photos/a.jpg")).unwrap();
    folder.run_with("predict --weights small.safetensors -", file.into()).exits(0).says(ignored);
    let told = |run: &super::support::Run| (run.json()["exif"].clone(), run.json()["oriented"].clone());
    let run = folder.run("embed --json --weights small.safetensors -o a.npy photos upright.png").exits(0).says(ignored);
    assert_eq!(told(&run), ("ignore".into(), 2.into()));
    folder.run("embed --weights small.safetensors -o b.npy --exif apply photos/a.jpg").exits(0);
    folder.run("embed --weights small.safetensors -o c.npy upright.png").exits(0);
    assert_eq!(std::fs::read(folder.path("b.npy")).unwrap(), std::fs::read(folder.path("c.npy")).unwrap());
    folder.write("list.txt", "a.jpg 0\nb.jpg 1\n");
    let eval = "eval --json --weights small.safetensors --data-dir photos --val-list list.txt";
    let run = folder.run(eval).exits(0).says(ignored);
    assert_eq!(told(&run), ("ignore".into(), 2.into()));
    let run = folder.run(&format!("{eval} --exif apply --predictions a.jsonl")).exits(0);
    assert!(!run.stderr.contains(ignored), "{run:#?}");
    assert_eq!(told(&run), ("apply".into(), 2.into()));
    let lines = std::fs::read_to_string(folder.path("a.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let told = [&line["orientation"], &line["width"], &line["height"], &line["run"]["exif"]];
    assert_eq!(told, [&serde_json::json!(6), &45.into(), &67.into(), &"apply".into()]);
    let decoded = |arguments: &str| {
        let run = folder.run(&format!("trace --json {arguments} photos/a.jpg")).exits(0);
        (run.json_lines().remove(0)["shape"].clone(), run.stderr.contains(ignored))
    };
    assert_eq!(decoded(""), (serde_json::json!([45, 67, 3]), true));
    assert_eq!(decoded("--exif apply"), (serde_json::json!([67, 45, 3]), false));

    // Weights carry it.
    folder.run("convert small.safetensors turned.safetensors --exif apply").exits(0);
    let run = folder.run("predict --weights turned.safetensors photos").exits(0);
    assert!(!run.stderr.contains(ignored), "{run:#?}");
    let run = folder.run("predict --weights turned.safetensors --exif ignore photos").exits(0);
    run.says(ignored);
}

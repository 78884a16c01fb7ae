//! Lines of JSON about images, of all commands that write them.

use std::fs::File;

use serde_json::{Value, json};

use super::support::Folder;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Size and run are the same whoever writes the line, but for the images of the run.
#[test]
fn every_line_says_how_large_its_image_was_and_what_computed_it() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 3);
    folder.list(3);
    let read = |name: &str| lines(&std::fs::read_to_string(folder.path(name)).unwrap());
    let flags = "--weights small.safetensors --pipeline paddleclas --img-size 32";
    let data = "--data-dir images";
    let eval = format!("eval {flags} {data} --val-list list.txt --predictions p.jsonl --json");
    let report = folder.run(&eval).exits(0).json();
    folder.run(&format!("embed {flags} {data} --list list.txt -o e.jsonl")).exits(0);
    let predicted = folder.run(&format!("predict {flags} --json images")).exits(0).json_lines();
    let picture = File::open(folder.path("images/0.png")).unwrap();
    let piped = folder.run_with(&format!("predict {flags} --json -"), picture.into()).exits(0).json_lines();

    let pipeline = json!({
        "name": null, "resize": 36, "crop": 32, "interpolation": "cv2-linear", "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225], "convention": "paddleclas",
    });
    let listed = json!({ "data_dir": "images", "list": "list.txt", "images": 3 });
    let outputs = [
        (read("p.jsonl"), &listed),
        (read("e.jsonl"), &listed),
        (predicted, &json!({ "images": 3 })),
        (piped, &json!({ "images": 1 })),
    ];
    for (lines, data) in outputs {
        assert_eq!(lines.len() as u64, data["images"].as_u64().unwrap());
        for line in lines {
            assert_eq!((&line["width"], &line["height"]), (&40.into(), &30.into()), "{line}");
            let run = &line["run"];
            assert_eq!((&run["tool"], &run["tool"]["version"]), (&report["tool"], &env!("CARGO_PKG_VERSION").into()));
            assert_eq!(run["weights"], json!({ "path": "small.safetensors", "sha256": report["weights"]["sha256"] }));
            assert_eq!((&run["model"], &run["decoder"]), (&"custom".into(), &hardnet_data::JPEG_DECODER.into()));
            assert_eq!((&run["pipeline"], &run["data"], &run["exif"]), (&pipeline, data, &"apply".into()));
        }
    }
}

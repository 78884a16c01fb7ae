//! How `hardnet eval` reads the labels of images, on the bundled network: a wrong label shows as a wrong accuracy.

use std::collections::HashMap;
use std::path::Path;

use hardnet_demo::fashion_mnist::{CLASSES, SAMPLE_TAR, VAL_LIST};

use super::support::{Folder, Run, notebook_metadata, weights};

/// Images of each class.
const EACH: usize = 5;

const EVAL: &str = "eval --weights hardnet39ds.fashion_mnist --json --data-dir";

/// The bundled images, a few of each class, with their class and name.
fn images(folder: &Folder) -> Vec<(usize, String)> {
    folder.write("sample.tar", SAMPLE_TAR);
    let command = std::process::Command::new("tar").args(["xf", "sample.tar"]).current_dir(folder.path("")).status();
    assert!(command.unwrap().success());
    let mut taken = HashMap::<usize, usize>::new();
    let entry = |line: &str| {
        let (name, class) = line.rsplit_once(' ').unwrap();
        (class.parse().unwrap(), name.to_owned())
    };
    let mut is_wanted = |(class, _): &(usize, String)| {
        let count = taken.entry(*class).or_default();
        *count += 1;
        *count <= EACH
    };
    VAL_LIST.lines().map(entry).filter(|entry| is_wanted(entry)).collect()
}

/// A folder with the images in `flat` and, by the names that `name` gives classes, in the folders of `sorted`.
fn sorted(name: impl Fn(usize) -> String) -> Folder {
    let folder = Folder::new();
    for (class, image) in images(&folder) {
        let bytes = std::fs::read(folder.path("fashion_mnist").join(&image)).unwrap();
        folder.write(&format!("flat/{image}"), &bytes);
        folder.write(&format!("sorted/{}/{image}", name(class)), &bytes);
    }
    folder
}

fn folder_name(class: usize) -> String {
    CLASSES[class].replace('/', "-")
}

/// The list of the images in `flat`, a line of each by `line`.
fn list(folder: &Folder, line: impl Fn(usize, &str) -> String) -> String {
    images(folder).iter().map(|(class, image)| line(*class, image)).collect()
}

#[track_caller]
fn correct(run: &Run) -> u64 {
    run.json()["top1"]["correct"].as_u64().unwrap()
}

#[test]
fn folders_named_by_classes_equal_folders_by_number() {
    let by_number = sorted(|class| class.to_string()).run(&format!("{EVAL} sorted")).exits(0);
    let by_number = by_number.says("labels: class indices, 10 of 10 classes");
    assert_eq!(by_number.json()["data"]["labels"], "indices");
    let expected = correct(&by_number);
    assert!(expected * 10 >= 8 * 10 * EACH as u64, "{expected} of {}", 10 * EACH);
    for name in [folder_name, |class: usize| CLASSES[class].replace('/', "_")] {
        let run = sorted(name).run(&format!("{EVAL} sorted")).exits(0).says("labels: class names, 10 of 10 classes");
        assert_eq!((correct(&run), &run.json()["data"]["labels"]), (expected, &"class names".into()));
    }
}

#[test]
fn labels_that_fit_no_class_are_an_error() {
    let from_one = sorted(|class| (class + 1).to_string());
    from_one
        .run(&format!("{EVAL} sorted"))
        .exits(2)
        .says("the labels look counted from 1 to 10, expected class names or numbers from 0 to 9")
        .says("the classes are `T-shirt/top`, `Trouser`")
        .says("hint: rename the labels, or pass --class-map");
    let other = sorted(|class| if class == 3 { "bird".into() } else { folder_name(class) });
    other.run(&format!("{EVAL} sorted")).exits(2).says("1 of the 10 labels fit no class: `bird`; the classes are");
    // A class map says what they mean; some classes may be absent.
    let map: String = (0..CLASSES.len()).map(|index| format!("{},{index}\r\n", index + 1)).collect();
    from_one.write("map.csv", format!("label,index\r\n{map}\"Ankle boot\",9\r\n"));
    let run = from_one.run(&format!("{EVAL} sorted --class-map map.csv")).exits(0);
    let run = run.says("labels: class map `map.csv`, 10 of 10 classes");
    assert_eq!(run.json()["data"]["labels"], "class map");
    assert_eq!(run.json()["data"]["class_map"], "map.csv");
    assert_eq!(correct(&run), correct(&sorted(folder_name).run(&format!("{EVAL} sorted"))));
    std::fs::remove_dir_all(from_one.path("sorted/4")).unwrap();
    from_one.run(&format!("{EVAL} sorted --class-map map.csv")).exits(0).says("9 of 10 classes");
}

#[test]
fn weights_without_names_take_the_order_of_torchvision() {
    let folder = Folder::new();
    let (config, metadata) = notebook_metadata();
    folder.write("unnamed.safetensors", weights(&config, Some(&metadata)));
    for class in ["cat", "dog", "fox"] {
        folder.pictures(&format!("images/{class}"), 1);
    }
    let eval = "eval --weights unnamed.safetensors --json --data-dir images";
    let run = folder.run(eval).exits(0).says(
        "labels: 3 classes in the order of their names as text, as torchvision's ImageFolder numbers them: `cat` is 0, \
         `fox` is 2; the weights do not name their classes",
    );
    assert_eq!(run.json()["data"]["labels"], "sorted as text");
    // One folder more or less than classes is not guessed.
    folder.pictures("images/gnu", 1);
    folder.run(eval).exits(2).says("4 of the 4 labels fit no class: `cat`, `dog`, `fox`, `gnu`");
}

#[test]
fn stray_and_empty_folders_are_not_classes() {
    let folder = sorted(folder_name);
    let expected = correct(&folder.run(&format!("{EVAL} sorted")));
    folder.write("sorted/__MACOSX/._x.jpg", b"\0\x05\x16\x07");
    folder.write("sorted/@eaDir/Bag/thumb.png", b"none");
    folder.write("sorted/Bag/Thumbs.db", b"none");
    for empty in ["lost+found", ".ipynb_checkpoints", "empty"] {
        std::fs::create_dir(folder.path("sorted").join(empty)).unwrap();
    }
    let run = folder.run(&format!("{EVAL} sorted")).exits(0).says("1 folder without images is not a class: `empty`");
    assert_eq!((correct(&run), &run.json()["errors"]), (expected, &0.into()));
}

#[test]
fn lists_are_read_as_any_system_writes_them() {
    let folder = sorted(|class| class.to_string());
    let plain = list(&folder, |class, image| format!("{image} {class}\n"));
    folder.write("plain.txt", &plain);
    let expected = correct(&folder.run(&format!("{EVAL} flat --val-list plain.txt")).exits(0));
    let utf16: Vec<u8> =
        format!("\u{feff}{}", plain.replace('\n', "\r\n")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    folder.write("utf16.txt", utf16);
    folder.write("names.txt", list(&folder, |class, image| format!("{image}\t{}\n", CLASSES[class])));
    let root = folder.path("flat").display().to_string();
    folder.write("absolute.txt", list(&folder, |class, image| format!("{root}/{image} {class}\n")));
    folder.write("backslash.txt", list(&folder, |class, image| format!("{class}\\{image} {class}\r\n")));
    for (images, list) in
        [("flat", "utf16.txt"), ("flat", "names.txt"), ("flat", "absolute.txt"), ("sorted", "backslash.txt")]
    {
        let run = folder.run(&format!("{EVAL} {images} --val-list {list}")).exits(0);
        assert_eq!(correct(&run), expected, "{list}");
    }
    // An image that counts twice makes an evaluation wrong.
    folder.write("twice.txt", format!("{plain}{}", plain.lines().next().unwrap()));
    folder
        .run(&format!("{EVAL} flat --val-list twice.txt"))
        .exits(2)
        .says("names the file of line 1 again; remove one");
}

#[test]
fn the_development_kits_numbers_are_told_and_read() {
    let folder = Folder::new();
    folder.hardnet39ds();
    let picture = super::support::png(16, 16, |x, y, c| (x * y) as u8 ^ c as u8);
    let truth = [490, 361, 171, 822, 297, 482, 13, 704, 599, 164];
    let mut list = String::new();
    for (number, label) in (1..).zip(truth) {
        let name = format!("ILSVRC2012_val_{number:08}.JPEG");
        folder.write(&format!("val/{name}"), &picture);
        list += &format!("{name} {label}\n");
    }
    folder.write("ids.txt", &list);
    let lines: String = truth.iter().map(|label| format!("{label}\n")).collect();
    folder.write("devkit/data/ILSVRC2012_validation_ground_truth.txt", &lines);
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hardnet-data/tests/devkit/meta.mat");
    folder.write("devkit/data/meta.mat", std::fs::read(table).unwrap());
    let eval = "eval --weights hardnet39ds.safetensors --img-size 64 --json --data-dir val";
    for list in ["ids.txt", "devkit/data/ILSVRC2012_validation_ground_truth.txt"] {
        folder
            .run(&format!("{eval} --val-list {list}"))
            .exits(2)
            .says("ILSVRC2012_ID")
            .says("hint: pass the development kit with --devkit")
            .says("LOC_val_solution.csv");
    }
    let labels = |flags: &str| {
        let run = folder.run(&format!("{eval} --devkit devkit {flags} --predictions p.jsonl --force")).exits(0);
        assert_eq!(run.json()["data"]["labels"], "ILSVRC2012_ID");
        let lines = std::fs::read_to_string(folder.path("p.jsonl")).unwrap();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["label"].as_u64().unwrap();
        lines.lines().map(line).collect::<Vec<_>>()
    };
    for flags in ["", "--val-list ids.txt", "--val-list devkit/data/ILSVRC2012_validation_ground_truth.txt"] {
        assert_eq!(labels(flags), [65, 970, 230, 809, 516, 57, 334, 415, 674, 332], "{flags}");
    }
    folder.run(&format!("{eval} --devkit val")).exits(2).says("expected the folder or the tar.gz file");
}

#[test]
fn a_class_map_names_predictions_whatever_its_encoding() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("images", 1);
    let utf16 =
        |text: &str| -> Vec<u8> { format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect() };
    folder.write("names.txt", utf16("Hemd\r\nSchuh\r\nTasche\r\n"));
    folder.write("some.csv", "\u{feff}\"Hemd, kurz\",0\r\n");
    let names = |map: &str| {
        let run = folder.run(&format!("predict --weights small.safetensors --json --class-map {map} images")).exits(0);
        let mut names: Vec<_> =
            run.json()["top"].as_array().unwrap().iter().map(|hit| hit["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("names.txt"), ["Hemd", "Schuh", "Tasche"]);
    assert_eq!(names("some.csv"), ["Hemd, kurz", "bag", "shoe"]);
    // Files of names for `convert` are read by the same reader.
    folder.run("convert small.safetensors named.safetensors --labels names.txt").exits(0);
    let run = folder.run("predict --weights named.safetensors --json images").exits(0);
    assert!(run.stdout.contains("Schuh"), "{run:#?}");
    folder.write("two.txt", "a\nb\n");
    folder
        .run("predict --weights small.safetensors --class-map two.txt images")
        .exits(2)
        .says("the class map `two.txt` has 2 classes, the network has 3");
}

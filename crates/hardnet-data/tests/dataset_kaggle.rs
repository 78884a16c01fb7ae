//! `Dataset::from_list` with Kaggle's solution file, `ImageId,PredictionString`.

use std::fs;

use hardnet_data::{Dataset, DatasetError};
use tempfile::TempDir;

const KINDS: &str = "expected lines like `ILSVRC2012_val_00000001.JPEG 65` \
    or, below `ImageId,PredictionString`, all like `ILSVRC2012_val_00000001,n01751748 111 108 441 343`";

/// A folder with the images `a.JPEG`, `b.JPEG` and `c.png`, and `list.csv`.
fn folder(list: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for image in ["a.JPEG", "b.JPEG", "c.png"] {
        fs::write(folder.path().join(image), "").expect("the image is written");
    }
    fs::write(folder.path().join("list.csv"), list).expect("the list is written");
    folder
}

fn read(folder: &TempDir, classes: usize) -> Result<Dataset, DatasetError> {
    Dataset::from_list(&folder.path().join("list.csv"), folder.path(), classes)
}

fn message(list: &str, classes: usize) -> String {
    let folder = folder(list);
    let error = read(&folder, classes).expect_err("the list is wrong");
    let path = folder.path().display().to_string();
    error.to_string().replace(&format!("{path}/"), "").replace(&path, "ROOT")
}

#[test]
fn rows_as_kaggle_and_spreadsheets_write_them() {
    let two: &[(&str, u32)] = &[("a.JPEG", 0), ("b.JPEG", 999)];
    let table = [
        ("ImageId,PredictionString\na,n01440764 1 2 3 4\nb,n15075141 5 6 7 8\n", two),
        ("ImageId,PredictionString\r\na,n01440764 1 2 3 4\r\nb,n15075141 5 6 7 8\r\n", two),
        ("\u{feff}ImageId,PredictionString\na,n01440764 1 2 3 4 \nb,n15075141 5 6 7 8 ", two),
        ("\n imageid , predictionstring \n\na,n01440764 1 2 3 4\n\nb,n15075141 5 6 7 8\n\n", two),
        ("\"ImageId\",\"PredictionString\"\n\"a\",\"n01440764 1 2 3 4\"\nb,\"n15075141 5 6 7 8 \"\n", two),
        (
            "ImageId,PredictionString\na,n01440764 1 2 3 4 n01440764 9 9 9 9 n01440764 0 0 1 1\nb,n15075141 5 6 7 8\n",
            two,
        ),
        ("ImageId,PredictionString\na.JPEG,n01440764 1.5 -2 3 4\nb,n15075141 5 6 7 8\n", two),
        ("ImageId,PredictionString\nc.png,n01443537 1 2 3 4\n", &[("c.png", 1)]),
    ];
    for (list, expected) in table {
        let folder = folder(list);
        let dataset = read(&folder, 1000).unwrap_or_else(|error| panic!("{list:?}: {error}"));
        let found: Vec<_> = dataset.samples.iter().map(|s| (s.name(), s.label().expect("labeled"))).collect();
        assert_eq!(found, expected, "{list:?}");
        for sample in &dataset.samples {
            assert_eq!(sample.path(), folder.path().join(sample.name()), "{list:?}");
        }
        let note = format!("labels: WordNet ids, {} of ImageNet's 1000 classes", expected.len());
        assert_eq!(dataset.notes, [note], "{list:?}");
    }
}

#[test]
fn wrong_rows_are_told_with_their_line() {
    let header = "ImageId,PredictionString\n";
    let malformed = |text: &str| {
        format!(
            "`list.csv`, line 3: malformed boxes in `{text}`, expected an image and boxes of five fields: \
             `ILSVRC2012_val_00000001,n01751748 111 108 441 343`"
        )
    };
    let unknown = |line: usize, text: &str| {
        format!("`list.csv`, line {line}: labels of an unknown kind or of several in `{text}`, {KINDS}")
    };
    let row = "a,n01440764 1 2 3 4\n";
    let mut table: Vec<(String, String)> = [
        "b,n01440764 1 2 3",
        "b,n01440764",
        "b,n01440764 1 2 3 4 5",
        "b,n01440764 1 2 3 x",
        ",n01440764 1 2 3 4",
        "b,n01440764 1 2 3 nan",
        "b,n01440764 1 2 3 4 n01440764 1 2 3",
    ]
    .map(|text| (format!("{header}{row}{text}\n"), malformed(text)))
    .into();
    for text in [
        "b.JPEG 5",
        "b,65",
        "b",
        "b,n01440764 1 2 3 4,",
        "\"b,n01440764 1 2 3 4",
        "ImageId,PredictionString",
        "b,N01440764 1 2 3 4",
    ] {
        table.push((format!("{header}{row}{text}\n"), unknown(3, text)));
    }
    // A row among lines of a list must not have its last coordinate taken for the label.
    table.push(("b.JPEG 5\na,n01440764 1 2 3 4\n".into(), unknown(2, "a,n01440764 1 2 3 4")));
    table.push((row.into(), unknown(1, "a,n01440764 1 2 3 4")));
    table.push((format!("b.JPEG 5\n{header}"), unknown(2, "ImageId,PredictionString")));
    table.push(("filename,label\na.JPEG,5\n".into(), unknown(1, "filename,label")));
    table.push((
        format!("{header}{row}b,n00000001 1 2 3 4\n"),
        "`list.csv`: 1 of the 2 labels fit no class: `n00000001` (line 3); \
         expected WordNet ids of ImageNet's classes, such as `n01440764`"
            .into(),
    ));
    table.push((
        format!("{header}{row}b,n01440764 1 2 3 4 n01443537 1 2 3 4\n"),
        "`list.csv`, line 3: boxes of the classes `n01440764` and `n01443537`, expected one class".into(),
    ));
    table.push((
        format!("{header}../a,n01440764 1 2 3 4\n"),
        "`list.csv`, line 2: the name in `../a,n01440764 1 2 3 4` is absolute or contains `..`, \
         expected a path below the image folder"
            .into(),
    ));
    table.push((
        format!("{header}{row}z,n01440764 1 2 3 4\n"),
        "1 of the 2 images in `list.csv` are not in `ROOT`: `z.JPEG` (line 3)".into(),
    ));
    table.push((
        format!("{header}{row}a.JPEG,n01440764 1 2 3 4\n"),
        "`list.csv`, line 3: `a.JPEG,n01440764 1 2 3 4` names the file of line 2 again; remove one".into(),
    ));
    table.push((header.into(), "the list `list.csv` is empty, expected one `name label` per line".into()));
    for (list, expected) in table {
        assert_eq!(message(&list, 1000), expected, "{list:?}");
    }
    assert_eq!(
        message(&format!("{header}{row}"), 10),
        "`list.csv`: 1 of the 1 labels fit no class: `n01440764` (line 2); the network has 10 classes without names, \
         expected indices in 0..10 or 10 different labels, found 1"
    );
}

#[test]
fn training_images_are_found_in_the_folders_of_their_classes() {
    let header = "ImageId,PredictionString\n";
    let rows = "n01440764_10026,n01440764 1 2 3 4\nn01443537_7,n01443537 1 2 3 4\n";
    let names = ["n01440764_10026.JPEG", "n01443537_7.JPEG"];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |path: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("folders are made");
        fs::write(path, "").expect("the file is written");
    };
    fs::write(folder.path().join("list.csv"), format!("{header}{rows}")).expect("the list is written");
    write("n01440764/n01440764_10026.JPEG");
    let error = read(&folder, 1000).expect_err("one is missing").to_string();
    assert!(error.contains("1 of the 2 images in") && error.ends_with("`n01443537_7.JPEG` (line 3)"), "{error}");

    write("n01443537/n01443537_7.JPEG");
    let dataset = read(&folder, 1000).expect("both are there");
    for ((sample, name), label) in dataset.samples.iter().zip(names).zip([0, 1]) {
        assert_eq!((sample.name(), sample.label()), (name, Some(label)));
        assert_eq!(sample.path(), folder.path().join(&name[..9]).join(name));
    }
    let [labels, folders] = &dataset.notes[..] else { panic!("two notes: {:?}", dataset.notes) };
    assert!(folders.starts_with("the images are in the folders of their classes in `"), "{folders}");
    assert_eq!(labels, "labels: WordNet ids, 2 of ImageNet's 1000 classes");

    // Beside each other in one folder they are taken from there.
    names.iter().for_each(|name| write(name));
    let dataset = read(&folder, 1000).expect("both are there");
    assert!(dataset.samples.iter().all(|sample| sample.path() == folder.path().join(sample.name())));
    assert_eq!(dataset.notes.len(), 1, "{:?}", dataset.notes);
}

//! The one rule by which labels of folders and lists become classes, and what is never a class.

use std::fs;

use hardnet_data::{
    ClassMap, Classes, Dataset, DatasetError, DatasetOptions, Expected, LabelError, LabelRule, Numbering, imagenet,
};
use tempfile::TempDir;

/// A folder with an image in each of these folders; a name that ends in `/` is an empty folder.
fn folders(names: &[&str]) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for name in names {
        fs::create_dir_all(root.path().join(name)).expect("a folder is made");
        if !name.ends_with('/') {
            fs::write(root.path().join(name).join("0.png"), "").expect("an image is written");
        }
    }
    root
}

/// The label of each sample by its name, which tells the folder.
fn labels(dataset: &Dataset) -> Vec<(&str, u32)> {
    let label = |name: &str| name.rfind('/').unwrap_or(name.len());
    dataset.samples.iter().map(|s| (&s.name()[..label(s.name())], s.label().expect("labeled"))).collect()
}

/// A folder with the images `0.png`, `1.png`, ... and a list of them with these labels.
fn listed(texts: &[&str]) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    let line = |(number, text): (usize, &&str)| {
        fs::write(root.path().join(format!("{number}.png")), "").expect("an image is written");
        format!("{number}.png\t{text}\n")
    };
    let list: String = texts.iter().enumerate().map(line).collect();
    fs::write(root.path().join("list.txt"), list).expect("the list is written");
    root
}

fn read_list(root: &TempDir, classes: impl Into<Classes>) -> Result<Dataset, DatasetError> {
    Dataset::from_list(&root.path().join("list.txt"), root.path(), classes)
}

fn reason(found: Result<Dataset, DatasetError>) -> LabelError {
    match found {
        Err(DatasetError::Labels { reason, .. }) => reason,
        other => panic!("expected an error of labels: {other:?}"),
    }
}

const CLOTHES: [&str; 4] = ["T-shirt/top", "Trouser", "Pullover", "Ankle boot"];

#[test]
fn names_of_classes_come_before_the_order_of_folders() {
    let root = folders(&["Ankle boot", "Pullover", "T-shirt-top", "Trouser"]);
    let dataset = Dataset::from_class_folders(root.path(), Classes::named(CLOTHES)).expect("named folders");
    assert_eq!(labels(&dataset), [("Ankle boot", 3), ("Pullover", 2), ("T-shirt-top", 0), ("Trouser", 1)]);
    assert_eq!((dataset.rule, dataset.class_count), (Some(LabelRule::ClassNames), 4));
    assert_eq!(dataset.notes, ["labels: class names, 4 of 4 classes"]);
    assert_eq!(dataset.classes.expect("the classes have names"), CLOTHES);

    let some = folders(&["T-shirt_top", "Trouser"]);
    let dataset = Dataset::from_class_folders(some.path(), Classes::named(CLOTHES)).expect("a subset");
    assert_eq!(labels(&dataset), [("T-shirt_top", 0), ("Trouser", 1)]);
    assert_eq!(dataset.notes, ["labels: class names, 2 of 4 classes"]);

    let list = listed(&["Trouser", "T-shirt/top", "T-shirt-top", "Ankle boot"]);
    let dataset = read_list(&list, Classes::named(CLOTHES)).expect("a list of names");
    assert_eq!(labels(&dataset).into_iter().map(|(_, label)| label).collect::<Vec<_>>(), [1, 0, 0, 3]);
}

#[test]
fn labels_that_fit_no_class_are_listed() {
    let root = folders(&["bird", "cat", "dog"]);
    let error = reason(Dataset::from_class_folders(root.path(), Classes::named(["cat", "dog", "fox"])));
    assert_eq!(error.to_string(), "1 of the 3 labels fit no class: `bird`; the classes are `cat`, `dog`, `fox`");
    // Case counts.
    let root = folders(&["Cat", "dog"]);
    let error = reason(Dataset::from_class_folders(root.path(), Classes::named(["cat", "dog", "fox"])));
    assert!(matches!(&error, LabelError::NoClass { count: 1, first, .. } if first[0].text == "Cat"), "{error}");

    let many: Vec<_> = (0..8).map(|index| format!("x{index}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let error = reason(read_list(&listed(&many), Classes::named(["a", "b", "c", "d", "e", "f", "g"])));
    assert_eq!(
        error.to_string(),
        "8 of the 8 labels fit no class: `x0` (line 1), `x1` (line 2), `x2` (line 3), `x3` (line 4), `x4` (line 5) \
         and 3 more; the classes are `a`, `b`, `c`, `d`, `e` and 2 more"
    );
    // One stray folder among numbers is the mistake, not the numbers.
    let root = folders(&["0", "1", "2", "3", "extra"]);
    for classes in [Classes::unnamed(4), Classes::named(CLOTHES)] {
        let error = reason(Dataset::from_class_folders(root.path(), classes));
        let LabelError::NoClass { count: 1, first, expected: Expected::Indices { classes: 4 }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(first[0].text, "extra");
    }
}

#[test]
fn a_label_of_two_classes_is_refused() {
    let error = reason(Dataset::from_class_folders(folders(&["crane", "tench"]).path(), 1000));
    assert_eq!(error.to_string(), "the label `crane` is the name of the classes 134 and 517");
    let root = folders(&["T-shirt-top", "T-shirt_top"]);
    let error = reason(Dataset::from_class_folders(root.path(), Classes::named(CLOTHES)));
    assert_eq!(error.to_string(), "the folders `T-shirt-top` and `T-shirt_top` both stand for class 0; merge them");
}

#[test]
fn numbers_are_indices_unless_a_class_is_named_by_one() {
    let ten: Vec<_> = (0..10).map(|index| index.to_string()).collect();
    let ten: Vec<_> = ten.iter().map(String::as_str).collect();
    let names: Vec<_> = ('a'..='j').map(String::from).collect();
    let dataset = Dataset::from_class_folders(folders(&ten).path(), Classes::named(&names)).expect("indices");
    assert_eq!(dataset.rule, Some(LabelRule::Indices));
    assert!(labels(&dataset).iter().all(|(name, label)| *name == label.to_string()));
    assert_eq!(dataset.classes.expect("the classes have names"), names);

    // Trained on folders 1, 2, 3.
    let dataset = Dataset::from_class_folders(folders(&["1", "2", "3"]).path(), Classes::named(["1", "2", "3"]));
    assert_eq!(labels(&dataset.expect("names")), [("1", 0), ("2", 1), ("3", 2)]);
    let error = reason(read_list(&listed(&["0", "4"]), Classes::named(["1", "2", "3"])));
    assert!(matches!(error, LabelError::NoClass { count: 2, expected: Expected::Names { .. }, .. }), "{error}");
}

#[test]
fn numbers_from_one_are_refused_with_the_names_of_the_classes() {
    let root = folders(&["1", "2", "3", "4"]);
    let error = reason(Dataset::from_class_folders(root.path(), Classes::named(CLOTHES)));
    assert!(matches!(error, LabelError::OutOfRange { numbering: Numbering::FromOne, classes: 4, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the label `4` is outside 0..4; the labels look counted from 1 to 4, expected class names or numbers from 0 to \
         3; the classes are `T-shirt/top`, `Trouser`, `Pullover`, `Ankle boot`"
    );
    let error = reason(Dataset::from_class_folders(root.path(), 4));
    assert!(matches!(error, LabelError::OutOfRange { numbering: Numbering::FromOne, classes: 4, .. }), "{error}");
}

#[test]
fn twelve_folders_of_numbers_are_what_their_classes_say() {
    let twelve: Vec<_> = (0..12).map(|index| index.to_string()).collect();
    let root = folders(&twelve.iter().map(String::as_str).collect::<Vec<_>>());
    // A set to train on is numbered as torchvision does, and evaluation by its names agrees.
    let training = Dataset::from_class_folders(root.path(), Classes::of_labels()).expect("folders");
    let names = training.classes.clone().expect("folders have names");
    assert_eq!(names, ["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(
        training.notes,
        ["labels: 12 classes, numbered in the order of their names as text: `0` is 0, `9` is 11"]
    );
    assert!(labels(&training).iter().all(|(name, label)| names[*label as usize] == *name));
    let validation = Dataset::from_class_folders(root.path(), Classes::named(&names)).expect("the same folders");
    assert_eq!(labels(&validation), labels(&training));
    // Weights without names: by value, with a note on torchvision's order.
    let foreign = Dataset::from_class_folders(root.path(), 12).expect("indices");
    assert!(labels(&foreign).iter().all(|(name, label)| *name == label.to_string()));
    assert!(
        foreign.notes[1].starts_with("torchvision's ImageFolder numbers these folders as text, where `10` is class 2")
    );
    // Ten folders are in the same order either way.
    let root = folders(&["0", "1", "2"]);
    assert_eq!(Dataset::from_class_folders(root.path(), 3).expect("indices").notes.len(), 1);
}

#[test]
fn training_names_classes_after_folders_whatever_they_are() {
    let root = folders(&["3", "1", "2"]);
    let dataset = Dataset::from_class_folders(root.path(), Classes::of_labels()).expect("folders");
    assert_eq!(labels(&dataset), [("1", 0), ("2", 1), ("3", 2)]);
    assert_eq!((dataset.classes.expect("names"), dataset.class_count), (vec!["1".into(), "2".into(), "3".into()], 3));
    let list = listed(&["dog", "cat", "dog"]);
    let dataset = read_list(&list, Classes::of_labels()).expect("a list of names");
    assert_eq!(dataset.samples.iter().map(|s| s.label()).collect::<Vec<_>>(), [Some(1), Some(0), Some(1)]);
    assert_eq!(dataset.classes.expect("names"), ["cat", "dog"]);
    let dataset = read_list(&listed(&["0", "4"]), Classes::of_labels()).expect("a list of indices");
    assert_eq!((dataset.classes, dataset.class_count, dataset.rule), (None, 5, Some(LabelRule::Indices)));
}

#[test]
fn a_class_map_says_what_labels_mean() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let map = |text: &[u8]| {
        let path = folder.path().join("map.csv");
        fs::write(&path, text).expect("the map is written");
        ClassMap::read(&path).expect("a good map")
    };
    let classes = |text: &str| Classes::named(CLOTHES).with_map(&map(text.as_bytes())).expect("a map of four classes");
    let root = folders(&["1", "2", "3"]);
    let dataset = Dataset::from_class_folders(root.path(), classes("1,3\n2,0\n3,3\n")).expect("mapped folders");
    assert_eq!(labels(&dataset), [("1", 3), ("2", 0), ("3", 3)]);
    assert_eq!(dataset.rule, Some(LabelRule::ClassMap));
    assert!(dataset.notes[0].starts_with("labels: class map `") && dataset.notes[0].ends_with("2 of 4 classes"));
    // The network's order is torchvision's for folders 1 to 10.
    let ten = folders(&["1", "2", "10"]);
    let unnamed = |text: &str| Classes::unnamed(3).with_map(&map(text.as_bytes())).expect("a map of three classes");
    let dataset = Dataset::from_class_folders(ten.path(), unnamed("1\n10\n2\n")).expect("names in class order");
    assert_eq!(labels(&dataset), [("1", 0), ("10", 1), ("2", 2)]);
    assert_eq!(dataset.classes.expect("the map names all"), ["1", "10", "2"]);
    // WordNet ids in another order than ImageNet's.
    let root = folders(&["n01440764", "n01443537"]);
    let imagenet =
        Classes::unnamed(1000).with_map(&map(b"wnid,index\r\nn01443537,0\r\nn01440764,1\r\n")).expect("a map");
    assert_eq!(
        labels(&Dataset::from_class_folders(root.path(), imagenet).expect("mapped")),
        [("n01440764", 1), ("n01443537", 0)]
    );
    let error = reason(Dataset::from_class_folders(root.path(), classes("a,0\nn01440764,1\n")));
    assert!(matches!(error, LabelError::NoClass { count: 1, .. }), "{error}");
    for (text, expected) in
        [("a,4\n", "has 5 classes, the network has 4"), ("a\nb\n", "has 2 classes, the network has 4")]
    {
        let error = Classes::named(CLOTHES).with_map(&map(text.as_bytes())).expect_err(text);
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let own = Classes::of_labels().with_map(&map(b"fox,1\ncat,0\n")).expect("a map");
    assert_eq!((own.count(), own.names().expect("names")), (Some(2), &["cat".to_owned(), "fox".into()][..]));
}

#[test]
fn imagenets_names_and_ids_are_labels_too() {
    let names: Vec<_> = imagenet::classes().iter().map(|class| class.name.split(',').next().unwrap()).collect();
    let root = folders(&["n01440764", "n15075141"]);
    for classes in [Classes::unnamed(1000), Classes::named(names)] {
        let dataset = Dataset::from_class_folders(root.path(), classes).expect("WordNet ids");
        assert_eq!(labels(&dataset), [("n01440764", 0), ("n15075141", 999)]);
        assert_eq!(dataset.rule, Some(LabelRule::WordNetIds));
    }
    let dataset = read_list(&listed(&["n15075141", "n01440764"]), 1000).expect("WordNet ids");
    assert_eq!(labels(&dataset).into_iter().map(|(_, label)| label).collect::<Vec<_>>(), [999, 0]);
}

#[test]
fn folders_of_systems_and_empty_ones_are_not_classes() {
    let root = folders(&[
        "cat",
        "dog",
        "dog/@eaDir",
        "__MACOSX/cat",
        "@eaDir/cat",
        "lost+found",
        ".ipynb_checkpoints",
        "$RECYCLE.BIN",
        "System Volume Information",
        "fox/",
    ]);
    for stray in ["__MACOSX/cat/._0.png", "cat/._0.png", "cat/Thumbs.db", "Thumbs.db"] {
        fs::write(root.path().join(stray), "").expect("a file is written");
    }
    for classes in [Classes::of_labels(), Classes::unnamed(2), Classes::named(["cat", "dog"])] {
        let dataset = Dataset::from_class_folders(root.path(), classes).expect("two classes");
        assert_eq!(labels(&dataset), [("cat", 0), ("dog", 1)]);
        assert_eq!(dataset.notes[1..], ["1 folder without images is not a class: `fox`"]);
    }
    assert_eq!(Dataset::count_class_folders(root.path()).expect("a folder"), 2);
    let loose = Dataset::from_paths(&[root.path().into()]).expect("images");
    assert_eq!(loose.samples.len(), 2);

    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let tar = elsewhere.path().join("all.tar");
    let made = std::process::Command::new("tar").arg("cf").arg(&tar).arg("-C").arg(root.path()).arg(".").status();
    assert!(made.expect("tar runs").success());
    let dataset = Dataset::from_class_folders(&tar, Classes::of_labels()).expect("two classes");
    assert_eq!(labels(&dataset), [("cat", 0), ("dog", 1)]);
    assert_eq!(dataset.notes[1..2], ["1 folder without images is not a class: `fox`"]);
    assert_eq!(Dataset::from_paths(&[tar]).expect("images").samples.len(), 2);
}

#[test]
fn repeated_lines_are_for_training_only() {
    let root = listed(&["0", "1", "2"]);
    let list = root.path().join("list.txt");
    let read = |text: &str, repeats: bool| {
        fs::write(&list, text).expect("the list is written");
        DatasetOptions::new(root.path(), 3).list(Some(&list)).allow_repeats(repeats).read()
    };
    let twice = "0.png 0\n1.png 1\n0.png 0\n2.png 2\n./0.png 0\n";
    let dataset = read(twice, true).expect("repeats are allowed");
    assert_eq!(dataset.samples.len(), 5);
    assert_eq!(dataset.notes[1], "5 lines name 3 images, since 2 lines repeat one");
    assert_eq!(dataset.image_numbers(), [0, 1, 0, 2, 0]);
    assert!(matches!(read(twice, false), Err(DatasetError::DuplicateName { first_line: 1, line: 3, .. })));
    for repeats in [true, false] {
        let error = read("0.png 0\n1.png 1\n0.png 2\n", repeats).expect_err("two labels");
        assert!(matches!(error, DatasetError::ConflictingLabels { first_line: 1, line: 3, .. }), "{error}");
    }
    // Whatever is split off, no image is on both sides, and none counts twice in the part for evaluation.
    for seed in 0..20 {
        let mut kept = dataset.clone();
        let held = kept.split_off_random(1, seed);
        assert_eq!(held.samples.len(), 1);
        let name = |sample: &hardnet_data::Sample| sample.path().into_owned();
        assert!(kept.samples.iter().all(|sample| name(sample) != name(&held.samples[0])));
        assert_eq!((held.class_count, held.rule), (3, Some(LabelRule::Indices)));
    }
}

#[test]
fn lists_of_other_systems_are_read() {
    let root = folders(&["1", "0"]);
    let list = root.path().join("list.txt");
    let text = "1\\0.png 1\r\n0\\0.png 0\r\n";
    let utf16 = |unit: fn(u16) -> [u8; 2]| format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect();
    let absolute = format!("{0}/1/0.png 1\n{0}/./0/0.png 0\n", root.path().display());
    let real = format!("{0}/1/0.png 1\n{0}/0/0.png 0\n", fs::canonicalize(root.path()).expect("a folder").display());
    let all: [Vec<u8>; 6] = [
        text.into(),
        format!("\u{feff}{text}").into(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        absolute.into(),
        real.into(),
    ];
    for bytes in all {
        fs::write(&list, &bytes).expect("the list is written");
        let dataset = Dataset::from_list(&list, root.path(), 2).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        let found: Vec<_> = dataset.samples.iter().map(|s| (s.path().into_owned(), s.label())).collect();
        let expected =
            [("1/0.png", Some(1)), ("0/0.png", Some(0))].map(|(path, label)| (root.path().join(path), label));
        assert_eq!(found, expected, "{bytes:?}");
    }
    // A file whose name has a backslash was never a path.
    #[cfg(unix)]
    {
        fs::write(root.path().join("a\\b.png"), "").expect("the image is written");
        fs::write(&list, "a\\b.png 1\n").expect("the list is written");
        let dataset = Dataset::from_list(&list, root.path(), 2).expect("the file is there");
        assert_eq!(dataset.samples[0].path(), root.path().join("a\\b.png"));
    }
}

//! `Dataset::from_class_folders` and `Dataset::from_paths`: which files, in which order, with which labels.

use std::fs;
use std::path::{Path, PathBuf};

use hardnet_data::{Dataset, DatasetError, imagenet};
use tempfile::TempDir;

/// A folder of empty files; a name that ends in `/` is an empty folder.
fn tree(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(if name.ends_with('/') { &path } else { path.parent().expect("files lie in a folder") })
            .expect("folders are made");
        if !name.ends_with('/') {
            fs::write(path, "").expect("the file is written");
        }
    }
    folder
}

fn names_and_labels(dataset: &Dataset) -> Vec<(&str, u32)> {
    dataset.samples.iter().map(|sample| (sample.name(), sample.label().expect("labeled"))).collect()
}

fn message(root: &Path, classes: usize) -> String {
    let error = Dataset::from_class_folders(root, classes).expect_err("no data set");
    error.to_string().replace(&root.display().to_string(), "ROOT")
}

#[test]
fn wordnet_ids_have_imagenets_labels_even_if_only_some_are_there() {
    let root = tree(&["n15075141/b.JPEG", "n01440764/a.JPEG", "n01440764/c.JPEG", "n02099601/d.JPEG"]);
    let dataset = Dataset::from_class_folders(root.path(), 1000).expect("class folders");
    let expected =
        [("n01440764/a.JPEG", 0), ("n01440764/c.JPEG", 0), ("n02099601/d.JPEG", 207), ("n15075141/b.JPEG", 999)];
    assert_eq!(names_and_labels(&dataset), expected);
    assert!(dataset.samples.iter().all(|sample| sample.path() == root.path().join(sample.name())));
    assert_eq!(dataset.notes, ["labels: WordNet ids, 3 of ImageNet's 1000 classes"]);
    let ids: Vec<_> = imagenet::classes().iter().map(|class| class.wordnet_id.to_owned()).collect();
    assert_eq!(dataset.classes, Some(ids));
}

#[test]
fn folders_that_are_not_among_the_thousand_are_listed() {
    let root = tree(&["n01440764/a.JPEG", "n00000001/a.JPEG", "n99999999/", "extra/a.JPEG", "12/a.JPEG"]);
    assert_eq!(
        message(root.path(), 1000),
        "`ROOT`: 3 of the 4 labels fit no class: `12`, `extra`, `n00000001`; \
         expected WordNet ids of ImageNet's classes, such as `n01440764`"
    );
}

#[test]
fn wordnet_ids_of_another_number_of_classes_are_numbered_in_order() {
    let root = tree(&["n02099601/d.JPEG", "n01440764/a.JPEG"]);
    let dataset = Dataset::from_class_folders(root.path(), 2).expect("class folders");
    assert_eq!(names_and_labels(&dataset), [("n01440764/a.JPEG", 0), ("n02099601/d.JPEG", 1)]);
    assert_eq!(
        dataset.notes,
        ["labels: 2 classes in the order of their names as text, as torchvision's ImageFolder numbers them: \
          `n01440764` is 0, `n02099601` is 1; the weights do not name their classes"]
    );
}

#[test]
fn numbers_are_class_indices() {
    let root = tree(&["10/a.png", "9/b.png", "007/c.png"]);
    let dataset = Dataset::from_class_folders(root.path(), 11).expect("class folders");
    assert_eq!(names_and_labels(&dataset), [("007/c.png", 7), ("10/a.png", 10), ("9/b.png", 9)]);
    assert_eq!(dataset.notes, ["labels: class indices, 3 of 11 classes"]);
    let classes = dataset.classes.expect("classes come from folders");
    assert_eq!(classes, ["0", "1", "2", "3", "4", "5", "6", "007", "8", "9", "10"]);
    // Numbers are indices with ImageNet's thousand classes too.
    let dataset = Dataset::from_class_folders(root.path(), 1000).expect("class folders");
    assert_eq!(names_and_labels(&dataset)[1], ("10/a.png", 10));
}

#[test]
fn numbers_that_are_no_class_index_are_refused() {
    let table: [(&[&str], &str); 5] = [
        (&["0/a.png", "3/a.png"], "`ROOT`: the label `3` is outside 0..3"),
        (&["4/a.png", "1/a.png"], "`ROOT`: the label `4` is outside 0..3"),
        (
            &["1/a.png", "2/a.png", "3/a.png"],
            "`ROOT`: the label `3` is outside 0..3; \
             the labels look counted from 1 to 3, expected class names or numbers from 0 to 2",
        ),
        (&["99999999999/a.png"], "`ROOT`: the label `99999999999` is outside 0..3"),
        (&["1/a.png", "01/a.png"], "`ROOT`: the folders `01` and `1` both stand for class 1; merge them"),
    ];
    for (names, expected) in table {
        assert_eq!(message(tree(names).path(), 3), expected, "{names:?}");
    }
}

#[test]
fn other_names_are_numbered_in_byte_order_if_the_count_is_right() {
    let root = tree(&["dog/a.jpg", "cat/a.jpg", "Zebra/a.jpg", "\u{e9}mu/a.jpg", "7/a.jpg"]);
    let dataset = Dataset::from_class_folders(root.path(), 5).expect("class folders");
    let expected = [("7/a.jpg", 0), ("Zebra/a.jpg", 1), ("cat/a.jpg", 2), ("dog/a.jpg", 3), ("\u{e9}mu/a.jpg", 4)];
    assert_eq!(names_and_labels(&dataset), expected);
    assert_eq!(dataset.classes.expect("classes come from folders"), ["7", "Zebra", "cat", "dog", "\u{e9}mu"]);
    assert_eq!(
        message(root.path(), 4),
        "`ROOT`: 5 of the 5 labels fit no class: `7`, `Zebra`, `cat`, `dog`, `\u{e9}mu`; the network has 4 classes \
         without names, expected indices in 0..4 or 4 different labels, found 5"
    );
    let root = tree(&["train/n01440764/a.JPEG", "val/n01440764/a.JPEG"]);
    assert_eq!(
        message(root.path(), 1000),
        "`ROOT`: 2 of the 2 labels fit no class: `train`, `val`; \
         expected WordNet ids of ImageNet's classes, such as `n01440764`"
    );
}

#[test]
fn known_extensions_count_hidden_entries_do_not_and_the_order_is_imagefolders() {
    let root = tree(&[
        "c/b.JPEG",
        "c/a.jpg",
        "c/B.jpeg",
        "c/z.JpE",
        "c/1.png",
        "c/2.ppm",
        "c/3.bmp",
        "c/4.pgm",
        "c/5.tif",
        "c/6.tiff",
        "c/7.webp",
        "c/x.gif",
        "c/x.txt",
        "c/jpg",
        "c/x.jpg.bak",
        "c/.hidden.jpg",
        "c/._a.jpg",
        "c/.folder/a.jpg",
        "c/sub/a.jpg",
        "c/sub/deep/a.jpg",
        "c/sub-1/a.jpg",
        "c/looks.jpg/a.jpg",
        ".git/a.jpg",
    ]);
    let dataset = Dataset::from_class_folders(root.path(), 1).expect("class folders");
    let found: Vec<_> = dataset.samples.iter().map(|sample| sample.name()).collect();
    // As torchvision 0.x `make_dataset` sorts: folders by their whole path (`-` is before `/`), then names, by bytes.
    let expected = [
        "c/1.png",
        "c/2.ppm",
        "c/3.bmp",
        "c/4.pgm",
        "c/5.tif",
        "c/6.tiff",
        "c/7.webp",
        "c/B.jpeg",
        "c/a.jpg",
        "c/b.JPEG",
        "c/x.gif",
        "c/z.JpE",
        "c/looks.jpg/a.jpg",
        "c/sub/a.jpg",
        "c/sub-1/a.jpg",
        "c/sub/deep/a.jpg",
    ];
    assert_eq!(found, expected);
}

#[test]
fn empty_classes_and_stray_images_are_noted() {
    let root = tree(&["a/1.jpg", "b/", "c/readme.txt", "stray.jpg", "list.txt"]);
    let dataset = Dataset::from_class_folders(root.path(), 1).expect("class folders");
    assert_eq!(names_and_labels(&dataset), [("a/1.jpg", 0)]);
    assert_eq!(
        dataset.notes[1..],
        [
            format!("1 images directly in `{}` belong to no class and are left out", root.path().display()),
            "2 folders without images are not a class: `b`, `c`".to_owned(),
            "skipping 1 file: 1 .txt".to_owned(),
        ]
    );
    let root = tree(&["0/1.jpg", "1/", "2/", "3/", "4/", "5/", "6/"]);
    let dataset = Dataset::from_class_folders(root.path(), 7).expect("class folders");
    assert_eq!(dataset.notes[1..], ["6 folders without images are not a class: `1`, `2`, `3`, `4`, `5`, .."]);
}

#[test]
fn roots_without_class_folders_are_refused_with_the_remedy() {
    let table: [(&[&str], &str); 4] = [
        (
            &["a.jpg", "b.JPEG", "list.txt"],
            "`ROOT` holds 2 images but no class folders, expected one folder of images per class",
        ),
        (&[], "`ROOT` holds no class folders, expected one folder of images per class"),
        (&["list.txt", ".git/a.jpg"], "`ROOT` holds no class folders, expected one folder of images per class"),
        (
            &["a/", "b/x.txt"],
            "no image below `ROOT`, expected files ending in \
             jpg, jpeg, jpe, png, ppm, bmp, pgm, tif, tiff, webp, gif, pbm, pnm",
        ),
    ];
    for (names, expected) in table {
        assert_eq!(message(tree(names).path(), 2), expected, "{names:?}");
    }
    let root = tree(&["file"]);
    assert_eq!(message(&root.path().join("none"), 2), "the image folder `ROOT` does not exist");
    let expected = "`ROOT` is neither a folder nor a tar archive, expected the one that holds the images";
    assert_eq!(message(&root.path().join("file"), 2), expected);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_cycles_end() {
    use std::os::unix::fs::symlink;

    let root = tree(&["a/1.jpg", "b/", "elsewhere.d/2.jpg"]);
    let at = |name: &str| root.path().join(name);
    fs::rename(at("elsewhere.d"), at(".elsewhere")).expect("renamed");
    symlink(at(".elsewhere/2.jpg"), at("a/link.jpg")).expect("a link to a file");
    symlink(at("none"), at("a/nowhere.jpg")).expect("a link to nothing");
    symlink(at("a"), at("a/self")).expect("a link to its own folder");
    symlink(root.path(), at("b/up")).expect("a link to the root");
    symlink(at(".elsewhere"), at("c")).expect("a class that is a link");
    symlink("loop.jpg", at("a/loop.jpg")).expect("a link to itself");
    let dataset = Dataset::from_class_folders(root.path(), 3).expect("class folders");
    let expected = [
        ("a/1.jpg", 0),
        ("a/link.jpg", 0),
        ("a/loop.jpg", 0),
        ("a/nowhere.jpg", 0),
        ("b/up/a/1.jpg", 1),
        ("b/up/a/link.jpg", 1),
        ("b/up/a/loop.jpg", 1),
        ("b/up/a/nowhere.jpg", 1),
        ("b/up/c/2.jpg", 1),
        ("c/2.jpg", 2),
    ];
    assert_eq!(names_and_labels(&dataset), expected);
}

#[cfg(unix)]
#[test]
fn links_across_do_not_multiply() {
    use std::os::unix::fs::symlink;

    // Followed without memory these 40 folders are 2^39 paths.
    let root = tree(&["c/39/1.jpg"]);
    let class = root.path().join("c");
    for level in 0..39 {
        fs::create_dir(class.join(level.to_string())).expect("a folder");
    }
    for level in 0..39 {
        for link in ["x", "y"] {
            symlink(class.join((level + 1).to_string()), class.join(format!("{level}/{link}"))).expect("a link");
        }
    }
    let dataset = Dataset::from_class_folders(root.path(), 1).expect("class folders");
    assert_eq!(dataset.samples.len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_found_and_ordered_by_their_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let root = tree(&["c/z.jpg", "c/\u{e9}.jpg"]);
    let name = OsStr::from_bytes(b"\xe9.jpg");
    fs::write(root.path().join("c").join(name), "").expect("the file is written");
    let dataset = Dataset::from_class_folders(root.path(), 1).expect("class folders");
    let found: Vec<_> = dataset.samples.iter().map(|sample| sample.name()).collect();
    assert_eq!(found, ["c/z.jpg", "c/\u{e9}.jpg", "c/\u{fffd}.jpg"]);
    assert_eq!(dataset.samples[2].path().file_name(), Some(name));
}

#[test]
fn loose_paths_keep_their_order_and_folders_are_searched() {
    let root = tree(&["d/2.png", "d/sub/1.png", "d/.x.png", "d/notes.txt", "z.dat", "a.jpg"]);
    let paths: Vec<PathBuf> = ["z.dat", "d", "a.jpg", "a.jpg"].iter().map(|name| root.path().join(name)).collect();
    let dataset = Dataset::from_paths(&paths).expect("paths");
    let expected: Vec<_> =
        ["z.dat", "d/2.png", "d/sub/1.png", "a.jpg", "a.jpg"].iter().map(|name| root.path().join(name)).collect();
    assert_eq!(dataset.samples.iter().map(|sample| sample.path().into_owned()).collect::<Vec<_>>(), expected);
    for sample in &dataset.samples {
        assert_eq!((sample.label(), sample.name()), (None, sample.path().to_str().expect("UTF-8")));
    }
    assert_eq!((dataset.classes, dataset.notes), (None, vec!["skipping 1 file: 1 .txt".to_owned()]));
}

/// An empty folder is not a class, so that it changes nothing about images that lie next to it.
#[test]
fn loose_images_next_to_an_empty_folder_are_unsorted() {
    for names in [&["a.jpg", "b.jpg"][..], &["a.jpg", "b.jpg", "empty/"], &["a.jpg", "b.jpg", "texts/a.txt"]] {
        let root = tree(names);
        let result = Dataset::from_class_folders(root.path(), 2);
        assert!(matches!(result, Err(DatasetError::UnsortedImages { count: 2, .. })), "{names:?}: {result:?}");
        assert_eq!(Dataset::from_paths(&[root.path().into()]).expect("two images").samples.len(), 2);
    }
    let root = tree(&["empty/"]);
    assert!(matches!(Dataset::from_class_folders(root.path(), 2), Err(DatasetError::NoImages { .. })));
}

#[test]
fn loose_paths_that_give_nothing_are_refused() {
    let root = tree(&["empty/", "texts/a.txt", "a.jpg"]);
    let at = |name: &str| root.path().join(name);
    assert!(matches!(Dataset::from_paths(&[]), Err(DatasetError::NoPaths)));
    for name in ["none", "a.jpg/x", ""] {
        let path = if name.is_empty() { PathBuf::new() } else { at(name) };
        let result = Dataset::from_paths(&[at("a.jpg"), path.clone()]);
        assert!(matches!(&result, Err(DatasetError::PathMissing { path: named }) if *named == path), "{result:?}");
    }
    for name in ["empty", "texts"] {
        let result = Dataset::from_paths(&[at("a.jpg"), at(name)]);
        assert!(matches!(&result, Err(DatasetError::NoImages { folder }) if *folder == at(name)), "{result:?}");
    }
    #[cfg(unix)]
    assert!(matches!(Dataset::from_paths(&["/dev/zero".into()]), Err(DatasetError::PathNotAFile { .. })));
}

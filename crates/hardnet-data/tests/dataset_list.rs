//! `Dataset::from_list`: what lists in the wild look like, and what is said of those that are wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hardnet_data::{Dataset, DatasetError, LabelRule, MAX_LIST_BYTES, TextError};
use tempfile::TempDir;

/// A folder with `list.txt` and, in `images`, empty files of the given names.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new(list: impl AsRef<[u8]>, images: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixture = Self { folder };
        fs::write(fixture.list(), list).expect("the list is written");
        fs::create_dir(fixture.root()).expect("the image folder is made");
        for image in images {
            let path = fixture.root().join(image);
            fs::create_dir_all(path.parent().expect("images lie in a folder")).expect("folders are made");
            fs::write(path, "").expect("the image is written");
        }
        fixture
    }

    fn list(&self) -> PathBuf {
        self.folder.path().join("list.txt")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    fn read(&self, classes: usize) -> Result<Dataset, DatasetError> {
        Dataset::from_list(&self.list(), self.root(), classes)
    }

    /// The message of the error with the folder's own path taken out.
    fn message(&self, classes: usize) -> String {
        let error = self.read(classes).expect_err("the list is wrong");
        error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn lists_as_found_in_the_wild() {
    let two = [("a.jpg", 1), ("b.jpg", 2)];
    let table: &[(&str, &[(&str, u32)])] = &[
        ("a.jpg 1\nb.jpg 2\n", &two),
        ("a.jpg 1\nb.jpg 2", &two),
        ("a.jpg 1\r\nb.jpg 2\r\n", &two),
        ("a.jpg 1\r\nb.jpg 2\r", &two),
        ("a.jpg\t1\nb.jpg\t2\n", &two),
        ("a.jpg \t  1\nb.jpg   2\n", &two),
        ("  a.jpg 1 \n\tb.jpg 2\t\n", &two),
        ("\n\na.jpg 1\n \t\n\r\nb.jpg 2\n\n", &two),
        ("\u{feff}a.jpg 1\nb.jpg 2\n", &two),
        ("\u{feff}\na.jpg 1\nb.jpg 2\n", &two),
        ("b.jpg 2\na.jpg 1\n", &[("b.jpg", 2), ("a.jpg", 1)]),
        ("a.jpg 0001\n", &[("a.jpg", 1)]),
        ("a.jpg 0\n", &[("a.jpg", 0)]),
        ("a.jpg 999\n", &[("a.jpg", 999)]),
        ("my  cat 1.jpg 7\n", &[("my  cat 1.jpg", 7)]),
        ("val/c.JPEG 65\n", &[("val/c.JPEG", 65)]),
        ("./a.jpg 65\n", &[("./a.jpg", 65)]),
        ("val//c.JPEG 65\n", &[("val//c.JPEG", 65)]),
        ("w\u{f6}lf\u{a0}1.jpg 3\n", &[("w\u{f6}lf\u{a0}1.jpg", 3)]),
        ("ILSVRC2012_val_00000001.JPEG 65\n", &[("ILSVRC2012_val_00000001.JPEG", 65)]),
    ];
    let images =
        ["a.jpg", "b.jpg", "my  cat 1.jpg", "val/c.JPEG", "w\u{f6}lf\u{a0}1.jpg", "ILSVRC2012_val_00000001.JPEG"];
    for (text, expected) in table {
        let fixture = Fixture::new(text, &images);
        let dataset = fixture.read(1000).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let found: Vec<_> = dataset.samples.iter().map(|s| (s.name(), s.label().expect("labeled"))).collect();
        assert_eq!(found, *expected, "{text:?}");
        for sample in &dataset.samples {
            assert!(sample.path().is_file() && sample.path().starts_with(fixture.root()), "{sample:?}");
        }
        assert_eq!((dataset.classes, dataset.rule), (None, Some(LabelRule::Indices)), "{text:?}");
        let labels: BTreeSet<_> = expected.iter().map(|(_, label)| label).collect();
        assert_eq!(dataset.notes, [format!("labels: class indices, {} of 1000 classes", labels.len())], "{text:?}");
    }
}

#[test]
fn errors_say_where_what_and_how_to_mend_it() {
    let ten_classes: &[(&str, &str)] = &[
        ("", "the list `list.txt` is empty, expected one `name label` per line"),
        (" \r\n\t\n", "the list `list.txt` is empty, expected one `name label` per line"),
        ("\u{feff}", "the list `list.txt` is empty, expected one `name label` per line"),
        (
            "a.jpg 1\nb.jpg\n",
            "`list.txt`, line 2: no label in `b.jpg`, expected `name label` with a blank or tab between",
        ),
        (
            "\n\n  a.jpg,1\n",
            "`list.txt`, line 3: labels of an unknown kind or of several in `a.jpg,1`, \
             expected lines like `ILSVRC2012_val_00000001.JPEG 65` \
             or, below `ImageId,PredictionString`, all like `ILSVRC2012_val_00000001,n01751748 111 108 441 343`",
        ),
        ("5\n", "`list.txt`, line 1: no label in `5`, expected `name label` with a blank or tab between"),
        (
            "a.jpg tench\n",
            "`list.txt`: 1 of the 1 labels fit no class: `tench` (line 1); the network has 10 classes without names, \
             expected indices in 0..10 or 10 different labels, found 1",
        ),
        (
            "a.jpg 1\r\n\r\n1 b.jpg\r\n",
            "`list.txt`: 1 of the 2 labels fit no class: `b.jpg` (line 3); expected class indices in 0..10",
        ),
        ("a.jpg -1\n", "`list.txt`: 1 of the 1 labels fit no class: `-1` (line 1); expected class indices in 0..10"),
        ("a.jpg +1\n", "`list.txt`: 1 of the 1 labels fit no class: `+1` (line 1); expected class indices in 0..10"),
        ("a.jpg 1.0\n", "`list.txt`: 1 of the 1 labels fit no class: `1.0` (line 1); expected class indices in 0..10"),
        (
            "a.jpg \u{661}\n",
            "`list.txt`: 1 of the 1 labels fit no class: `\u{661}` (line 1); the network has 10 classes without names, \
             expected indices in 0..10 or 10 different labels, found 1",
        ),
        ("a.jpg 0\nb.jpg 10\n", "`list.txt`: the label `10` (line 2) is outside 0..10"),
        ("a.jpg 4294967296\n", "`list.txt`: the label `4294967296` (line 1) is outside 0..10"),
        ("a.jpg 11\nb.jpg 10\n", "`list.txt`: the label `11` (line 1) is outside 0..10"),
        (
            "a.jpg 1\nb.jpg 10\n",
            "`list.txt`: the label `10` (line 2) is outside 0..10; \
             the labels look counted from 1 to 10, expected class names or numbers from 0 to 9",
        ),
        (
            "a.jpg 1\rb.jpg 2\r",
            "`list.txt`, line 1: a carriage return without a line feed in `a.jpg 1\\rb.jpg 2`; \
             save the list with line ends LF or CRLF",
        ),
        (
            "a.jpg 1\nb.jpg\r2\n",
            "`list.txt`, line 2: a carriage return without a line feed in `b.jpg\\r2`; \
             save the list with line ends LF or CRLF",
        ),
        (
            "a.jpg 1\n/etc/passwd 2\n",
            "`list.txt`, line 2: the name in `/etc/passwd 2` is absolute or contains `..`, \
             expected a path below the image folder",
        ),
        (
            "val/../../a.jpg 1\n",
            "`list.txt`, line 1: the name in `val/../../a.jpg 1` is absolute or contains `..`, \
             expected a path below the image folder",
        ),
        ("a.jpg 1\nb.jpg 2\n\na.jpg 1\n", "`list.txt`, line 4: `a.jpg 1` names the file of line 1 again; remove one"),
        (
            "b.jpg 1\na.jpg 1\n./a.jpg 2\n",
            "`list.txt`, line 3: `./a.jpg 2` names the file of line 2 with another label; remove one",
        ),
        (
            "b.jpg 1\na.jpg 1\n.\\a.jpg 1\n",
            "`list.txt`, line 3: `.\\a.jpg 1` names the file of line 2 again; remove one",
        ),
        (
            "val/c.jpg 1\nval//./c.jpg 1\n",
            "`list.txt`, line 2: `val//./c.jpg 1` names the file of line 1 again; remove one",
        ),
        ("a.jpg 1\nval 2\n", "`list.txt`, line 2: `images/val` is a folder, expected an image file"),
        ("a.jpg 1\n. 2\n", "`list.txt`, line 2: `images/` is a folder, expected an image file"),
        ("a.jpg 1\nx.jpg 2\n", "1 of the 2 images in `list.txt` are not in `images`: `x.jpg` (line 2)"),
        (
            "1 1\n2 1\na.jpg 1\n3 1\n4 1\n5 1\n6 1\n7 1\n",
            "7 of the 8 images in `list.txt` are not in `images`: \
             `1` (line 1), `2` (line 2), `3` (line 4), `4` (line 5), `5` (line 6) and 2 more",
        ),
        ("a.jpg/x 1\n", "1 of the 1 images in `list.txt` are not in `images`: `a.jpg/x` (line 1)"),
        ("x\0\u{1b}[2J 1\n", "1 of the 1 images in `list.txt` are not in `images`: `x\\u{0}\\u{1b}[2J` (line 1)"),
        (
            "c.jpg 1\n",
            "1 of the 1 images in `list.txt` are not in `images`: `c.jpg` (line 1); \
             use `images/val` as the image folder",
        ),
        (
            "images/a.jpg 1\n",
            "1 of the 1 images in `list.txt` are not in `images`: `images/a.jpg` (line 1); \
             use `FOLDER` as the image folder",
        ),
    ];
    for (text, expected) in ten_classes {
        let fixture = Fixture::new(text, &["a.jpg", "b.jpg", "val/c.jpg"]);
        let message = fixture.message(10).replace(&fixture.folder.path().display().to_string(), "FOLDER");
        assert_eq!(message, *expected, "{text:?}");
    }
}

#[test]
fn long_lines_and_long_names_are_shortened() {
    let long = "x".repeat(100_000);
    let fixture = Fixture::new(format!("a.jpg {long}\n"), &[]);
    let message = fixture.message(10);
    assert!(message.contains(&format!("`{}…`", "x".repeat(80))) && message.len() < 300, "{message}");
    // Longer than any file system's names.
    let fixture = Fixture::new(format!("{long} 1\n"), &[]);
    assert!(matches!(fixture.read(10), Err(DatasetError::MissingImages { count: 1, .. })));
}

#[test]
fn other_encodings_are_refused_with_the_line() {
    let table: [(&[u8], usize); 3] = [(b"a.jpg 1\nb\xe9.jpg 2\n", 2), (b"a.jpg 1\n\n\nb.jpg 2\xc3", 4), (b"\x80", 1)];
    for (bytes, expected) in table {
        let fixture = Fixture::new(bytes, &["a.jpg"]);
        match fixture.read(10) {
            Err(DatasetError::Text { reason: TextError::NotUtf8 { line }, .. }) => {
                assert_eq!(line, expected, "{bytes:?}")
            }
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_list_or_no_folder_is_said() {
    let fixture = Fixture::new("a.jpg 1\n", &["a.jpg"]);
    let (list, root) = (fixture.list(), fixture.root());
    let read = |list: &Path, root: &Path| Dataset::from_list(list, root, 10).expect_err("wrong paths");

    let error = read(&root, &root);
    assert!(error.to_string().ends_with("is a folder, expected a text file"), "{error}");
    assert!(matches!(read(&root.join("none"), &root), DatasetError::Io { path, .. } if path == root.join("none")));
    let error = read(&list, &root.join("none"));
    assert!(
        error.to_string().starts_with("the image folder `") && error.to_string().ends_with("/none` does not exist")
    );
    let error = read(&list, &list);
    assert!(matches!(&error, DatasetError::RootNotAFolder { root } if *root == list), "{error}");

    let long = fs::File::create(&list).expect("the list is opened");
    long.set_len(MAX_LIST_BYTES + 2).expect("a sparse file");
    let DatasetError::Text { reason: TextError::TooLarge { bytes, limit }, .. } = read(&list, &root) else {
        panic!("a list that is too large");
    };
    assert_eq!((bytes, limit), (MAX_LIST_BYTES + 2, MAX_LIST_BYTES));
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_unopened() {
    let fixture = Fixture::new("a.jpg 1\n", &["b.jpg"]);
    let pipe = fixture.root().join("a.jpg");
    let status = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(status.success());
    assert_eq!(
        fixture.message(10),
        "`list.txt`, line 1: `images/a.jpg` is a pipe, socket or device, expected an image file"
    );
    for special in [pipe.as_path(), Path::new("/dev/zero")] {
        let error = Dataset::from_list(special, fixture.root(), 10).expect_err("no list");
        assert!(matches!(error, DatasetError::Text { reason: TextError::NotAFile(_), .. }), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn links_to_images_are_images_and_dangling_ones_are_missing() {
    let fixture = Fixture::new("good.jpg 1\nbad.jpg 2\n", &["a.jpg"]);
    std::os::unix::fs::symlink(fixture.root().join("a.jpg"), fixture.root().join("good.jpg")).expect("a link");
    std::os::unix::fs::symlink(fixture.root().join("none"), fixture.root().join("bad.jpg")).expect("a link");
    assert_eq!(fixture.message(10), "1 of the 2 images in `list.txt` are not in `images`: `bad.jpg` (line 2)");
}

#[test]
fn an_even_spread_keeps_the_order_and_reaches_the_whole_list() {
    let names: Vec<String> = (0..10).map(|index| format!("{index}.jpg")).collect();
    let list: String = names.iter().map(|name| format!("{name} 1\n")).collect();
    let images: Vec<&str> = names.iter().map(String::as_str).collect();
    let fixture = Fixture::new(list, &images);
    let all = fixture.read(10).expect("a good list");
    let table: [(usize, &[usize]); 9] = [
        (0, &[]),
        (1, &[0]),
        (2, &[0, 5]),
        (3, &[0, 3, 6]),
        (4, &[0, 2, 5, 7]),
        (7, &[0, 1, 2, 4, 5, 7, 8]),
        (9, &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (10, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (usize::MAX, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ];
    for (n, expected) in table {
        let mut some = all.clone();
        some.subsample_evenly(n);
        let expected: Vec<_> = expected.iter().map(|index| all.samples[*index].clone()).collect();
        assert_eq!(some.samples, expected, "{n} of 10");
    }
}

//! ImageNet's development kit: its numbers, and lists that have them without saying so. `devkit/make_kit.py` made the
//! table.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use hardnet_data::{
    Classes, Dataset, DatasetError, DatasetOptions, DevelopmentKit, KitError, LabelError, LabelRule, Numbering,
};
use tempfile::TempDir;

/// The ground truth of the first validation images, and the indices of their classes.
const TRUTH: [u32; 10] = [490, 361, 171, 822, 297, 482, 13, 704, 599, 164];
const INDICES: [u32; 10] = [65, 970, 230, 809, 516, 57, 334, 415, 674, 332];

fn table(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/devkit").join(name);
    fs::read(path).expect("the table is stored")
}

fn truth() -> String {
    TRUTH.iter().map(|number| format!("{number}\n")).collect()
}

/// A folder with the kit in `ILSVRC2012_devkit_t12` and ten validation images in `val`.
fn kit() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    let data = root.path().join("ILSVRC2012_devkit_t12/data");
    fs::create_dir_all(&data).expect("folders are made");
    fs::write(data.join("meta.mat"), table("meta.mat")).expect("the table is written");
    fs::write(data.join("ILSVRC2012_validation_ground_truth.txt"), truth()).expect("the ground truth is written");
    fs::create_dir(root.path().join("val")).expect("a folder is made");
    for number in 1..=TRUTH.len() {
        let name = format!("val/ILSVRC2012_val_{number:08}.JPEG");
        fs::write(root.path().join(name), "").expect("an image is written");
    }
    root
}

fn tar(root: &TempDir, folder: &str) -> PathBuf {
    let tar = root.path().join(format!("{folder}.tar"));
    let mut command = std::process::Command::new("tar");
    let made = command.arg("cf").arg(&tar).arg("-C").arg(root.path()).arg(folder).status();
    assert!(made.expect("tar runs").success());
    tar
}

fn open(root: &TempDir) -> DevelopmentKit {
    DevelopmentKit::open(&root.path().join("ILSVRC2012_devkit_t12")).expect("a kit")
}

fn labels(dataset: &Dataset) -> Vec<u32> {
    dataset.samples.iter().map(|sample| sample.label().expect("labeled")).collect()
}

#[test]
fn a_kit_is_a_folder_or_an_archive() {
    let root = kit();
    let expected = open(&root);
    assert_eq!(expected.ground_truth(), TRUTH);
    let ids = [1, 490, 1000, 0, 1001].map(|id| expected.wordnet_id(id));
    assert!(ids[0].is_some() && ids[1] == Some("n01751748") && ids[2].is_some() && ids[3..] == [None, None], "{ids:?}");
    let tar = tar(&root, "ILSVRC2012_devkit_t12");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&fs::read(&tar).expect("read")).expect("compressed");
    let tar_gz = root.path().join("ILSVRC2012_devkit_t12.tar.gz");
    fs::write(&tar_gz, gzip.finish().expect("compressed")).expect("written");
    for path in [root.path().join("ILSVRC2012_devkit_t12/data"), root.path().into(), tar, tar_gz.clone()] {
        let found = DevelopmentKit::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(found.ground_truth(), TRUTH);
        assert!((1..=1000).all(|id| found.wordnet_id(id) == expected.wordnet_id(id)));
    }
    let whole = fs::read(&tar_gz).expect("read");
    for cut in (0..whole.len()).step_by(997) {
        fs::write(&tar_gz, &whole[..cut]).expect("written");
        let error = DevelopmentKit::open(&tar_gz).expect_err("it is cut short");
        assert!(matches!(error, DatasetError::Kit { reason: KitError::Archive(_), .. }), "{cut}: {error}");
    }
    let error = DevelopmentKit::open(&root.path().join("val")).expect_err("not a kit");
    assert!(matches!(error, DatasetError::Kit { reason: KitError::NotAKit, .. }), "{error}");
}

#[test]
fn damaged_files_of_a_kit_are_refused() {
    let root = kit();
    let data = root.path().join("ILSVRC2012_devkit_t12/data");
    let read = || match DevelopmentKit::open(&data) {
        Err(DatasetError::Kit { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    for (text, line) in [("490\n0\n", 2), ("1001\n", 1), ("490\n\nx\n", 3), ("490 361\n", 1)] {
        fs::write(data.join("ILSVRC2012_validation_ground_truth.txt"), text).expect("written");
        let error = read();
        assert!(matches!(error, KitError::GroundTruth { line: found, .. } if found == line), "{text:?}: {error}");
    }
    // A table of few classes, whole or cut anywhere, and bits changed anywhere in it.
    for name in ["plain.mat", "compressed.mat"] {
        let whole = table(name);
        fs::write(data.join("meta.mat"), &whole).expect("written");
        assert!(matches!(read(), KitError::Classes { found: 2 }), "{name}");
        for at in 0..whole.len() {
            hardnet_data::kit_table(&whole[..at]).expect_err("cut short");
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            let _ = hardnet_data::kit_table(&changed);
        }
    }
}

#[test]
fn validation_images_in_one_folder_need_no_list() {
    let root = kit();
    let (val, archive) = (root.path().join("val"), tar(&root, "val"));
    for images in [&val, &archive] {
        let options = DatasetOptions::new(images, 1000).development_kit(Some(open(&root)));
        let dataset = options.read().unwrap_or_else(|error| panic!("{}: {error}", images.display()));
        assert_eq!(labels(&dataset), INDICES);
        assert_eq!(dataset.rule, Some(LabelRule::DevelopmentKit));
        let note = &dataset.notes[0];
        assert!(note.starts_with("labels: ILSVRC2012_ID by the development kit `"), "{note}");
        assert!(note.ends_with("as WordNet ids, 10 of ImageNet's 1000 classes"), "{note}");
    }
    // The ground truth as a list is the same, also one of other images.
    let list = root.path().join("truth.txt");
    let reversed: String = TRUTH.iter().rev().map(|number| format!("{number}\r\n")).collect();
    fs::write(&list, reversed).expect("the list is written");
    let options = DatasetOptions::new(&val, 1000).list(Some(&list)).development_kit(Some(open(&root)));
    let expected: Vec<_> = INDICES.iter().rev().copied().collect();
    assert_eq!(labels(&options.read().expect("a list of numbers")), expected);
    // Other images are not labeled silently.
    fs::write(val.join("cat.jpg"), "").expect("an image is written");
    fs::write(val.join("ILSVRC2012_val_00000011.JPEG"), "").expect("an image is written");
    let error = DatasetOptions::new(&val, 1000).development_kit(Some(open(&root))).read().expect_err("other images");
    assert!(matches!(&error, DatasetError::NotValidationImages { count: 2, total: 12, .. }), "{error}");
}

#[test]
fn numbers_in_lists_and_folders_are_those_of_the_kit() {
    let root = kit();
    let (val, list) = (root.path().join("val"), root.path().join("list.txt"));
    let write = |label: &dyn Fn(usize) -> u32, range: std::ops::Range<usize>| {
        let line = |at: usize| format!("ILSVRC2012_val_{:08}.JPEG {}\n", at + 1, label(at));
        fs::write(&list, range.map(line).collect::<String>()).expect("the list is written");
    };
    let options = DatasetOptions::new(&val, 1000).list(Some(&list));
    write(&|at| TRUTH[at], 0..10);
    let dataset = options.clone().development_kit(Some(open(&root))).read().expect("numbers of the kit");
    assert_eq!((labels(&dataset), dataset.rule), (INDICES.to_vec(), Some(LabelRule::DevelopmentKit)));
    // Without the kit these labels are in range, and wrong.
    let wrong = |found: Result<Dataset, DatasetError>| match found {
        Err(DatasetError::Labels { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let error = wrong(options.read());
    assert!(matches!(error, LabelError::WrongNumbering { numbering: Numbering::DevelopmentKit, expected: 65, .. }));
    assert_eq!(
        error.to_string(),
        "the label `490` (line 1) of `ILSVRC2012_val_00000001.JPEG` is its ILSVRC2012_ID in ImageNet's development kit, \
         expected the class index 65: classes are numbered from 0 in the order of their WordNet ids"
    );
    write(&|at| INDICES[at] + 1, 2..10);
    let error = wrong(options.read());
    assert!(matches!(error, LabelError::WrongNumbering { numbering: Numbering::WordNetFromOne, expected: 230, .. }));
    write(&|at| INDICES[at], 0..10);
    assert_eq!(labels(&options.read().expect("class indices")), INDICES);
    // Unknown images: numbers from 1 to 1000 are one of two numberings.
    fs::write(&list, "a.JPEG 1000\n").expect("the list is written");
    let error = wrong(options.read());
    assert!(matches!(error, LabelError::OutOfRange { numbering: Numbering::ImageNetFromOne, .. }), "{error}");
    assert!(error.to_string().contains("most likely ILSVRC2012_ID of ImageNet's development kit"), "{error}");
    fs::write(val.join("a.JPEG"), "").expect("the image is written");
    assert!(options.clone().development_kit(Some(open(&root))).read().is_ok());
    fs::write(&list, "a.JPEG 0\n").expect("the list is written");
    let error = wrong(options.clone().development_kit(Some(open(&root))).read());
    assert!(matches!(error, LabelError::NotAKitNumber { .. }), "{error}");
    // The kit's ground truth as a list says what it is, but only for ImageNet's classes.
    fs::write(&list, truth()).expect("the list is written");
    assert!(matches!(options.read(), Err(DatasetError::NumbersOnly { line: 1, .. })));
    let few = DatasetOptions::new(&val, 10).list(Some(&list)).read();
    assert!(matches!(few, Err(DatasetError::MissingLabel { line: 1, .. })));

    for number in ["490", "1"] {
        fs::create_dir_all(root.path().join("numbers").join(number)).expect("a folder is made");
        fs::write(root.path().join("numbers").join(number).join("0.JPEG"), "").expect("an image is written");
    }
    let numbers = DatasetOptions::new(root.path().join("numbers"), 1000).development_kit(Some(open(&root)));
    assert_eq!(labels(&numbers.read().expect("folders"))[1], 65);
    // A network that names its classes by WordNet ids, in an order of its own.
    let named = Classes::named(["n01751748", open(&root).wordnet_id(1).expect("a class")]);
    let numbers = DatasetOptions::new(root.path().join("numbers"), named).development_kit(Some(open(&root)));
    assert_eq!(labels(&numbers.read().expect("folders")), [1, 0]);
}

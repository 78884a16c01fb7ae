//! Images by the names that results give them.

use std::fs;
use std::path::{Path, PathBuf};

use hardnet_data::{DatasetError, ImageRoot, Sample};

fn found(root: &Path, names: &[&str]) -> Vec<Option<Sample>> {
    let found = ImageRoot::from(root).find(names).unwrap();
    for (sample, name) in found.iter().zip(names) {
        assert!(sample.as_ref().is_none_or(|sample| sample.name() == *name));
    }
    found
}

/// A folder with these files, each of which holds its own path.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join("root").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    folder
}

#[test]
fn names_are_paths_below_a_folder() {
    let folder = folder(&["a.jpg", "n01440764/b c.jpg", "n01440764/n01440764_7.JPEG", "sub/d.png", "../outside.jpg"]);
    let root = folder.path().join("root");
    let absolute = root.join("a.jpg");
    let table = [
        ("a.jpg", Some("a.jpg")),
        ("./a.jpg", Some("a.jpg")),
        (absolute.to_str().unwrap(), Some("a.jpg")),
        ("n01440764/b c.jpg", Some("n01440764/b c.jpg")),
        ("sub\\d.png", Some("sub/d.png")),
        // As Kaggle's list of training images has them.
        ("n01440764_7.JPEG", Some("n01440764/n01440764_7.JPEG")),
        ("b c.jpg", None),
        ("sub", None),
        ("", None),
        ("a.jpg/", None),
        ("no\0name", None),
        ("../outside.jpg", None),
        ("sub/../../outside.jpg", None),
        ("/etc/hostname", None),
    ];
    let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
    for ((name, expected), sample) in table.iter().zip(found(&root, &names)) {
        let content = sample.map(|sample| fs::read_to_string(sample.path()).unwrap());
        assert_eq!(content.as_deref(), *expected, "{name}");
    }
}

#[test]
fn names_are_entries_of_an_archive() {
    let tar = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tar/ustar.tar");
    let table = [
        ("n01440764/a.jpg", Some("n01440764/a.jpg")),
        ("./n01440764//a.jpg", Some("n01440764/a.jpg")),
        ("n01440764\\b.png", Some("n01440764/b.png")),
        ("b.png", Some("n01440764/b.png")),
        ("/data/val/n01443537/a.jpg", Some("n01443537/a.jpg")),
        // Two entries have this name below their folders.
        ("a.jpg", None),
        ("n01440764", None),
        ("c.jpg", None),
        ("", None),
    ];
    let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
    for ((name, expected), sample) in table.iter().zip(found(&tar, &names)) {
        let path = sample.map(|sample| {
            assert!(sample.archived().unwrap().read().unwrap().len() > 10);
            sample.path().strip_prefix(&tar).unwrap().to_path_buf()
        });
        assert_eq!(path.as_deref(), expected.map(Path::new), "{name}");
    }
}

#[test]
fn names_are_numbers_in_an_idx_file() {
    let folder = tempfile::tempdir().unwrap();
    let header = |dimensions: &[u32]| {
        let bytes = dimensions.iter().flat_map(|dimension| dimension.to_be_bytes());
        [0, 0, 8, dimensions.len() as u8].into_iter().chain(bytes).collect::<Vec<u8>>()
    };
    let images = folder.path().join("t10k-images-idx3-ubyte");
    fs::write(&images, [header(&[3, 2, 3]), (0..18).collect()].concat()).unwrap();
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), [header(&[3]), vec![2, 0, 1]].concat()).unwrap();
    let found = found(&images, &["2", "0", "3", "02", "x"]);
    let pixels: Vec<_> = found.iter().map(|sample| Some(sample.as_ref()?.in_memory()?.image().samples()[0])).collect();
    assert_eq!(pixels, [Some(12), Some(0), None, None, None]);
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = ImageRoot::from(&folder.path().join("none")).find(&["a"]);
    assert!(matches!(missing, Err(DatasetError::RootMissing { .. })), "{missing:?}");
    fs::write(folder.path().join("text"), "not an archive").unwrap();
    let text = ImageRoot::from(&folder.path().join("text")).find(&["a"]);
    assert!(matches!(text, Err(DatasetError::RootNotAFolder { .. })), "{text:?}");
}

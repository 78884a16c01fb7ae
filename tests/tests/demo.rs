//! The demonstration's images as an evaluation finds them.

use std::collections::BTreeSet;

use hardnet_base::sha256;
use hardnet_data::{Channels, Dataset, DecodeLimits, decode};
use hardnet_demo::fashion_mnist::{CLASSES, NOTICE, SAMPLE_TAR, VAL_LIST};
use sha2::{Digest, Sha256};

/// The digest that `make_sample.py` prints.
const DIGEST: &str = "5ece25b3cd1727314db23a8d31d693d89d78990e0958cbee6644329811063a87";

/// Images of each class.
const OF_CLASS: [usize; 10] = [95, 98, 90, 109, 102, 90, 101, 103, 104, 108];

fn sample() -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let (archive, list) = (folder.path().join("sample.tar"), folder.path().join("val_list.txt"));
    std::fs::write(&archive, SAMPLE_TAR).unwrap();
    std::fs::write(&list, VAL_LIST).unwrap();
    let dataset = Dataset::from_list(&list, &archive, CLASSES.len()).unwrap();
    (folder, dataset)
}

#[test]
fn the_sample_is_the_one_published() {
    assert_eq!((SAMPLE_TAR.len(), sha256(SAMPLE_TAR)), (1_331_200, DIGEST.to_string()));
    let (_folder, dataset) = sample();
    let mut of_class = [0; 10];
    dataset.samples.iter().for_each(|sample| of_class[sample.label().unwrap() as usize] += 1);
    assert_eq!((dataset.samples.len(), of_class), (1000, OF_CLASS));
}

/// The draw of `make_sample.py`, repeated.
#[test]
fn the_sample_is_drawn_without_regard_to_class() {
    let key = |index: &usize| Sha256::digest(format!("fashion-mnist t10k 2019 {index}"));
    let mut draw: Vec<usize> = (0..10_000).collect();
    draw.sort_by_key(key);
    let drawn: BTreeSet<String> = draw[..1000].iter().map(|index| format!("t10k-{index:05}.png")).collect();
    let listed: Vec<&str> = VAL_LIST.lines().map(|line| line.split_once(' ').unwrap().0).collect();
    assert!(listed.iter().copied().eq(drawn.iter().map(String::as_str)));
}

#[test]
fn every_image_is_grey_and_of_28_pixels() {
    let (_folder, dataset) = sample();
    for sample in &dataset.samples {
        let bytes = sample.archived().unwrap().read().unwrap();
        let image = decode(&bytes, &DecodeLimits::default()).unwrap().image;
        let found = (image.width(), image.height(), image.channels());
        assert_eq!(found, (28, 28, Channels::Gray), "{}", sample.name());
    }
}

/// Who unpacks the archive has the list, the names and the license that the crate has.
#[test]
fn the_archive_holds_what_lies_beside_it() {
    let classes = CLASSES.map(|name| format!("{name}\n")).concat();
    let mut rest = SAMPLE_TAR;
    for (name, expected) in [("NOTICE", NOTICE), ("classes.txt", &classes), ("val_list.txt", VAL_LIST)] {
        let (header, content) = rest.split_at(512);
        assert!(header.starts_with(format!("fashion_mnist/{name}\0").as_bytes()), "{name}");
        assert!(content.starts_with(expected.as_bytes()), "{name}");
        rest = &content[expected.len().next_multiple_of(512)..];
    }
    assert!(NOTICE.contains("Permission is hereby granted") && NOTICE.contains("Zalando"));
}

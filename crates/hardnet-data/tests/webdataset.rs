//! Images in tar files as webdataset writes them.

use std::path::PathBuf;

use hardnet_data::{ArchiveError, KeyFault, Shard, TarChunk, TarClasses, WebDataset};
use tempfile::TempDir;

/// An entry as ustar has it.
fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(content);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes: Vec<u8> = files.iter().flat_map(|(name, content)| entry(name, b'0', content.as_bytes())).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Tar files `0.tar`, `1.tar`, ... and their data set.
fn dataset(tars: &[Vec<u8>]) -> (TempDir, WebDataset) {
    let folder = tempfile::tempdir().unwrap();
    for (index, tar) in tars.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{index}.tar")), tar).unwrap();
    }
    let pattern = format!("{}/{{0..{}}}.tar", folder.path().display(), tars.len() - 1);
    (folder, WebDataset::from_pattern(&pattern).unwrap())
}

fn all(dataset: &WebDataset, classes: TarClasses) -> Vec<TarChunk> {
    dataset.read(0..dataset.tars().len(), classes, 4).map(Result::unwrap).collect()
}

#[test]
fn images_have_the_class_of_their_key() {
    let files = [
        ("./a/1.jpg", "one"),
        ("./a/1.cls", "3"),
        // In another order, with a line end, with other files, in capitals.
        ("a/2.cls", "0\n"),
        ("a/2.json", "{}"),
        ("a/2.seg.png", "not the image"),
        ("a/2.PNG", "two"),
        ("b.c/1.x.cls", "9"),
        ("b.c/1.jpeg", "three"),
        ("b.c/1.cls", " 2 "),
        (".hidden.jpg", ""),
        ("README", ""),
        ("notes.txt", ""),
    ];
    let (folder, dataset) = dataset(&[archive(&files)]);
    let chunks = all(&dataset, TarClasses::Below(4));
    assert_eq!(chunks.len(), 1);
    assert!(chunks[0].errors.is_empty(), "{:?}", chunks[0].errors);
    let found: Vec<_> = chunks[0]
        .samples
        .iter()
        .map(|sample| {
            let content = sample.archived().unwrap().read().unwrap();
            (sample.name().to_owned(), sample.label(), String::from_utf8(content).unwrap())
        })
        .collect();
    let expected = [("a/1.jpg", 3, "one"), ("a/2.PNG", 0, "two"), ("b.c/1.jpeg", 2, "three")];
    assert_eq!(found, expected.map(|(name, label, content)| (name.to_owned(), Some(label), content.to_owned())));
    assert_eq!(chunks[0].samples[0].path(), folder.path().join("0.tar/a/1.jpg"));
    // Without classes, `.cls` files are not read.
    let labels: Vec<_> = all(&dataset, TarClasses::Ignored)[0].samples.iter().map(|sample| sample.label()).collect();
    assert_eq!(labels, [None; 3]);
}

/// Without a class, with one that only another network has, and with none that is a number.
#[test]
fn classes_may_be_optional() {
    let files = [
        ("a.jpg", ""),
        ("b.png", ""),
        ("b.cls", "4294967294"),
        ("c.jpg", ""),
        ("c.cls", "cat"),
        ("d.cls", "1"),
        ("e.jpg", ""),
        ("e.cls", "4294967296"),
        ("f.json", ""),
        ("g.jpg", ""),
        ("g.cls", "0"),
    ];
    let (_folder, dataset) = dataset(&[archive(&files)]);
    let chunks = all(&dataset, TarClasses::Optional);
    let samples = chunks.iter().flat_map(|chunk| &chunk.samples);
    let found: Vec<_> = samples.map(|sample| (sample.name(), sample.label())).collect();
    assert_eq!(found, [("a.jpg", None), ("b.png", Some(u32::MAX - 1)), ("g.jpg", Some(0))]);
    let faults: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.errors).map(|error| error.fault.clone()).collect();
    let beyond = KeyFault::UnknownClass { class: 1 << 32, classes: u32::MAX as usize };
    assert_eq!(faults, [KeyFault::NotAClass("cat".into()), KeyFault::NoImage, beyond]);
}

#[test]
fn what_is_wrong_with_a_key_costs_only_that_key() {
    let files = [
        ("a.jpg", ""),
        ("b.cls", "1"),
        ("c.jpg", ""),
        ("c.png", ""),
        ("c.cls", "1"),
        ("d.jpg", ""),
        ("d.cls", "1"),
        ("d.cls", "2"),
        ("e.jpg", ""),
        ("e.cls", "cat"),
        ("f.jpg", ""),
        ("f.cls", "4"),
        ("g.jpg", ""),
        ("g.cls", "0000000000000000000000000000000000000000000000000000000000000000000001"),
        ("h.jpg", ""),
        ("h.cls", "-1"),
        ("i.jpg", ""),
        ("i.cls", "1"),
        ("j.json", ""),
    ];
    let mut tar = archive(&files);
    tar.truncate(tar.len() - 1024);
    tar.extend(entry("k.jpg", b'2', b""));
    tar.extend(entry("k.cls", b'0', b"1"));
    tar.extend([0; 1024]);
    let (folder, dataset) = dataset(&[tar]);
    let chunks = all(&dataset, TarClasses::Below(4));
    let errors: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.errors).collect();
    let keys: Vec<_> =
        errors.iter().map(|error| error.path.strip_prefix(folder.path().join("0.tar")).unwrap()).collect();
    assert_eq!(keys, ["a", "b", "c", "d", "e", "f", "g", "h", "k"].map(PathBuf::from));
    let faults: Vec<_> = errors.iter().map(|error| &error.fault).collect();
    assert_eq!(
        faults[..4],
        [&KeyFault::NoClass, &KeyFault::NoImage, &KeyFault::SeveralImages, &KeyFault::SeveralClasses]
    );
    assert_eq!(faults[4..6], [&KeyFault::NotAClass("cat".into()), &KeyFault::UnknownClass { class: 4, classes: 4 }]);
    assert!(errors[0].to_string().ends_with("0.tar/a` has an image, but no class: expected .cls"), "{}", errors[0]);
    let names: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.samples).map(|sample| sample.name()).collect();
    assert_eq!(names, ["i.jpg"]);
}

/// Chunks end with their tar files, so that those of shards are those of all.
#[test]
fn chunks_of_shards_are_the_chunks_of_all() {
    let tar = |count: usize| {
        let files: Vec<_> = (0..count).map(|key| (format!("{key:03}.jpg"), format!("{key:03}.cls"))).collect();
        let pairs: Vec<_> =
            files.iter().flat_map(|(image, class)| [(image.as_str(), ""), (class.as_str(), "0")]).collect();
        archive(&pairs)
    };
    let (_folder, dataset) = dataset(&[tar(9), tar(0), tar(4), tar(1), tar(5)]);
    let sizes = |chunks: &[TarChunk]| chunks.iter().map(|chunk| chunk.samples.len()).collect::<Vec<_>>();
    let whole = sizes(&all(&dataset, TarClasses::Below(1)));
    assert_eq!(whole, [4, 4, 1, 4, 1, 4, 1]);
    for count in [1, 2, 3, 4, 7] {
        let mut found = Vec::new();
        for index in 0..count {
            let range = Shard::new(index, count).unwrap().range(dataset.tars().len(), 1);
            found.extend(sizes(&dataset.read(range, TarClasses::Below(1), 4).map(Result::unwrap).collect::<Vec<_>>()));
        }
        assert_eq!(found, whole, "{count} shards");
    }
}

#[test]
fn a_broken_tar_file_ends_the_iteration() {
    let whole = archive(&[("a.jpg", "image"), ("a.cls", "0"), ("b.jpg", "image"), ("b.cls", "0")]);
    let mut damaged = whole.clone();
    damaged[1030] ^= 1;
    let gzip = [b"\x1f\x8b", &whole[2..]].concat();
    type IsExpected = fn(&ArchiveError) -> bool;
    let cases: [(Vec<u8>, IsExpected); 6] = [
        (whole[..1500].to_vec(), |error| {
            matches!(error, ArchiveError::Truncated { .. } | ArchiveError::BeyondEnd { .. })
        }),
        (whole[..whole.len() - 1024].to_vec(), |error| matches!(error, ArchiveError::Truncated { .. })),
        (damaged, |error| matches!(error, ArchiveError::Header { offset: 1024, .. })),
        (gzip, |error| matches!(error, ArchiveError::Compressed { format: "gzip", .. })),
        (b"text".to_vec(), |error| matches!(error, ArchiveError::Truncated { .. })),
        (Vec::new(), |error| matches!(error, ArchiveError::Truncated { .. })),
    ];
    for (tar, is_expected) in cases {
        let (_folder, dataset) = dataset(&[whole.clone(), tar, whole.clone()]);
        let mut chunks = dataset.read(0..3, TarClasses::Below(1), 4);
        assert_eq!(chunks.next().unwrap().unwrap().samples.len(), 2);
        let error = chunks.next().unwrap().unwrap_err();
        assert!(is_expected(&error), "{error}");
        assert!(chunks.next().is_none());
    }
    let missing = WebDataset::from_pattern("/nowhere/{0..1}.tar").unwrap();
    assert!(matches!(missing.read(0..2, TarClasses::Ignored, 1).next().unwrap().unwrap_err(), ArchiveError::Io { .. }));
}

//! Files whose elements stay on disk give what files in memory give.

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use hardnet_checkpoint::{Checkpoint, Error, Format, ReadOptions};
use support::{Member, Pickle, archive, fixtures, legacy};

fn streamed(path: &Path) -> Result<Checkpoint, Error> {
    Checkpoint::open_with(path, &ReadOptions::default().streamed(true))
}

/// The inputs from which fuzzing starts, and which it found: whole files and broken ones.
fn corpus() -> impl Iterator<Item = (String, Vec<u8>)> {
    let folders = ["checkpoint", "onnx"].map(|name| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-stored").join(name);
        fs::read_dir(folder).unwrap()
    });
    folders.into_iter().flatten().map(|entry| {
        let path = entry.unwrap().path();
        (path.display().to_string(), fs::read(path).unwrap())
    })
}

#[test]
fn every_file_is_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut on_disk = HashMap::new();
    for (name, bytes) in fixtures().into_iter().chain(corpus()) {
        let path = folder.path().join("weights");
        fs::write(&path, &bytes).unwrap();
        let (whole, streamed) = match (Checkpoint::open(&path), streamed(&path)) {
            (Ok(whole), Ok(streamed)) => (whole, streamed),
            (Err(whole), Err(streamed)) => {
                assert_eq!(whole.to_string(), streamed.to_string(), "{name}");
                continue;
            }
            (whole, streamed) => panic!("{name}: {whole:?} in memory, {streamed:?} from disk"),
        };
        assert_eq!(whole.tensors(), streamed.tensors(), "{name}");
        assert_eq!(whole.wrapper(), streamed.wrapper(), "{name}");
        assert_eq!(whole.dictionaries(), streamed.dictionaries(), "{name}");
        assert_eq!((whole.format(), whole.metadata()), (streamed.format(), streamed.metadata()), "{name}");
        let mut copy = Vec::new();
        streamed.for_each_part(&mut |part| copy.extend_from_slice(part)).unwrap();
        assert_eq!((copy.len(), copy), (streamed.byte_count(), bytes), "{name}");
        for index in 0..whole.tensors().len() {
            assert_eq!(whole.read(index).unwrap(), streamed.read(index).unwrap(), "{name}, tensor {index}");
            let mut parts = Vec::new();
            streamed.read_parts(index, &mut |part| parts.extend_from_slice(part)).unwrap();
            assert_eq!(*whole.read(index).unwrap(), parts, "{name}, tensor {index}");
        }
        *on_disk.entry(streamed.format()).or_insert(0) += usize::from(streamed.bytes().is_none());
        let mut elements = streamed.into_elements();
        for index in 0..whole.tensors().len() {
            assert_eq!(*whole.read(index).unwrap(), elements.take(index).unwrap(), "{name}, tensor {index}");
        }
    }
    let formats = [Format::TorchLegacy, Format::TorchZip, Format::Paddle, Format::Safetensors, Format::Onnx];
    assert!(formats.iter().all(|format| on_disk.get(format) > Some(&1)), "files that stayed on disk: {on_disk:?}");
}

/// A pickle that is longer than the first part of the file.
#[test]
fn long_pickles_are_found() {
    let elements = vec![7; 4 << 20];
    let long = "x".repeat(400_000);
    let pickle = |pickle: Pickle| {
        let noted = pickle.op(b"}").text("note").text(&long).op(b"s");
        noted.text("w").tensor("0", 1 << 20, 0, &[1 << 10, 1 << 10], &[1, 1 << 10]).op(b"s").stop()
    };
    let members = [Member::new("a/data.pkl", pickle(Pickle::new())), Member::new("a/data/0", elements.clone())];
    let folder = tempfile::tempdir().unwrap();
    for file in [legacy(pickle(Pickle::new()), &["0"], &[(1 << 20, &elements)]), archive(&members)] {
        let path = folder.path().join("weights");
        fs::write(&path, file).unwrap();
        let checkpoint = streamed(&path).unwrap();
        assert_eq!(checkpoint.bytes(), None);
        assert_eq!(checkpoint.read(0).unwrap(), elements);
    }
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let elements = vec![7; 64];
    let pickle = Pickle::new().op(b"}").text("w").tensor("0", 16, 0, &[16], &[1]).op(b"s").stop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    fs::write(&path, legacy(pickle, &["0"], &[(16, &elements)])).unwrap();
    let checkpoint = streamed(&path).unwrap();
    assert_eq!(checkpoint.read(0).unwrap(), elements);
    fs::write(&path, b"short").unwrap();
    assert!(matches!(checkpoint.read(0), Err(Error::Read { .. })));
    assert!(matches!(checkpoint.for_each_part(&mut |_| ()), Err(Error::Read { .. })));
    assert!(matches!(checkpoint.read(1), Err(Error::Index { .. })));
}

/// Views of one storage would read it once for each of them: such a file is read as a whole.
#[test]
fn views_that_share_bytes_are_read_from_memory() {
    let view = |pickle: Pickle, name: &str| pickle.text(name).tensor("0", 1024, 0, &[1024], &[1]).op(b"s");
    let pickle = (0..99).fold(Pickle::new().op(b"}"), |pickle, at| view(pickle, &format!("w{at}"))).stop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    fs::write(&path, legacy(pickle, &["0"], &[(1024, &[7; 4096])])).unwrap();
    assert!(streamed(&path).unwrap().bytes().is_some());
}

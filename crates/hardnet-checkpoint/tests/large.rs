//! Files with elements that are large enough to be left on disk.

mod support;

use std::fs;
use std::path::Path;

use hardnet_checkpoint::{Checkpoint, Error, Format, ReadOptions};
use support::{onnx, onnx_tensor, paddle};

/// Elements of many bytes of all kinds, as f32 finite or not.
fn elements(count: usize, seed: usize) -> Vec<u8> {
    (0..4 * count).map(|at| ((at + seed).wrapping_mul(at + 2_654_435_761) >> 13) as u8).collect()
}

/// Paddle files in both forms and all orders, and ONNX files with tensors in all places.
fn files() -> Vec<(&'static str, Format, Vec<u8>)> {
    let (a, b, small) = (elements(20_000, 1), elements(4_096, 2), elements(6, 3));
    let arrays = |latin1: bool| {
        paddle(&[
            ("a", &[100, 200], &a, [latin1, false, false]),
            ("small", &[2, 3], &small, [latin1, false, false]),
            ("columns", &[32, 128], &b, [latin1, true, false]),
            ("big", &[4_096], &b, [latin1, false, true]),
            ("both", &[32, 128], &b, [latin1, true, true]),
        ])
    };
    let tensors = [
        onnx_tensor("a", &[100, 200], (9, &a)),
        onnx_tensor("small", &[2, 3], (9, &small)),
        onnx_tensor("floats", &[4_096], (4, &b)),
    ];
    let constants = [("constant", onnx_tensor("", &[4_096], (9, &b))), ("one", onnx_tensor("", &[6], (9, &small)))];
    vec![
        ("bytes", Format::Paddle, arrays(false)),
        ("latin1", Format::Paddle, arrays(true)),
        ("onnx", Format::Onnx, onnx(&tensors, &constants)),
    ]
}

/// Both ways of reading a file, which must agree; whether it was left on disk.
#[track_caller]
fn compare(path: &Path, what: &str) -> bool {
    let streamed = Checkpoint::open_with(path, &ReadOptions::default().streamed(true));
    let (whole, streamed) = match (Checkpoint::open(path), streamed) {
        (Ok(whole), Ok(streamed)) => (whole, streamed),
        (whole, streamed) => {
            let [whole, streamed] = [whole, streamed].map(|read| read.map(|_| ()).map_err(|error| error.to_string()));
            assert_eq!(whole, streamed, "{what}");
            return false;
        }
    };
    assert_eq!((whole.tensors(), whole.metadata()), (streamed.tensors(), streamed.metadata()), "{what}");
    for index in 0..whole.tensors().len() {
        let expected = whole.read(index).unwrap();
        let mut parts = Vec::new();
        streamed.read_parts(index, &mut |part| parts.extend_from_slice(part)).unwrap();
        assert!(expected == streamed.read(index).unwrap() && *expected == parts, "{what}, tensor {index}");
    }
    streamed.bytes().is_none()
}

#[test]
fn files_on_disk_are_read_as_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    for (name, format, file) in files() {
        fs::write(&path, &file).unwrap();
        assert!(compare(&path, name), "{name} is read as a whole");
        let streamed = Checkpoint::open_with(&path, &ReadOptions::default().streamed(true)).unwrap();
        assert_eq!((streamed.format(), streamed.byte_count(), streamed.tensors().len()), (format, file.len(), 5));
        if format == Format::Onnx {
            let whole = Checkpoint::open(&path).unwrap();
            let [whole, streamed] = [&whole, &streamed].map(|file| file.onnx_model().unwrap());
            let absent = streamed.tensors().filter(|(_, tensor)| tensor.bytes.is_empty()).count();
            assert_eq!(absent, 3, "tensors without elements");
            for ((name, whole), (own, streamed)) in whole.tensors().zip(streamed.tensors()) {
                assert_eq!((name, &whole.info, &whole.place), (own, &streamed.info, &streamed.place));
            }
        }
    }
}

/// Damage is found alike, wherever it is: in what is kept, in lengths, and in elements.
#[test]
fn damaged_files_are_refused_as_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    for (name, _, file) in files() {
        let mut on_disk = 0;
        let ends = (0..file.len()).step_by(file.len() / 30).chain(file.len() - 40..file.len());
        for end in ends {
            fs::write(&path, &file[..end]).unwrap();
            on_disk += usize::from(compare(&path, &format!("{name} until {end}")));
        }
        // A model without its operators' version may still be one.
        assert!(on_disk < 2, "{name}: {on_disk} files that are cut and accepted");
        for at in (0..file.len()).filter(|at| at % 4_999 == 0 || *at < 200 || *at > file.len() - 60) {
            let mut changed = file.clone();
            changed[at] ^= [0x01, 0x80][at % 2];
            fs::write(&path, &changed).unwrap();
            on_disk += usize::from(compare(&path, &format!("{name} with byte {at} changed")));
        }
        assert!(on_disk > 0, "{name}: changed elements are elements");
    }
}

#[test]
fn a_file_that_changes_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    for (name, _, mut file) in files() {
        fs::write(&path, &file).unwrap();
        let checkpoint = Checkpoint::open_with(&path, &ReadOptions::default().streamed(true)).unwrap();
        checkpoint.read(0).unwrap();
        file[50_000] ^= 1;
        // A time of its own, whatever the resolution of the file system's times.
        fs::write(&path, &file).unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(10);
        fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        let error = checkpoint.read(0).unwrap_err();
        assert!(matches!(&error, Error::Read { .. }), "{name}: {error}");
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("was changed"), "{name}: {error}");
    }
}

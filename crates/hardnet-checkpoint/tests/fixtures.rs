//! Files written by PyTorch, Paddle and pickle read as Python reads them, and no damaged one is misread.

mod support;

use hardnet_checkpoint::{Checkpoint, Error};
use support::{expected, fixtures, fnv1a, folder, open_and_read};

#[test]
fn fixtures_read_as_their_writers_read_them() {
    let expected = expected();
    assert!(expected.len() >= 37, "{} fixtures", expected.len());
    for (file, what) in &expected {
        let checkpoint = Checkpoint::open(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(format!("{:?}", checkpoint.format()), what["format"].as_str().expect("text"), "{file}");
        assert_eq!(checkpoint.wrapper(), what["wrapper"].as_str(), "{file}");
        let found: Vec<serde_json::Value> = (checkpoint.tensors().iter().enumerate())
            .map(|(index, tensor)| {
                serde_json::json!({
                    "name": tensor.name,
                    "dtype": tensor.dtype.to_string(),
                    "shape": tensor.shape,
                    "fnv": format!("{:016x}", fnv1a(&checkpoint.read(index).expect("the tensor is readable"))),
                })
            })
            .collect();
        assert_eq!(serde_json::Value::Array(found), what["tensors"], "{file}");
    }
}

#[test]
fn an_index_past_the_end_is_an_error() {
    let checkpoint = Checkpoint::open(folder().join("plain.safetensors")).expect("the fixture is valid");
    assert!(matches!(checkpoint.read(5), Err(Error::Index { index: 5, count: 5 })));
}

#[test]
fn a_missing_file_is_named() {
    let error = Checkpoint::open("no/such/file.pth").expect_err("there is no such file");
    assert!(error.to_string().contains("`no/such/file.pth`"), "{error}");
}

#[test]
fn other_files_are_no_model_files() {
    assert!(matches!(Checkpoint::from_bytes(Vec::new()), Err(Error::Empty)));
    for bytes in [&b"<!DOCTYPE html>"[..], b"\x80", b"\x80\x01.", b"version https://git-lfs", b"PK\x05\x06"] {
        let error = Checkpoint::from_bytes(bytes.to_vec()).expect_err("this is no model file");
        assert!(matches!(&error, Error::UnknownFormat { first } if bytes.starts_with(first)), "{error}");
    }
}

#[test]
fn a_file_cut_at_any_byte_is_an_error() {
    for (file, bytes) in fixtures() {
        let step = if bytes.len() > 10_000 { 997 } else { 1 };
        for end in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            assert!(open_and_read(bytes[..end].to_vec()).is_err(), "{file} cut at {end}");
        }
    }
}

#[test]
fn bytes_after_the_end_are_an_error() {
    for (file, mut bytes) in fixtures() {
        bytes.push(0);
        assert!(open_and_read(bytes).is_err(), "{file}");
    }
}

#[test]
fn no_changed_byte_causes_a_panic() {
    for (_, bytes) in fixtures() {
        let step = if bytes.len() > 10_000 { 997 } else { 3 };
        for at in (bytes.len() % step..bytes.len()).step_by(step) {
            let mut changed = bytes.clone();
            changed[at] ^= [0xff, 0x01, 0x80][at % 3];
            drop(open_and_read(changed));
        }
    }
}

/// Several changes at once: bytes, copied spans and cuts, chosen by a fixed generator.
#[test]
fn no_mutation_causes_a_panic() {
    let fixtures: Vec<Vec<u8>> =
        fixtures().into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() < 4_000).collect();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let opcodes = b"(.0BCGJKMNQRTUX]abcehjqrstu})\x80\x85\x86\x87\x88\x89\x8a\x8c\x8d\x8e\x93\x94\x95\xff\x00\x7f";
    let mut valid = 0;
    for _ in 0..100_000 {
        let mut bytes = fixtures[random(fixtures.len())].clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(5) {
                0 => bytes[at] = random(256) as u8,
                1 | 2 => bytes[at] = opcodes[random(opcodes.len())],
                3 => {
                    let span = bytes[at..].len().min(1 + random(16));
                    let to = random(bytes.len() - span + 1);
                    bytes.copy_within(at..at + span, to);
                }
                _ => {
                    bytes.insert(at, opcodes[random(opcodes.len())]);
                }
            }
        }
        valid += usize::from(open_and_read(bytes).is_ok());
    }
    assert!(valid > 1_000, "only {valid} mutants were read to the end");
}

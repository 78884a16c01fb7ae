//! Opening and reading take at most twice the file, whatever the file says of itself.
//!
//! Memory is counted by an allocator of this test program, which has one test so that nothing else is counted.

mod support;

use hardnet_checkpoint::{Checkpoint, ReadOptions};
use hardnet_testing::memory::{CountingAllocator, peak};
use support::{Member, Pickle, archive, fixtures, legacy, onnx, onnx_tensor, paddle};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Peak memory beyond `bytes` while they are opened and read, tensor by tensor.
fn extra(bytes: Vec<u8>) -> usize {
    peak(|| {
        if let Ok(checkpoint) = Checkpoint::from_bytes(bytes) {
            for index in 0..checkpoint.tensors().len() {
                drop(checkpoint.read(index));
            }
        }
    })
}

#[test]
fn memory_is_at_most_twice_the_file() {
    const LENGTH: usize = 12 << 20;
    const SMALL: usize = 4 << 20;
    let whole = |unit: &[u8]| unit.repeat(LENGTH / unit.len());
    let repeats: [(&str, &[u8]); 10] = [
        ("none", b"N"),
        ("lists", b"]"),
        ("dictionaries", b"}"),
        ("tuples", b")\x85"),
        ("memo", b"]q\x01"),
        ("text", b"X\x00\x00\x00\x00"),
        ("integers", b"K\x01"),
        ("gets", b"h\x00"),
        ("appends", b"h\x00h\x00a"),
        ("items", b"h\x00K\x01K\x01s"),
    ];
    for (name, unit) in repeats {
        let file = Pickle::new().op(b"}q\x00]q\x01").op(&whole(unit)).stop();
        let length = file.len();
        let extra = extra(file);
        assert!(extra <= length, "{name}: {extra} bytes beyond a file of {length}");
    }
    let names = (0..100_000_u32).fold(Pickle::new().op(b"}q\x00"), |pickle, index| {
        let view = pickle.text(&format!("tensor {index}"));
        if index == 0 { view.tensor("0", 1, 0, &[], &[]).op(b"q\x01s") } else { view.op(b"h\x01s") }
    });
    let file = legacy(names.stop(), &["0"], &[(1, &[0; 4])]);
    let length = file.len();
    let taken = extra(file);
    assert!(taken <= length.max(SMALL), "names: {taken} bytes beyond a file of {length}");

    let elements = vec![0; LENGTH];
    let count = (LENGTH / 4) as i32;
    let tensor = Pickle::new().op(b"}").text("w").tensor("0", count, 0, &[4, count / 4], &[1, 4]).op(b"s").stop();
    let members = [Member::new("a/data.pkl", tensor.clone()), Member::new("a/data/0", elements.clone())];
    for file in [legacy(tensor, &["0"], &[(i64::from(count), &elements)]), archive(&members)] {
        let length = file.len();
        let taken = extra(file);
        assert!((LENGTH..length + 4_096).contains(&taken), "transposed: {taken} bytes beyond a file of {length}");
    }

    // On disk, a file takes the memory of one tensor of its eight.
    let state = (0..8_u32).fold(Pickle::new().op(b"}"), |pickle, index| {
        let (name, count) = (index.to_string(), count / 8);
        pickle.text(&name).tensor(&name, count, 0, &[count], &[1]).op(b"s")
    });
    let (state, names) = (state.stop(), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    let part = &elements[..LENGTH / 8];
    let members = ["a/data/0", "a/data/1", "a/data/2", "a/data/3", "a/data/4", "a/data/5", "a/data/6", "a/data/7"];
    let mut members: Vec<_> = members.map(|name| Member::new(name, part.to_vec())).into();
    members.push(Member::new("a/data.pkl", state.clone()));
    let storages = names.map(|_| (i64::from(count / 8), part));
    let path = std::env::temp_dir().join(format!("hardnet-memory-{}", std::process::id()));
    let shape = [count / 8];
    let [raw, latin1] =
        [false, true].map(|latin1| paddle(&names.map(|name| (name, &shape[..], part, [latin1, false, false]))));
    let tensors = names.map(|name| onnx_tensor(name, &[LENGTH / 32], (9, part)));
    let constants = names.map(|name| (name, onnx_tensor("", &[LENGTH / 32], (9, part))));
    let models = [onnx(&tensors, &[]), onnx(&[], &constants)];
    for file in [legacy(state, &names, &storages), archive(&members), raw, latin1].into_iter().chain(models) {
        std::fs::write(&path, file).expect("the file is written");
        let options = ReadOptions::default().streamed(true);
        let taken = peak(|| {
            let checkpoint = Checkpoint::open_with(&path, &options).expect("the file is read");
            (0..8).for_each(|index| assert_eq!(*checkpoint.read(index).expect("a tensor"), *part));
        });
        assert!((LENGTH / 8..LENGTH / 4).contains(&taken), "{taken} bytes for a file on disk of {LENGTH}");
    }
    std::fs::remove_file(&path).expect("the file is removed");

    for (name, bytes) in fixtures() {
        let taken = extra(bytes);
        assert!(taken <= SMALL, "{name}: {taken} bytes");
    }
}

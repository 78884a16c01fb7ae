//! Files as other programs write them, and files that lie.

use super::*;
use crate::model::Tensor;

/// A varint.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field with a number.
fn number(field: u64, number: u64) -> Vec<u8> {
    [varint(field << 3), varint(number)].concat()
}

/// A field with bytes.
fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A model whose graph has these fields.
fn model(graph: &[u8]) -> Vec<u8> {
    [number(1, 8), bytes(7, graph), bytes(8, &number(2, 17))].concat()
}

/// A model with a tensor of these fields.
fn with_tensor(fields: &[Vec<u8>]) -> Vec<u8> {
    model(&bytes(5, &fields.concat()))
}

fn tensor(fields: &[Vec<u8>]) -> Tensor<'static> {
    let file = with_tensor(fields);
    let tensor = Model::parse(&file).unwrap().initializers.remove(0);
    Tensor { info: tensor.info, bytes: tensor.bytes.into_owned().into(), place: None }
}

#[track_caller]
fn refused(file: &[u8], reason: &str) {
    let error = Model::parse(file).unwrap_err().to_string();
    assert!(error.contains(reason), "expected {reason:?} in {error:?}");
}

#[test]
fn elements_are_read_wherever_they_are() {
    let floats = [1.5_f32, -2.0];
    let raw: Vec<u8> = floats.iter().flat_map(|value| value.to_le_bytes()).collect();
    let named = [number(1, 2), number(2, 1), bytes(8, b"w")].concat();
    let unpacked: Vec<u8> =
        floats.iter().flat_map(|value| [varint(4 << 3 | 5), value.to_le_bytes().to_vec()].concat()).collect();
    for elements in [bytes(9, &raw), bytes(4, &raw), unpacked] {
        let tensor = tensor(&[named.clone(), elements]);
        assert_eq!((tensor.info.name.as_str(), &tensor.info.dims[..], &tensor.bytes[..]), ("w", &[2][..], &raw[..]));
    }
    // Packed extents, 64-bit whole numbers, halves in varints, a scalar.
    let ints = tensor(&[bytes(1, &[2, 1]), number(2, 7), bytes(7, &[varint(3), varint(-1_i64 as u64)].concat())]);
    assert_eq!(ints.bytes[..], [3_i64.to_le_bytes(), (-1_i64).to_le_bytes()].concat());
    let halves = tensor(&[number(1, 2), number(2, 10), bytes(5, &[varint(0x3c00), varint(0xc000)].concat())]);
    assert_eq!(halves.bytes[..], [0x00, 0x3c, 0x00, 0xc0]);
    let scalar = tensor(&[number(2, 1), bytes(9, &6_f32.to_le_bytes())]);
    assert_eq!((scalar.info.dims.len(), &scalar.bytes[..]), (0, &6_f32.to_le_bytes()[..]));
}

#[test]
fn raw_elements_are_borrowed() {
    let file = with_tensor(&[number(1, 1), number(2, 1), bytes(9, &[0; 4])]);
    let model = Model::parse(&file).unwrap();
    assert!(matches!(model.initializers[0].bytes, std::borrow::Cow::Borrowed(_)));
}

#[test]
fn tensors_that_lie_are_refused() {
    let tensor = |fields: &[Vec<u8>]| with_tensor(fields);
    let raw = |count: usize| bytes(9, &vec![0; count]);
    let float = || number(2, 1);
    refused(&tensor(&[number(1, 3), float(), raw(8)]), "is f32[3] and has 8 bytes, expected 12");
    refused(&tensor(&[number(1, 3), float()]), "has 0 bytes, expected 12");
    refused(&tensor(&[number(1, 1 << 40), number(1, 1 << 40), float(), raw(8)]), "more than a file can hold");
    refused(&tensor(&[number(1, u64::MAX), float(), raw(8)]), "an extent below zero");
    refused(&tensor(&[bytes(1, &[1; 9]), float(), raw(4)]), "more than 8 numbers");
    refused(&tensor(&[number(1, 1), number(2, 8), raw(4)]), "elements of type 8");
    refused(&tensor(&[number(1, 1), float(), bytes(5, &[1])]), "field 5 for elements of type f32");
    refused(&tensor(&[number(1, 1), number(2, 6), bytes(5, &[1, 1])]), "more than 1 numbers");
    refused(&tensor(&[number(1, 1), float(), bytes(3, &[])]), "in segments");
    let location = [bytes(1, b"location"), bytes(2, b"../../\x1b[31m/etc/passwd")].concat();
    refused(
        &tensor(&[number(1, 1), float(), bytes(13, &location)]),
        "in another file (`../../\\u{1b}[31m/etc/passwd`)",
    );
    refused(&tensor(&[number(1, 1), float(), number(14, 1), raw(4)]), "in another file");
    refused(&model(&bytes(15, &[])), "a sparse initializer");
}

#[test]
fn messages_that_lie_are_refused() {
    refused(b"", "not an ONNX model");
    refused(&number(1, 8), "not an ONNX model");
    refused(&bytes(7, &[]), "not an ONNX model");
    refused(&[model(&[]), bytes(7, &[])].concat(), "a second graph");
    refused(&[model(&[]), bytes(25, &[])].concat(), "functions of the model's own");
    refused(&[0x08, 0xff], "a number of at most 64 bits");
    refused(&[&[0x08][..], &[0xff; 9], &[0x02]].concat(), "a number of at most 64 bits");
    refused(&[0x3a, 0x05, 0x00], "5 bytes are announced and 1 are left");
    refused(&[vec![0x3a], varint(u64::MAX)].concat(), "bytes are announced");
    refused(&[0x3b], "wire type 3");
    refused(&[0x00, 0x00], "field 0");
    refused(&number(7, 1), "of another wire type, expected a message");
    refused(&bytes(1, b"x"), "of another wire type, expected a number");
    refused(&bytes(2, &[0xff]), "not UTF-8");
    let nodes = bytes(1, &[]).repeat(MAX_ITEMS + 1);
    refused(&model(&nodes), "more than 65536 nodes");
    let inputs = bytes(1, &bytes(1, b"x").repeat(MAX_PARTS + 1));
    refused(&model(&inputs), "more than 2048 inputs or outputs of a node");
    // Where the error is: the tensor is in the graph, the graph in the model.
    let error = Model::parse(&with_tensor(&[vec![0x03]])).unwrap_err().to_string();
    assert_eq!(error, "at byte 6: wire type 3, expected 0, 1, 2 or 5");
}

#[test]
fn attributes_have_the_kind_that_they_name() {
    let kinds = [
        (vec![number(3, 5), number(20, 2)], Attribute::Int(5)),
        (vec![number(8, 5), number(8, u64::MAX), number(20, 7)], Attribute::Ints(vec![5, -1])),
        (vec![bytes(8, &[5, 6]), number(20, 7)], Attribute::Ints(vec![5, 6])),
        (vec![bytes(4, b"NOTSET"), number(20, 3)], Attribute::Text("NOTSET".into())),
        (vec![varint(2 << 3 | 5), 0.5_f32.to_le_bytes().to_vec(), number(20, 1)], Attribute::Float(0.5)),
        (vec![bytes(6, &[]), number(20, 5)], Attribute::Other),
        (vec![number(3, 5)], Attribute::Other),
    ];
    for (fields, expected) in kinds {
        let attribute = [bytes(1, b"a"), fields.concat()].concat();
        let node = [bytes(1, b"x"), bytes(1, b""), bytes(2, b"y"), bytes(4, b"Op"), bytes(5, &attribute)].concat();
        let file = model(&bytes(1, &node));
        let model = Model::parse(&file).unwrap();
        assert_eq!(model.nodes[0].attribute("a"), Some(&expected));
        assert_eq!(
            (&model.nodes[0].inputs[..], model.nodes[0].op.as_str()),
            (&["x".to_owned(), String::new()][..], "Op")
        );
    }
}

/// No part of a file, and no file with a changed byte, makes the reader panic.
#[test]
fn no_damage_makes_the_reader_panic() {
    let attribute = [bytes(1, b"pads"), bytes(8, &[1, 1]), number(20, 7)].concat();
    let node = [bytes(1, b"input"), bytes(2, b"logits"), bytes(4, b"Conv"), bytes(5, &attribute)].concat();
    let tensor = [number(1, 2), number(2, 1), bytes(8, b"w"), bytes(9, &[0; 8])].concat();
    let shape = [bytes(1, &number(1, 3)), bytes(1, &bytes(2, b"batch"))].concat();
    let value = [bytes(1, b"input"), bytes(2, &bytes(1, &[number(1, 1), bytes(2, &shape)].concat()))].concat();
    let graph = [bytes(1, &node), bytes(5, &tensor), bytes(11, &value), bytes(12, &value)].concat();
    let whole = [model(&graph), bytes(14, &[bytes(1, b"k"), bytes(2, b"v")].concat())].concat();
    assert!(Model::parse(&whole).is_ok());
    for length in 0..whole.len() {
        let _ = Model::parse(&whole[..length]);
    }
    for at in 0..whole.len() {
        for byte in 0..=255 {
            let mut changed = whole.clone();
            changed[at] = byte;
            let _ = Model::parse(&changed);
        }
    }
}

//! Shared by the tests: the fixtures and a small assembler of pickles and archives.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::PathBuf;

use hardnet_checkpoint::{Checkpoint, Error};

/// The folder of `make_fixtures.py`.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The content of each file, from `make_fixtures.py`.
pub(crate) fn expected() -> serde_json::Map<String, serde_json::Value> {
    let text = std::fs::read_to_string(folder().join("expected.json")).expect("the fixture is readable");
    serde_json::from_str(&text).expect("the fixture is JSON")
}

/// All fixtures, with their content.
pub(crate) fn fixtures() -> Vec<(String, Vec<u8>)> {
    let read = |name: &String| std::fs::read(folder().join(name)).expect("the fixture is readable");
    expected().keys().map(|name| (name.clone(), read(name))).collect()
}

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Opens content and reads every tensor; each must have as many bytes as its shape says.
pub(crate) fn open_and_read(bytes: Vec<u8>) -> Result<Checkpoint, Error> {
    let checkpoint = Checkpoint::from_bytes(bytes)?;
    for (index, tensor) in checkpoint.tensors().iter().enumerate() {
        let size = checkpoint.read(index)?.len();
        assert_eq!(size, tensor.shape.iter().product::<usize>() * tensor.dtype.size(), "{}", tensor.name);
    }
    Ok(checkpoint)
}

/// Writes a pickle opcode by opcode.
#[derive(Clone, Default)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Pickle {
    /// A pickle of protocol 2.
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub(crate) fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(crate) fn int(self, int: i32) -> Self {
        self.op(b"J").op(&int.to_le_bytes())
    }

    /// A tuple of integers.
    pub(crate) fn ints(self, ints: &[i32]) -> Self {
        ints.iter().fold(self.op(b"("), |pickle, &int| pickle.int(int)).op(b"t")
    }

    /// A storage of floats, with as many elements as declared.
    pub(crate) fn storage(self, key: &str, count: i32) -> Self {
        self.op(b"(").text("storage").global("torch", "FloatStorage").text(key).text("cpu").int(count).op(b"NtQ")
    }

    /// A view of a storage of floats.
    pub(crate) fn tensor(self, key: &str, count: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Self {
        let head = self.global("torch._utils", "_rebuild_tensor_v2").op(b"(").storage(key, count);
        head.int(offset).ints(shape).ints(strides).op(b"\x89}tR")
    }

    pub(crate) fn stop(self) -> Vec<u8> {
        self.op(b".").0
    }
}

/// A legacy file: the object, the keys, and the storages as they follow (count and elements).
pub(crate) fn legacy(object: Vec<u8>, keys: &[&str], storages: &[(i64, &[u8])]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    file.extend(object);
    file.extend(keys.iter().fold(Pickle::new().op(b"]("), |pickle, key| pickle.text(key)).op(b"e").stop());
    for (count, elements) in storages {
        file.extend(count.to_le_bytes());
        file.extend_from_slice(elements);
    }
    file
}

/// An entry of an archive, with the fields that a hostile one may set apart from its content.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) content: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// The size in the directory, if it is not that of the content.
    pub(crate) size: Option<u32>,
    /// The local header, if it is not the entry's own.
    pub(crate) local: Option<u32>,
    /// The CRC-32 that the directory declares; 0 is none.
    pub(crate) checksum: u32,
}

impl Member {
    pub(crate) fn new(name: &'static str, content: Vec<u8>) -> Self {
        Self { name, content, method: 0, flags: 0, size: None, local: None, checksum: 0 }
    }
}

/// A zip archive, as PyTorch writes it: local headers without sizes.
pub(crate) fn archive(members: &[Member]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let local = member.local.unwrap_or(file.len() as u32);
        let name = member.name.as_bytes();
        file.extend(b"PK\x03\x04\0\0");
        file.extend(member.flags.to_le_bytes());
        file.extend(member.method.to_le_bytes());
        file.extend([0; 16]);
        file.extend((name.len() as u16).to_le_bytes());
        file.extend([0; 2]);
        file.extend(name);
        file.extend(&member.content);
        directory.extend(b"PK\x01\x02\0\0\0\0");
        directory.extend(member.flags.to_le_bytes());
        directory.extend(member.method.to_le_bytes());
        directory.extend([0; 4]);
        directory.extend(member.checksum.to_le_bytes());
        directory.extend((member.content.len() as u32).to_le_bytes());
        directory.extend(member.size.unwrap_or(member.content.len() as u32).to_le_bytes());
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(local.to_le_bytes());
        directory.extend(name);
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((members.len() as u16).to_le_bytes());
    file.extend((members.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0; 2]);
    file
}

/// Bytes of a Paddle file's array, as they are or as protocol 2 writes them.
fn payload(pickle: Pickle, elements: &[u8], latin1: bool) -> Pickle {
    if !latin1 {
        return pickle.op(b"B").op(&(elements.len() as u32).to_le_bytes()).op(elements);
    }
    let text: String = elements.iter().map(|&byte| char::from(byte)).collect();
    pickle.global("_codecs", "encode").text(&text).text("latin1").op(b"\x86R")
}

/// Appends an array of f32 as Paddle writes it, in the order and byte order of its flags.
pub(crate) fn array(pickle: Pickle, shape: &[i32], elements: &[u8], [latin1, columns, big]: [bool; 3]) -> Pickle {
    let array = pickle.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray");
    let array = array.op(b"K\x00\x85U\x01b\x87R(K\x01").ints(shape).global("numpy", "dtype").text("f4");
    let array = array.op(b"\x89\x88\x87R(K\x03").text(if big { ">" } else { "<" });
    let array = array.op(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb").op(if columns { b"\x88" } else { b"\x89" });
    payload(array, elements, latin1).op(b"tb")
}

/// Name, shape, elements and flags of an array of a Paddle file.
pub(crate) type PaddleArray<'a> = (&'a str, &'a [i32], &'a [u8], [bool; 3]);

/// A Paddle file of arrays.
pub(crate) fn paddle(arrays: &[PaddleArray<'_>]) -> Vec<u8> {
    let add = |pickle: Pickle, (name, shape, elements, flags): &PaddleArray<'_>| {
        array(pickle.text(name), shape, elements, *flags).op(b"s")
    };
    arrays.iter().fold(Pickle::new().op(b"}"), add).stop()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field of a protocol buffer that is bytes.
pub(crate) fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len()), bytes.to_vec()].concat()
}

/// An ONNX tensor of f32, with its elements in the field `elements.0`.
pub(crate) fn onnx_tensor(name: &str, dims: &[usize], elements: (usize, &[u8])) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&dim| [vec![1 << 3], varint(dim)].concat()).collect();
    [dims, vec![2 << 3, 1], field(8, name.as_bytes()), field(elements.0, elements.1)].concat()
}

/// An ONNX file of initializers, and of tensors that are constants of nodes.
pub(crate) fn onnx(initializers: &[Vec<u8>], constants: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let constant = |(name, tensor): &(&str, Vec<u8>)| {
        let value = [field(1, b"value"), field(5, tensor), vec![0xa0, 1, 4]].concat();
        field(1, &[field(2, name.as_bytes()), field(4, b"Constant"), field(5, &value)].concat())
    };
    let nodes: Vec<u8> = constants.iter().flat_map(constant).collect();
    let initializers: Vec<u8> = initializers.iter().flat_map(|tensor| field(5, tensor)).collect();
    let graph = [nodes, initializers, field(2, b"graph")].concat();
    [vec![1 << 3, 8], field(7, &graph), field(8, &[2 << 3, 17])].concat()
}

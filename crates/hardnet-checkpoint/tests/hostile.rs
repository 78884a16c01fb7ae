//! Files made to do harm are refused, each with the offset and the reason.

mod support;

use hardnet_checkpoint::{Checkpoint, Error};
use support::{Member, Pickle, archive, legacy, open_and_read};

/// The error of content that must not open.
#[track_caller]
fn refused(bytes: Vec<u8>) -> Error {
    Checkpoint::from_bytes(bytes)
        .map(|checkpoint| checkpoint.tensors().to_vec())
        .expect_err("hostile content was opened")
}

macro_rules! assert_refused {
    ($bytes:expr, $pattern:pat $(if $guard:expr)?) => {
        let error = refused($bytes);
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
    };
}

/// A dictionary of one tensor called `w` over storage `0`.
fn one(offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    Pickle::new().op(b"}").text("w").tensor("0", 6, offset, shape, strides).op(b"s").stop()
}

const SIX: [u8; 24] = [7; 24];

#[test]
fn the_assembler_makes_files_that_open() {
    let object = one(0, &[2, 3], &[3, 1]);
    open_and_read(legacy(object.clone(), &["0"], &[(6, &SIX)])).expect("the legacy file is valid");
    let members = [Member::new("a/data.pkl", object), Member::new("a/data/0", SIX.to_vec())];
    open_and_read(archive(&members)).expect("the archive is valid");
}

#[test]
fn what_a_global_outside_the_list_makes_is_refused_where_it_is_named() {
    let names = [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("subprocess", "Popen"),
        ("functools", "partial"),
        ("torch.nn.modules.conv", "Conv2d"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("collections", "OrderedDict.fromkeys"),
    ];
    for (module, name) in names {
        for file in [
            Pickle::new().global(module, name).text("id").op(b"\x85R").stop(),
            Pickle::new().text(module).text(name).op(b"\x93").text("id").op(b"\x85R").stop(),
        ] {
            let error = refused(file);
            assert!(
                matches!(&error, Error::RefusedGlobal { offset, module: m, name: n }
                    if *offset >= 2 && m == module && n == name),
                "{error:?}"
            );
        }
    }
    assert_refused!(
        legacy(Pickle::new().global("os", "system").stop(), &[], &[]),
        Error::RefusedGlobal { offset: 27, .. }
    );
}

#[test]
fn opcodes_that_refer_outside_the_file_are_refused() {
    for opcode in b"P\x82\x83\x84\x97\x98\x99\xff\x00A" {
        assert_refused!(
            Pickle::new().op(b"}").op(&[*opcode]).op(&[0; 8]).stop(),
            Error::RefusedOpcode { offset: 3, opcode: found } if found == opcode
        );
    }
}

#[test]
fn calls_and_states_need_the_exact_arguments() {
    let calls = [
        Pickle::new().text("f").op(b")R"),
        Pickle::new().global("collections", "OrderedDict").op(b"]R"),
        Pickle::new().global("collections", "OrderedDict").op(b"](K\x01K\x02e\x85R"),
        Pickle::new().global("_codecs", "encode").text("x").text("rot13").op(b"\x86R"),
        Pickle::new().global("_codecs", "encode").text("\u{100}").text("latin1").op(b"\x86R"),
        Pickle::new().global("builtins", "bytes").int(1 << 30).op(b"\x85R"),
        Pickle::new().global("builtins", "tuple").op(b"]\x85R"),
        Pickle::new().global("numpy", "dtype").text("f4").op(b"NN\x87R"),
        Pickle::new().global("copyreg", "_reconstructor").text("id").op(b"\x85R"),
        Pickle::new().global("torch", "ComplexFloatStorage").text("id").op(b"\x85R"),
        Pickle::new().global("builtins", "set").text("id").op(b"\x85R"),
        Pickle::new().global("torch._utils", "_rebuild_tensor_v2").op(b")R"),
    ];
    for call in calls {
        let refusal = refused(call.stop());
        assert!(matches!(refusal, Error::Unexpected { what: "pickle call", .. }), "{refusal:?}");
    }
    let dtype = Pickle::new().global("numpy", "dtype").text("f4").op(b"\x89\x88\x87R");
    let fields = dtype.clone().op(b"(K\x03").text("<").op(b"N)NJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb").stop();
    assert_refused!(fields, Error::Unexpected { what: "pickle state", .. });
    assert_refused!(Pickle::new().text("x").op(b"}b").stop(), Error::Unexpected { what: "pickle state", .. });
}

#[test]
fn persistent_ids_are_storages() {
    let module = Pickle::new().op(b"(").text("module").global("torch", "FloatStorage").text("0").text("cpu");
    assert_refused!(module.int(1).op(b"NtQ").stop(), Error::Unexpected { what: "pickle persistent id", .. });
    let view = Pickle::new().op(b"(").text("storage").global("torch", "FloatStorage").text("0").text("cpu");
    assert_refused!(view.int(1).op(b")tQ").stop(), Error::Unexpected { what: "pickle persistent id", .. });
    let negative = Pickle::new().storage("0", -1).stop();
    assert_refused!(negative, Error::Unexpected { what: "pickle persistent id", .. });
}

#[test]
fn lengths_beyond_the_file_are_refused() {
    let long = u64::MAX.to_le_bytes();
    let strings: [(&[u8], &[u8]); 8] = [
        (b"X", &[0xff; 4]),
        (b"B", &[0xff; 4]),
        (b"T", &[0xff; 4]),
        (b"\x8d", &long),
        (b"\x8e", &long),
        (b"\x95", &long),
        (b"\x8a", &[0xff]),
        (b"\x8c", &[0xff]),
    ];
    for (opcode, length) in strings {
        assert_refused!(Pickle::new().op(opcode).op(length).stop(), Error::Truncated { offset, .. } if *offset >= 2);
    }
    // Eight exbibytes of floats, and a count whose bytes overflow 64 bits.
    let count = i64::MAX;
    let huge = Pickle::new().op(b"}").text("w").global("torch._utils", "_rebuild_tensor_v2").op(b"((").text("storage");
    let huge = huge.global("torch", "FloatStorage").text("0").text("cpu").op(b"\x8a\x08").op(&count.to_le_bytes());
    let huge = huge.op(b"NtQ").int(0).ints(&[6]).ints(&[1]).op(b"\x89}tRs").stop();
    assert_refused!(legacy(huge, &["0"], &[(count, &SIX)]), Error::Storage { .. });
}

#[test]
fn memo_indices_are_bounded_and_known() {
    let huge = Pickle::new().op(b"}r\xff\xff\xff\xff").stop();
    assert_refused!(huge, Error::Limit { offset: 3, what: "pickle memo index", .. });
    assert_refused!(Pickle::new().op(b"h\x00").stop(), Error::Unexpected { what: "pickle memo index", .. });
}

#[test]
fn nesting_is_bounded() {
    let lists = Pickle::new().op(&b"]".repeat(100)).op(&b"a".repeat(99)).stop();
    assert_refused!(lists, Error::Limit { what: "nesting", .. });
    let tuples = Pickle::new().op(b")").op(&b"\x85".repeat(1_000)).stop();
    assert_refused!(tuples, Error::Limit { what: "nesting", .. });
    let marks = Pickle::new().op(&b"(".repeat(100_000)).stop();
    assert_refused!(marks, Error::Limit { offset: 1026, what: "pickle marks", .. });
    // The innermost comes first in the arena here: built from inside out by the memo.
    let dicts = (0..100).fold(Pickle::new().op(b"}q\x00"), |pickle, _| pickle.op(b"0}K\x00h\x00sq\x00"));
    assert_refused!(dicts.stop(), Error::Limit { what: "nesting", .. });
}

#[test]
fn containers_that_hold_themselves_are_refused() {
    assert_refused!(Pickle::new().op(b"]q\x00h\x00a").stop(), Error::Cycle { offset: 2 });
    assert_refused!(Pickle::new().op(b"}q\x00K\x01h\x00s").stop(), Error::Cycle { offset: 2 });
    assert_refused!(Pickle::new().op(b"}q\x00h\x00K\x01s").stop(), Error::Cycle { offset: 2 });
    assert_refused!(Pickle::new().op(b"]q\x00]q\x01h\x00a0h\x01\x85a").stop(), Error::Cycle { .. });
}

#[test]
fn memo_doubling_is_refused() {
    let doubled = (0..40).fold(Pickle::new().op(b"}q\x00"), |pickle, _| pickle.op(b"0h\x00h\x00\x86q\x00"));
    assert_refused!(doubled.stop(), Error::Limit { what: "shared values", .. });
}

#[test]
fn encoding_one_text_again_and_again_is_refused() {
    let text = "x".repeat(100_000);
    let first = Pickle::new().text(&text).op(b"q\x000").text("latin1").op(b"q\x010");
    let first = first.global("_codecs", "encode").op(b"q\x020]");
    let again = (0..1_000).fold(first, |pickle, _| pickle.op(b"h\x02h\x00h\x01\x86Ra"));
    assert_refused!(again.stop(), Error::Limit { what: "encoded text", .. });
}

#[test]
fn tensors_outside_their_storage_are_refused() {
    let views: [(i32, &[i32], &[i32]); 7] = [
        (0, &[7], &[1]),
        (1, &[6], &[1]),
        (7, &[], &[]),
        (6, &[], &[]),
        (0, &[2, 3], &[4, 1]),
        (0, &[2, 2], &[i32::MAX, i32::MAX]),
        (0, &[i32::MAX, i32::MAX, i32::MAX], &[0, 0, 0]),
    ];
    for (offset, shape, strides) in views {
        let file = legacy(one(offset, shape, strides), &["0"], &[(6, &SIX)]);
        assert_refused!(file, Error::Tensor { name, .. } if name == "w");
    }
    for (offset, shape, strides) in [(-1, [6], [1]), (0, [-6], [1]), (0, [6], [-1])] {
        assert_refused!(
            legacy(one(offset, &shape, &strides), &["0"], &[(6, &SIX)]),
            Error::Unexpected { what: "pickle call", .. }
        );
    }
}

#[test]
fn storages_of_legacy_files_must_match_the_object() {
    let object = one(0, &[6], &[1]);
    assert_refused!(legacy(object.clone(), &["0"], &[(5, &SIX)]), Error::Storage { .. });
    assert_refused!(legacy(object.clone(), &["0"], &[(6, &SIX[..23])]), Error::Truncated { what: "storage", .. });
    assert_refused!(legacy(object.clone(), &[], &[]), Error::Storage { .. });
    assert_refused!(legacy(object.clone(), &["0", "1"], &[(6, &SIX), (6, &SIX)]), Error::Storage { .. });
    assert_refused!(legacy(object.clone(), &["0", "0"], &[(6, &SIX), (6, &SIX)]), Error::Storage { .. });
    assert_refused!(legacy(object, &["0"], &[(6, &[7; 25])]), Error::TrailingBytes { count: 1, .. });
    let two = Pickle::new().op(b"}").text("w").tensor("0", 6, 0, &[6], &[1]).op(b"s");
    let two = two.text("v").tensor("0", 5, 0, &[5], &[1]).op(b"s").stop();
    assert_refused!(legacy(two, &["0"], &[(6, &SIX)]), Error::Storage { .. });
}

#[test]
fn a_name_that_occurs_twice_is_refused() {
    let pickle = Pickle::new().op(b"}").text("w").tensor("0", 6, 0, &[6], &[1]).op(b"s");
    let twice = pickle.text("w").tensor("0", 6, 0, &[3], &[1]).op(b"s").stop();
    assert_refused!(legacy(twice, &["0"], &[(6, &SIX)]), Error::DuplicateName { name } if name == "w");
}

#[test]
fn files_without_tensors_are_refused() {
    assert_refused!(Pickle::new().op(b"}").stop(), Error::NoTensors);
    assert_refused!(
        Pickle::new().op(b"}").text("state_dict").op(b"}").text("a").op(b"K\x01ss").stop(),
        Error::NoTensors
    );
    assert_refused!(legacy(Pickle::new().op(b"N").stop(), &[], &[]), Error::NoTensors);
}

fn members() -> Vec<Member> {
    vec![Member::new("a/data.pkl", one(0, &[6], &[1])), Member::new("a/data/0", SIX.to_vec())]
}

#[test]
fn archives_that_break_a_rule_are_refused() {
    let refuse = |rule: &str, change: fn(&mut Vec<Member>)| {
        let mut members = members();
        change(&mut members);
        let error = refused(archive(&members));
        assert!(matches!(&error, Error::ZipEntry { expected, .. } if expected.contains(rule)), "{rule}: {error:?}");
    };
    refuse("no compression", |members| members[1].method = 8);
    refuse("no encryption", |members| members[1].flags = 1);
    refuse("each name once", |members| members.push(Member::new("a/data/0", vec![1; 24])));
    refuse("bytes that no other entry uses", |members| {
        // An archive inside the first member: its only entry lies within the bytes of that member.
        members[0].content.extend(b"PK\x03\x04");
        members[0].content.extend([0; 22]);
        members[0].content.extend(b"\x08\0\0\0a/data/1");
        let local = 30 + 10 + members[0].content.len() as u32 - 38;
        members.push(Member { local: Some(local), ..Member::new("a/data/1", Vec::new()) });
    });
    refuse("the same name", |members| members[1].local = Some(0));
    refuse("one size", |members| members[1].size = Some(1 << 30));
    refuse("without `..`", |members| members[1].name = "a/../b");
    refuse("without `..`", |members| members[1].name = "/etc/passwd");
    refuse("without `..`", |members| members[1].name = "c:\\x");
    refuse("a local header", |members| members[1].local = Some(1));
    refuse("byte order", |members| members.push(Member::new("a/byteorder", b"big".to_vec())));
}

#[test]
fn a_program_of_torchscript_is_not_a_state_dictionary() {
    let mut members = members();
    members.push(Member::new("a/constants.pkl", Vec::new()));
    assert_refused!(archive(&members), Error::TorchScript);
}

#[test]
fn a_checksum_that_is_declared_must_be_that_of_the_data() {
    const CRC_OF_SIX: u32 = 0x0e3a_a13a;
    let with = |checksum| {
        let mut members = members();
        members[1].checksum = checksum;
        archive(&members)
    };
    open_and_read(with(CRC_OF_SIX)).expect("the file is sound");
    let damaged = "data with the checksum of the directory";
    assert_refused!(with(CRC_OF_SIX ^ 1), Error::ZipEntry { expected, .. } if *expected == damaged);
}

/// The offset of the end record and of a field in it, for archives without a comment.
fn end_record(file: &[u8], field: usize) -> usize {
    file.len() - 22 + field
}

#[test]
fn an_archive_declares_as_many_entries_as_its_directory_has() {
    const HERE: usize = 8;
    const COUNT: usize = 10;
    let file = archive(&members());
    let declare = |count: u16| {
        let mut changed = file.clone();
        for field in [HERE, COUNT] {
            let at = end_record(&file, field);
            changed[at..at + 2].copy_from_slice(&count.to_le_bytes());
        }
        changed
    };
    open_and_read(declare(2)).expect("two is what there is");
    // A directory with more than it declares could hide an entry from one reader and show it to another.
    assert_refused!(declare(1), Error::TrailingBytes { .. });
    assert_refused!(declare(0), Error::TrailingBytes { .. });
    for count in [3, 0xfffe] {
        assert_refused!(declare(count), Error::Unexpected { what: "zip entry count", .. });
    }
    assert_refused!(declare(0xffff), Error::Unexpected { what: "zip end record", .. });
    let mut split = file.clone();
    split[end_record(&file, HERE)] = 1;
    assert_refused!(split, Error::Unexpected { what: "zip end record", .. });
}

#[test]
fn a_directory_has_no_bytes_of_its_own() {
    const LENGTH: usize = 12;
    let mut file = archive(&members());
    let (end, at) = (end_record(&file, 0), end_record(&file, LENGTH));
    file[at] += 1;
    assert_refused!(file.clone(), Error::Truncated { what: "zip central directory", .. });
    file.insert(end, 0);
    assert_refused!(file, Error::TrailingBytes { offset, count: 1 } if *offset == end);
}

#[test]
fn archives_must_hold_each_storage_in_full() {
    let mut short = members();
    short[1].content.pop();
    assert_refused!(archive(&short), Error::Storage { .. });
    let absent = &members()[..1];
    assert_refused!(archive(absent), Error::Storage { .. });
    let pickle = &members()[1..];
    assert_refused!(archive(pickle), Error::Unexpected { what: "zip archive", .. });
    let mut long = members();
    long[0].content.push(b'.');
    assert_refused!(archive(&long), Error::TrailingBytes { count: 1, .. });
    let mut open = members();
    open[0].content.pop();
    assert_refused!(archive(&open), Error::Truncated { what: "pickle opcode", .. });
}

#[test]
fn safetensors_headers_are_bounded_and_checked() {
    let file = |length: u64, header: &str| [&length.to_le_bytes()[..], header.as_bytes()].concat();
    assert_refused!(file(u64::MAX, "{}"), Error::Truncated { what: "safetensors header", .. });
    assert_refused!(file(2, "{}"), Error::NoTensors);
    assert_refused!(file(2, "{]"), Error::Safetensors(_));
    let outside = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert_refused!(file(outside.len() as u64, outside), Error::Safetensors(_));
    let long = format!("{{{}}}", " ".repeat(2 << 20));
    assert_refused!(file(long.len() as u64, &long), Error::Limit { what: "safetensors header", .. });
}

#[test]
fn keys_of_a_safetensors_header_occur_once() {
    let file = |header: &str, data: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let tensor = |name: &str, start: usize| {
        format!(r#""{name}":{{"dtype":"F32","shape":[2],"data_offsets":[{start},{}]}}"#, start + 8)
    };
    let (first, second) = (tensor("w", 0), tensor("w", 8));
    // The last of these alone would be a valid file, as would the first of the pair below.
    assert_refused!(file(&format!("{{{second},{first}}}"), 8), Error::Safetensors(_));
    assert_refused!(file(&format!("{{{first},{first}}}"), 8), Error::Safetensors(_));
    // One key, written in two ways.
    let escaped = tensor("\\u0077", 0);
    assert_refused!(file(&format!("{{{escaped},{first}}}"), 8), Error::Safetensors(_));
    let texts = |texts: &str| file(&format!("{{{texts},{first}}}"), 8);
    assert_refused!(texts(r#""__metadata__":{"a":"1","a":"2"}"#), Error::Safetensors(_));
    assert_refused!(texts(r#""__metadata__":{"a":"1"},"__metadata__":{"b":"2"}"#), Error::Safetensors(_));
    open_and_read(texts(r#""__metadata__":{"w":"1","a":"1"}"#)).expect("the file is valid");
    let error = refused(file(&format!("{{{first},{first}}}"), 8));
    let source = std::error::Error::source(&error).expect("the parser says why").to_string();
    assert!(source.contains("key `w` occurs twice"), "{source}");
}

#[test]
fn errors_name_the_offset_and_the_rule() {
    let error = refused(Pickle::new().global("os", "system").stop());
    assert_eq!(
        error.to_string(),
        "global `os system` at offset 2 is refused: only globals that describe tensors are allowed"
    );
    let error = Checkpoint::from_bytes(b"<html>".to_vec()).expect_err("no model file");
    assert!(error.to_string().starts_with("unknown format: the file starts with `<html>`"), "{error}");
}

#[test]
fn long_names_are_refused_rather_than_looked_up() {
    let name = "n".repeat(1_025);
    let pickle = Pickle::new().op(b"}").text(&name).tensor("0", 6, 0, &[6], &[1]).op(b"s").stop();
    assert_refused!(legacy(pickle, &["0"], &[(6, &SIX)]), Error::Unexpected { what: "tensor name", .. });
    let pickle = Pickle::new().op(b"}").text("w").tensor(&name, 6, 0, &[6], &[1]).op(b"s").stop();
    assert_refused!(legacy(pickle, &[&name], &[(6, &SIX)]), Error::Unexpected { what: "pickle persistent id", .. });
}

#[test]
fn text_that_is_no_latin1_is_refused() {
    for text in [
        &b"\xc2"[..],
        b"\x80",
        b"a\x80",
        b"\xc3\xc3",
        b"\xc2\x80\x80",
        b"\xc0\x80",
        b"\xc4\x80",
        b"\xe2\x82\xac",
        b"a\xc4b",
        b"\xff",
    ] {
        let head = Pickle::new().global("_codecs", "encode").op(b"X").op(&(text.len() as u32).to_le_bytes());
        let file = head.op(text).text("latin1").op(b"\x86R").stop();
        assert_refused!(file, Error::Unexpected { what: "pickle call", .. });
    }
}

/// Python 2 wrote names and bytes with one opcode, dictionaries as lists of pairs, and flags as integers.
#[test]
fn files_of_python_2_open() {
    let dtype = |pickle: Pickle| {
        let made = pickle.global("numpy", "dtype").op(b"U\x02f4K\x00K\x01\x87R");
        made.op(b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
    };
    let array = Pickle::new().global("collections", "OrderedDict").op(b"](]U\x01wa");
    let array = array.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray");
    let array = dtype(array.op(b"K\x00\x85U\x01b\x87R(K\x01K\x01\x85"));
    let file = array.op(b"K\x00U\x04\x01\x02\x03\xfftbae\x85R").stop();
    let checkpoint = open_and_read(file).expect("the file is valid");
    assert_eq!(checkpoint.tensors()[0].name, "w");
    assert_eq!(checkpoint.read(0).expect("the tensor is readable")[..], [1, 2, 3, 255]);
}

/// Appends an array of `length` bytes of 1, with a byte order if its elements have one.
fn array(pickle: Pickle, dtype: &str, order: Option<&str>, shape: &[i32], length: usize) -> Pickle {
    let array = pickle.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray");
    let array = array.op(b"K\x00\x85U\x01b\x87R(K\x01").ints(shape);
    let mut array = array.global("numpy", "dtype").text(dtype).op(b"\x89\x88\x87R");
    if let Some(order) = order {
        array = array.op(b"(K\x03").text(order).op(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb");
    }
    array.op(b"\x89B").op(&(length as u32).to_le_bytes()).op(&vec![1; length]).op(b"tb")
}

/// Appends a flat array of bytes.
fn bytes_array(pickle: Pickle, content: &[u8]) -> Pickle {
    let array = pickle.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray");
    let array = array.op(b"K\x00\x85U\x01b\x87R(K\x01").int(content.len() as i32).op(b"\x85");
    let dtype = array.global("numpy", "dtype").text("u1").op(b"\x89\x88\x87R");
    dtype.op(b"\x89B").op(&(content.len() as u32).to_le_bytes()).op(content).op(b"tb")
}

/// A dictionary of two slices, `a` and `b`, and a table that joins the `names` to `whole`.
fn sliced(second: fn(Pickle) -> Pickle, names: &[&str], shape: &[i32]) -> Vec<u8> {
    let pickle = bytes_array(Pickle::new().op(b"}").text("a"), &[1; 300]).op(b"q\x00s");
    let pickle = second(pickle.text("b")).op(b"s").text("UnpackBigParamInfor@@").op(b"}").text("whole").op(b"}");
    let pickle = pickle.text("OriginShape").ints(shape).op(b"s").text("slices").op(b"](");
    names.iter().fold(pickle, |pickle, name| pickle.text(name)).op(b"esss").stop()
}

#[test]
fn slices_must_fill_their_array() {
    let second = |pickle| bytes_array(pickle, &[2; 300]);
    let whole = open_and_read(sliced(second, &["b", "a"], &[2, 300])).expect("the file is valid");
    assert_eq!(whole.tensors()[0].name, "whole");
    assert_eq!(whole.read(0).expect("the tensor is readable")[..], [[2; 300], [1; 300]].concat());
    let refuse = |rule: &str, file: Vec<u8>| {
        let error = refused(file);
        assert!(matches!(&error, Error::Tensor { expected, .. } if expected.contains(rule)), "{rule}: {error:?}");
    };
    refuse("slices that fill", sliced(second, &["a", "b"], &[2, 299]));
    refuse("each once", sliced(second, &["a", "a"], &[2, 300]));
    refuse("each once", sliced(second, &["a", "c"], &[2, 300]));
    refuse("at least one", sliced(second, &[], &[0]));
}

#[test]
fn slices_are_flat_and_of_one_type() {
    const FLAT: &str = "flat slices of one type";
    let refuse = |second: fn(Pickle) -> Pickle, names: &[&str], shape: &[i32], rule: &str| {
        let error = refused(sliced(second, names, shape));
        assert!(
            matches!(&error, Error::Tensor { name, expected, .. } if name == "whole" && *expected == rule),
            "{error:?}"
        );
    };
    // As many bytes as the first slice, whatever they are.
    refuse(|pickle| array(pickle, "i1", None, &[300], 300), &["a", "b"], &[2, 300], FLAT);
    refuse(|pickle| array(pickle, "u2", None, &[150], 300), &["a", "b"], &[2, 300], FLAT);
    refuse(|pickle| array(pickle, "u1", None, &[2, 150], 300), &["a", "b"], &[2, 300], FLAT);
    refuse(|pickle| array(pickle, "u1", None, &[2, 150], 300), &["b", "a"], &[2, 300], FLAT);
    open_and_read(sliced(|pickle| array(pickle, "u1", None, &[300], 300), &["a", "b"], &[2, 300]))
        .expect("the file is valid");
    // Elements of two bytes: in one byte order they open, in two they do not.
    let pair = |orders: [&'static str; 2]| {
        let first = array(Pickle::new().op(b"}").text("a"), "u2", Some(orders[0]), &[2], 4).op(b"s").text("b");
        let pickle = array(first, "u2", Some(orders[1]), &[2], 4).op(b"s").text("UnpackBigParamInfor@@");
        let pickle = pickle.op(b"}").text("whole").op(b"}").text("OriginShape").ints(&[4]).op(b"s");
        pickle.text("slices").op(b"](").text("a").text("b").op(b"esss").stop()
    };
    open_and_read(pair(["<", "<"])).expect("the file is valid");
    open_and_read(pair([">", ">"])).expect("the file is valid");
    assert_refused!(pair(["<", ">"]), Error::Tensor { expected: FLAT, .. });
}

#[test]
fn a_table_of_slices_has_shapes_and_names() {
    let first = || bytes_array(Pickle::new().op(b"}").text("a"), &[1; 4]).op(b"s").text("UnpackBigParamInfor@@");
    let entry = |entry: fn(Pickle) -> Pickle| entry(first().op(b"}").text("whole")).op(b"ss").stop();
    let whole = |shape: fn(Pickle) -> Pickle, slices: fn(Pickle) -> Pickle| {
        let pickle = shape(first().op(b"}").text("whole").op(b"}").text("OriginShape")).op(b"s");
        slices(pickle.text("slices")).op(b"sss").stop()
    };
    let shape = |pickle: Pickle| pickle.ints(&[2, 2]);
    let slices = |pickle: Pickle| pickle.op(b"]").text("a").op(b"a");
    open_and_read(whole(shape, slices)).expect("the file is valid");
    open_and_read(whole(shape, |pickle| pickle.text("a").op(b"\x85"))).expect("a tuple will do for a list");
    const FIELDS: &str = "`OriginShape` and `slices`";
    assert_refused!(whole(|pickle| pickle.op(b"N"), slices), Error::Tensor { expected: FIELDS, .. });
    assert_refused!(whole(|pickle| pickle.ints(&[-2, -2]), slices), Error::Tensor { expected: FIELDS, .. });
    assert_refused!(whole(|pickle| pickle.op(b"]K\x04a"), slices), Error::Tensor { expected: FIELDS, .. });
    assert_refused!(whole(shape, |pickle| pickle.text("a")), Error::Tensor { expected: FIELDS, .. });
    assert_refused!(entry(|pickle| pickle.op(b"N")), Error::Tensor { expected: FIELDS, .. });
    assert_refused!(entry(|pickle| pickle.op(b"}")), Error::Tensor { expected: FIELDS, .. });
    let named = |pickle: Pickle| pickle.op(b"]K\x01a");
    assert_refused!(whole(shape, named), Error::Tensor { expected: "slices that the file holds, each once", .. });
    assert_refused!(first().op(b"]s").stop(), Error::Tensor { expected: "a dictionary", .. });
    assert_refused!(first().op(b"}K\x01}ss").stop(), Error::Tensor { expected: "names as keys", .. });
}

#[test]
fn slices_that_share_their_bytes_do_not_outgrow_the_file() {
    let names: Vec<String> = (0..64).map(|index| format!("s{index}")).collect();
    let shared = bytes_array(Pickle::new().op(b"}").text("a"), &[1; 4_000]).op(b"q\x00s");
    let shared = names.iter().fold(shared, |pickle, name| pickle.text(name).op(b"h\x00s"));
    let table = shared.text("UnpackBigParamInfor@@").op(b"}").text("whole").op(b"}").text("OriginShape");
    let table = table.ints(&[64, 4_000]).op(b"s").text("slices").op(b"](");
    let file = names.iter().fold(table, |pickle, name| pickle.text(name)).op(b"esss").stop();
    assert_refused!(file, Error::Tensor { expected: "no more bytes than the file has", .. });
}

#[test]
fn shapes_that_overflow_are_refused_even_when_empty() {
    let file = legacy(one(0, &[i32::MAX, i32::MAX, i32::MAX, 0], &[0; 4]), &["0"], &[(6, &SIX)]);
    assert_refused!(file, Error::Tensor { name, .. } if name == "w");
}

#[test]
fn a_pickle_leaves_one_object_and_stays_above_its_marks() {
    for code in
        [&b"NN"[..], b"", b"N(", b"0", b"(N0\x85", b"N(\x85", b"](a", b"N(N\x86", b"N(q\x00t", b"t", b"u", b"N(0t"]
    {
        assert_refused!(Pickle::new().op(code).stop(), Error::Unexpected { what: "pickle stack", .. });
    }
    assert_refused!(b"\x80\x02\x80\x06}.".to_vec(), Error::Unexpected { offset: 2, what: "pickle protocol", .. });
}

#[test]
fn long_integers_keep_their_sign() {
    let view = |count: &[u8]| {
        let pickle = Pickle::new().op(b"}").text("w").global("torch._utils", "_rebuild_tensor_v2").op(b"((");
        let pickle = pickle.text("storage").global("torch", "FloatStorage").text("0").text("cpu").op(b"\x8a");
        let pickle = pickle.op(&[count.len() as u8]).op(count).op(b"NtQ").int(0).ints(&[6]).ints(&[1]);
        legacy(pickle.op(b"\x89}tRs").stop(), &["0"], &[(6, &SIX)])
    };
    for six in [&b"\x06"[..], b"\x06\x00", b"\x06\0\0\0\0\0\0\0"] {
        open_and_read(view(six)).expect("the file is valid");
    }
    for other in [&b""[..], b"\x07", b"\xff", b"\x06\xff", b"\x06\0\0\0\0\0\0\0\0"] {
        refused(view(other));
    }
    assert_refused!(view(b"\xff\xff"), Error::Unexpected { what: "pickle persistent id", .. });
    assert_refused!(view(b"\xfa"), Error::Unexpected { what: "pickle persistent id", .. });
}

#[test]
fn arrays_must_have_as_many_bytes_as_their_shape() {
    let valid = bytes_array(Pickle::new().op(b"}").text("w"), &[1; 4]).op(b"s").stop();
    let shape = valid.windows(5).position(|part| part == b"J\x04\0\0\0").expect("the shape is there") + 1;
    open_and_read(valid.clone()).expect("the file is valid");
    for extent in [0, 3, 5] {
        let mut changed = valid.clone();
        changed[shape] = extent;
        assert_refused!(changed, Error::Unexpected { what: "pickle state", .. });
    }
}

#[test]
fn other_versions_of_the_legacy_format_are_refused() {
    let mut file = legacy(one(0, &[6], &[1]), &["0"], &[(6, &SIX)]);
    file[18] += 1;
    assert_refused!(file, Error::Unexpected { offset: 15, what: "pytorch protocol version", .. });
}

/// Training programs write `model_ema` and the like also when they average nothing.
#[test]
fn empty_wrappers_are_passed_over() {
    let wrapped = |first: fn(Pickle) -> Pickle| {
        let pickle = first(Pickle::new().op(b"}").text("state_dict_ema")).op(b"s").text("state_dict").op(b"}");
        let object = pickle.text("w").tensor("0", 6, 0, &[6], &[1]).op(b"ss").stop();
        open_and_read(legacy(object, &["0"], &[(6, &SIX)]))
    };
    for empty in [|pickle: Pickle| pickle.op(b"}"), |pickle: Pickle| pickle.op(b"N"), |pickle: Pickle| pickle.op(b"]")]
    {
        let checkpoint = wrapped(empty).expect("the file is valid");
        assert_eq!((checkpoint.wrapper(), checkpoint.tensors().len()), (Some("state_dict"), 1));
    }
    let averaged = |pickle: Pickle| pickle.op(b"}").text("v").tensor("0", 6, 0, &[6], &[1]).op(b"s");
    let checkpoint = wrapped(averaged).expect("the file is valid");
    assert_eq!((checkpoint.wrapper(), checkpoint.tensors()[0].name.as_str()), (Some("state_dict_ema"), "v"));
}

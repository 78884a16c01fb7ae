//! Objects of classes that are not known are parsed and not made, and no tensor depends on one unnoticed.

mod support;

use hardnet_checkpoint::{Checkpoint, Error, ReadOptions};
use support::{Member, Pickle, archive, legacy, open_and_read};

const SIX: [u8; 24] = [7; 24];

/// Appends the tensor `w` of six floats to a dictionary.
fn with_tensor(pickle: Pickle) -> Pickle {
    pickle.text("w").tensor("0", 6, 0, &[6], &[1]).op(b"s")
}

/// A legacy file of an object whose only storage has six floats.
fn file(object: Pickle) -> Vec<u8> {
    legacy(object.stop(), &["0"], &[(6, &SIX)])
}

#[track_caller]
fn opened(object: Pickle) -> Checkpoint {
    open_and_read(file(object)).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(object: Pickle) -> Error {
    Checkpoint::from_bytes(file(object)).map(drop).expect_err("content that needs an unknown class was opened")
}

#[track_caller]
fn refused_class(object: Pickle, class: &str) {
    let error = refused(object);
    assert!(
        matches!(&error, Error::RefusedGlobal { module, name, .. } if format!("{module}.{name}") == class),
        "{error:?}, expected {class}"
    );
}

fn names(checkpoint: &Checkpoint) -> Vec<&str> {
    checkpoint.tensors().iter().map(|tensor| tensor.name.as_str()).collect()
}

/// Pickles of objects of many kinds as Python writes them, each made on its own.
fn objects() -> Vec<(&'static str, Pickle)> {
    let new = Pickle::default;
    let namespace = |pickle: Pickle| pickle.global("argparse", "Namespace").op(b")\x81");
    vec![
        ("NEWOBJ, BUILD", namespace(new()).op(b"}").text("lr").op(b"G\0\0\0\0\0\0\0\0sb")),
        ("NEWOBJ_EX", new().global("a", "B").op(b")}").text("k").op(b"Ns\x92")),
        ("REDUCE", new().global("os", "system").text("id").op(b"\x85R")),
        ("REDUCE of many arguments", new().global("a", "f").op(b"(NNNNNNNNNNNNtR")),
        ("REDUCE of a result", new().global("a", "f").op(b")R)R")),
        ("STACK_GLOBAL", new().op(b"\x8c\x07pathlib\x8c\x09PosixPath\x93").text("/").op(b"\x85R")),
        ("INST", new().op(b"(K\x01ios\nsystem\n")),
        ("OBJ", new().op(b"(").global("os", "system").op(b"K\x01o")),
        ("APPENDS", new().global("collections", "deque").op(b")R(K\x01K\x02e")),
        ("APPEND", new().global("collections", "deque").op(b")RK\x01a")),
        ("SETITEMS", new().global("a", "Dict").op(b")\x81(K\x01K\x02u")),
        ("SETITEM", new().global("a", "Dict").op(b")\x81K\x01K\x02s")),
        ("ADDITEMS", new().op(b"\x8f(K\x01K\x02\x90")),
        ("ADDITEMS of a class", new().global("a", "Set").op(b")\x81(K\x01\x90")),
        ("FROZENSET", new().op(b"(K\x01K\x02\x91")),
        ("set of protocol 2", new().global("__builtin__", "set").op(b"](K\x01K\x02e\x85R")),
        ("BYTEARRAY8", new().op(b"\x96\x02\0\0\0\0\0\0\0ab")),
        ("LONG4", new().op(b"\x8b\x02\0\0\0\xff\x7f")),
        ("class", new().global("torch.optim.sgd", "SGD")),
        ("_reconstructor", new().global("copyreg", "_reconstructor").global("a", "B").global("a", "C").op(b"N\x87R")),
        ("torch.Size", new().global("torch", "Size").op(b"K\x01K\x02\x86\x85R")),
        ("torch.device", new().global("torch", "device").text("cpu").op(b"\x85R")),
        ("torch.float8", new().global("torch", "float8_e4m3fn")),
        ("defaultdict", new().global("collections", "defaultdict").global("__builtin__", "dict").op(b"\x85R")),
        ("NumPy date", new().global("numpy", "dtype").text("M8").op(b"\x89\x88\x87R(K\x04").text("<").op(b"NNNtb")),
        ("NumPy array of objects", {
            let array = new().global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray");
            let array = array.op(b"K\x00\x85U\x01b\x87R(K\x01K\x02\x85").global("numpy", "dtype").text("O8");
            array.op(b"\x89\x88\x87R\x89](NNetb")
        }),
        ("NumPy array of a class", {
            let array = new().global("numpy.core.multiarray", "_reconstruct").global("numpy", "matrix");
            array.op(b"K\x00\x85U\x01b\x87R(K\x01tb")
        }),
        ("NumPy scalar of text", {
            let dtype = new().global("numpy.core.multiarray", "scalar").global("numpy", "dtype").text("U2");
            dtype.op(b"\x89\x88\x87R").op(b"U\x08a\0\0\0b\0\0\0\x86R")
        }),
        ("text of protocol 0", new().op(b"(I1\nI01\nL-5L\nL123456789012345678901L\nF1.5\nS'a'\nVb\nV\\u20ac\nl")),
        ("dictionary of protocol 0", new().op(b"(Va\nI1\nd")),
        ("memo of protocol 0", new().op(b"(lp5\n0g5\n")),
        ("POP_MARK, DUP", new().op(b"(NN1N20")),
    ]
}

#[test]
fn objects_beside_the_tensors_are_inert() {
    for (what, object) in objects() {
        let before = Pickle::new().op(b"}").text("args").op(&object.0).op(b"s").text("state_dict").op(b"}");
        let checkpoint = open_and_read(file(with_tensor(before).op(b"s"))).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!((checkpoint.wrapper(), names(&checkpoint)), (Some("state_dict"), vec!["w"]), "{what}");
        let after = with_tensor(Pickle::new().op(b"}").text("state_dict").op(b"}")).op(b"s").text("args");
        let zip = after.op(&object.0).op(b"s").stop();
        let members = [Member::new("a/data.pkl", zip), Member::new("a/data/0", SIX.to_vec())];
        open_and_read(archive(&members)).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn a_dictionary_says_which_of_its_values_are_not_read() {
    let object = Pickle::new().op(b"}").text("module.f").global("os", "system").text("id").op(b"\x85Rs");
    let checkpoint = opened(object.text("module.w").tensor("0", 6, 0, &[6], &[1]).op(b"s"));
    assert_eq!(names(&checkpoint), ["module.w"]);
    let [value] = checkpoint.opaque() else { panic!("{:?}", checkpoint.opaque()) };
    assert_eq!((value.name.as_str(), value.module.as_str(), value.class.as_str()), ("module.f", "os", "system"));
    assert!(matches!(value.refusal(), Error::RefusedGlobal { .. }));
}

/// A tensor `w` whose parts are what `_rebuild_tensor_v2` takes, written by the caller.
fn rebuilt(arguments: impl Fn(Pickle) -> Pickle) -> Pickle {
    let head = Pickle::new().op(b"}").text("w").global("torch._utils", "_rebuild_tensor_v2").op(b"(");
    arguments(head).op(b"tRs")
}

#[test]
fn tensors_that_depend_on_an_object_are_refused_when_they_are_asked_for() {
    fn unknown(pickle: Pickle) -> Pickle {
        pickle.global("a", "f").op(b")R")
    }
    fn six(pickle: Pickle) -> Pickle {
        pickle.storage("0", 6)
    }
    let storage = |p: Pickle| unknown(p).int(0).ints(&[6]).ints(&[1]).op(b"\x89}");
    let start = |p: Pickle| unknown(six(p)).ints(&[6]).ints(&[1]).op(b"\x89}");
    let shape = |p: Pickle| unknown(six(p).int(0)).ints(&[1]).op(b"\x89}");
    let extent = |p: Pickle| unknown(six(p).int(0)).op(b"\x85").ints(&[1]).op(b"\x89}");
    let strides = |p: Pickle| unknown(six(p).int(0).ints(&[6])).op(b"\x89}");
    for parts in [storage, start, shape, extent, strides] as [fn(Pickle) -> Pickle; 5] {
        // The tensor alone, next to another, and as a part of a dictionary that is not asked for.
        let alone = rebuilt(parts);
        let error = Checkpoint::from_bytes(legacy(alone.clone().stop(), &["0"], &[(6, &SIX)]));
        let error = error.map(drop).expect_err("a tensor that depends on an unknown function");
        assert!(
            matches!(&error, Error::RefusedGlobal { name, .. } if name == "f")
                || matches!(error, Error::Storage { .. }),
            "{error:?}"
        );
        let beside = alone.clone().text("v").tensor("0", 6, 0, &[6], &[1]).op(b"s");
        let checkpoint = opened(beside);
        assert_eq!((names(&checkpoint), checkpoint.opaque()[0].class.as_str()), (vec!["v"], "f"));
        let apart = Pickle::new().op(b"}").text("optimizer").op(&alone.0[2..]).op(b"s").text("model").op(b"}");
        assert_eq!(names(&opened(with_tensor(apart).op(b"s"))), ["w"]);
    }
}

#[test]
fn tensors_of_other_kinds_are_refused_by_the_name_of_their_function() {
    let sparse = Pickle::new().op(b"}").text("w").global("torch._utils", "_rebuild_sparse_tensor");
    refused_class(sparse.storage("0", 6).op(b"\x85Rs"), "torch._utils._rebuild_sparse_tensor");
    let wrapped = |class: fn(Pickle) -> Pickle| {
        let pickle = Pickle::new().op(b"}").text("w").global("torch._tensor", "_rebuild_from_type_v2").op(b"(");
        let pickle = class(pickle.global("torch._utils", "_rebuild_tensor_v2")).op(b"(").storage("0", 6);
        pickle.int(0).ints(&[6]).ints(&[1]).op(b"\x89}t}tRs")
    };
    // Attributes of Python leave a tensor what it is; a class of its own may mean something else by its elements.
    assert_eq!(names(&opened(wrapped(|pickle| pickle.global("torch", "Tensor")))), ["w"]);
    assert_eq!(names(&opened(wrapped(|pickle| pickle.global("torch.nn.parameter", "Parameter")))), ["w"]);
    refused_class(wrapped(|pickle| pickle.global("my.tensors", "Scaled")), "my.tensors.Scaled");
    refused_class(wrapped(|pickle| pickle.global("my.tensors", "Scaled").op(b")R")), "my.tensors.Scaled");
    let parameter = |function: &str, rest: &[u8]| {
        let pickle = Pickle::new().op(b"}").text("w").global("torch._utils", function).op(b"(");
        pickle.tensor("0", 6, 0, &[6], &[1]).op(b"\x88}").op(rest).op(b"tRs")
    };
    assert_eq!(names(&opened(parameter("_rebuild_parameter", b""))), ["w"]);
    assert_eq!(names(&opened(parameter("_rebuild_parameter_with_state", b"}"))), ["w"]);
}

#[test]
fn elements_of_other_types_are_refused_when_they_are_asked_for() {
    let complex = |pickle: Pickle| {
        let head = pickle.text("z").global("torch._utils", "_rebuild_tensor_v2").op(b"((").text("storage");
        let head = head.global("torch", "ComplexFloatStorage").text("1").text("cpu").int(1).op(b"NtQ");
        head.int(0).ints(&[1]).ints(&[1]).op(b"\x89}tRs")
    };
    let file = |object: Pickle| legacy(object.stop(), &["0", "1"], &[(6, &SIX), (1, &[0; 8])]);
    let checkpoint = open_and_read(file(complex(with_tensor(Pickle::new().op(b"}"))))).expect("one tensor is readable");
    assert_eq!((names(&checkpoint), checkpoint.opaque()[0].class.as_str()), (vec!["w"], "ComplexFloatStorage"));
    let alone = legacy(complex(Pickle::new().op(b"}")).stop(), &["1"], &[(1, &[0; 8])]);
    let refused = |bytes: Vec<u8>, class: &str| {
        let opened = Checkpoint::from_bytes(bytes);
        matches!(opened, Err(Error::RefusedGlobal { name, .. }) if name == class)
    };
    assert!(refused(alone, "ComplexFloatStorage"));
    // Without a size of its elements, what follows a storage cannot be found.
    let unknown = Pickle::new().op(b"}").text("z").op(b"(").text("storage").global("my", "Storage").text("1");
    let unknown = with_tensor(unknown.text("cpu").int(1).op(b"NtQs"));
    assert!(refused(file(unknown), "Storage"));
}

#[test]
fn a_mapping_of_another_class_is_not_taken_for_a_dictionary() {
    let mapping = |pickle: Pickle| {
        let pickle = pickle.global("omegaconf.dictconfig", "DictConfig").op(b")\x81");
        with_tensor(pickle)
    };
    refused_class(mapping(Pickle::new()), "omegaconf.dictconfig.DictConfig");
    refused_class(
        mapping(Pickle::new().op(b"}").text("epoch").op(b"K\x03s").text("state_dict")).op(b"s"),
        "omegaconf.dictconfig.DictConfig",
    );
    // Nor are the attributes of an object.
    let namespace = Pickle::new().global("argparse", "Namespace").op(b")\x81}").text("state_dict").op(b"}");
    refused_class(with_tensor(namespace).op(b"sb"), "argparse.Namespace");
    // The averaged weights are not read, and the file says so.
    let both = mapping(Pickle::new().op(b"}").text("state_dict_ema")).op(b"s").text("state_dict").op(b"}");
    let checkpoint = opened(both.text("v").tensor("0", 6, 0, &[6], &[1]).op(b"ss"));
    assert_eq!((checkpoint.wrapper(), names(&checkpoint)), (Some("state_dict"), vec!["v"]));
    let [passed] = checkpoint.passed_over() else { panic!("{:?}", checkpoint.passed_over()) };
    assert_eq!((passed.name.as_str(), passed.class.as_str()), ("state_dict_ema", "DictConfig"));
}

/// Appends an object of a class, and the state of a module up to its `_modules`, which the caller fills and ends.
fn module(pickle: Pickle, parameters: &[&str], buffers: &[&str], hidden: &[&str]) -> Pickle {
    attributes(pickle.global("my.models", "Net").op(b")\x81"), parameters, buffers, hidden)
}

fn attributes(pickle: Pickle, parameters: &[&str], buffers: &[&str], hidden: &[&str]) -> Pickle {
    let tensors = |pickle: Pickle, names: &[&str]| {
        names.iter().fold(pickle.op(b"}"), |pickle, name| {
            let pickle = pickle.text(name);
            if *name == "none" { pickle.op(b"Ns") } else { pickle.tensor("0", 6, 0, &[6], &[1]).op(b"s") }
        })
    };
    let pickle = tensors(pickle.op(b"}").text("training").op(b"\x88s").text("_parameters"), parameters);
    let pickle = tensors(pickle.op(b"s").text("_buffers"), buffers).op(b"s").text("_non_persistent_buffers_set");
    let pickle = hidden.iter().fold(pickle.global("__builtin__", "set").op(b"]("), |pickle, name| pickle.text(name));
    pickle.op(b"e\x85Rs").text("_modules").op(b"}")
}

#[test]
fn a_whole_module_is_its_parameters_and_buffers() {
    let inner = |pickle: Pickle| module(pickle, &["weight", "none"], &["mean", "cache"], &["cache"]).op(b"sb");
    let model = |pickle: Pickle| {
        let pickle = module(pickle, &["scale"], &[], &[]).text("norm");
        inner(inner(pickle).op(b"s").text("again")).op(b"ssb")
    };
    let expected = ["scale", "norm.weight", "norm.mean", "again.weight", "again.mean"];
    let whole = opened(model(Pickle::new()));
    assert_eq!((whole.wrapper(), names(&whole)), (None, expected.to_vec()));
    let outer = opened(model(module(Pickle::new(), &[], &[], &[]).text("module")).op(b"ssb"));
    assert_eq!(names(&outer), expected.map(|name| format!("module.{name}")));
    let wrapped = opened(model(Pickle::new().op(b"}").text("epoch").op(b"K\x01s").text("model")).op(b"s"));
    assert_eq!((wrapped.wrapper(), names(&wrapped)), (Some("model"), expected.to_vec()));
    // The class by a persistent id, as the legacy format writes it with the source of its module.
    let source = Pickle::new().op(b"(").text("module").global("my.models", "Net").text("/net.py").text("class Net:");
    assert_eq!(names(&opened(attributes(source.op(b"tQ)\x81"), &["w"], &[], &[]).op(b"sb"))), ["w"]);
}

#[test]
fn modules_inside_themselves_and_without_end_are_refused() {
    let cycle = Pickle::new().global("my.models", "Net").op(b")\x81q\x09");
    let cycle = attributes(cycle, &["w"], &[], &[]).text("again").op(b"h\x09ssb");
    assert!(matches!(refused(cycle), Error::Cycle { .. }));
    let leaf = || module(Pickle::new(), &["w"], &[], &[]).op(b"sbq\x000");
    let level = |pickle: Pickle, names: &[&str]| {
        let pickle = module(pickle, &[], &[], &[]);
        names.iter().fold(pickle, |pickle, name| pickle.text(name).op(b"h\x00s")).op(b"sbq\x000")
    };
    // Each level holds the next twice: names double, memory does not.
    let doubled = (0..40).fold(leaf(), |pickle, _| level(pickle, &["a", "b"]));
    assert!(matches!(refused(doubled.op(b"h\x00")), Error::Limit { .. }));
    let deep = (0..100).fold(leaf(), |pickle, _| level(pickle, &["a"]));
    assert!(matches!(refused(deep.op(b"h\x00")), Error::Limit { what: "nesting", .. }));
}

#[test]
fn circles_of_objects_are_inert_and_circles_of_containers_are_not() {
    // An object in its own state, by way of a list and a dictionary.
    let object = Pickle::new().op(b"}").text("args").global("a", "B").op(b")\x81q\x01}").text("me").op(b"]h\x01asbs");
    assert_eq!(names(&opened(with_tensor(object))), ["w"]);
    // Two objects in each other's state.
    let pair = Pickle::new().op(b"}").text("args").global("a", "B").op(b")\x81q\x01");
    let pair = pair.global("a", "C").op(b")\x81q\x02").op(b"h\x01bbs");
    assert_eq!(names(&opened(with_tensor(pair))), ["w"]);
    let list = Pickle::new().op(b"}").text("args").global("a", "B").op(b")\x81]q\x01h\x01abs");
    assert!(matches!(refused(with_tensor(list)), Error::Cycle { .. }));
    let set = Pickle::new().op(b"}").text("args").op(b"\x8fq\x01(h\x01\x90s");
    assert!(matches!(refused(with_tensor(set)), Error::Cycle { .. }));
}

#[test]
fn an_object_has_one_state() {
    let twice = Pickle::new().op(b"}").text("args").global("a", "B").op(b")\x81}b}bs");
    assert!(matches!(refused(with_tensor(twice)), Error::Unexpected { what: "pickle state", .. }));
}

#[test]
fn calls_and_objects_have_the_arguments_of_python() {
    let malformed: [(Pickle, &str); 8] = [
        (Pickle::new().global("a", "f").op(b"]R"), "pickle call"),
        (Pickle::new().global("a", "f").text("x").op(b"R"), "pickle call"),
        (Pickle::new().text("f").op(b")R"), "pickle call"),
        (Pickle::new().global("a", "B").op(b"]\x81"), "pickle object"),
        (Pickle::new().text("B").op(b")\x81"), "pickle object"),
        (Pickle::new().global("a", "B").op(b"))\x92"), "pickle object"),
        (Pickle::new().op(b"(o"), "pickle object"),
        (Pickle::new().op(b"(No"), "pickle object"),
    ];
    for (pickle, expected) in malformed {
        let error = Checkpoint::from_bytes(pickle.stop()).map(drop).expect_err("a malformed pickle");
        assert!(matches!(&error, Error::Unexpected { what, .. } if *what == expected), "{expected}: {error:?}");
    }
    for pickle in [Pickle::new().op(b"K\x01(K\x02\x90"), Pickle::new().op(b"K\x01K\x02K\x03s")] {
        assert!(matches!(Checkpoint::from_bytes(pickle.stop()), Err(Error::Unexpected { .. })));
    }
}

#[test]
fn lines_of_text_are_numbers_and_literals() {
    for line in ["I\n", "Ix\n", "L\n", "L1.5L\n", "I--1\n", "Fx\n", "Sx\n", "S'x\n", "S'\n", "gx\n", "g-1\n", "p\n"] {
        let error = Checkpoint::from_bytes(Pickle::new().op(b"N").op(line.as_bytes()).stop());
        let error = error.map(drop).expect_err(line);
        assert!(matches!(error, Error::Unexpected { .. }), "{line:?}: {error:?}");
    }
    for cut in ["I1", "Vabc", "S'a'", "L9", "F1"] {
        let error = Checkpoint::from_bytes(Pickle::new().op(cut.as_bytes()).0).map(drop).expect_err(cut);
        assert!(matches!(error, Error::Truncated { .. }), "{cut}: {error:?}");
    }
    let long = Pickle::new().op(b"F").op(&[b'1'; 1_000]).op(b"\n").stop();
    assert!(matches!(Checkpoint::from_bytes(long), Err(Error::Limit { what: "pickle float", .. })));
    // Text with escapes is not the text that it looks like.
    let escaped = Pickle::new().op(b"}V\\u0077\n").tensor("0", 6, 0, &[6], &[1]).op(b"s");
    assert!(matches!(refused(escaped), Error::Unexpected { what: "tensor name", .. }));
    let plain = Pickle::new().op(b"}Vw\n").tensor("0", 6, 0, &[6], &[1]).op(b"s");
    assert_eq!(names(&opened(plain)), ["w"]);
}

/// A small network may have been trained for long: a loss for each step takes more room than its weights.
#[test]
fn histories_of_numbers_are_inert() {
    let numbers = |pickle: Pickle| {
        (0..200).fold(pickle.op(b"]"), |pickle, _| pickle.op(b"(").op(&b"G\0\0\0\0\0\0\0\0".repeat(1_000)).op(b"e"))
    };
    let object = numbers(Pickle::new().op(b"}").text("losses")).op(b"s").text("labels").op(b"](");
    let object = object.op(&b"K\x07K\xff\x88N".repeat(10_000)).op(b"es");
    assert_eq!(names(&opened(with_tensor(object.text("model").op(b"}")).op(b"s"))), ["w"]);
}

#[test]
fn many_objects_take_no_more_than_the_file() {
    let bombs: [(&str, &[u8]); 7] = [
        ("objects", b"ca\nB\n)\x81"),
        ("states", b"ca\nB\n)\x81}b"),
        ("calls", b"ca\nf\n)R"),
        ("sets", b"\x8f"),
        ("items", b"h\0h\0h\0a"),
        ("texts", b"Va\n"),
        ("marks", b"(l"),
    ];
    for (what, unit) in bombs {
        let bomb = Pickle::new().op(b"ca\nB\n)\x81q\x00").op(&unit.repeat(6_000_000 / unit.len())).stop();
        let error = Checkpoint::from_bytes(bomb).map(drop).expect_err(what);
        assert!(matches!(error, Error::Limit { .. }), "{what}: {error:?}");
    }
}

#[test]
fn an_entry_is_chosen_by_its_path() {
    let dictionary = |pickle: Pickle, name: &str| pickle.op(b"}").text(name).tensor("0", 6, 0, &[6], &[1]).op(b"ss");
    let object = Pickle::new().op(b"}").text("optimizer").op(b"}").text("state").op(b"}K\x00}");
    let object = object.text("buffer").tensor("0", 6, 0, &[6], &[1]).op(b"ssss").text("best_acc1");
    let object = object.tensor("0", 6, 5, &[], &[]).op(b"s").text("epoch").op(b"K\x03s").text("lr").op(b"K\x01s");
    let object = dictionary(dictionary(object.text("model"), "a").text("model_ema"), "b").text("extra").op(b"}");
    let object = dictionary(object.text("net"), "c").op(b"s").text("args").global("a", "B").op(b")\x81s");
    let bytes = file(object);
    let paths = |checkpoint: &Checkpoint| -> Vec<String> {
        checkpoint.dictionaries().iter().map(|dictionary| dictionary.path.clone()).collect()
    };
    let listed = ["model", "model_ema", "extra.net"];
    let checkpoint = open_and_read(bytes.clone()).expect("the file is valid");
    assert_eq!((checkpoint.wrapper(), names(&checkpoint)), (Some("model_ema"), vec!["b"]));
    assert_eq!(paths(&checkpoint), listed);
    let open = |entry: &str| Checkpoint::from_bytes_with(bytes.clone(), &ReadOptions::default().entry(entry));
    for (entry, name) in [("model", "a"), ("model_ema", "b"), ("extra.net", "c")] {
        let checkpoint = open(entry).expect("the file has it");
        assert_eq!((checkpoint.wrapper(), names(&checkpoint)), (Some(entry), vec![name]));
        assert_eq!(paths(&checkpoint), listed);
    }
    // The top level has a tensor among other values: it is not listed, and it is read when it is asked for.
    let top = open(".").expect("the file has it");
    assert_eq!((top.wrapper(), names(&top)), (None, vec!["best_acc1"]));
    for wrong in ["ema", "model.a", "extra", "optimizer.state.0", "epoch", "", "extra.net.c", ".."] {
        let error = open(wrong).map(drop).expect_err(wrong);
        assert!(matches!(&error, Error::NoEntry { entry, available } if entry == wrong && available.len() == 3));
        let text = error.to_string();
        assert!(text.contains("`model` (1 tensor), `model_ema` (1 tensor), `extra.net` (1 tensor)"), "{text}");
    }
    assert!(matches!(open("args"), Err(Error::RefusedGlobal { name, .. }) if name == "B"));
}

#[test]
fn a_dictionary_of_an_unusual_name_is_taken_if_it_is_the_only_one() {
    let one = with_tensor(Pickle::new().op(b"}").text("epoch").op(b"K\x03s").text("student").op(b"}")).op(b"s");
    assert_eq!(opened(one.clone()).wrapper(), Some("student"));
    let two = with_tensor(one.text("teacher").op(b"}")).op(b"s");
    let error = refused(two);
    assert!(matches!(&error, Error::Choice { available } if available.len() == 2), "{error:?}");
    assert!(error.to_string().ends_with("network: `student` (1 tensor), `teacher` (1 tensor)"), "{error}");
}

#[test]
fn a_key_of_the_network_occurs_once() {
    let first = with_tensor(Pickle::new().op(b"}").text("state_dict").op(b"}")).op(b"s");
    // Python would see the last of the two.
    let other = first.clone().text("state_dict").op(b"Ns");
    assert!(matches!(refused(other), Error::Unexpected { what: "dictionary", .. }));
    let tensor = with_tensor(Pickle::new().op(b"}")).text("w").op(b"Ns");
    assert!(matches!(refused(tensor), Error::DuplicateName { .. }));
    opened(first);
}

#[test]
fn counters_are_not_tensors_of_the_network() {
    let scalar = |pickle: Pickle, name: &str| pickle.text(name).tensor("0", 6, 0, &[], &[]).op(b"s");
    let average = |name: &str, counter: &str| {
        let pickle = scalar(Pickle::new().op(b"}"), counter);
        opened(pickle.text(name).tensor("0", 6, 0, &[6], &[1]).op(b"s"))
    };
    for counter in ["n_averaged", "num_updates", "updates", "decay", "step"] {
        let checkpoint = average("module.w", counter);
        assert_eq!(names(&checkpoint), ["module.w"], "{counter}");
        assert_eq!(checkpoint.counters()[0].name, counter);
        assert_eq!(checkpoint.dictionaries()[0].tensors, 1);
    }
    // `DistributedDataParallel` around `AveragedModel`.
    assert_eq!(names(&average("module.module.w", "module.n_averaged")), ["module.module.w"]);
    assert_eq!(names(&average("module.w", "other")), ["other", "module.w"]);
    // A tensor that is not a number is not a counter, nor is all that there is.
    let vector = with_tensor(Pickle::new().op(b"}").text("step").tensor("0", 6, 0, &[2], &[1]).op(b"s"));
    assert_eq!(names(&opened(vector)), ["step", "w"]);
    assert_eq!(names(&opened(scalar(Pickle::new().op(b"}"), "step"))), ["step"]);
}

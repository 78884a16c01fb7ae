//! Files that fit, and every way not to.

use std::io::Write;

use hardnet_graph::{Graph, ParamInfo};
use hardnet_testing::weights_file::{self, Encoding};

use super::*;
use crate::parameters::Parameters;
use crate::synthetic;
use crate::writer::write_weights;

/// Names and shapes.
type Tensors = Vec<(String, Vec<usize>)>;

fn params(config: &Config) -> Vec<ParamInfo> {
    Graph::new(config).unwrap().params()
}

fn tensors(config: &Config) -> Tensors {
    params(config).into_iter().map(|param| (param.name, param.shape)).collect()
}

fn save(tensors: &Tensors, encoding: Encoding, metadata: Option<&str>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes(tensors, encoding, metadata)).unwrap();
    file
}

fn bytes(tensors: &Tensors, encoding: Encoding, metadata: Option<&str>) -> Vec<u8> {
    let valued = tensors.iter().map(|(name, shape)| (name.clone(), shape.clone(), synthetic::values(name, shape)));
    weights_file::safetensors(valued.collect(), encoding, metadata)
}

fn message(tensors: &Tensors) -> String {
    let error = WeightsFile::open(save(tensors, Encoding::F32, None).path()).unwrap_err().to_string();
    error.split_once(" does not fit ").expect("a mismatch").1.to_string()
}

#[test]
fn a_file_is_recognized_by_its_tensors() {
    for variant in Variant::ALL {
        for config in
            [Config::from(variant), Config::from(variant).with_classes(10), Config::from(variant).without_head()]
        {
            let file = save(&tensors(&config), Encoding::Bf16, None);
            assert_eq!(*WeightsFile::open(file.path()).unwrap().config(), config);
        }
    }
}

#[test]
fn parameters_are_given_once_with_the_values_of_the_file() {
    let config = Config::from(Variant::HarDNet39Ds).with_classes(3);
    let other = Config::from(Variant::HarDNet68);
    for encoding in [Encoding::F32, Encoding::Bf16] {
        let file = save(&tensors(&config), encoding, None);
        let weights = WeightsFile::open(file.path()).unwrap();
        let expected: Vec<Vec<f32>> = weights.params().map(|(_, values)| values.unwrap()).collect();
        let parameters = weights.into_parameters();
        for (param, expected) in params(&config).iter().zip(expected) {
            assert_eq!(parameters.values(param).unwrap(), expected, "{}", param.name);
            assert!(matches!(parameters.values(param), Err(Error::Format { .. })), "{}", param.name);
        }
        let unknown =
            params(&other).into_iter().find(|param| !tensors(&config).iter().any(|(name, _)| *name == param.name));
        assert!(matches!(parameters.values(&unknown.unwrap()), Err(Error::NoParameter { .. })));
    }
}

/// Whatever a file calls its parameters and however it stores them, the network gets the same.
#[test]
fn names_of_every_scheme_give_the_same_network() {
    let config = Config::from(Variant::HarDNet39Ds);
    for scheme in Scheme::ALL {
        let named = scheme.params(&Graph::new(&config).unwrap());
        let stored = named.into_iter().map(|named| {
            let values = synthetic::values(&named.param.name, &named.param.shape);
            let values = match named.param.shape[..] {
                [rows, columns] if named.transposed => {
                    (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
                }
                _ => values,
            };
            (named.key.clone(), named.shape(), values)
        });
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&weights_file::safetensors(stored.collect(), Encoding::F32, None)).unwrap();
        let weights = WeightsFile::open(file.path()).unwrap();
        let parameters = weights.parameters();
        for param in params(&config) {
            let found = parameters.values(&param).unwrap();
            assert_eq!(found, synthetic::values(&param.name, &param.shape), "{scheme} {}", param.name);
        }
    }
}

#[test]
fn batch_counters_are_ignored() {
    let mut with_counters = tensors(&Config::from(Variant::HarDNet39Ds));
    with_counters.push(("base.0.norm.num_batches_tracked".into(), vec![]));
    assert!(WeightsFile::open(save(&with_counters, Encoding::F32, None).path()).is_ok());
}

#[test]
fn metadata_describes_networks_of_ones_own() {
    let mut config = Config::from(Variant::HarDNet39Ds).with_classes(3);
    config.blocks.truncate(2);
    let metadata = Metadata { labels: Some(vec!["a".into(), "b".into(), "c".into()]), ..Metadata::new(config.clone()) };
    let json = serde_json::to_string(&metadata).unwrap();
    let file = save(&tensors(&config), Encoding::F16, Some(&json));
    let weights = WeightsFile::open(file.path()).unwrap();
    assert_eq!(*weights.config(), config);
    assert_eq!(weights.metadata(), Some(&metadata));
    let error = WeightsFile::open_as(file.path(), Variant::HarDNet68).unwrap_err().to_string();
    assert!(error.ends_with("holds a network of its own, not hardnet68"), "{error}");
}

/// Networks that nobody published and no metadata describe: assumed, and then described by the caller.
#[test]
fn what_was_assumed_is_kept_until_the_caller_describes_it() {
    let mut config = Config::from(Variant::HarDNet68).without_head();
    config.activation = hardnet_graph::Activation::Relu;
    config.blocks.truncate(3);
    // A pool after the last transition of a backbone leaves no trace.
    config.blocks[2].downsample = false;
    let file = save(&tensors(&config), Encoding::F16, None);
    let guessed = WeightsFile::open(file.path()).unwrap();
    assert_eq!(guessed.config().activation, hardnet_graph::Activation::Relu6);
    assert_eq!(guessed.assumed()[0], "ReLU6");

    let mut metadata = Metadata::new(guessed.config().clone());
    metadata.assumed = guessed.assumed().to_vec();
    let assumed = save(&tensors(&config), Encoding::F16, Some(&metadata.to_json()));
    assert_eq!(WeightsFile::open(assumed.path()).unwrap().assumed(), guessed.assumed());
    let options = WeightsOptions::default().config(config.clone());
    for path in [file.path(), assumed.path()] {
        let told = WeightsFile::open_with(path, &options).unwrap();
        assert_eq!((told.config(), told.assumed().len()), (&config, 0));
        assert_eq!(told.metadata().map_or(&config, |metadata| &metadata.config), &config);
        assert!(told.metadata().is_none_or(|metadata| metadata.assumed.is_empty()));
    }
    metadata.assumed.clear();
    let certain = save(&tensors(&config), Encoding::F16, Some(&metadata.to_json()));
    let error = WeightsFile::open_with(certain.path(), &options).unwrap_err().to_string();
    assert!(error.ends_with("not the network that was given: `activation` is \"relu6\", not \"relu\""), "{error}");
    let other = WeightsOptions::default().config(Config::from(Variant::HarDNet85));
    let error = WeightsFile::open_with(file.path(), &other).unwrap_err().to_string();
    assert!(error.contains(" does not fit hardnet85: "), "{error}");
}

#[test]
fn one_network_of_several_is_chosen_by_its_prefix() {
    let config = Config::from(Variant::HarDNet39Ds).with_classes(3);
    let prefixed = |prefix: &'static str| {
        tensors(&config).into_iter().map(move |(name, shape)| (format!("{prefix}{name}"), shape))
    };
    // Synthetic values follow from the names, so that those of two prefixes differ.
    let file = save(&prefixed("teacher.").chain(prefixed("net.student.")).collect(), Encoding::F32, None);
    let error = WeightsFile::open(file.path()).unwrap_err();
    assert!(matches!(&error, Error::Ambiguous { parts, .. } if parts.len() == 2), "{error}");
    let message = error.to_string();
    assert!(
        message.ends_with("hardnet39ds under `net.student.`, hardnet39ds under `teacher.`; expected one"),
        "{message}"
    );
    let student = WeightsFile::open_with(file.path(), &WeightsOptions::default().prefix("net.student")).unwrap();
    assert_eq!((student.prefix(), student.left_out().len()), ("net.student.", tensors(&config).len()));
    let param = params(&config).remove(0);
    let expected = synthetic::values("net.student.base.0.conv.weight", &param.shape);
    assert_eq!(student.parameters().values(&param).unwrap(), expected);
    assert_eq!(student.into_parameters().values(&param).unwrap(), expected);
    let error = WeightsFile::open_with(file.path(), &WeightsOptions::default().prefix("student")).unwrap_err();
    assert!(error.to_string().ends_with("begins with `student`, expected one of `net.`, `teacher.`"), "{error}");
}

#[test]
fn broken_metadata_is_an_error() {
    let config = Config::from(Variant::HarDNet39Ds);
    let tensors = tensors(&config);
    let cases = [
        ("{", "invalid metadata: `hardnet`: EOF while parsing"),
        ("{\"schema\": 2, \"config\": 0}", "invalid metadata: `hardnet` has schema 2, this version reads 1"),
        ("{\"schema\": 1}", "invalid metadata: `hardnet`: missing field `config`"),
    ];
    for (json, expected) in cases {
        let error = WeightsFile::open(save(&tensors, Encoding::F16, Some(json)).path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut hostile = config;
    hostile.blocks[0].growth = usize::MAX;
    let json = serde_json::to_string(&Metadata::new(hostile)).unwrap();
    let error = WeightsFile::open(save(&tensors, Encoding::F16, Some(&json)).path()).unwrap_err().to_string();
    assert!(error.starts_with("`blocks[0].growth` is "), "{error}");
}

#[test]
fn every_difference_is_in_one_error() {
    let complete = tensors(&Config::from(Variant::HarDNet39Ds));
    let mut broken = complete.clone();
    broken.retain(|(name, _)| !name.starts_with("base.1."));
    broken.push(("extra.weight".into(), vec![2]));
    broken[0].1 = vec![24, 3, 5, 5];
    assert_eq!(
        message(&broken),
        "hardnet39ds: 5 missing (`base.1.conv.weight`, `base.1.norm.weight`, `base.1.norm.bias`, ...); \
         1 unexpected (`extra.weight`); 1 with another shape (`base.0.conv.weight` is [24, 3, 5, 5], not [24, 3, 3, 3])"
    );
    let integers = save(&complete, Encoding::I32, None);
    let error = WeightsFile::open(integers.path()).unwrap_err().to_string();
    assert!(
        error.contains("372 with an unsupported type (`base.0.conv.weight` is i32, not f64, f32, f16 or bf16"),
        "{error}"
    );
}

#[test]
fn weights_of_another_model_are_named() {
    let file = save(&tensors(&Config::from(Variant::HarDNet39Ds)), Encoding::F16, None);
    let error = WeightsFile::open_as(file.path(), Variant::HarDNet68).unwrap_err().to_string();
    assert!(error.ends_with(" holds hardnet39ds, not hardnet68"), "{error}");
    let foreign = save(&vec![("encoder.weight".to_string(), vec![4, 4])], Encoding::F32, None);
    let error = WeightsFile::open_as(foreign.path(), Variant::HarDNet68).unwrap_err().to_string();
    assert!(error.contains("does not fit hardnet68: 335 missing"), "{error}");
}

#[test]
fn values_that_no_network_can_use_are_listed() {
    let config = Config::from(Variant::HarDNet39Ds);
    let stored = params(&config).into_iter().map(|param| {
        let mut values = synthetic::values(&param.name, &param.shape);
        let last = values.len() - 1;
        match param.name.as_str() {
            "base.0.conv.weight" => values[7] = f32::NAN,
            "base.1.norm.weight" => values[last] = f32::INFINITY,
            "base.1.norm.running_mean" => values[0] = -1.0,
            "base.1.norm.running_var" => values[last] = -0.25,
            "base.14.3.bias" => values[0] = f32::NEG_INFINITY,
            _ => {}
        }
        (param.name, param.shape, values)
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&weights_file::safetensors(stored.collect(), Encoding::F32, None)).unwrap();
    let error = WeightsFile::open(file.path()).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "does not fit hardnet39ds: 3 not finite (`base.0.conv.weight`, `base.1.norm.weight`, `base.14.3.bias`); \
             1 with a negative variance (`base.1.norm.running_var`)"
        ),
        "{error}"
    );
}

#[test]
fn what_is_no_model_file_is_said() {
    let whole = bytes(&tensors(&Config::from(Variant::HarDNet39Ds)), Encoding::F16, None);
    let cases: [(&[u8], &str); 7] = [
        (b"", "the file is empty"),
        (b"PK\x03\x04rest of a zip file", "`zip archive` at offset 22 is not valid"),
        (b"\x80\x02\x8a\x0alF\xf9 and so on", "opcode `0x20` at offset 14 is refused"),
        (b"this is a text file, not weights", "the file starts with `this is a text f`"),
        (b"\x02", "the file starts with `\\x02`"),
        (&whole[..whole.len() - 1], "safetensors header at offset 8 is not valid"),
        (&whole[..100], "`safetensors header` at offset 8 needs"),
    ];
    for (bytes, expected) in cases {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let error = WeightsFile::open(file.path()).unwrap_err().to_string();
        assert!(error.contains("is not a readable model file: ") && error.contains(expected), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = WeightsFile::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

#[test]
fn written_weights_are_read_back() {
    let mut metadata = Metadata::new(Config::from(Variant::HarDNet39Ds).with_classes(3));
    metadata.labels = Some(["shirt", "shoe", "bag"].map(String::from).to_vec());
    metadata.pipeline = Some("pil-bicubic".into());
    let mut written = Vec::new();
    write_weights(&metadata, &synthetic::Synthetic, &mut written).unwrap();
    let mut again = Vec::new();
    write_weights(&metadata, &synthetic::Synthetic, &mut again).unwrap();
    assert_eq!(written, again);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), written).unwrap();
    let weights = WeightsFile::open(file.path()).unwrap();
    assert_eq!(weights.metadata(), Some(&metadata));
    for (named, values) in weights.params() {
        assert_eq!(values.unwrap(), synthetic::values(&named.param.name, &named.param.shape), "{}", named.param.name);
    }
}

#[test]
fn values_that_no_reader_takes_are_not_written() {
    struct Faulty(fn(&str, Vec<f32>) -> Vec<f32>);
    impl Parameters for Faulty {
        fn values(&self, param: &ParamInfo) -> Result<Vec<f32>> {
            Ok((self.0)(&param.name, synthetic::values(&param.name, &param.shape)))
        }
    }
    let mut metadata = Metadata::new(Config::from(Variant::HarDNet39Ds).with_classes(3));
    let message =
        |metadata: &Metadata, change| write_weights(metadata, &Faulty(change), Vec::new()).unwrap_err().to_string();
    let infinite = |name: &str, mut values: Vec<f32>| {
        if name == "base.0.norm.bias" {
            values[2] = f32::INFINITY;
        }
        values
    };
    assert_eq!(message(&metadata, infinite), "`base.0.norm.bias` has values that are not finite");
    let short = |name: &str, values: Vec<f32>| if name == "base.14.3.bias" { vec![] } else { values };
    assert_eq!(message(&metadata, short), "`base.14.3.bias` has 0 values, expected 3");
    metadata.labels = Some(vec!["shirt".into()]);
    assert_eq!(message(&metadata, |_, values| values), "1 class names for a network of 3 classes");
}

#[test]
fn a_parameter_of_an_unknown_kind_is_refused_by_the_name_of_its_function() {
    let mut config = Config::from(Variant::HarDNet39Ds).with_classes(3);
    config.blocks.truncate(2);
    for prefix in ["", "module.", "model."] {
        let valued = tensors(&config).into_iter().map(|(name, shape)| {
            let values = synthetic::values(&name, &shape);
            (format!("{prefix}{name}"), shape, values)
        });
        let mut bytes = hardnet_testing::torch_file::torch(&valued.collect());
        WeightsFile::from_bytes("whole", bytes.clone()).unwrap();
        // The last tensor is made by a function of torch that is not known; it is as long as the other.
        let (known, unknown) = (b"_rebuild_tensor_v2", b"_rebuild_qtensor_x");
        let last = bytes.windows(known.len()).rposition(|window| window == known).unwrap();
        bytes[last..last + known.len()].copy_from_slice(unknown);
        let error = WeightsFile::from_bytes("changed", bytes).unwrap_err();
        let Error::Format { source, .. } = &error else { panic!("{prefix}: {error}") };
        assert!(source.to_string().contains("global `torch._utils _rebuild_qtensor_x`"), "{prefix}: {source}");
    }
}

#[test]
fn an_entry_that_the_file_lacks_is_an_error_that_lists_what_it_has() {
    let config = Config::from(Variant::HarDNet39Ds).with_classes(3);
    let bytes = bytes(&tensors(&config), Encoding::F16, None);
    let open = |entry: &str| WeightsFile::from_bytes_with("a", bytes.clone(), &WeightsOptions::default().entry(entry));
    open(".").unwrap();
    let Error::Format { source, .. } = open("ema").unwrap_err() else { panic!("another error") };
    assert!(source.to_string().starts_with("the file has no dictionary of tensors `ema`, only `.` ("), "{source}");
}

//! Whatever goes in, canonical names and the same values come out, the same bytes each time.

use hardnet_checkpoint::Checkpoint;
use hardnet_graph::{Config, Graph, Head, StemPadding, Variant};
use hardnet_testing::weights_file::{self, Encoding};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use super::*;
use crate::scheme::Scheme;
use crate::synthetic;

/// A small network for three classes.
fn small() -> Config {
    let mut config = Config::from(Variant::HarDNet39Ds).with_classes(3);
    config.blocks.truncate(2);
    // Files do not store it, so that it is not found again.
    config.head = config.head.map(|head| Head { dropout: 0.0, ..head });
    config
}

/// Synthetic weights of `config` under the names of `scheme`, changed by `change`.
fn stored(config: &Config, scheme: Scheme, change: impl Fn(&str, &mut Vec<f32>)) -> WeightsFile {
    let named = scheme.params(&Graph::new(config).unwrap());
    let stored = named.into_iter().map(|named| {
        let mut values = synthetic::values(&named.param.name, &named.param.shape);
        change(&named.param.name, &mut values);
        let values = match named.param.shape[..] {
            [rows, columns] if named.transposed => {
                (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
            }
            _ => values,
        };
        (named.key.clone(), named.shape(), values)
    });
    let bytes = weights_file::safetensors(stored.collect(), Encoding::F32, None);
    WeightsFile::from_checkpoint("it", Checkpoint::from_bytes(bytes).unwrap()).unwrap()
}

fn written(conversion: &Conversion<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    conversion.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, conversion.byte_count());
    bytes
}

#[test]
fn names_and_values_are_canonical_whatever_the_scheme() {
    for scheme in [Scheme::PyTorch, Scheme::Bare, Scheme::PaddleClas, Scheme::Notebook] {
        let weights = stored(&small(), scheme, |_, _| {});
        let bytes = written(&Conversion::new(&weights, &ConversionOptions::default()).unwrap());
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let params = Graph::new(&small()).unwrap().params();
        assert_eq!(file.len(), params.len());
        for param in params {
            let tensor = file.tensor(&param.name).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &param.shape[..]));
            let expected: Vec<u8> =
                synthetic::values(&param.name, &param.shape).into_iter().flat_map(f32::to_le_bytes).collect();
            assert_eq!(tensor.data(), expected, "{scheme} {}", param.name);
        }
    }
}

#[test]
fn the_header_is_padded_and_has_one_key_of_metadata() {
    let weights = stored(&small(), Scheme::PyTorch, |_, _| {});
    for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
        let labels: Vec<String> = ["\"a\\", "b\n", "\u{e9}"].map(String::from).to_vec();
        let pipeline = json!({"resize": 32, "crop": 24});
        let options =
            ConversionOptions::default().precision(precision).labels(labels.clone()).pipeline(pipeline.clone());
        let conversion = Conversion::new(&weights, &options).unwrap();
        let bytes = written(&conversion);
        let (length, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(length % 8, 0);
        let texts = header.metadata().as_ref().unwrap();
        assert_eq!(texts.keys().collect::<Vec<_>>(), ["hardnet"]);
        let metadata = Metadata::from_json(&texts["hardnet"]).unwrap();
        assert_eq!(&metadata, conversion.metadata());
        assert_eq!((metadata.config, metadata.labels, metadata.pipeline), (small(), Some(labels), Some(pipeline)));
        assert_eq!(metadata.scheme.as_deref(), Some("pytorch"));
        let source = metadata.source.unwrap();
        assert_eq!((source.sha256, source.format.as_str()), (weights.sha256().unwrap(), "safetensors"));
        assert_eq!(metadata.tool.as_deref(), Some(concat!("hardnet ", env!("CARGO_PKG_VERSION"))));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_a_second_conversion_the_same_values() {
    let weights = stored(&small(), Scheme::Notebook, |_, _| {});
    let labels: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
    let once = written(&Conversion::new(&weights, &ConversionOptions::default().labels(labels.clone())).unwrap());
    assert_eq!(
        once,
        written(&Conversion::new(&weights, &ConversionOptions::default().labels(labels.clone())).unwrap())
    );
    let again = WeightsFile::from_checkpoint("again", Checkpoint::from_bytes(once.clone()).unwrap()).unwrap();
    assert_eq!(again.config(), &small().with_stem_padding(StemPadding::TopLeft));
    let conversion = Conversion::new(&again, &ConversionOptions::default()).unwrap();
    assert_eq!(conversion.metadata().labels, Some(labels));
    let twice = written(&conversion);
    let data = |bytes: &[u8]| bytes[8 + SafeTensors::read_metadata(bytes).unwrap().0..].to_vec();
    assert!(data(&once) == data(&twice));
}

#[test]
fn values_beyond_the_type_are_an_error_that_names_every_tensor() {
    let weights = stored(&small(), Scheme::PyTorch, |name, values| match name {
        "base.0.norm.bias" => values[1] = 65_520.0,
        "base.1.conv.weight" => values[0] = -1e30,
        "base.1.norm.bias" => values[0] = 65_519.0,
        _ => {}
    });
    let error = |precision| {
        Conversion::new(&weights, &ConversionOptions::default().precision(precision)).unwrap().write(std::io::sink())
    };
    assert_eq!(
        error(Precision::F16).unwrap_err().to_string(),
        "2 tensors of `it` have values that overflow f16 (`base.0.norm.bias`, `base.1.conv.weight`)"
    );
    error(Precision::Bf16).unwrap();
    error(Precision::F32).unwrap();
}

#[test]
fn class_names_are_counted() {
    let weights = stored(&small(), Scheme::PyTorch, |_, _| {});
    let error =
        Conversion::new(&weights, &ConversionOptions::default().labels(vec!["a".into()])).unwrap_err().to_string();
    assert_eq!(error, "1 class names for a network of 3 classes");
}

#[test]
fn precisions_are_parsed_by_their_names() {
    for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
        assert_eq!(precision.to_string().parse::<Precision>().unwrap(), precision);
    }
    let error = "f64".parse::<Precision>().unwrap_err().to_string();
    assert_eq!(error, "unknown type `f64`, expected f32, f16 or bf16");
}

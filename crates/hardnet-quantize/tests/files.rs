//! Files of quantized networks: what is written is read, and what cannot be is refused by name.

use hardnet_graph::{Config, Graph, ParamKind, Variant};
use hardnet_params::synthetic::Synthetic;
use hardnet_params::{
    Conversion, ConversionOptions, Differences, Error, Metadata, Parameters, Quantization, QuantizedParameters,
    WeightsFile, WeightsOptions, write_quantized,
};
use hardnet_quantize::{QuantizeOptions, Quantized, quantize};
use serde_json::{Value, json};

/// A small network of one block, with or without depthwise convolutions.
fn config(depthwise: bool) -> Config {
    let variant = if depthwise { Variant::HarDNet39Ds } else { Variant::HarDNet68 };
    let mut config = Config::from(variant).with_classes(3);
    config.blocks.truncate(1);
    config
}

fn metadata(depthwise: bool) -> Metadata {
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let mut metadata = Metadata::new(config(depthwise)).labels(names).pipeline("pil-bicubic");
    metadata.quantization = Some(Quantization::new("without images", 0));
    metadata
}

fn quantized(depthwise: bool) -> Quantized {
    let graph = Graph::new(&config(depthwise)).unwrap();
    quantize(&graph, &Synthetic, &QuantizeOptions::default()).unwrap()
}

fn bytes(depthwise: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_quantized(&metadata(depthwise), &quantized(depthwise), &mut bytes).unwrap();
    bytes
}

fn open(bytes: Vec<u8>) -> hardnet_params::Result<WeightsFile> {
    WeightsFile::from_bytes("q", bytes)
}

fn assert_same(found: &dyn QuantizedParameters, expected: &Quantized, graph: &Graph) {
    for node in graph.nodes() {
        assert_eq!(found.map(&node.name), expected.map(&node.name), "{}", node.name);
        assert_eq!(found.units(&node.name), expected.units(&node.name), "{}", node.name);
        assert_eq!(found.layer(&node.name).unwrap(), expected.layer(&node.name).unwrap(), "{}", node.name);
    }
    for param in graph.params() {
        match (found.values(&param), expected.values(&param)) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{}", param.name),
            (found, expected) => {
                assert_eq!(found.unwrap_err().to_string(), expected.unwrap_err().to_string(), "{}", param.name);
            }
        }
    }
}

#[test]
fn what_is_written_is_read_to_the_bit() {
    for depthwise in [false, true] {
        let (bytes, expected) = (bytes(depthwise), quantized(depthwise));
        let graph = Graph::new(&config(depthwise)).unwrap().inference();
        let file = open(bytes.clone()).unwrap();
        assert_eq!(file.config(), &config(depthwise));
        let metadata = file.metadata().unwrap();
        assert_eq!(
            (metadata.labels.as_ref().unwrap().len(), metadata.pipeline.clone()),
            (3, Some("pil-bicubic".into()))
        );
        let quantization = file.quantization().unwrap();
        assert_eq!((quantization.method.as_str(), quantization.images), ("without images", 0));
        assert_same(&file.parameters(), &expected, &graph);
        let mut again = Vec::new();
        write_quantized(metadata, &file.parameters(), &mut again).unwrap();
        assert_eq!(again, bytes);
        assert_same(&file.into_parameters(), &expected, &graph);
    }
}

#[test]
fn the_file_is_a_quarter_of_that_in_f32() {
    for variant in [Variant::HarDNet39Ds, Variant::HarDNet68] {
        let config = Config::from(variant).with_classes(10);
        let graph = Graph::new(&config).unwrap();
        let options = QuantizeOptions::default().equalize(variant == Variant::HarDNet39Ds).clip_weights(false);
        let quantized = quantize(&graph, &Synthetic, &options).unwrap();
        let metadata = Metadata::new(config);
        let (mut small, mut large) = (Vec::new(), Vec::new());
        write_quantized(&metadata, &quantized, &mut small).unwrap();
        hardnet_params::write_weights(&metadata, &Synthetic, &mut large).unwrap();
        assert!(small.len() * 100 < large.len() * 27, "{variant}: {} of {}", small.len(), large.len());
    }
}

#[test]
fn where_floating_point_is_needed_integers_are_refused() {
    let file = open(bytes(true)).unwrap();
    let error = Conversion::new(&file, &ConversionOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "the weights of `q` are 8-bit integers, expected floating point");
    let options = WeightsOptions::default().variant(Variant::HarDNet68);
    let error = WeightsFile::from_bytes_with("q", bytes(true), &options).unwrap_err();
    assert!(matches!(error, Error::OtherNetwork { .. }), "{error}");
}

/// The header of a file as JSON, and its values.
fn parts(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), bytes[8 + length..].to_vec())
}

fn whole(header: &Value, values: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat()
}

/// A file with a changed header and changed values.
fn changed(change: impl FnOnce(&mut Value, &mut Value, &mut Vec<u8>)) -> hardnet_params::Result<WeightsFile> {
    let (mut header, mut values) = parts(&bytes(true));
    let own = &header["__metadata__"]["hardnet"];
    let mut metadata: Value = serde_json::from_str(own.as_str().unwrap()).unwrap();
    change(&mut header, &mut metadata, &mut values);
    header["__metadata__"]["hardnet"] = metadata.to_string().into();
    open(whole(&header, &values))
}

fn differences(change: impl FnOnce(&mut Value, &mut Value, &mut Vec<u8>)) -> Differences {
    match changed(change).unwrap_err() {
        Error::Mismatch { differences, .. } => *differences,
        error => panic!("{error}"),
    }
}

/// Overwrites the first four bytes of a tensor.
fn overwrite(header: &Value, values: &mut [u8], name: &str, with: [u8; 4]) {
    let start = header[name]["data_offsets"][0].as_u64().unwrap() as usize;
    values[start..start + 4].copy_from_slice(&with);
}

const LAYER: &str = "base.3.layers.0.layer1";

#[test]
fn a_file_without_changes_is_read() {
    changed(|_, _, _| {}).unwrap();
}

#[test]
fn tensors_that_are_missing_or_strange_are_named() {
    let scale = format!("{LAYER}.conv.scale");
    let found = differences(|header, _, _| {
        let tensor = header.as_object_mut().unwrap().remove(&scale).unwrap();
        header["base.3.strange"] = tensor;
    });
    assert_eq!((found.missing, found.unexpected), (vec![scale.clone()], vec!["base.3.strange".into()]));
    let found = differences(|header, _, _| {
        let shape = &mut header[format!("{LAYER}.conv.weight")]["shape"];
        *shape = json!([shape[1].clone(), shape[0].clone(), 1, 1]);
    });
    assert_eq!(found.misshaped.len(), 1);
    // Integers of another type are not weights: the layer is then one in f32, which the file does not have.
    let found = differences(|header, _, _| header[format!("{LAYER}.conv.weight")]["dtype"] = "U8".into());
    assert!(found.unreadable.len() == 1 && found.missing.len() == 4, "{found:?}");
    let found = differences(|header, _, _| {
        header[&scale]["dtype"] = "F16".into();
        let shape = header[&scale]["shape"][0].as_u64().unwrap();
        header[&scale]["shape"] = json!([2 * shape]);
    });
    assert_eq!(found.count(), 1);
    let found = differences(|header, _, _| header[&scale]["dtype"] = "I32".into());
    assert_eq!(found.invalid, [(scale.clone(), "is i32, expected f32".into())]);
}

#[test]
fn values_that_cannot_be_are_named() {
    let [weight, scale, bias] = ["weight", "scale", "bias"].map(|leaf| format!("{LAYER}.conv.{leaf}"));
    let found = differences(|header, _, values| overwrite(header, values, &weight, [1, 2, 128, 3]));
    assert_eq!(found.invalid, [(weight, "has the value -128, expected -127 to 127".into())]);
    for value in [0.0_f32, -1.0, 1e-38, 1e38] {
        let found = differences(|header, _, values| overwrite(header, values, &scale, value.to_le_bytes()));
        assert_eq!(found.invalid, [(scale.clone(), "has scales that are not from 1e-30 to 1e30".into())], "{value}");
    }
    for (name, value) in [(&scale, f32::NAN), (&bias, f32::INFINITY), (&bias, f32::NAN)] {
        let found = differences(|header, _, values| overwrite(header, values, name, value.to_le_bytes()));
        assert_eq!(found.not_finite, std::slice::from_ref(name));
    }
    let found = differences(|header, _, values| overwrite(header, values, &bias, 3e38_f32.to_le_bytes()));
    assert_eq!(found.invalid[0].1, format!("overflows in steps of the map of `{LAYER}`"));
    let unit = format!("{LAYER}.unit.scale");
    let found = differences(|header, _, values| overwrite(header, values, &unit, 0.0_f32.to_le_bytes()));
    assert_eq!(found.invalid[0].0, unit);
    let found = differences(|header, _, values| {
        overwrite(header, values, "base.0.norm.running_var", (-1.0_f32).to_le_bytes());
    });
    assert_eq!(found.negative, ["base.0.norm.running_var"]);
}

#[test]
fn maps_that_cannot_be_are_named() {
    let maps = |metadata: &mut Value, change: &dyn Fn(&mut Value)| change(&mut metadata["quantization"]["maps"]);
    for scale in [0.0, -1.0, 1e39, 1e-39] {
        let found = differences(|_, metadata, _| maps(metadata, &|maps| maps[LAYER]["scale"] = scale.into()));
        assert_eq!(found.invalid[0].1, "has a map whose scale is not from 1e-30 to 1e30", "{scale}");
    }
    let found = differences(|_, metadata, _| maps(metadata, &|maps| maps["base.99"] = maps[LAYER].clone()));
    assert_eq!(found.invalid, [("base.99".into(), "has a quantized map, and the network does not have it".into())]);
    let found = differences(|_, metadata, _| maps(metadata, &|maps| maps["image"] = maps[LAYER].clone()));
    assert_eq!(found.invalid, [("image".into(), "has a quantized map, expected one of f32".into())]);
    let linked = "base.3.layers.0.layer2";
    let found = differences(|_, metadata, _| maps(metadata, &|maps| maps[linked]["scale"] = 0.5.into()));
    let reason = "adds up integers, expected maps of one scale";
    assert!(!found.invalid.is_empty() && found.invalid.iter().all(|(_, found)| found == reason), "{found:?}");
    let found = differences(|_, metadata, _| {
        maps(metadata, &|maps| drop(maps.as_object_mut().unwrap().remove(linked)));
    });
    assert!(!found.invalid.is_empty() && found.invalid.iter().all(|(_, found)| found == reason), "{found:?}");
    for zero_point in [json!(256), json!(-1), json!("0")] {
        let error = changed(|_, metadata, _| maps(metadata, &|maps| maps[LAYER]["zero_point"] = zero_point.clone()));
        assert!(matches!(error, Err(Error::Metadata { .. })), "{zero_point}");
    }
}

#[test]
fn descriptions_that_cannot_be_are_refused() {
    let values = [
        json!(3),
        json!([]),
        json!({}),
        json!({ "method": 3 }),
        json!({ "method": "mse", "images": -1 }),
        json!({ "method": "mse", "maps": [] }),
        json!({ "method": "mse", "maps": { LAYER: {} } }),
        json!({ "method": "mse", "maps": { LAYER: { "scale": null, "zero_point": 0 } } }),
        json!({ "method": "mse", "maps": { LAYER: { "scale": "0.02", "zero_point": 0 } } }),
    ];
    for value in values {
        let error = changed(|_, metadata, _| metadata["quantization"] = value.clone()).unwrap_err();
        assert!(matches!(error, Error::Metadata { .. }), "{value}: {error}");
    }
    // Without maps, nothing says how the bytes that integer layers read are meant.
    let found = differences(|_, metadata, _| metadata["quantization"]["maps"] = json!({}));
    assert!(found.invalid.iter().any(|(_, reason)| reason == "adds up integers, expected maps of one scale"));
    // Without a quantization, integers are not weights.
    let found = differences(|_, metadata, _| drop(metadata.as_object_mut().unwrap().remove("quantization")));
    assert!(found.unreadable.iter().any(|(name, dtype)| name == &format!("{LAYER}.conv.weight") && dtype == "i8"));
}

/// Damaged at any place, a file is refused or read, and never ends the program.
#[test]
fn damage_anywhere_is_an_error_or_a_file() {
    let bytes = bytes(true);
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for at in (0..8 + length).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x11;
        if let Ok(file) = open(damaged) {
            let graph = Graph::new(file.config()).unwrap();
            let parameters = file.into_parameters();
            for param in graph.params().iter().filter(|param| param.kind == ParamKind::ConvWeight) {
                let layer = parameters.layer(&graph.nodes()[param.node].name).unwrap();
                assert!(layer.is_none_or(|layer| layer.weights.len() == param.count()));
            }
        }
    }
    for end in (0..bytes.len()).step_by(bytes.len() / 50) {
        assert!(open(bytes[..end].to_vec()).is_err());
    }
}

//! ONNX files of other programs hold the parameters that their networks were made with.
//!
//! `tests/onnx/make_files.py` wrote them, from the weights of `synthetic`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hardnet_checkpoint::{Checkpoint, Format};
use hardnet_graph::{Config, Graph, ParamInfo, ParamKind, StemPadding};
use hardnet_onnx::{Export, ExportOptions, Norm};

use crate::{Error, Metadata, Parameters, WeightsFile, WeightsOptions, synthetic};

const NETWORKS: [&str; 2] = ["dense", "depthwise"];
/// Both exporters of PyTorch, the older one with normalization and without, and Paddle2ONNX.
const FILES: [(&str, &str); 6] = [
    ("dense", "unfolded"),
    ("dense", "dynamo"),
    ("dense", "paddle"),
    ("depthwise", "torchscript"),
    ("depthwise", "dynamo"),
    ("depthwise", "paddle"),
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx").join(name)
}

fn config(network: &str) -> Config {
    let json = std::fs::read_to_string(path("networks.json")).unwrap();
    let all: HashMap<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
    serde_json::from_value(all[network]["config"].clone()).unwrap()
}

/// Scale and shift of each normalization, and the weights of each layer times the scale.
fn effective(graph: &Graph, values: impl Fn(&ParamInfo) -> Vec<f32>) -> Vec<(String, Vec<f64>)> {
    let params = graph.params();
    let mut all = Vec::new();
    for (id, node) in graph.nodes().iter().enumerate() {
        let of = |kind| params.iter().find(|param| param.node == id && param.kind == kind).map(&values);
        let doubles = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let Some(weight) = of(ParamKind::ConvWeight) else {
            let linear = [ParamKind::LinearWeight, ParamKind::LinearBias].into_iter().filter_map(of);
            all.extend(linear.map(|values| (node.name.clone(), doubles(values))));
            continue;
        };
        let norm = [ParamKind::NormWeight, ParamKind::NormBias, ParamKind::RunningMean, ParamKind::RunningVar];
        let [gamma, beta, mean, variance] = norm.map(|kind| of(kind).unwrap());
        let (scale, shift) = node.after.norm.unwrap().scale_and_shift(&gamma, &beta, &mean, &variance);
        let rows = weight.chunks(weight.len() / scale.len()).zip(&scale);
        let scaled = rows.flat_map(|(row, scale)| row.iter().map(move |&weight| f64::from(weight) * scale));
        all.push((node.name.clone(), scaled.collect()));
        all.push((node.name.clone(), shift));
    }
    all
}

#[track_caller]
fn agree(graph: &Graph, file: &WeightsFile) {
    let parameters = file.parameters();
    let found = effective(graph, |param| parameters.values(param).unwrap());
    let expected = effective(graph, |param| synthetic::values(&param.name, &param.shape));
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        assert_eq!(found.len(), expected.len(), "{name}");
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 2e-6, "{name} of {} differs by {worst}", file.path().display());
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn files_of_other_programs_hold_the_parameters() {
    for (network, program) in FILES {
        let config = config(network);
        let options = WeightsOptions::default().config(config.clone());
        let file = WeightsFile::open_with(path(&format!("{network}.{program}.onnx")), &options);
        let file = file.unwrap_or_else(|error| panic!("{network} by {program}: {error}"));
        assert_eq!((file.checkpoint().format(), file.config().classes()), (Format::Onnx, 3));
        agree(&Graph::new(&config).unwrap(), &file);
        let streamed = WeightsFile::open_with(file.path(), &options.streamed(true)).unwrap();
        agree(&Graph::new(&config).unwrap(), &streamed);
        assert_eq!(streamed.checkpoint().tensors(), file.checkpoint().tensors());
    }
}

/// Our own files tell their network, in every form.
#[test]
fn files_of_our_own_hold_the_parameters() {
    for network in NETWORKS {
        let config = config(network).with_stem_padding(StemPadding::TopLeft);
        let graph = Graph::new(&config).unwrap();
        for norm in [Norm::Folded, Norm::Kept] {
            let options = ExportOptions::default().size(32, 32).norm(norm).softmax(norm == Norm::Kept);
            let options = options.metadata("hardnet", Metadata::new(config.clone()).to_json());
            let mut bytes = Vec::new();
            let mut values = |param: &ParamInfo| Ok(synthetic::values(&param.name, &param.shape));
            Export::new(&graph, &options).unwrap().write(&mut values, &mut bytes).unwrap();
            let file = WeightsFile::from_bytes("own.onnx", bytes.clone()).unwrap();
            assert_eq!((file.config(), file.sha256().unwrap()), (&config, hardnet_base::sha256(&bytes)));
            agree(&graph, &file);
            let graph = Graph::new(file.config()).unwrap();
            let owned = file.into_parameters();
            for param in graph.params() {
                assert_eq!(owned.values(&param).unwrap().len(), param.count());
            }
        }
    }
}

/// Without a description, a file is compared with the published networks, and the first difference is named.
#[test]
fn another_network_is_named_with_its_first_difference() {
    let error = WeightsFile::open(path("dense.unfolded.onnx")).unwrap_err();
    assert!(matches!(error, Error::Layers { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("dense.unfolded.onnx` does not hold hardnet68: `base.0` is node `/base/"), "{text}");
    assert!(text.ends_with("the shape of `base.0.conv.weight` is [4, 3, 3, 3], expected [32, 3, 3, 3]"), "{text}");
    let other = config("depthwise").with_stem_padding(StemPadding::TopLeft);
    let options = WeightsOptions::default().config(other);
    let text = WeightsFile::open_with(path("depthwise.dynamo.onnx"), &options).unwrap_err().to_string();
    assert!(text.contains("does not hold a network of its own") && text.contains("its padding is"), "{text}");
    // The file itself is a table of tensors all the same.
    let checkpoint = Checkpoint::open(path("dense.unfolded.onnx")).unwrap();
    assert!(checkpoint.tensors().iter().any(|tensor| tensor.name == "base.6.3.weight"));
}

//! Exported graphs are those of `tests/golden/build_onnx.py`, which shares no code with this crate.
//!
//! `oracle/make_graphs.py` wrote its graphs as text.

use std::collections::HashMap;
use std::path::Path;

use hardnet_graph::{Config, Graph, Variant};
use hardnet_onnx::{Attribute, Batch, Export, ExportOptions, Model, Norm};

/// The lines of `make_graphs.py`.
fn lines(model: &Model<'_>) -> Vec<String> {
    let initializers: HashMap<&str, &[usize]> =
        model.initializers.iter().map(|tensor| (tensor.info.name.as_str(), &tensor.info.dims[..])).collect();
    let mut written = HashMap::from([(model.inputs[0].name.clone(), "image".to_owned())]);
    let mut lines = Vec::new();
    for (number, node) in model.nodes.iter().enumerate() {
        let mut words = vec![node.op.clone()];
        let mut before = None;
        for (name, dims) in node.inputs.iter().filter_map(|name| Some((name, *initializers.get(name.as_str())?))) {
            let module = name.rsplit_once('.').unwrap();
            words.push(match name.as_str() {
                "relu6.min" => "0".into(),
                "relu6.max" => "6".into(),
                _ if before == Some((module.0, dims)) => format!(".{}", module.1),
                _ => format!("{name}[{}]", list(dims)),
            });
            before = Some((module.0, dims));
        }
        let mut attributes: Vec<_> = node.attributes.iter().map(|(name, value)| (name, text(value))).collect();
        attributes.sort();
        let defaults = [("group", "1"), ("pads", "0,0,0,0"), ("dilations", "1,1")];
        attributes.retain(|(name, value)| !defaults.contains(&(name.as_str(), value.as_str())));
        words.extend(attributes.iter().map(|(name, value)| format!("{name}={value}")));
        words.push("<".into());
        words.extend(
            node.inputs
                .iter()
                .filter(|name| !initializers.contains_key(name.as_str()))
                .map(|name| written[name].clone()),
        );
        lines.push(words.join(" "));
        written.insert(node.outputs[0].clone(), number.to_string());
    }
    lines
}

fn list<T: ToString>(numbers: &[T]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn text(value: &Attribute<'_>) -> String {
    match value {
        Attribute::Int(number) => number.to_string(),
        Attribute::Ints(numbers) => list(numbers),
        Attribute::Float(number) if *number == 1e-5 => "1e-05".into(),
        other => panic!("no node has {other:?}"),
    }
}

fn oracle(variant: Variant) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/oracle/{variant}.txt"));
    std::fs::read_to_string(path).unwrap().lines().map(Into::into).collect()
}

fn export(variant: Variant, norm: Norm) -> Vec<String> {
    let graph = Graph::new(&Config::from(variant)).unwrap();
    let options = ExportOptions::default().opset("13".parse().unwrap()).batch(Batch::Dynamic).norm(norm);
    lines(Export::new(&graph, &options).unwrap().model())
}

#[test]
fn graphs_with_normalization_are_those_of_the_oracle() {
    for variant in Variant::ALL {
        let (found, expected) = (export(variant, Norm::Kept), oracle(variant));
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{variant}, line {number}");
        }
        assert_eq!(found.len(), expected.len(), "{variant}");
    }
}

/// Folding takes the normalizations out and gives the convolutions a bias; nothing else changes.
#[test]
fn folded_graphs_are_those_of_the_oracle_without_normalization() {
    for variant in Variant::ALL {
        let mut expected: Vec<String> = Vec::new();
        // The new line of each old one.
        let mut moved: Vec<String> = Vec::new();
        for line in oracle(variant) {
            let (what, reads) = line.split_once(" <").unwrap();
            let reads = reads.split_whitespace();
            let reads: Vec<String> =
                reads.map(|read| read.parse().map_or("image".into(), |at: usize| moved[at].clone())).collect();
            if what.starts_with("BatchNormalization") {
                moved.push(reads[0].clone());
                continue;
            }
            let mut words: Vec<String> = what.split(' ').map(Into::into).collect();
            if words[0] == "Conv" {
                let (name, shape) = words[1].split_once(".weight[").unwrap();
                let bias = format!("{name}.bias[{}]", shape.split(',').next().unwrap());
                words.insert(2, bias);
            }
            moved.push(expected.len().to_string());
            expected.push(format!("{} < {}", words.join(" "), reads.join(" ")));
        }
        assert_eq!(export(variant, Norm::Folded), expected, "{variant}");
    }
}

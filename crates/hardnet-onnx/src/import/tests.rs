//! Models that are not the networks they are read for, and models that make no sense.

use hardnet_graph::{BlockConfig, Config, Graph, Op, ParamKind, Stem, StemConv, StemPadding};

use super::*;
use crate::model::{Attribute, ElementType, Model, Node, Tensor, TensorInfo};
use crate::{Export, ExportOptions, IntegerLayer, Norm, Quantization};

fn config() -> Config {
    let convs = [(4, 2), (6, 1)].map(|(channels, stride)| StemConv { channels, kernel: 3, stride }).to_vec();
    let stem = Stem { convs, padding: StemPadding::Symmetric, downsample: true };
    let block = BlockConfig { layers: 4, growth: 4, multiplier: 1.7, dropout: None, transition: 8, downsample: true };
    Config::new(3, stem, vec![block]).with_classes(5)
}

/// The model of [`config`], with elements.
fn model(norm: Norm) -> Model<'static> {
    let graph = Graph::new(&config()).unwrap();
    let mut model = Export::new(&graph, &ExportOptions::default().norm(norm)).unwrap().model().clone();
    for tensor in &mut model.initializers {
        let value = if tensor.info.name == "relu6.max" { 6_f32 } else { 0.0 };
        tensor.bytes = value.to_le_bytes().repeat(tensor.info.count().unwrap()).into();
    }
    model
}

/// Reads the parameters of [`config`]; the error in words.
fn read(model: &Model<'_>) -> Result<usize, String> {
    let graph = Graph::new(&config()).unwrap();
    let parameters = Layers::new(model).and_then(|layers| layers.parameters(&graph));
    parameters.map(|parameters| parameters.len()).map_err(|error| error.to_string())
}

/// The reason why a changed model is refused.
#[track_caller]
fn refused(change: impl FnOnce(&mut Model<'static>), reason: &str) {
    let mut model = model(Norm::Kept);
    change(&mut model);
    let error = read(&model).unwrap_err();
    assert!(error.contains(reason), "expected {reason:?} in {error:?}");
}

/// Changes the node `name`.
fn with(name: &'static str, change: impl FnOnce(&mut Node<'static>)) -> impl FnOnce(&mut Model<'static>) {
    move |model| {
        let at = model.nodes.iter().position(|node| node.name == name).unwrap();
        change(&mut model.nodes[at]);
    }
}

fn set(node: &mut Node<'static>, name: &str, value: Attribute<'static>) {
    node.attributes.retain(|(own, _)| own != name);
    node.attributes.push((name.into(), value));
}

#[test]
fn every_form_gives_every_parameter() {
    let expected = Graph::new(&config()).unwrap().params().len();
    for norm in [Norm::Kept, Norm::Folded] {
        assert_eq!(read(&model(norm)), Ok(expected));
        let model = model(norm);
        assert_eq!(Layers::new(&model).unwrap().classes(), 5);
    }
}

#[test]
fn layers_of_another_network_are_named() {
    refused(with("base.0.conv", |node| set(node, "strides", Attribute::Ints(vec![1, 1]))), "its stride is [1, 1]");
    refused(with("base.1.conv", |node| set(node, "pads", Attribute::Ints(vec![1, 1, 0, 0]))), "its padding is");
    refused(with("base.1.conv", |node| set(node, "dilations", Attribute::Ints(vec![2, 2]))), "its dilation is [2, 2]");
    refused(with("base.1.conv", |node| set(node, "group", Attribute::Int(2))), "its number of groups is 2");
    refused(with("base.1.norm", |node| set(node, "epsilon", Attribute::Float(1e-3))), "its epsilon is 0.001");
    refused(with("base.2", |node| node.op = "AveragePool".into()), "zeros of its padding do not count");
    refused(with("base.5", |node| node.op = "AveragePool".into()), "its kind is Average, expected Max");
    refused(with("base.2", |node| set(node, "ceil_mode", Attribute::Int(1))), "its last window is true");
    refused(with("base.0.relu", |node| node.op = "Relu".into()), "its activation is Some(Relu), expected Some(Relu6)");
    // A link that is missing, and links in another order.
    let link = "base.3.layers.1.concat";
    refused(with(link, |node| node.inputs.reverse()), "it reads other layers than the network's");
    refused(with(link, |node| drop(node.inputs.pop())), "it reads other layers than the network's");
    refused(with(link, |node| set(node, "axis", Attribute::Int(2))), "it does not join channels");
    refused(|model| model.outputs[0].name = "base.4".into(), "the model's first output is another map");
    refused(|model| drop(model.nodes.drain(model.nodes.len() - 3..)), "the first output is not a map");
    let part = |model: &mut Model<'static>| {
        model.nodes.truncate(model.nodes.len() - 3);
        model.outputs[0].name = "base.5".into();
    };
    refused(part, "the model ends before `base.6.0`, expected a whole network");
    let four = crate::model::Dim::Fixed(4);
    refused(|model| model.inputs[0].dims[1] = four, "it has 4 channels, expected 3");
}

#[test]
fn models_that_make_no_sense_are_refused() {
    let last = "base.6.3";
    // A cycle: a node reads what a later one writes.
    refused(
        with("base.0.conv", |node| node.inputs[0] = "logits".into()),
        "it reads `logits`, which no earlier node writes",
    );
    refused(with("base.0.conv", |node| node.inputs[0] = "base.0.conv".into()), "no earlier node writes");
    refused(with("base.1.conv", |node| node.outputs[0] = "base.0".into()), "another node or constant has the name");
    refused(
        with("base.1.conv", |node| {
            node.outputs.clear();
            node.name.clear();
        }),
        "it has no output",
    );
    refused(with("base.1.conv", |node| node.inputs[1] = "base.0".into()), "its weight is not a constant");
    refused(with("base.1.conv", |node| node.inputs.truncate(1)), "its weight is not a constant");
    refused(
        with("base.1.conv", |node| node.inputs[0] = "base.0.conv".into()),
        "before its normalization or activation",
    );
    refused(with("base.1.conv", |node| node.op = "ConvTranspose".into()), "which HarDNets do not have");
    refused(with("base.1.conv", |node| node.domain = "mine".into()), "which HarDNets do not have");
    refused(
        with("base.1.conv", |node| set(node, "auto_pad", Attribute::Text("SAME_UPPER".into()))),
        "its padding depends",
    );
    refused(with("base.1.conv", |node| set(node, "pads", Attribute::Ints(vec![-1; 4]))), "`pads` is not 4 numbers");
    refused(with("base.1.conv", |node| set(node, "pads", Attribute::Ints(vec![1]))), "`pads` is not 4 numbers");
    refused(with("base.1.conv", |node| set(node, "group", Attribute::Int(-1))), "`group` is below zero");
    refused(
        with("base.1.conv", |node| set(node, "kernel_shape", Attribute::Ints(vec![5, 5]))),
        "not that of its weight",
    );
    refused(with("base.1.relu", |node| node.inputs[2] = "relu6.min".into()), "its bounds are not 0 and 6");
    refused(
        with("base.1.relu", |node| node.inputs[2] = "base.1.norm.weight".into()),
        "a bound of it is not one number",
    );
    refused(with(last, |node| set(node, "alpha", Attribute::Float(2.0))), "it scales or transposes");
    refused(with(last, |node| set(node, "transB", Attribute::Int(0))), "is [5, 8], expected [8, 5]");
    refused(with("base.6.1", |node| node.inputs[0] = "base.5".into()), "it does not follow the mean");
    refused(|model| model.inputs.clear(), "it has no input");
    refused(|model| model.initializers.push(model.initializers[0].clone()), "two initializers have this name");
    refused(|model| model.initializers[0].info.dims.truncate(2), "does not have four extents");
}

/// Nodes that join all maps so far double their number each time: memory has a bound.
#[test]
fn maps_that_are_joined_over_and_over_are_refused() {
    let mut model = model(Norm::Folded);
    let mut name = "base.0".to_owned();
    for number in 0..64 {
        let output = format!("twice.{number}");
        model.nodes.push(Node {
            op: "Concat".into(),
            inputs: vec![name.clone(), name],
            outputs: vec![output.clone()],
            attributes: vec![("axis".into(), Attribute::Int(1))],
            ..Node::default()
        });
        name = output;
    }
    assert!(read(&model).unwrap_err().contains("joins more maps than a HarD"), "{:?}", read(&model));
}

/// Other exporters leave nodes that compute nothing, give constants other names, and write the head in other ways.
#[test]
fn other_ways_to_write_a_network_are_read() {
    let expected = Graph::new(&config()).unwrap().params().len();
    let mut model = model(Norm::Folded);
    let at = model.nodes.iter().position(|node| node.name == "base.6.0").unwrap();
    let weight = model.initializers.iter().position(|tensor| tensor.info.name == "base.6.3.weight").unwrap();
    let transposed = TensorInfo { name: "w".into(), element: ElementType::F32, dims: vec![8, 5] };
    let constant = Tensor { info: transposed, bytes: model.initializers[weight].bytes.clone(), place: None };
    let make = |op: &str, inputs: &[&str], output: &str| Node {
        op: op.into(),
        inputs: inputs.iter().map(|&name| name.into()).collect(),
        outputs: vec![output.into()],
        ..Node::default()
    };
    model.nodes.truncate(at);
    let axes = Attribute::Ints(vec![2, 3]);
    let mean = Node { attributes: vec![("axes".into(), axes)], ..make("ReduceMean", &["base.5"], "mean") };
    let stored = Node { attributes: vec![("value".into(), Attribute::Tensor(constant))], ..make("Constant", &[], "w") };
    model.nodes.extend([
        stored,
        make("Identity", &["w"], "w.again"),
        mean,
        make("Shape", &["mean"], "shape"),
        make("Reshape", &["mean", "shape"], "flat"),
        make("Dropout", &["flat"], "kept"),
        make("MatMul", &["kept", "w.again"], "product"),
        make("Add", &["product", "base.6.3.bias"], "sum"),
        make("Identity", &["sum"], "logits"),
    ]);
    assert_eq!(read(&model), Ok(expected));
    // Without the sum, there is no bias: zeros.
    model.nodes.retain(|node| node.op != "Add");
    model.nodes.last_mut().unwrap().inputs[0] = "product".into();
    assert_eq!(read(&model), Ok(expected));
}

/// The model of a network whose stem narrows to maps of both zero points, with layers of integers, and these.
fn quantized() -> (Model<'static>, Vec<(String, IntegerLayer)>, Graph) {
    let graph = Graph::new(&config()).unwrap();
    let inference = graph.inference();
    let params = inference.params();
    let mut quantization = Quantization::default();
    let mut layers = Vec::new();
    for (id, node) in inference.nodes().iter().enumerate() {
        let zero_point = if id % 3 == 1 { 128 } else { 0 };
        match node.op {
            Op::Conv(_) => quantization = quantization.map(&node.name, 0.03125, zero_point),
            Op::Pool(_) => {
                let zero_point = if node.inputs[0] % 3 == 1 { 128 } else { 0 };
                quantization = quantization.map(&node.name, 0.03125, zero_point);
            }
            _ => {}
        }
        let weight = params.iter().find(|param| param.node == id && param.kind == ParamKind::ConvWeight);
        if let (Some(weight), true) = (weight, node.inputs != [0]) {
            quantization = quantization.layer(&node.name);
            let channels = weight.shape[0];
            layers.push((
                node.name.clone(),
                IntegerLayer {
                    weights: (0..weight.count()).map(|at| (at * 37 % 255) as u8 as i8).map(|w| w.max(-127)).collect(),
                    scale: (0..channels).map(|at| 0.03125 / (1 << (10 + at % 3)) as f32).collect(),
                    bias: (0..channels).map(|at| 0.25 * at as f32 - 0.5).collect(),
                },
            ));
        }
    }
    let export = Export::new(&graph, &ExportOptions::default().quantization(quantization)).unwrap();
    let mut file = Vec::new();
    let mut values = |param: &hardnet_graph::ParamInfo| Ok(vec![0.5; param.count()]);
    let mut layer = |name: &str| Ok(layers.iter().find(|(own, _)| own == name).unwrap().1.clone());
    export.write_quantized(&mut values, &mut layer, &mut file).unwrap();
    let file: &'static [u8] = file.leak();
    (Model::parse(file).unwrap(), layers, graph)
}

#[test]
fn layers_of_integers_come_back() {
    let (model, layers, graph) = quantized();
    let shifted = model.nodes.iter().filter(|node| node.name.ends_with(".shifted")).count();
    assert!(shifted > 0, "no maps of several zero points are joined");
    let found = Layers::new(&model).unwrap();
    assert!(found.is_quantized());
    let integers = found.integers(&graph, &mut |_| None).unwrap();
    assert_eq!(integers.len(), layers.len());
    for (found, (node, layer)) in integers.iter().zip(&layers) {
        assert!(found.param.name.starts_with(node.as_str()));
        // Every scale and bias is a whole number of units here.
        let weights: Vec<i8> = found.weight.bytes.iter().map(|weight| weight.cast_signed()).collect();
        assert_eq!((&weights, &found.scale, &found.bias), (&layer.weights, &layer.scale, &layer.bias), "{node}");
    }
    let floats = found.parameters(&graph).unwrap();
    assert_eq!(floats.len() + 5 * layers.len(), graph.params().len());
    let maps = found.maps(&graph);
    assert!(maps.iter().all(|(_, scale, _)| *scale == 0.03125) && maps.iter().any(|(.., zero)| *zero == 128));
}

/// The reason why a changed model of integers is refused.
#[track_caller]
fn refused_integers(change: impl FnOnce(&mut Model<'static>), reason: &str) {
    let (mut model, _, graph) = quantized();
    change(&mut model);
    let error = Layers::new(&model).and_then(|layers| {
        layers.parameters(&graph)?;
        layers.integers(&graph, &mut |_| None).map(|_| ())
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains(reason), "expected {reason:?} in {error:?}");
}

fn number(name: &'static str, value: f32) -> impl FnOnce(&mut Model<'static>) {
    move |model| {
        let tensor = model.initializers.iter_mut().find(|tensor| tensor.info.name == name).unwrap();
        tensor.bytes = value.to_le_bytes().repeat(tensor.info.count().unwrap()).into();
    }
}

#[test]
fn integers_that_make_no_sense_are_refused() {
    refused_integers(number("base.1.scale", f32::NAN), "its scale is not one number above zero");
    refused_integers(number("base.1.scale", 0.0), "its scale is not one number above zero");
    refused_integers(number("base.1.conv.weight.scale", -1.0), "a scale above zero for each output channel");
    refused_integers(number("base.1.conv.weight.scale", f32::INFINITY), "a scale above zero for each output channel");
    refused_integers(number("base.2.scale", 0.5), "expected one scale for all maps that are joined");
    refused_integers(with("base.1.conv.weight.dequantized", |node| set(node, "axis", Attribute::Int(1))), "its scales");
    refused_integers(
        with("base.1.dequantize", |node| node.inputs[1] = "base.1.conv.weight.scale".into()),
        "one number",
    );
    refused_integers(with("base.1.dequantize", |node| node.inputs[2] = "base.1.scale".into()), "one byte without sign");
    refused_integers(with("base.1.quantize", |node| node.inputs[0] = "base.1.conv".into()), "in another way");
    refused_integers(with("base.1.conv", |node| node.inputs[0] = "base.0.float".into()), "before it becomes bytes");
    refused_integers(
        with("base.1.conv", |node| node.inputs[0] = "base.0.quantized".into()),
        "bytes without their scale",
    );
    refused_integers(with("base.0.quantize", |node| node.inputs[0] = "input".into()), "it quantizes the image");
    let ones = |model: &mut Model<'static>| {
        let name = "base.1.conv.weight.zero_point";
        let tensor = model.initializers.iter_mut().find(|tensor| tensor.info.name == name).unwrap();
        tensor.bytes = vec![1; tensor.bytes.len()].into();
    };
    refused_integers(ones, "its zero points are not zero");
}

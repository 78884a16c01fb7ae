//! Forms of an export and their values.

use half::f16;
use hardnet_graph::{
    BlockConfig, Config, Conv, Graph, GraphBuilder, Padding, ParamInfo, ParamKind, Pointwise, Pool,
    SegmentationVariant, Stem, StemConv, StemPadding, TapKind, Taps, Variant,
};

use super::*;
use crate::model::{Attribute, Dim, ElementType, Value};

/// A network with one block of three layers and five classes.
fn small() -> Config {
    let convs = [(4, 2), (6, 1)].map(|(channels, stride)| StemConv { channels, kernel: 3, stride }).to_vec();
    let stem = Stem { convs, padding: StemPadding::Symmetric, downsample: true };
    let block =
        BlockConfig { layers: 3, growth: 4, multiplier: 1.7, dropout: Some(0.1), transition: 8, downsample: true };
    Config::new(3, stem, vec![block]).with_classes(5)
}

fn export(config: &Config, options: &ExportOptions) -> Export {
    Export::new(&Graph::new(config).unwrap(), options).unwrap()
}

/// Values that tell parameters apart.
fn values(param: &ParamInfo) -> std::result::Result<Vec<f32>, SourceError> {
    let start = param.name.bytes().map(usize::from).sum::<usize>() % 13;
    Ok((0..param.count()).map(|at| 0.25 + (start + at) as f32 / 16.0).collect())
}

fn written(export: &Export) -> Vec<u8> {
    let mut bytes = Vec::new();
    export.write(&mut values, &mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, export.byte_count());
    bytes
}

fn shown(values: &[Value]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// Every combination of options is read back as it was laid out.
#[test]
fn what_is_written_is_read_back() {
    let taps = Graph::new(&small()).unwrap().tapped(&Taps::Strides(vec![2, 4], TapKind::Block)).unwrap();
    for number in 13..=21 {
        for bits in 0..64 {
            let on = |bit: u32| bits >> bit & 1 == 1;
            let mut options = ExportOptions::default().opset(Opset::try_from(number).unwrap()).size(32, 40);
            options = options.dynamic_size(on(0)).metadata("a", "b").metadata("empty", "").description("words");
            options = options.batch(if on(1) { Batch::Dynamic } else { Batch::Fixed(3) });
            options = options.norm(if on(2) { Norm::Kept } else { Norm::Folded });
            options = options.precision(if on(3) { Precision::F16 } else { Precision::F32 });
            if on(4) {
                options = options.image(Image::new([0.5, 0.25, 0.75], [0.5; 3]));
            }
            options = if on(5) { options.features(taps.clone()) } else { options.softmax(number % 2 == 0) };
            let export = export(&small(), &options);
            let bytes = written(&export);
            let mut read = Model::parse(&bytes).unwrap();
            for tensor in &mut read.initializers {
                assert_eq!(Some(tensor.bytes.len()), tensor.info.byte_count());
                (tensor.bytes, tensor.place) = (Vec::new().into(), None);
            }
            assert_eq!(&read, export.model());
            assert_eq!((read.opset, read.metadata("a"), read.metadata("empty")), (number, Some("b"), Some("")));
        }
    }
}

#[test]
fn ir_versions_are_those_of_onnx_releases() {
    let versions: Vec<_> = (13..=21).map(|number| Opset::try_from(number).unwrap().ir_version()).collect();
    assert_eq!(versions, [7, 7, 8, 8, 8, 8, 9, 9, 10]);
}

#[test]
fn names_are_those_of_pytorch() {
    let export = export(&Config::from(Variant::HarDNet39Ds), &ExportOptions::default());
    let model = export.model();
    let names: Vec<_> = model.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names[..4], ["base.0.conv", "base.0.relu", "base.1.conv", "base.1.relu"]);
    for name in ["base.2.dwconv", "base.3.layers.0.layer1.conv", "base.3.layers.1.layer1.concat", "base.3.concat"] {
        assert!(names.contains(&name), "{name}");
    }
    assert_eq!(names[names.len() - 3..], ["base.14.0", "base.14.1", "base.14.3"]);
    // Maps are found under the names of modules.
    let maps: Vec<_> = model.values.iter().map(|value| value.to_string()).collect();
    for map in ["base.0: f32[1, 24, 112, 112]", "base.0.conv: f32[1, 24, 112, 112]", "base.3: f32[1, 72, 56, 56]"] {
        assert!(maps.contains(&map.to_owned()), "{map}");
    }
    assert_eq!(shown(&model.inputs), ["input: f32[1, 3, 224, 224]"]);
    assert_eq!(shown(&model.outputs), ["logits: f32[1, 1000]"]);
    let folded: Vec<_> = model.initializers.iter().take(2).map(|tensor| tensor.info.name.as_str()).collect();
    assert_eq!(folded, ["base.0.conv.weight", "base.0.conv.bias"]);
}

#[test]
fn nodes_that_compute_nothing_are_not_written() {
    for config in Variant::ALL.map(Config::from).into_iter().chain([Config::fc_hardnet70_encoder(), small()]) {
        let export = export(&config, &ExportOptions::default());
        let allowed =
            ["AveragePool", "Clip", "Concat", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "MaxPool", "Relu"];
        for node in &export.model().nodes {
            assert!(allowed.contains(&node.op.as_str()), "{node:?}");
            assert!(node.op != "Concat" || node.inputs.len() > 1, "{node:?}");
        }
    }
}

/// Interpolation to the size of another map, by a constant or by the map's shape; the padding of PaddleSeg's stem.
#[test]
fn segmentation_networks_are_resized() {
    let graph = |variant| Graph::new(&Config::from(variant)).unwrap();
    let fixed = ExportOptions::default().size(97, 131);
    for (variant, mode, pads) in [
        (SegmentationVariant::FcHarDNet70, "align_corners", vec![1, 1, 1, 1]),
        (SegmentationVariant::PaddleSeg, "half_pixel", vec![1, 1, 1, 1]),
    ] {
        let export = Export::new(&graph(variant), &fixed).unwrap();
        let model = export.model();
        assert_eq!(shown(&model.outputs), ["logits: f32[1, 19, 97, 131]"]);
        let last = model.nodes.last().unwrap();
        assert_eq!((last.name.as_str(), last.op.as_str(), last.inputs.len()), ("upsample", "Resize", 4));
        assert_eq!(last.attributes[0].1, Attribute::Text(mode.into()));
        let sizes = model.initializers.iter().find(|tensor| tensor.info.name == last.inputs[3]).unwrap();
        assert_eq!((sizes.info.element, &sizes.info.dims[..]), (ElementType::I64, &[4][..]));
        let conv = |name: &str| model.nodes.iter().find(|node| node.name == name).unwrap();
        assert_eq!(conv("finalConv").inputs[1..], ["finalConv.weight", "finalConv.bias"]);
        let padded = &conv("base.2.conv").attributes[3];
        assert_eq!(*padded, ("pads".to_owned(), Attribute::Ints(pads)), "{variant}");
        let bytes = written(&export);
        let read = Model::parse(&bytes).unwrap();
        let stored = read.initializers.iter().find(|tensor| tensor.info.name == last.inputs[3]).unwrap();
        let numbers: Vec<i64> =
            stored.bytes.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!(numbers, [1, 19, 97, 131]);
    }
    let even = Export::new(&graph(SegmentationVariant::PaddleSeg), &ExportOptions::default().size(64, 96)).unwrap();
    let conv = even.model().nodes.iter().find(|node| node.name == "base.2.conv").unwrap();
    assert_eq!(conv.attributes[3], ("pads".to_owned(), Attribute::Ints(vec![0, 0, 1, 1])));
    let free = ExportOptions::default().batch(Batch::Dynamic).dynamic_size(true);
    let export = Export::new(&graph(SegmentationVariant::PaddleSeg), &free).unwrap();
    let conv = export.model().nodes.iter().find(|node| node.name == "base.2.conv").unwrap();
    assert_eq!(conv.attributes[3], ("auto_pad".to_owned(), Attribute::Text("SAME_UPPER".into())));
    let count = |op: &str| export.model().nodes.iter().filter(|node| node.op == op).count();
    let resized = count("Resize");
    assert_eq!((count("Shape"), count("Slice")), (2 * resized, 2 * resized));
    let softmax = Export::new(&graph(SegmentationVariant::FcHarDNet70), &fixed.softmax(true)).unwrap();
    assert_eq!(shown(&softmax.model().outputs), ["probabilities: f32[1, 19, 97, 131]"]);
}

#[test]
fn sizes_and_batches_may_be_free() {
    let options = ExportOptions::default().batch(Batch::Dynamic);
    let model = export(&small(), &options).model;
    assert_eq!(shown(&model.inputs), ["input: f32[batch, 3, 224, 224]"]);
    assert_eq!(shown(&model.outputs), ["logits: f32[batch, 5]"]);
    let model = export(&small(), &options.dynamic_size(true)).model;
    assert_eq!(shown(&model.inputs), ["input: f32[batch, 3, height, width]"]);
    assert_eq!((shown(&model.outputs), model.values.len()), (vec!["logits: f32[batch, 5]".to_owned()], 0));
    let model = export(&small(), &ExportOptions::default().size(33, 47).batch(Batch::Fixed(2))).model;
    assert_eq!(shown(&model.inputs), ["input: f32[2, 3, 33, 47]"]);
}

#[test]
fn an_image_is_normalized_before_the_first_layer() {
    let image = || Image::new([0.5, 0.25, 0.75], [0.5, 0.25, 0.125]);
    let options = ExportOptions::default().size(32, 40).image(image());
    for (options, last) in [(options.clone(), "Div"), (options.precision(Precision::F16), "Cast")] {
        let model_of = export(&small(), &options);
        let model = model_of.model();
        assert_eq!(shown(&model.inputs), ["input: u8[1, 32, 40, 3]"]);
        let ops: Vec<_> = model.nodes.iter().map(|node| node.op.as_str()).take_while(|op| *op != "Conv").collect();
        assert_eq!((&ops[..4], ops[ops.len() - 1]), (&["Cast", "Transpose", "Sub", "Div"][..], last));
        let bytes = written(&model_of);
        let read = Model::parse(&bytes).unwrap();
        let constants: Vec<f32> = read.initializers[..2].iter().flat_map(|tensor| floats(&tensor.bytes)).collect();
        assert_eq!(constants, [127.5, 63.75, 191.25, 127.5, 63.75, 31.875]);
        assert_eq!(read.initializers[0].info.dims, [1, 3, 1, 1]);
    }
    let wrong = Image { mean: vec![0.0; 3], std: vec![1.0] };
    let error = Export::new(&Graph::new(&small()).unwrap(), &ExportOptions::default().image(wrong)).unwrap_err();
    assert_eq!(error.to_string(), "1 means and deviations for images of 3 channels");
}

#[test]
fn features_are_outputs_and_later_layers_are_left_out() {
    let graph = Graph::new(&Config::from(Variant::HarDNet68)).unwrap();
    let taps = |taps: &Taps| graph.tapped(taps).unwrap();
    let outputs = |positions: Vec<usize>| {
        let options = ExportOptions::default().features(positions);
        let export = Export::new(&graph, &options).unwrap();
        let model = export.model();
        let last = model.nodes.last().unwrap().outputs[0].clone();
        (shown(&model.outputs), last)
    };
    let (maps, last) = outputs(taps(&Taps::Strides(vec![4, 16], TapKind::Transition)));
    assert_eq!(maps, ["base.4: f32[1, 128, 56, 56]", "base.12: f32[1, 640, 14, 14]"]);
    assert_eq!(last, "base.12");
    // A block's output is a concatenation of its own; the order is the caller's.
    let (maps, last) = outputs(taps(&Taps::Strides(vec![16, 4], TapKind::Block)));
    assert_eq!(maps, ["base.11: f32[1, 654, 14, 14]", "base.3: f32[1, 124, 56, 56]"]);
    assert_eq!(last, "base.11");
    let (maps, _) = outputs(vec![4, 4]);
    assert_eq!(maps.len(), 1);
    let refused = |options: &ExportOptions| Export::new(&graph, options).unwrap_err().to_string();
    assert_eq!(refused(&ExportOptions::default().features(vec![99])), "no module at position 99 in a network of 17");
    assert!(refused(&ExportOptions::default().features(vec![4]).softmax(true)).contains("no logits"));
    let backbone = Graph::new(&small().without_head()).unwrap();
    let model = Export::new(&backbone, &ExportOptions::default()).unwrap().model;
    assert_eq!(shown(&model.outputs), ["features: f32[1, 8, 28, 28]"]);
    assert!(Export::new(&backbone, &ExportOptions::default().softmax(true)).is_err());
}

#[test]
fn a_softmax_ends_the_network() {
    let model = export(&small(), &ExportOptions::default().softmax(true)).model;
    assert_eq!(shown(&model.outputs), ["probabilities: f32[1, 5]"]);
    let last = model.nodes.last().unwrap();
    assert_eq!((last.op.as_str(), &last.inputs[..]), ("Softmax", &["logits".to_owned()][..]));
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect()
}

/// `y = gamma * (w * x - mean) / sqrt(var + eps) + beta`, by its definition.
#[test]
fn folded_weights_are_the_definitions() {
    let mut builder = GraphBuilder::new("one", 2);
    let conv = builder.conv("one", &[builder.image()], Conv::new(3, 1).with_bias(), Pointwise::NORM);
    let graph = builder.finish(&[conv]).unwrap();
    let of = |param: &ParamInfo| -> Vec<f32> {
        match param.kind {
            ParamKind::ConvWeight => vec![1.0, -2.0, 0.5, 3.0, 0.125, 7.0],
            ParamKind::ConvBias => vec![0.5, -0.5, 2.0],
            ParamKind::NormWeight => vec![2.0, 0.5, -1.0],
            ParamKind::NormBias => vec![0.25, 1.0, -3.0],
            ParamKind::RunningMean => vec![1.5, -0.5, 0.75],
            _ => vec![4.0, 0.25, 9.0],
        }
    };
    let export = Export::new(&graph, &ExportOptions::default().size(1, 1)).unwrap();
    let mut bytes = Vec::new();
    let mut asked = Vec::new();
    let mut values = |param: &ParamInfo| {
        asked.push(param.name.clone());
        Ok(of(param))
    };
    export.write(&mut values, &mut bytes).unwrap();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 6, "each is asked for once");
    let read = Model::parse(&bytes).unwrap();
    let [weights, biases] = [0, 1].map(|at| floats(&read.initializers[at].bytes));
    let all = |kind| graph.params().iter().find(|param| param.kind == kind).map(&of).unwrap();
    let (gamma, beta) = (all(ParamKind::NormWeight), all(ParamKind::NormBias));
    let (mean, variance) = (all(ParamKind::RunningMean), all(ParamKind::RunningVar));
    let (weight, bias) = (all(ParamKind::ConvWeight), all(ParamKind::ConvBias));
    for channel in 0..3 {
        for x in [[0.0_f64, 0.0], [1.0, -1.0], [0.3, 2.0]] {
            let dot = |w: &[f32]| x.iter().zip(w).map(|(x, w)| x * f64::from(*w)).sum::<f64>();
            let z = dot(&weight[channel * 2..][..2]) + f64::from(bias[channel]);
            let deviation = (f64::from(variance[channel]) + 1e-5).sqrt();
            let expected =
                f64::from(gamma[channel]) * (z - f64::from(mean[channel])) / deviation + f64::from(beta[channel]);
            let found = dot(&weights[channel * 2..][..2]) + f64::from(biases[channel]);
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}

#[test]
fn values_in_f16_are_rounded_and_an_overflow_is_named() {
    let export = export(&small(), &ExportOptions::default().precision(Precision::F16).norm(Norm::Kept).size(32, 32));
    let bytes = written(&export);
    let read = Model::parse(&bytes).unwrap();
    let bounds = read.initializers.iter().filter(|tensor| tensor.info.name.starts_with("relu6."));
    let bounds: Vec<_> =
        bounds.map(|tensor| (tensor.info.element, f16::from_le_bytes([tensor.bytes[0], tensor.bytes[1]]))).collect();
    assert_eq!(bounds, [(ElementType::F16, f16::ZERO), (ElementType::F16, f16::from_f32(6.0))]);
    let mut huge = |param: &ParamInfo| {
        let value = if param.name == "base.1.conv.weight" { 65520.0 } else { 1.0 };
        Ok(vec![value; param.count()])
    };
    let error = export.write(&mut huge, std::io::sink()).unwrap_err();
    assert_eq!(error.to_string(), "values of `base.1.conv.weight` overflow f16");
    let mut few = |param: &ParamInfo| Ok(vec![1.0; param.count() - 1]);
    let error = export.write(&mut few, std::io::sink()).unwrap_err();
    assert_eq!(error.to_string(), "`base.0.conv.weight` has 107 values, expected 108");
    let mut none = |_: &ParamInfo| Err("no such file".into());
    let error = export.write(&mut none, std::io::sink()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the parameter `base.0.conv.weight`");
}

#[test]
fn pads_are_rows_and_columns_before_and_then_after() {
    let config = small().with_stem_padding(StemPadding::TopLeft);
    let model = export(&config, &ExportOptions::default()).model;
    assert_eq!(model.nodes[0].attribute("pads"), Some(&Attribute::Ints(vec![1, 1, 0, 0])));
    let mut builder = GraphBuilder::new("pools", 1);
    let padding = Padding { top: 1, bottom: 0, left: 0, right: 1 };
    let pool = builder.pool("max", &[builder.image()], Pool::max(2, 2).padding(padding));
    let mean = builder.pool("mean", &[pool], Pool::average(2, 1).padding(Padding::all(1)));
    let graph = builder.finish(&[mean]).unwrap();
    let model = Export::new(&graph, &ExportOptions::default()).unwrap().model;
    assert_eq!(model.nodes[0].attribute("pads"), Some(&Attribute::Ints(vec![1, 0, 0, 1])));
    assert_eq!(model.nodes[1].attribute("count_include_pad"), Some(&Attribute::Int(1)));
}

#[test]
fn what_cannot_be_written_is_named() {
    let export = |build: &dyn Fn(&mut GraphBuilder) -> usize| {
        let mut builder = GraphBuilder::new("net", 1);
        let output = build(&mut builder);
        Export::new(&builder.finish(&[output]).unwrap(), &ExportOptions::default()).unwrap_err().to_string()
    };
    let pool = |b: &mut GraphBuilder| b.pool("pool", &[0], Pool::average(2, 2).ceil());
    assert!(export(&pool).starts_with("`pool` cannot be exported: programs disagree"), "{}", export(&pool));
    let adaptive =
        |b: &mut GraphBuilder| b.push("parts", hardnet_graph::Op::AdaptiveAveragePool { rows: 2, columns: 2 }, &[0]);
    assert!(export(&adaptive).starts_with("`parts` cannot be exported: ONNX has no"));
    let twice = |b: &mut GraphBuilder| {
        let first = b.pool("pool", &[0], Pool::max(2, 2));
        b.pool("pool", &[first], Pool::max(2, 2))
    };
    assert_eq!(export(&twice), "`pool` cannot be exported: another layer has its name");
    let image = |_: &mut GraphBuilder| 0;
    assert!(export(&image).contains("it is the image itself"));
    let wide = |b: &mut GraphBuilder| {
        let one = b.conv("one", &[0], Conv::new(1 << 16, 1), Pointwise::NONE);
        b.conv("two", &[one], Conv::new(1 << 16, 1), Pointwise::NONE)
    };
    assert!(export(&wide).contains("more than the 2 GiB"), "{}", export(&wide));
    let small = Export::new(&Graph::new(&small()).unwrap(), &ExportOptions::default().size(0, 1)).unwrap_err();
    assert!(small.to_string().contains("too small"), "{small}");
}

#[test]
fn options_are_read_from_text() {
    assert_eq!(("17".parse::<Opset>().unwrap(), Opset::default().to_string()), (Opset::default(), "17".into()));
    for text in ["12", "22", "-1", "seventeen", ""] {
        assert!(text.parse::<Opset>().is_err(), "{text}");
    }
    assert_eq!("dynamic".parse::<Batch>().unwrap().to_string(), "dynamic");
    assert_eq!("8".parse::<Batch>().unwrap(), Batch::Fixed(8));
    for text in ["0", "-1", "Dynamic", ""] {
        assert!(text.parse::<Batch>().is_err(), "{text}");
    }
    assert_eq!("f16".parse::<Precision>().unwrap(), Precision::F16);
    assert_eq!("bf16".parse::<Precision>().unwrap_err().to_string(), "unknown type `bf16`, expected f32 or f16");
    assert_eq!(Dim::Unknown.to_string(), "?");
}

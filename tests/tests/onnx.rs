//! Exported ONNX models, computed node by node by plain loops, have the logits of the engine.
//!
//! `tests/onnx/readers.py` checks the same with ONNX Runtime and other programs.

use std::collections::HashMap;
use std::path::Path;

use hardnet_graph::{Config, Graph, TapKind, Taps, Variant};
use hardnet_model::{Plan, PlanOptions, StemPadding, WeightsFile, WeightsOptions};
use hardnet_onnx::{
    Attribute, ElementType, Export, ExportOptions, Image, IntegerLayer, Model, Node, Norm, Quantization,
};
use hardnet_params::synthetic::{self, Synthetic};
use hardnet_params::{Parameters, QuantizedParameters};
use hardnet_quantize::reference::{self, Map};
use hardnet_quantize::{QuantizeOptions, Quantized, quantize};

/// An array in f64, C order.
#[derive(Clone, Debug)]
struct Array {
    dims: Vec<usize>,
    values: Vec<f64>,
}

/// Computes `model` for one input; every value by its name.
fn run(model: &Model<'_>, input: Array) -> HashMap<String, Array> {
    let mut values = HashMap::from([(model.inputs[0].name.clone(), input)]);
    for tensor in &model.initializers {
        let bytes = &tensor.bytes;
        let numbers: Vec<f64> = match tensor.info.element {
            ElementType::F32 => bytes.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect(),
            ElementType::I32 => bytes.as_chunks().0.iter().map(|&b| f64::from(i32::from_le_bytes(b))).collect(),
            ElementType::I8 => bytes.iter().map(|&byte| f64::from(byte as i8)).collect(),
            ElementType::U8 => bytes.iter().map(|&byte| f64::from(byte)).collect(),
            other => panic!("{other} is not expected"),
        };
        values.insert(tensor.info.name.clone(), Array { dims: tensor.info.dims.clone(), values: numbers });
    }
    for node in &model.nodes {
        let inputs: Vec<&Array> = node.inputs.iter().map(|name| &values[name]).collect();
        let output = compute(node, &inputs);
        values.insert(node.outputs[0].clone(), output);
    }
    values
}

fn ints(node: &Node<'_>, name: &str) -> Vec<usize> {
    match node.attribute(name) {
        Some(Attribute::Ints(numbers)) => numbers.iter().map(|&number| number as usize).collect(),
        other => panic!("{name} of {} is {other:?}", node.name),
    }
}

fn compute(node: &Node<'_>, inputs: &[&Array]) -> Array {
    let x = inputs[0];
    let each = |f: &dyn Fn(usize, f64) -> f64| Array {
        dims: x.dims.clone(),
        values: x.values.iter().enumerate().map(|(at, &value)| f(at, value)).collect(),
    };
    let pixels: usize = x.dims.iter().skip(2).product();
    let channel = |at: usize| at / pixels % x.dims[1];
    match node.op.as_str() {
        "QuantizeLinear" => each(&|_, value| {
            let (scale, zero_point) = (inputs[1].values[0], inputs[2].values[0]);
            ((value / scale).round_ties_even() + zero_point).clamp(0.0, 255.0)
        }),
        "DequantizeLinear" => {
            // Maps have one scale, constants one for each of the first extent.
            let block = x.values.len() / inputs[1].values.len();
            each(&|at, value| (value - inputs[2].values[at / block]) * inputs[1].values[at / block])
        }
        "Cast" => each(&|_, value| value),
        "Sub" => each(&|at, value| value - inputs[1].values[channel(at)]),
        "Div" => each(&|at, value| value / inputs[1].values[channel(at)]),
        "Relu" => each(&|_, value| value.max(0.0)),
        "Clip" => each(&|_, value| value.clamp(inputs[1].values[0], inputs[2].values[0])),
        "BatchNormalization" => each(&|at, value| {
            let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|input| inputs[input].values[channel(at)]);
            gamma * (value - mean) / (variance + 1e-5).sqrt() + beta
        }),
        "Softmax" => {
            let sum: f64 = x.values.iter().map(|value| value.exp()).sum();
            each(&|_, value| value.exp() / sum)
        }
        "Transpose" => {
            let [n, h, w, c] = x.dims[..] else { panic!("images have four extents") };
            let at = |i: usize| (i / (h * w * c), i / (w * c) % h, i / c % w, i % c);
            let mut values = vec![0.0; x.values.len()];
            for (i, &value) in x.values.iter().enumerate() {
                let (image, row, column, channel) = at(i);
                values[((image * c + channel) * h + row) * w + column] = value;
            }
            Array { dims: vec![n, c, h, w], values }
        }
        "Concat" => {
            let channels = inputs.iter().map(|input| input.dims[1]).sum();
            // One image: channels follow each other.
            let values = inputs.iter().flat_map(|input| input.values.iter().copied()).collect();
            Array { dims: [&[1, channels], &x.dims[2..]].concat(), values }
        }
        "GlobalAveragePool" => {
            let values = x.values.chunks(pixels).map(|map| map.iter().sum::<f64>() / pixels as f64).collect();
            Array { dims: vec![1, x.dims[1], 1, 1], values }
        }
        "Flatten" => Array { dims: vec![1, x.values.len()], values: x.values.clone() },
        "Gemm" => {
            let rows = inputs[1].values.chunks(inputs[1].dims[1]).zip(&inputs[2].values);
            let dot = |row: &[f64]| row.iter().zip(&x.values).map(|(w, x)| w * x).sum::<f64>();
            let values: Vec<f64> = rows.map(|(row, bias)| dot(row) + bias).collect();
            Array { dims: vec![1, values.len()], values }
        }
        "Conv" => conv(node, inputs),
        "MaxPool" => windows(node, x, &|taps, _| taps.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        "AveragePool" => {
            assert_eq!(node.attribute("count_include_pad"), Some(&Attribute::Int(1)));
            windows(node, x, &|taps, whole| taps.iter().sum::<f64>() / whole as f64)
        }
        other => panic!("{other} is not expected"),
    }
}

/// Place of an element in a window, its row and its column in the map.
type Tap = (usize, usize, usize);

/// Rows and columns of the output, and the taps of a window at an output pixel that are in the map.
fn geometry(node: &Node<'_>, x: &Array) -> (usize, usize, impl Fn(usize, usize) -> Vec<Tap>) {
    let (kernel, strides, pads) = (ints(node, "kernel_shape"), ints(node, "strides"), ints(node, "pads"));
    let (height, width) = (x.dims[2], x.dims[3]);
    let rows = (height + pads[0] + pads[2] - kernel[0]) / strides[0] + 1;
    let columns = (width + pads[1] + pads[3] - kernel[1]) / strides[1] + 1;
    let taps = move |row: usize, column: usize| {
        let mut taps = Vec::new();
        for tap in 0..kernel[0] * kernel[1] {
            let y = (row * strides[0] + tap / kernel[1]).wrapping_sub(pads[0]);
            let x = (column * strides[1] + tap % kernel[1]).wrapping_sub(pads[1]);
            if y < height && x < width {
                taps.push((tap, y, x));
            }
        }
        taps
    };
    (rows, columns, taps)
}

fn windows(node: &Node<'_>, x: &Array, value: &dyn Fn(&[f64], usize) -> f64) -> Array {
    let (rows, columns, taps) = geometry(node, x);
    let whole = ints(node, "kernel_shape").iter().product();
    let mut values = Vec::new();
    for map in x.values.chunks(x.dims[2] * x.dims[3]) {
        for at in 0..rows * columns {
            let taps: Vec<f64> = taps(at / columns, at % columns)
                .into_iter()
                .map(|(_, y, column)| map[y * x.dims[3] + column])
                .collect();
            values.push(value(&taps, whole));
        }
    }
    Array { dims: vec![1, x.dims[1], rows, columns], values }
}

fn conv(node: &Node<'_>, inputs: &[&Array]) -> Array {
    let (x, weights) = (inputs[0], inputs[1]);
    let (rows, columns, taps) = geometry(node, x);
    let [out, read, kernel_rows, kernel_columns] = weights.dims[..] else { panic!("weights have four extents") };
    let (pixels, kernel) = (x.dims[2] * x.dims[3], kernel_rows * kernel_columns);
    let groups = x.dims[1] / read;
    let mut values = vec![0.0; out * rows * columns];
    for at in 0..rows * columns {
        let taps = taps(at / columns, at % columns);
        for channel in 0..out {
            let first = channel / (out / groups) * read;
            let mut sum = inputs.get(2).map_or(0.0, |bias| bias.values[channel]);
            for input in 0..read {
                let (map, weights) =
                    (&x.values[(first + input) * pixels..], &weights.values[(channel * read + input) * kernel..]);
                sum += taps.iter().map(|&(tap, y, column)| weights[tap] * map[y * x.dims[3] + column]).sum::<f64>();
            }
            values[channel * rows * columns + at] = sum;
        }
    }
    Array { dims: vec![1, out, rows, columns], values }
}

fn exported(graph: &Graph, options: &ExportOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    let export = Export::new(graph, options).unwrap();
    export.write(&mut |param| Ok(Synthetic.values(param)?), &mut bytes).unwrap();
    bytes
}

fn image(config: &Config, height: usize, width: usize) -> Vec<f32> {
    synthetic::values("x", &[1, config.in_channels, height, width])
}

fn array(config: &Config, height: usize, width: usize, values: &[f32]) -> Array {
    let dims = vec![1, config.in_channels, height, width];
    Array { dims, values: values.iter().map(|&value| f64::from(value)).collect() }
}

#[track_caller]
fn agree(found: &Array, expected: &[f32]) {
    assert_eq!(found.values.len(), expected.len());
    for (at, (found, expected)) in found.values.iter().zip(expected).enumerate() {
        assert!((found - f64::from(*expected)).abs() < 1e-4, "value {at} is {found}, not {expected}");
    }
}

/// The published networks, the notebook's padding at a size where it matters, and ReLU with average pools.
#[test]
fn logits_are_the_engines() {
    let mut networks: Vec<(Config, usize, usize)> =
        Variant::ALL.map(|variant| (Config::from(variant).with_classes(10), 32, 33)).to_vec();
    let notebook = Config::from(Variant::HarDNet68).with_classes(10).with_stem_padding(StemPadding::TopLeft);
    networks.push((notebook, 33, 35));
    networks.push((Config::fc_hardnet70_encoder(), 64, 65));
    for (config, height, width) in networks {
        let graph = Graph::new(&config).unwrap();
        let image = image(&config, height, width);
        let options = PlanOptions::default().size(height, width);
        let expected = Plan::new(&config, &Synthetic, &options).unwrap().run(std::slice::from_ref(&image)).unwrap();
        // Plain loops are slow: the smallest network is enough for both forms.
        let forms = if config.depthwise { &[Norm::Folded, Norm::Kept][..] } else { &[Norm::Folded] };
        for &norm in forms {
            let bytes = exported(&graph, &ExportOptions::default().size(height, width).norm(norm));
            let model = Model::parse(&bytes).unwrap();
            let values = run(&model, array(&config, height, width, &image));
            for value in model.outputs.iter().chain(&model.values) {
                let dims: Vec<_> = values[&value.name].dims.iter().map(ToString::to_string).collect();
                let stated: Vec<_> = value.dims.iter().map(ToString::to_string).collect();
                assert_eq!(stated, dims, "{}", value.name);
            }
            agree(&values[&model.outputs[0].name], &expected);
        }
    }
}

#[test]
fn features_are_the_engines() {
    let config = Config::from(Variant::HarDNet39Ds);
    let graph = Graph::new(&config).unwrap();
    for kind in [TapKind::Block, TapKind::Transition] {
        let taps = graph.tapped(&Taps::Strides(vec![4, 8, 16], kind)).unwrap();
        let plan_options = PlanOptions::default().size(32, 48);
        let image = image(&config, 32, 48);
        let part = graph.clone().truncated(taps[2]);
        let mut plan = Plan::with_taps(&part, &taps, &Synthetic, &plan_options).unwrap();
        let expected = plan.run(std::slice::from_ref(&image)).unwrap();
        let bytes = exported(&graph, &ExportOptions::default().size(32, 48).features(taps));
        let model = Model::parse(&bytes).unwrap();
        let values = run(&model, array(&config, 32, 48, &image));
        let mut rest = &expected[..];
        for output in &model.outputs {
            let map = &values[&output.name];
            let (own, others) = rest.split_at(map.values.len());
            agree(map, own);
            rest = others;
        }
    }
}

/// A sample `x` becomes `(x / 255 - mean) / std`, and logits become probabilities.
#[test]
fn preprocessing_and_softmax_are_their_definitions() {
    let config = Config::from(Variant::HarDNet39Ds).with_classes(4);
    let graph = Graph::new(&config).unwrap();
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let (height, width) = (32, 40);
    let samples: Vec<u8> = (0..height * width * 3).map(|at| (at * 37 % 256) as u8).collect();
    let mut planes = vec![0.0_f32; samples.len()];
    for (at, &sample) in samples.iter().enumerate() {
        let (pixel, channel) = (at / 3, at % 3);
        planes[channel * height * width + pixel] = (f32::from(sample) / 255.0 - mean[channel]) / std[channel];
    }
    let options = PlanOptions::default().size(height, width);
    let logits = Plan::new(&config, &Synthetic, &options).unwrap().run(&[planes]).unwrap();
    let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
    let expected: Vec<f32> = logits.iter().map(|logit| logit.exp() / sum).collect();
    let bytes =
        exported(&graph, &ExportOptions::default().size(height, width).image(Image::new(mean, std)).softmax(true));
    let model = Model::parse(&bytes).unwrap();
    let input =
        Array { dims: vec![1, height, width, 3], values: samples.iter().map(|&sample| sample.into()).collect() };
    agree(&run(&model, input)["probabilities"], &expected);
}

/// ONNX files of PyTorch and Paddle2ONNX have PyTorch's logits in f64, and our own those of the weights.
#[test]
fn onnx_files_are_weights() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/hardnet-params/tests/onnx");
    let json = std::fs::read_to_string(folder.join("networks.json")).unwrap();
    let networks: HashMap<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
    let options = PlanOptions::default().size(32, 32);
    let mut files = 0;
    for (name, network) in &networks {
        let config: Config = serde_json::from_value(network["config"].clone()).unwrap();
        let logits: Vec<f32> = serde_json::from_value(network["logits"].clone()).unwrap();
        for program in ["torchscript", "unfolded", "dynamo", "paddle"] {
            let path = folder.join(format!("{name}.{program}.onnx"));
            if path.exists() {
                let file = WeightsFile::open_with(path, &WeightsOptions::default().config(config.clone())).unwrap();
                let found = Plan::from_file(file, &options).unwrap().run(&[image(&config, 32, 32)]).unwrap();
                for (found, expected) in found.iter().zip(&logits) {
                    assert!((found - expected).abs() < 1e-4, "{name} by {program}: {found}, not {expected}");
                }
                files += 1;
            }
        }
    }
    assert_eq!(files, 6);
    // A published network needs no description.
    let config = Config::from(Variant::HarDNet39Ds).with_stem_padding(StemPadding::TopLeft);
    let bytes = exported(&Graph::new(&config).unwrap(), &ExportOptions::default());
    let file = WeightsFile::from_bytes("own.onnx", bytes).unwrap();
    assert_eq!(file.config().clone().with_classes(1000), config.clone().with_classes(1000));
    let options = PlanOptions::default().size(65, 65);
    let image = [image(&config, 65, 65)];
    let found = Plan::from_file(file, &options).unwrap().run(&image).unwrap();
    let expected = Plan::new(&config, &Synthetic, &options).unwrap().run(&image).unwrap();
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "logits differ by {worst}");
}

/// A quantized model is the quantized network that it was written from, but for the rounding of biases to the unit of
/// sums and of scales.
fn is_read(graph: &Graph, quantized: &Quantized, bytes: Vec<u8>) {
    let file = WeightsFile::from_bytes("own.onnx", bytes).unwrap();
    assert!(file.quantization().is_some());
    let found = file.parameters();
    for node in graph.inference().nodes() {
        assert_eq!(found.map(&node.name), quantized.map(&node.name), "{}", node.name);
        let (read, written) = (found.layer(&node.name).unwrap(), quantized.layer(&node.name).unwrap());
        let Some((read, written)) = read.zip(written) else {
            assert!(found.layer(&node.name).unwrap().is_none() && quantized.layer(&node.name).unwrap().is_none());
            continue;
        };
        assert!(read.weights == written.weights, "{}", node.name);
        for at in 0..written.scale.len() {
            let (unit, bias) = (written.scale[at], written.bias[at]);
            assert!((read.scale[at] / unit - 1.0).abs() < 1e-6, "{}: {} {unit}", node.name, read.scale[at]);
            let most = 0.51 * unit + 1e-6 * bias.abs();
            assert!((read.bias[at] - bias).abs() <= most, "{}: {} {bias} {unit}", node.name, read.bias[at]);
        }
    }
}

/// Each layer of a quantized model, from equal inputs, is that of the reference, but for sums that are half-way between
/// two steps.
#[test]
fn layers_of_integers_are_the_references() {
    for (variant, equalized) in
        [(Variant::HarDNet39Ds, true), (Variant::HarDNet39Ds, false), (Variant::HarDNet68, true)]
    {
        let config = Config::from(variant).with_classes(4);
        let graph = Graph::new(&config).unwrap();
        let quantized = quantize(&graph, &Synthetic, &QuantizeOptions::default().equalize(equalized)).unwrap();
        let mut quantization = Quantization::default();
        let inference = graph.inference();
        for node in inference.nodes() {
            if let Some(map) = quantized.map(&node.name) {
                quantization = quantization.map(&node.name, map.scale, map.zero_point);
            }
            if quantized.layer(&node.name).unwrap().is_some() {
                quantization = quantization.layer(&node.name);
            }
        }
        let options = ExportOptions::default().size(32, 33).quantization(quantization);
        let export = Export::new(&graph, &options).unwrap();
        let mut bytes = Vec::new();
        let mut layer = |node: &str| {
            let layer = quantized.layer(node)?.ok_or("it is in f32")?;
            Ok(IntegerLayer { weights: layer.weights, scale: layer.scale, bias: layer.bias })
        };
        export.write_quantized(&mut |param| Ok(quantized.values(param)?), &mut layer, &mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, export.byte_count());
        is_read(&graph, &quantized, bytes.clone());
        let model = Model::parse(&bytes).unwrap();
        let image = image(&config, 32, 33);
        let values = run(&model, array(&config, 32, 33, &image));
        let maps: HashMap<usize, Map> = (0..inference.nodes().len())
            .map(|id| {
                let name = &inference.nodes()[id].name;
                let stored = |name: &str| values[name].values.iter().copied();
                let map = match quantized.map(name) {
                    Some(map) => Map::Bytes(stored(&format!("{name}.quantized")).map(|q| q as u8).collect(), map),
                    None if id == 0 => Map::Floats(image.clone()),
                    None if id + 1 == inference.nodes().len() => {
                        Map::Floats(stored("logits").map(|value| value as f32).collect())
                    }
                    None => Map::Floats(stored(name).map(|value| value as f32).collect()),
                };
                (id, map)
            })
            .collect();
        let (mut layers, mut unequal, mut count) = (0, 0, 0);
        for id in 1..inference.nodes().len() {
            let mut given = maps.clone();
            given.remove(&id);
            let found = reference::run(&graph, &quantized, &image, (32, 33), &given).unwrap().swap_remove(id);
            match (&found, &maps[&id]) {
                (Map::Bytes(found, _), Map::Bytes(expected, _)) => {
                    layers += 1;
                    assert_eq!(found.len(), expected.len());
                    for (&found, &expected) in found.iter().zip(expected) {
                        assert!(found.abs_diff(expected) <= 1, "{}: {found}, {expected}", inference.nodes()[id].name);
                        unequal += usize::from(found != expected);
                        count += 1;
                    }
                }
                (found, expected) => {
                    for (found, expected) in found.values().iter().zip(expected.values()) {
                        assert!((found - expected).abs() < 1e-4, "{}", inference.nodes()[id].name);
                    }
                }
            }
        }
        assert!(layers > 30 && unequal * 500 < count, "{unequal} of {count} values of {layers} layers differ");
    }
}

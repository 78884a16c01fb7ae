//! The arithmetic of quantized networks in plain loops: the reference of the engine's kernels.
//!
//! Sums of integers are exact; requantization is in f32, each operation rounded, as `hardnet_params` defines it. Layers
//! in f32 are sums in f64, rounded once.

use std::collections::HashMap;

use hardnet_graph::{Conv, Graph, Grouping, Node, NodeId, Op, ParamKind, Pool, PoolKind, Shape, Upsample};
use hardnet_params::{MapQuantization, Parameters, QuantizedLayer, QuantizedParameters};

use crate::error::{Error, Result};

/// A map, `[C, H, W]`.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums)]
pub enum Map {
    /// Of 8-bit values.
    Bytes(Vec<u8>, MapQuantization),
    /// Of f32.
    Floats(Vec<f32>),
}

impl Map {
    /// The numbers that the map stands for, in the units of its channels.
    pub fn values(&self) -> Vec<f32> {
        match self {
            Self::Bytes(bytes, map) => bytes.iter().map(|&q| map.value(q)).collect(),
            Self::Floats(values) => values.clone(),
        }
    }
}

/// Computes the map of every node of the [inference graph](Graph::inference) for one normalized image of `height` times
/// `width` pixels. The maps of `given` are taken as they are.
///
/// # Errors
///
/// [`Error::Graph`] for an image that does not fit, [`Error::Params`] for parameters that cannot be read,
/// [`Error::Layer`] for a layer that has no form in integers.
pub fn run(
    graph: &Graph,
    parameters: &dyn QuantizedParameters,
    image: &[f32],
    (height, width): (usize, usize),
    given: &HashMap<NodeId, Map>,
) -> Result<Vec<Map>> {
    let graph = graph.inference();
    let shapes = graph.shapes(height, width)?;
    let mut maps: Vec<Map> = Vec::with_capacity(shapes.len());
    for (id, node) in graph.nodes().iter().enumerate() {
        if let Some(map) = given.get(&id) {
            maps.push(map.clone());
            continue;
        }
        let target = parameters.map(&node.name);
        let size = shapes[id];
        let inputs = Inputs { maps: &maps, nodes: &node.inputs, shapes: &shapes };
        let bounds = node.after.bounds().unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
        maps.push(match (&node.op, parameters.layer(&node.name)?) {
            (Op::Input { .. }, _) => Map::Floats(image.to_vec()),
            (Op::Conv(conv), Some(layer)) => integer_conv(node, conv, &layer, &inputs, size, target, bounds)?,
            (Op::Conv(conv), None) => stored(float_conv(&graph, id, conv, parameters, &inputs, size)?, target, bounds),
            (Op::Upsample(upsample), _) => interpolated(upsample, inputs.only(node)?, shapes[node.inputs[0]], size),
            (Op::Pool(pool), _) => pooled(pool, inputs.only(node)?, shapes[node.inputs[0]], size),
            (&Op::GLOBAL_AVERAGE_POOL, _) => {
                let values = inputs.only(node)?.values();
                let pixels = values.len() / size.channels;
                let mean = |plane: &[f32]| (plane.iter().copied().map(f64::from).sum::<f64>() / pixels as f64) as f32;
                stored(values.chunks_exact(pixels).map(mean).collect(), target, bounds)
            }
            (Op::Linear { .. }, _) => {
                let values = inputs.only(node)?.values();
                let [weights, biases] =
                    [ParamKind::LinearWeight, ParamKind::LinearBias].map(|kind| read(&graph, id, kind, parameters));
                let (weights, biases) = (weights?, biases?);
                let row = |(row, &bias): (&[f32], &f32)| {
                    let products = row.iter().zip(&values).map(|(&w, &x)| f64::from(w) * f64::from(x));
                    (f64::from(bias) + products.sum::<f64>()) as f32
                };
                Map::Floats(weights.chunks_exact(values.len()).zip(&biases).map(row).collect())
            }
            _ => return Err(refused(node)),
        });
    }
    Ok(maps)
}

fn refused(node: &Node) -> Error {
    Error::Layer { node: node.name.clone(), reason: "the reference does not compute it" }
}

/// The maps that a node reads.
struct Inputs<'a> {
    maps: &'a [Map],
    nodes: &'a [NodeId],
    shapes: &'a [Shape],
}

impl<'a> Inputs<'a> {
    fn only(&self, node: &Node) -> Result<&'a Map> {
        match self.nodes {
            &[input] => Ok(&self.maps[input]),
            _ => Err(refused(node)),
        }
    }

    /// Every channel in the order of concatenation, with its map.
    fn planes<T>(&self, plane: impl Fn(&'a Map, std::ops::Range<usize>) -> T) -> Vec<T> {
        let mut all = Vec::new();
        for &input in self.nodes {
            let pixels = self.shapes[input].height * self.shapes[input].width;
            let channels = 0..self.shapes[input].channels;
            all.extend(channels.map(|channel| plane(&self.maps[input], channel * pixels..(channel + 1) * pixels)));
        }
        all
    }
}

/// A value in f32 as one of `map`, by the rule of layers in f32.
fn requantized(value: f32, map: MapQuantization, bounds: (f32, f32)) -> u8 {
    limited(value * (1.0 / map.scale) + f32::from(map.zero_point), map, bounds)
}

/// Rounds half to even and limits by the map and the activation.
fn limited(value: f32, map: MapQuantization, (low, high): (f32, f32)) -> u8 {
    let bound = |bound: f32| (bound / map.scale + f32::from(map.zero_point)).round_ties_even();
    let (least, most) = (bound(low).max(0.0), bound(high).min(255.0));
    value.round_ties_even().max(least).min(most) as u8
}

fn stored(values: Vec<f32>, target: Option<MapQuantization>, bounds: (f32, f32)) -> Map {
    match target {
        Some(map) => Map::Bytes(values.into_iter().map(|value| requantized(value, map, bounds)).collect(), map),
        None => Map::Floats(values.into_iter().map(|value| value.max(bounds.0).min(bounds.1)).collect()),
    }
}

/// Calls `add` with the positions of the output and the input of every row of the input that a tap of the kernel meets:
/// first output, first input, count.
fn rows(conv: &Conv, from: Shape, to: Shape, tap: (usize, usize), mut add: impl FnMut(usize, usize)) {
    let conv = conv.on((from.height, from.width));
    for row in 0..to.height {
        let y = (row * conv.stride + tap.0 * conv.dilation).wrapping_sub(conv.padding.top);
        for column in 0..to.width {
            let x = (column * conv.stride + tap.1 * conv.dilation).wrapping_sub(conv.padding.left);
            if y < from.height && x < from.width {
                add(row * to.width + column, y * from.width + x);
            }
        }
    }
}

fn integer_conv(
    node: &Node,
    conv: &Conv,
    layer: &QuantizedLayer,
    inputs: &Inputs<'_>,
    to: Shape,
    target: Option<MapQuantization>,
    bounds: (f32, f32),
) -> Result<Map> {
    let planes = inputs.planes(|map, range| match map {
        Map::Bytes(bytes, map) => Some((&bytes[range], i32::from(map.zero_point))),
        Map::Floats(_) => None,
    });
    let planes = planes.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| refused(node))?;
    // The distance of each value from the zero point: the border is 0.
    let planes: Vec<Vec<i32>> =
        planes.into_iter().map(|(bytes, zero)| bytes.iter().map(|&q| i32::from(q) - zero).collect()).collect();
    let from = inputs.shapes[inputs.nodes[0]];
    let (pixels, taps) = (to.height * to.width, conv.kernel.0 * conv.kernel.1);
    let length = layer.weights.len() / to.channels;
    let (mut bytes, mut floats) = (Vec::new(), Vec::new());
    for (output, weights) in layer.weights.chunks_exact(length).enumerate() {
        let first = if conv.grouping == Grouping::Depthwise { output } else { 0 };
        let mut sums = vec![0_i32; pixels];
        for (at, &weight) in weights.iter().enumerate() {
            let (plane, tap) = (&planes[first + at / taps], at % taps);
            let tap = (tap / conv.kernel.1, tap % conv.kernel.1);
            rows(conv, from, to, tap, |out, at| sums[out] += i32::from(weight) * plane[at]);
        }
        let (scale, bias) = (layer.scale[output], layer.bias[output]);
        match target {
            Some(map) => {
                let step = f64::from(map.scale);
                let factor = (f64::from(scale) / step) as f32;
                let shift = (f64::from(bias) / step + f64::from(map.zero_point)) as f32;
                bytes.extend(sums.iter().map(|&sum| limited(sum as f32 * factor + shift, map, bounds)));
            }
            None => floats.extend(sums.iter().map(|&sum| (sum as f32 * scale + bias).max(bounds.0).min(bounds.1))),
        }
    }
    Ok(target.map_or(Map::Floats(floats), |map| Map::Bytes(bytes, map)))
}

fn read(graph: &Graph, id: NodeId, kind: ParamKind, parameters: &dyn Parameters) -> Result<Vec<f32>> {
    let params = graph.params();
    let param = params.iter().find(|param| param.node == id && param.kind == kind).expect("a parameter of the node");
    Ok(parameters.values(param)?)
}

fn float_conv(
    graph: &Graph,
    id: NodeId,
    conv: &Conv,
    parameters: &dyn Parameters,
    inputs: &Inputs<'_>,
    to: Shape,
) -> Result<Vec<f32>> {
    let weights = read(graph, id, ParamKind::ConvWeight, parameters)?;
    if conv.bias {
        let shift = read(graph, id, ParamKind::ConvBias, parameters)?.into_iter().map(f64::from).collect();
        return Ok(sums(conv, &weights, (&vec![1.0; to.channels], &shift), inputs, to));
    }
    let norm = graph.nodes()[id].after.norm.unwrap_or_default();
    let [gamma, beta, mean, variance] =
        [ParamKind::NormWeight, ParamKind::NormBias, ParamKind::RunningMean, ParamKind::RunningVar]
            .map(|kind| read(graph, id, kind, parameters));
    let (scale, shift) = norm.scale_and_shift(&gamma?, &beta?, &mean?, &variance?);
    Ok(sums(conv, &weights, (&scale, &shift), inputs, to))
}

/// A convolution with `scale` and `shift` of each output channel, in f64, rounded once.
fn sums(
    conv: &Conv,
    weights: &[f32],
    (scale, shift): (&Vec<f64>, &Vec<f64>),
    inputs: &Inputs<'_>,
    to: Shape,
) -> Vec<f32> {
    let planes: Vec<Vec<f64>> =
        inputs.planes(|map, range| map.values()[range].iter().map(|&value| f64::from(value)).collect());
    let from = inputs.shapes[inputs.nodes[0]];
    let taps = conv.kernel.0 * conv.kernel.1;
    let mut all = Vec::with_capacity(to.count());
    for (output, weights) in weights.chunks_exact(weights.len() / to.channels).enumerate() {
        let first = if conv.grouping == Grouping::Depthwise { output } else { 0 };
        let mut sums = vec![0.0_f64; to.height * to.width];
        for (at, &weight) in weights.iter().enumerate() {
            let (plane, tap) = (&planes[first + at / taps], at % taps);
            let tap = (tap / conv.kernel.1, tap % conv.kernel.1);
            rows(conv, from, to, tap, |out, at| sums[out] += f64::from(weight) * plane[at]);
        }
        all.extend(sums.iter().map(|sum| (sum * scale[output] + shift[output]) as f32));
    }
    all
}

fn pooled(pool: &Pool, map: &Map, from: Shape, to: Shape) -> Map {
    let mut windows: Vec<Vec<usize>> = vec![Vec::new(); to.height * to.width];
    let window = Conv::new(1, pool.kernel).stride(pool.stride).padding(pool.padding);
    for tap in 0..pool.kernel * pool.kernel {
        let tap = (tap / pool.kernel, tap % pool.kernel);
        rows(&window, from, to, tap, |out, at| windows[out].push(at));
    }
    let pixels = from.height * from.width;
    match (map, pool.kind) {
        (Map::Bytes(bytes, map), PoolKind::Max) => {
            let greatest = |plane: &[u8], window: &Vec<usize>| window.iter().map(|&at| plane[at]).max().unwrap_or(0);
            let planes = bytes.chunks_exact(pixels);
            Map::Bytes(planes.flat_map(|plane| windows.iter().map(move |w| greatest(plane, w))).collect(), *map)
        }
        (Map::Bytes(bytes, map), PoolKind::Average) => {
            // Padding counts as zeros.
            let count = (pool.kernel * pool.kernel) as f32;
            let zero = f32::from(map.zero_point);
            let mean = |plane: &[u8], window: &Vec<usize>| {
                let sum: f32 = window.iter().map(|&at| f32::from(plane[at]) - zero).sum();
                (sum / count + zero).round_ties_even().clamp(0.0, 255.0) as u8
            };
            let planes = bytes.chunks_exact(pixels);
            Map::Bytes(planes.flat_map(|plane| windows.iter().map(move |w| mean(plane, w))).collect(), *map)
        }
        (Map::Floats(values), kind) => {
            let one = |plane: &[f32], window: &Vec<usize>| match kind {
                PoolKind::Max => window.iter().map(|&at| plane[at]).fold(f32::NEG_INFINITY, f32::max),
                PoolKind::Average => {
                    window.iter().map(|&at| plane[at]).sum::<f32>() / (pool.kernel * pool.kernel) as f32
                }
            };
            let planes = values.chunks_exact(pixels);
            Map::Floats(planes.flat_map(|plane| windows.iter().map(move |w| one(plane, w))).collect())
        }
    }
}

fn interpolated(upsample: &Upsample, map: &Map, from: Shape, to: Shape) -> Map {
    let columns: Vec<_> = (0..to.width).map(|x| upsample.alignment.between(x, to.width, from.width)).collect();
    // In f32, each operation rounded, as the engine interpolates bytes.
    let plane = |plane: &[f32]| {
        let mut values = Vec::with_capacity(to.height * to.width);
        for y in 0..to.height {
            let rows = upsample.alignment.between(y, to.height, from.height);
            let blend = |first: f32, second: f32, weight: f64| first * (1.0 - weight) as f32 + second * weight as f32;
            let column = |x: usize| {
                let at = |row: usize| plane[row * from.width + x];
                blend(at(rows.first), at(rows.second), rows.weight)
            };
            values.extend(columns.iter().map(|x| blend(column(x.first), column(x.second), x.weight)));
        }
        values
    };
    let pixels = from.height * from.width;
    match map {
        Map::Bytes(bytes, map) => {
            let floats: Vec<f32> = bytes.iter().copied().map(f32::from).collect();
            let values = floats.chunks_exact(pixels).flat_map(plane);
            Map::Bytes(values.map(|value| value.round_ties_even().clamp(0.0, 255.0) as u8).collect(), *map)
        }
        Map::Floats(values) => Map::Floats(values.chunks_exact(pixels).flat_map(plane).collect()),
    }
}

//! Quantized networks in safetensors files.
//!
//! The metadata name the network and the quantization of its maps. A convolution whose weights are `I8` adds up
//! integers and has, next to them, `scale` and `bias` of each output channel; every other layer has its parameters in
//! floating point, as in files that are not quantized. `NAME.unit.scale` and `NAME.unit.offset` are the units of the
//! channels of the map of `NAME`, where they are not the network's; those of a pool are those of the map that it reads.

use std::collections::{BTreeMap, HashMap, HashSet};

use hardnet_checkpoint::{Checkpoint, Dtype};
use hardnet_graph::{Config, Graph, Node, NodeId, Op, ParamInfo, ParamKind};

use super::{ChannelUnits, MapQuantization, Quantization};
use crate::error::{Differences, Result, ShapeMismatch};
use crate::recognize::Recognized;
use crate::scheme::{NamedParam, Scheme};
use crate::values::{FloatType, decode, magnitude};

/// The most products of a `u8` and an `i8` whose sum an `i32` always holds.
const MOST_PRODUCTS: usize = i32::MAX as usize / (255 * 127);

/// The least and the greatest scale: their inverses are normal numbers, too.
const SCALES: std::ops::RangeInclusive<f32> = 1e-30..=1e30;

/// The names of a convolution's tensors: its weights, and next to them scale and bias.
pub(super) fn names(param: &ParamInfo) -> [String; 3] {
    let path = param.name.strip_suffix("weight").unwrap_or(&param.name);
    [param.name.clone(), format!("{path}scale"), format!("{path}bias")]
}

/// The names of the units of a map.
pub(crate) fn unit_names(node: &str) -> [String; 2] {
    ["scale", "offset"].map(|leaf| format!("{node}.unit.{leaf}"))
}

/// Whether the channels of an operation's map have the units of the map that it reads.
pub(super) fn keeps_units(op: &Op) -> bool {
    matches!(op, Op::Pool(_) | Op::AdaptiveAveragePool { .. } | Op::Upsample(_))
}

/// The quantized layers of a file without differences.
#[derive(Debug)]
pub(crate) struct StoredLayers {
    /// The tensors of weights, scales and biases.
    pub(crate) layers: HashMap<String, [usize; 3]>,
    pub(crate) units: HashMap<String, ChannelUnits>,
    pub(crate) maps: BTreeMap<String, MapQuantization>,
}

/// Holds a file against the network of its metadata.
pub(crate) fn recognize(checkpoint: &Checkpoint, config: &Config, quantization: &Quantization) -> Result<Recognized> {
    let graph = Graph::new(config)?.inference();
    let params = graph.params();
    let mut check =
        Check { checkpoint, places: places(checkpoint), known: HashSet::new(), differences: Differences::default() };
    let mut floats = Vec::new();
    let mut integers: HashSet<NodeId> = HashSet::new();
    for (id, node) in graph.nodes().iter().enumerate() {
        let own = || params.iter().filter(|param| param.node == id);
        match own().find(|param| param.kind == ParamKind::ConvWeight).filter(|param| check.is_integer(&param.name)) {
            Some(param) => {
                integers.insert(id);
                check.integer_layer(node, param, quantization.maps.get(&node.name));
            }
            None => {
                for param in own() {
                    check.float(param);
                    floats.push(NamedParam { param: param.clone(), key: param.name.clone(), transposed: false });
                }
            }
        }
        check.units(node);
    }
    check.maps(&graph, &integers, quantization);
    let unexpected = checkpoint.tensors().iter().filter(|tensor| !check.known.contains(&tensor.name));
    check.differences.unexpected = unexpected.map(|tensor| tensor.name.clone()).collect();
    Ok(Recognized {
        config: config.clone(),
        scheme: Scheme::PyTorch,
        prefix: String::new(),
        wrappers: Vec::new(),
        params: floats,
        differences: check.differences,
        left_out: Vec::new(),
        assumed: Vec::new(),
    })
}

fn places(checkpoint: &Checkpoint) -> HashMap<String, usize> {
    checkpoint.tensors().iter().zip(0..).map(|(tensor, at)| (tensor.name.clone(), at)).collect()
}

struct Check<'a> {
    checkpoint: &'a Checkpoint,
    places: HashMap<String, usize>,
    /// Tensors that belong to the network.
    known: HashSet<String>,
    differences: Differences,
}

impl Check<'_> {
    fn is_integer(&self, name: &str) -> bool {
        self.places.get(name).is_some_and(|&at| self.checkpoint.tensors()[at].dtype == Dtype::I8)
    }

    fn invalid(&mut self, name: &str, reason: impl Into<String>) {
        self.differences.invalid.push((name.into(), reason.into()));
    }

    /// The place of a tensor of this shape.
    fn place(&mut self, name: &str, shape: &[usize]) -> Option<usize> {
        self.known.insert(name.into());
        let Some(&at) = self.places.get(name) else {
            self.differences.missing.push(name.into());
            return None;
        };
        let found = &self.checkpoint.tensors()[at].shape;
        if found != shape {
            let (name, expected, found) = (name.into(), shape.to_vec(), found.clone());
            self.differences.misshaped.push(ShapeMismatch { name, expected, found });
            return None;
        }
        Some(at)
    }

    /// The bytes of a tensor of this shape and type.
    fn bytes(&mut self, name: &str, shape: &[usize], dtype: Dtype) -> Option<Vec<u8>> {
        let at = self.place(name, shape)?;
        let found = self.checkpoint.tensors()[at].dtype;
        if found != dtype {
            self.invalid(name, format!("is {found}, expected {dtype}"));
            return None;
        }
        self.checkpoint.read(at).ok().map(std::borrow::Cow::into_owned)
    }

    /// Finite values of one for each channel.
    fn channels(&mut self, name: &str, channels: usize) -> Option<Vec<f32>> {
        let values = decode(&self.bytes(name, &[channels], Dtype::F32)?, FloatType::F32);
        if !magnitude(&values).is_finite() {
            self.differences.not_finite.push(name.into());
            return None;
        }
        Some(values)
    }

    /// Scales of one for each channel.
    fn scales(&mut self, name: &str, channels: usize) -> Option<Vec<f32>> {
        let values = self.channels(name, channels)?;
        if !values.iter().all(|value| SCALES.contains(value)) {
            self.invalid(name, "has scales that are not from 1e-30 to 1e30");
            return None;
        }
        Some(values)
    }

    /// A parameter in floating point.
    fn float(&mut self, param: &ParamInfo) {
        let Some(at) = self.place(&param.name, &param.shape) else { return };
        let dtype = self.checkpoint.tensors()[at].dtype;
        let Some(float) = FloatType::new(dtype, self.checkpoint.format()) else {
            self.differences.unreadable.push((param.name.clone(), dtype.to_string()));
            return;
        };
        let values = self.checkpoint.read(at).map_or(Vec::new(), |bytes| decode(&bytes, float));
        if !magnitude(&values).is_finite() {
            self.differences.not_finite.push(param.name.clone());
        }
        if param.kind == ParamKind::RunningVar && values.iter().any(|&value| value < 0.0) {
            self.differences.negative.push(param.name.clone());
        }
    }

    fn integer_layer(&mut self, node: &Node, param: &ParamInfo, map: Option<&MapQuantization>) {
        let [weights, scale, bias] = names(param);
        let products: usize = param.shape[1..].iter().product();
        if products > MOST_PRODUCTS {
            self.invalid(&weights, format!("adds up {products} products, expected at most {MOST_PRODUCTS}"));
        }
        if let Some(bytes) = self.bytes(&weights, &param.shape, Dtype::I8)
            && bytes.contains(&128)
        {
            self.invalid(&weights, "has the value -128, expected -127 to 127");
        }
        let scales = self.scales(&scale, node.out_channels);
        let biases = self.channels(&bias, node.out_channels);
        let (Some(scales), Some(biases), Some(map)) = (scales, biases, map) else { return };
        let step = f64::from(map.scale);
        let overflows = |value: f64| !((value / step) as f32).is_finite();
        if SCALES.contains(&map.scale) && scales.iter().chain(&biases).any(|&value| overflows(f64::from(value))) {
            self.invalid(&scale, format!("overflows in steps of the map of `{}`", node.name));
        }
    }

    fn units(&mut self, node: &Node) {
        let [scale, offset] = unit_names(&node.name);
        if self.places.contains_key(&scale) {
            self.scales(&scale, node.out_channels);
            if self.places.contains_key(&offset) {
                self.channels(&offset, node.out_channels);
            }
        }
    }

    /// Checks the maps against each other.
    fn maps(&mut self, graph: &Graph, integers: &HashSet<NodeId>, quantization: &Quantization) {
        let map = |id: NodeId| quantization.maps.get(&graph.nodes()[id].name);
        let mut names = HashSet::new();
        for (id, node) in graph.nodes().iter().enumerate() {
            let own = map(id);
            names.insert(node.name.as_str());
            if own.is_some_and(|own| !SCALES.contains(&own.scale)) {
                self.invalid(&node.name, "has a map whose scale is not from 1e-30 to 1e30");
            }
            if let Some(first) = node.inputs.first().filter(|_| integers.contains(&id)) {
                let scale = map(*first).map(|map| map.scale);
                if scale.is_none() || node.inputs.iter().any(|&input| map(input).map(|map| map.scale) != scale) {
                    self.invalid(&node.name, "adds up integers, expected maps of one scale");
                }
            }
            match node.op {
                Op::Pool(_) if own != map(node.inputs[0]) => {
                    self.invalid(&node.name, "has a map of another quantization than the one that it pools");
                }
                Op::Upsample(_) if own != map(node.inputs[0]) => {
                    self.invalid(&node.name, "has a map of another quantization than the one that it interpolates");
                }
                Op::Conv(_) | Op::Pool(_) | Op::Upsample(_) => {}
                _ if own.is_some() => self.invalid(&node.name, "has a quantized map, expected one of f32"),
                _ => {}
            }
        }
        for name in quantization.maps.keys().filter(|name| !names.contains(name.as_str())) {
            self.invalid(name, "has a quantized map, and the network does not have it");
        }
    }
}

impl StoredLayers {
    /// The layers of a file in which [`recognize`] finds no differences.
    pub(crate) fn new(checkpoint: &Checkpoint, config: &Config, quantization: &Quantization) -> Result<Self> {
        let graph = Graph::new(config)?.inference();
        let places = places(checkpoint);
        let is_integer = |at: usize| checkpoint.tensors()[at].dtype == Dtype::I8;
        let mut stored = Self { layers: HashMap::new(), units: HashMap::new(), maps: quantization.maps.clone() };
        for param in graph.params().iter().filter(|param| param.kind == ParamKind::ConvWeight) {
            let found = names(param).map(|name| places.get(&name).copied());
            if let [Some(weights), Some(scale), Some(bias)] = found
                && is_integer(weights)
            {
                stored.layers.insert(graph.nodes()[param.node].name.clone(), [weights, scale, bias]);
            }
        }
        let floats = |name: &String| {
            let bytes = checkpoint.read(*places.get(name)?).ok()?;
            Some(decode(&bytes, FloatType::F32))
        };
        for node in graph.nodes() {
            let [scale, offset] = unit_names(&node.name);
            let own = floats(&scale).map(|scale| {
                let offset = floats(&offset).unwrap_or_else(|| vec![0.0; scale.len()]);
                ChannelUnits::new(scale, offset)
            });
            let pooled = || match (keeps_units(&node.op), &node.inputs[..]) {
                (true, &[input]) => stored.units.get(&graph.nodes()[input].name).cloned(),
                _ => None,
            };
            if let Some(units) = own.or_else(pooled) {
                stored.units.insert(node.name.clone(), units);
            }
        }
        Ok(stored)
    }
}

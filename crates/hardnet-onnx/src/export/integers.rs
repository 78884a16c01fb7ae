//! Layers and maps of 8-bit integers, as pairs of `QuantizeLinear` and `DequantizeLinear`.
//!
//! A model of this form computes in f32 between the pairs, and programs with integer kernels replace what is between
//! them. A map is `u8` with one scale and zero point, weights are `i8` with a scale for each output channel, and a bias
//! is `i32` in units of the sum of products.
//!
//! Maps that are concatenated have one scale, but zero points of 0 and 128. A convolution in integers has one for all
//! that it reads, so the values of some maps are read with the zero point of others, which adds a constant to each, and
//! the bias takes that constant back. At a border, where there are no values, it would be wrong: a convolution with
//! padding that reads maps of several zero points is computed in f32.

use std::collections::{HashMap, HashSet};

use hardnet_graph::{Conv, NodeId, Padding};

use super::nodes::Exporter;
use super::values::{Integers, Source};
use crate::error::{Error, Result};
use crate::model::{Attribute, Dim, ElementType, TensorInfo, Value};

/// How the 8-bit values of a map are read: `q` stands for `scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ByteMap {
    pub(super) scale: f32,
    pub(super) zero_point: u8,
}

/// The maps and layers of a network that are 8-bit integers, by the names of its nodes.
///
/// ```
/// use hardnet_onnx::Quantization;
///
/// let quantization = Quantization::default().map("base.0", 6.0 / 255.0, 0).layer("base.1").map("base.1", 0.02, 128);
/// assert!(quantization.has_layer("base.1") && !quantization.has_layer("base.0"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantization {
    maps: HashMap<String, ByteMap>,
    layers: HashSet<String>,
}

impl Quantization {
    /// Makes the map that `node` writes one of bytes, where `q` stands for `scale * (q - zero_point)`.
    #[must_use]
    pub fn map(mut self, node: impl Into<String>, scale: f32, zero_point: u8) -> Self {
        self.maps.insert(node.into(), ByteMap { scale, zero_point });
        self
    }

    /// Makes the weights of `node` bytes.
    #[must_use]
    pub fn layer(mut self, node: impl Into<String>) -> Self {
        self.layers.insert(node.into());
        self
    }

    /// Whether the weights of `node` are bytes.
    pub fn has_layer(&self, node: &str) -> bool {
        self.layers.contains(node)
    }

    /// The map of `node`, if it is one of bytes.
    pub(super) fn of(&self, node: &str) -> Option<ByteMap> {
        self.maps.get(node).copied()
    }
}

/// The values of a convolution in integers. Before the activation, output channel `o` is
/// `scale[o] * sum(w * (q - z)) + bias[o]`, where `w` are its weights and `q` the inputs with their zero points `z`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct IntegerLayer {
    /// `[out, in, kernel, kernel]`, `[channels, 1, kernel, kernel]` where depthwise; from -127 to 127.
    pub weights: Vec<i8>,
    /// For each output channel, the value of one unit of the sum.
    pub scale: Vec<f32>,
    /// For each output channel, in the unit of the results.
    pub bias: Vec<f32>,
}

/// The input of a convolution in integers.
struct Read {
    map: String,
    scale: f32,
    /// For each range of input channels, how many of them and what is added to their values.
    shifts: Vec<(usize, i32)>,
}

impl Exporter<'_> {
    /// Whether the layer of a node is computed in integers.
    pub(super) fn is_integer(&self, id: NodeId) -> bool {
        let name = &self.graph.nodes()[id].name;
        self.options.quantization.as_ref().is_some_and(|quantization| quantization.has_layer(name))
    }

    /// The map of a node, if it is one of bytes.
    pub(super) fn byte_map(&self, id: NodeId) -> Option<ByteMap> {
        self.options.quantization.as_ref()?.of(&self.graph.nodes()[id].name)
    }

    /// The one map that `nodes` are read as, if their scales and zero points are equal.
    pub(super) fn common(&self, nodes: &[NodeId]) -> Option<ByteMap> {
        let first = self.byte_map(nodes[0])?;
        nodes.iter().all(|&node| self.byte_map(node) == Some(first)).then_some(first)
    }

    /// Adds a convolution of integers.
    pub(super) fn integer_conv(&mut self, id: NodeId, conv: &Conv) -> Result<String> {
        let node = &self.graph.nodes()[id];
        let read = self.read_bytes(id, conv)?;
        let weight = self.weight(id);
        let path = weight.name.trim_end_matches(".weight").to_owned();
        let integers = Integers {
            node: node.name.clone(),
            shape: weight.shape.clone(),
            scale: read.scale,
            shifts: read.shifts,
            depthwise: conv.is_depthwise(),
        };
        let channels = [conv.channels];
        let sources = [Source::IntegerWeight(Box::new(integers)), Source::IntegerScale, Source::Zeros];
        let weight = self.dequantized(&weight.name, ElementType::I8, &weight.shape, sources);
        let sources = [Source::IntegerBias, Source::IntegerBiasScale, Source::Zeros];
        let bias = self.dequantized(&format!("{path}.bias"), ElementType::I32, &channels, sources);
        let attributes = self.conv_attributes(conv);
        Ok(self.push(&path, "Conv", vec![read.map, weight, bias], attributes, self.written(id)))
    }

    /// Adds initializers and the node that makes f32 of them; `sources` are those of the values, of the scales and of
    /// the zero points, one for each output channel.
    fn dequantized(&mut self, name: &str, element: ElementType, dims: &[usize], sources: [Source; 3]) -> String {
        let channels = vec![dims[0]];
        let infos = [
            TensorInfo::new(name, element, dims.to_vec()),
            TensorInfo::new(format!("{name}.scale"), ElementType::F32, channels.clone()),
            TensorInfo::new(format!("{name}.zero_point"), element, channels),
        ];
        let inputs = infos.into_iter().zip(sources).map(|(info, source)| self.initializer(info, source)).collect();
        let axis = ("axis".to_owned(), Attribute::Int(0));
        let dims = dims.iter().copied().map(Dim::Fixed).collect();
        let value = Value { name: String::new(), element: ElementType::F32, dims };
        self.push(&format!("{name}.dequantized"), "DequantizeLinear", inputs, vec![axis], value)
    }

    /// The concatenation of what a convolution of integers reads.
    fn read_bytes(&mut self, id: NodeId, conv: &Conv) -> Result<Read> {
        let node = &self.graph.nodes()[id];
        let refused = |reason| Error::Unsupported { layer: node.name.clone(), reason };
        let maps: Option<Vec<ByteMap>> = node.inputs.iter().map(|&input| self.byte_map(input)).collect();
        let maps = maps.ok_or_else(|| refused("it has weights of integers and reads a map of f32"))?;
        let scale = maps[0].scale;
        if maps.iter().any(|map| map.scale != scale) {
            return Err(refused("it reads maps of several scales"));
        }
        let path = format!("{}.concat", node.name);
        let greatest = maps.iter().map(|map| map.zero_point).max().unwrap_or(0);
        if self.common(&node.inputs).is_some() || conv.padding != Padding::all(0) {
            return Ok(Read { map: self.join(&node.inputs, &path), scale, shifts: Vec::new() });
        }
        let name = format!("{path}.shifted");
        let mut inputs = Vec::with_capacity(maps.len());
        let mut shifts = Vec::with_capacity(maps.len());
        let common = ByteMap { scale, zero_point: greatest };
        for (&input, map) in node.inputs.iter().zip(&maps) {
            let shape = self.shapes[input];
            shifts.push((shape.channels, i32::from(greatest) - i32::from(map.zero_point)));
            let own = self.maps[input].clone();
            inputs.push(if map.zero_point == greatest {
                own
            } else {
                let shifted = format!("{own}.shifted");
                if !self.model.nodes.iter().any(|node| node.name == shifted) {
                    let constants = self.scale_and_zero_point(&shifted, common);
                    let read = [vec![format!("{own}.quantized")], constants].concat();
                    self.push(&shifted, "DequantizeLinear", read, vec![], self.value(shape, false));
                }
                shifted
            });
        }
        let channels = shifts.iter().map(|(channels, _)| channels).sum();
        let value = self.value(hardnet_graph::Shape { channels, ..self.shapes[node.inputs[0]] }, false);
        self.push(&name, "Concat", inputs, vec![("axis".to_owned(), Attribute::Int(1))], value);
        self.quantize_last(&name, common);
        Ok(Read { map: name, scale, shifts })
    }

    /// Makes the output of the last node one of bytes, and `name` the name of what they stand for.
    pub(super) fn quantize_last(&mut self, name: &str, map: ByteMap) {
        let (float, quantized) = (format!("{name}.float"), format!("{name}.quantized"));
        self.name_last(&float);
        let Some(value) = self.model.values.last().cloned() else { return };
        let constants = self.scale_and_zero_point(name, map);
        let bytes = Value { element: ElementType::U8, ..value.clone() };
        let inputs = [vec![float], constants.clone()].concat();
        self.push(&format!("{name}.quantize"), "QuantizeLinear", inputs, vec![], bytes);
        self.name_last(&quantized);
        let inputs = [vec![quantized], constants].concat();
        self.push(&format!("{name}.dequantize"), "DequantizeLinear", inputs, vec![], value);
        self.name_last(name);
    }

    fn scale_and_zero_point(&mut self, name: &str, map: ByteMap) -> Vec<String> {
        let scale = TensorInfo::new(format!("{name}.scale"), ElementType::F32, vec![]);
        let zero_point = TensorInfo::new(format!("{name}.zero_point"), ElementType::U8, vec![]);
        let scale = self.initializer(scale, Source::Constant(vec![map.scale]));
        vec![scale, self.initializer(zero_point, Source::Byte(map.zero_point))]
    }
}

//! Maps and weights of integers: pairs of `QuantizeLinear` and `DequantizeLinear` in a model.
//!
//! A network is accepted if its maps of bytes have one scale wherever they are joined, so that a concatenation rounds
//! nothing. Programs that quantize tensor by tensor write other models; these are refused.

use std::borrow::Cow;

use hardnet_graph::{Graph, Op, Padding, ParamInfo, ParamKind};

use super::consts::{int, numbers, refused};
use super::layers::{Flow, Layer, LayerOp, Layers, Piece, Source, Walk};
use super::network::Check;
use crate::error::Result;
use crate::model::{ElementType, Node, Tensor};

/// How bytes are read: `q` stands for `scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bytes {
    pub(super) scale: f32,
    pub(super) zero_point: u8,
}

/// A constant of integers, with a scale for each of its first extent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled<'m> {
    pub(super) tensor: &'m Tensor<'m>,
    pub(super) scale: &'m Tensor<'m>,
}

/// The scales of a layer with weights of integers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Integers<'m> {
    /// The scales of the weights.
    pub(super) scale: &'m Tensor<'m>,
    /// The units of the bias, if it is in integers.
    pub(super) bias_scale: Option<&'m Tensor<'m>>,
}

impl<'m> Walk<'m> {
    /// The scale and zero point of a map.
    fn bytes(&self, node: &'m Node<'m>) -> Result<Bytes> {
        let scale = self.constants.number(node, 1).transpose()?;
        let scale = scale.filter(|scale| scale.is_normal() && *scale > 0.0);
        let scale = scale.ok_or_else(|| refused(node, "its scale is not one number above zero"))? as f32;
        let zero_point = self.constants.input(node, 2, "zero point")?;
        match (zero_point.info.element, &zero_point.bytes[..]) {
            (ElementType::U8, &[zero_point]) => Ok(Bytes { scale, zero_point }),
            _ => Err(refused(node, "its zero point is not one byte without sign")),
        }
    }

    /// Maps that become bytes.
    pub(super) fn quantize(&mut self, node: &'m Node<'m>) -> Result<Flow> {
        let bytes = self.bytes(node)?;
        let mut maps = self.maps(node, 0)?.to_vec();
        match maps[..] {
            [Piece { source: Source::Image, .. }] => {
                return Err(refused(node, "it quantizes the image, expected a first convolution in f32"));
            }
            [Piece { source: Source::Layer(at), steps, read: None }] => {
                let layer = &mut self.layers[at];
                if steps != layer.steps() || layer.map.is_some_and(|map| map != bytes) {
                    return Err(refused(node, "it quantizes a map that other nodes read in another way"));
                }
                layer.map = Some(bytes);
            }
            _ => {
                if let Some(Piece { read, .. }) = maps.iter().find(|piece| piece.read != Some(bytes)) {
                    let other =
                        read.map_or(String::from("f32"), |read| format!("{} and {}", read.scale, read.zero_point));
                    return Err(refused(
                        node,
                        format!(
                            "it quantizes with scale {} and zero point {} what has {other}, expected one scale for all \
                             maps that are joined",
                            bytes.scale, bytes.zero_point
                        ),
                    ));
                }
            }
        }
        maps.iter_mut().for_each(|piece| piece.read = None);
        Ok(Flow::Bytes(maps, bytes))
    }

    /// Bytes that are read, or a constant of integers: then there is no flow.
    pub(super) fn dequantize(&mut self, node: &'m Node<'m>) -> Result<Option<Flow>> {
        let name = node.inputs.first().map_or("", String::as_str);
        if let Some(tensor) = self.constants.get(name) {
            self.scaled.insert(node.outputs[0].as_str(), self.scaled_constant(node, tensor)?);
            return Ok(None);
        }
        let bytes = self.bytes(node)?;
        match self.flow(node, 0)? {
            Flow::Bytes(maps, written) if written.scale == bytes.scale => {
                let mut maps = maps.clone();
                maps.iter_mut().for_each(|piece| piece.read = Some(bytes));
                Ok(Some(Flow::Maps(maps)))
            }
            Flow::Bytes(_, written) => {
                let reason = format!("its scale is {}, expected {} as the map has it", bytes.scale, written.scale);
                Err(refused(node, reason))
            }
            _ => Err(refused(node, "it does not read bytes")),
        }
    }

    fn scaled_constant(&self, node: &'m Node<'m>, tensor: &'m Tensor<'m>) -> Result<Scaled<'m>> {
        let scale = self.constants.input(node, 1, "scale")?;
        let channels = tensor.info.dims.first().copied().unwrap_or(1);
        let positive = |scale: &f64| scale.is_finite() && *scale > 0.0;
        let per_channel = scale.info.dims == [channels] && scale.info.element == ElementType::F32;
        if !per_channel || !numbers(scale).is_some_and(|scales| scales.iter().all(positive)) {
            return Err(refused(node, "it does not have a scale above zero for each output channel"));
        }
        if int(node, "axis", 1)? != 0 && tensor.info.dims.len() > 1 {
            return Err(refused(node, "its scales are not those of output channels"));
        }
        if !matches!(tensor.info.element, ElementType::I8 | ElementType::I32) {
            return Err(refused(node, format!("it has elements of type {}, expected i8 or i32", tensor.info.element)));
        }
        if let Some(name) = node.inputs.get(2).filter(|name| !name.is_empty()) {
            let zeros = self.constants.get(name).and_then(Tensor::elements);
            if !zeros.is_some_and(|zeros| zeros.iter().all(|&byte| byte == 0)) {
                return Err(refused(node, "its zero points are not zero"));
            }
        }
        Ok(Scaled { tensor, scale })
    }

    /// How much smaller the values are that a node reads than those that were written.
    pub(super) fn shifts(&self, node: &Node<'_>, op: &LayerOp<'_>, integers: bool) -> Result<Vec<i32>> {
        let pieces = self.maps(node, 0)?;
        let shift = |piece: &Piece| match (piece.source, piece.read) {
            (Source::Layer(at), Some(read)) => {
                self.layers[at].map.map_or(0, |map| i32::from(read.zero_point) - i32::from(map.zero_point))
            }
            _ => 0,
        };
        let shifts: Vec<i32> = pieces.iter().map(shift).collect();
        let takes_back = |op: &LayerOp<'_>| match op {
            LayerOp::Conv { padding, groups, .. } => integers && *padding == Padding::all(0) && *groups == 1,
            _ => false,
        };
        if shifts.iter().any(|&shift| shift != 0) && !takes_back(op) {
            return Err(refused(node, "it reads bytes with another zero point than they were written with"));
        }
        Ok(shifts)
    }
}

/// A convolution whose weights are integers.
#[derive(Debug)]
#[non_exhaustive]
pub struct IntegerParameters<'m> {
    /// Its weight as a parameter.
    pub param: ParamInfo,
    /// The weights, of i8, in the order of the shape.
    pub weight: &'m Tensor<'m>,
    /// The scale of the sums of each output channel.
    pub scale: Vec<f32>,
    /// The bias of each output channel.
    pub bias: Vec<f32>,
}

impl<'m> Layers<'m> {
    /// Whether weights or maps are integers.
    pub fn is_quantized(&self) -> bool {
        self.layers.iter().any(|layer| layer.integers.is_some() || layer.map.is_some())
    }

    /// Scale and zero point of the maps of `graph` that are bytes, by the names of the nodes that write them.
    pub fn maps(&self, graph: &Graph) -> Vec<(String, f32, u8)> {
        let graph = graph.inference();
        let pairs = graph.nodes().iter().skip(1).zip(&self.layers);
        let map = pairs.filter_map(|(node, layer)| Some((node.name.clone(), layer.map?)));
        map.map(|(name, map)| (name, map.scale, map.zero_point)).collect()
    }

    /// The layers of `graph` whose weights are integers. `elements` gives those of a tensor that is not in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`](crate::Error::Layer) for a layer whose values are not those of the graph's, or are not given.
    pub fn integers(
        &self,
        graph: &Graph,
        elements: &mut dyn FnMut(&Tensor<'m>) -> Option<Vec<u8>>,
    ) -> Result<Vec<IntegerParameters<'m>>> {
        let graph = graph.inference();
        let params = graph.params();
        let mut all = Vec::new();
        for (at, (node, layer)) in graph.nodes().iter().skip(1).zip(&self.layers).enumerate() {
            let Some(integers) = &layer.integers else { continue };
            let check = Check { node, layer };
            let weight = params.iter().find(|param| param.node == at + 1 && param.kind == ParamKind::ConvWeight);
            let (Some(param), LayerOp::Conv { weight, bias, groups, .. }, Op::Conv(conv)) =
                (weight, &layer.op, &node.op)
            else {
                return Err(check.differs("it is not a convolution"));
            };
            check.expect("its number of groups", *groups, check.groups(conv))?;
            check.expect(&format!("the shape of `{}`", param.name), &weight.info.dims[..], &param.shape[..])?;
            check.expect("the type of its weight", weight.info.element, ElementType::I8)?;
            if layer.norm.is_some() {
                return Err(check.differs("it has both integers and a normalization"));
            }
            let scale = self.scale(layer).ok_or_else(|| check.differs("it does not read bytes of one scale"))?;
            let channels = conv.channels;
            let scales = numbers(integers.scale).unwrap_or_default();
            let units: Vec<f64> = scales.iter().map(|own| own * f64::from(scale)).collect();
            let bias = match bias {
                None => vec![0.0; channels],
                Some(bias) => {
                    check.expect("the shape of its bias", &bias.info.dims[..], &[channels][..])?;
                    let values = numbers(bias).ok_or_else(|| check.differs("its bias is of bytes"))?;
                    let scales = integers.bias_scale.and_then(numbers);
                    let whole = bias.info.element == ElementType::I32;
                    match scales {
                        Some(scales) if whole => {
                            values.iter().zip(scales).map(|(value, scale)| value * scale).collect()
                        }
                        None if !whole => values,
                        _ => return Err(check.differs("its bias is neither f32 nor integers with scales")),
                    }
                }
            };
            let shifts = self.shifts_by_channel(&graph, layer);
            let weights = match (weight.elements(), shifts.is_empty()) {
                (_, true) => Cow::Borrowed(&[][..]),
                (Some(weights), false) => Cow::Borrowed(weights),
                (None, false) => {
                    let read = elements(weight).filter(|read| Some(read.len()) == weight.info.byte_count());
                    Cow::Owned(read.ok_or_else(|| check.differs("its weights cannot be read"))?)
                }
            };
            let row = |(at, bias): (usize, f64)| {
                let length = weights.len() / channels;
                let taps: usize = param.shape.iter().skip(2).product();
                let row = weights[at * length..(at + 1) * length].chunks(taps.max(1));
                let shifted = row.zip(&shifts).map(|(weights, shift)| {
                    f64::from(*shift) * weights.iter().map(|&weight| f64::from(weight.cast_signed())).sum::<f64>()
                });
                (bias - shifted.sum::<f64>() * units[at]) as f32
            };
            let bias = bias.into_iter().enumerate().map(row).collect();
            let scale = units.iter().map(|&unit| unit as f32).collect();
            all.push(IntegerParameters { param: param.clone(), weight, scale, bias });
        }
        Ok(all)
    }

    /// The one scale of what a layer reads.
    fn scale(&self, layer: &Layer<'_>) -> Option<f32> {
        let mut scales = layer.inputs.iter().map(|source| match source {
            Source::Layer(at) => self.layers[*at].map.map(|map| map.scale),
            Source::Image => None,
        });
        let first = scales.next()??;
        scales.all(|scale| scale == Some(first)).then_some(first)
    }

    /// The shift of each input channel; empty if there is none.
    fn shifts_by_channel(&self, graph: &Graph, layer: &Layer<'_>) -> Vec<i32> {
        if layer.shifts.iter().all(|&shift| shift == 0) {
            return Vec::new();
        }
        let channels = |source: &Source| match source {
            Source::Layer(at) => graph.nodes()[at + 1].out_channels,
            Source::Image => graph.in_channels(),
        };
        let pairs = layer.inputs.iter().zip(&layer.shifts);
        pairs.flat_map(|(source, &shift)| std::iter::repeat_n(shift, channels(source))).collect()
    }
}

//! The layers of a model.

use std::collections::HashMap;

use hardnet_base::excerpt;
use hardnet_graph::{Activation, Padding, PoolKind};

use super::consts::{Constants, float, int, ints, numbers, refused};
use super::integers::{Bytes, Integers, Scaled};
use crate::error::{Error, Result};
use crate::model::{Attribute, Dim, Model, Node, Tensor};

/// A convolution, pool or linear layer, with the normalization and activation after it.
#[derive(Clone, Debug)]
pub(super) struct Layer<'m> {
    /// The name of its node.
    pub(super) name: String,
    pub(super) op: LayerOp<'m>,
    /// The layers whose concatenation it reads; the image is none of them.
    pub(super) inputs: Vec<Source>,
    /// For each of them, how much smaller the values are that are read than those that were written, in steps.
    pub(super) shifts: Vec<i32>,
    /// Scales and bias of weights of integers.
    pub(super) integers: Option<Integers<'m>>,
    /// How the bytes of its map are read, if they are bytes.
    pub(super) map: Option<Bytes>,
    pub(super) norm: Option<Normalization<'m>>,
    pub(super) activation: Option<Activation>,
}

#[derive(Clone, Debug)]
pub(super) enum LayerOp<'m> {
    Conv {
        weight: &'m Tensor<'m>,
        bias: Option<&'m Tensor<'m>>,
        strides: [usize; 2],
        dilations: [usize; 2],
        padding: Padding,
        groups: usize,
    },
    Pool {
        kind: PoolKind,
        kernel: [usize; 2],
        strides: [usize; 2],
        padding: Padding,
        ceil: bool,
    },
    /// The mean of every channel.
    Mean,
    Linear {
        weight: &'m Tensor<'m>,
        /// Whether the weight is `[in, out]`.
        transposed: bool,
        bias: Option<&'m Tensor<'m>>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Normalization<'m> {
    /// Weight, bias, mean and variance.
    pub(super) tensors: [&'m Tensor<'m>; 4],
    pub(super) eps: f32,
}

/// A part of a value: a layer's map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) source: Source,
    /// How many of the layer's steps (the operation, normalization, activation) it has.
    pub(super) steps: usize,
    /// How its bytes are read, if they are bytes.
    pub(super) read: Option<Bytes>,
}

/// An input of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Image,
    Layer(usize),
}

/// A value that a node writes.
#[derive(Clone, Debug)]
pub(super) enum Flow {
    /// Maps to be concatenated.
    Maps(Vec<Piece>),
    /// Such maps in bytes.
    Bytes(Vec<Piece>, Bytes),
    /// Probabilities.
    Probabilities,
    /// A value that this reader does not follow, such as a shape, by the operator that wrote it.
    Other(String),
}

/// The layers of a model in order.
#[derive(Debug)]
pub struct Layers<'m> {
    pub(super) layers: Vec<Layer<'m>>,
    pub(super) outputs: Vec<Source>,
    /// Channels of the image, if the model states them.
    pub(super) channels: Option<usize>,
    /// Whether the model normalizes an image itself.
    preprocesses: bool,
}

impl<'m> Layers<'m> {
    /// Reduces `model` to its layers.
    ///
    /// # Errors
    ///
    /// [`Error::Node`] for a node that a HarDNet does not have, that reads what no earlier node wrote (as in a cycle),
    /// or whose constants are not in the model.
    pub fn new(model: &'m Model<'m>) -> Result<Self> {
        let mut walk = Walk {
            constants: Constants::new(model)?,
            flows: HashMap::new(),
            scaled: HashMap::new(),
            layers: Vec::new(),
            preprocesses: false,
            references: 0,
        };
        let image = model.inputs.iter().find(|input| !walk.constants.contains(&input.name));
        let image = image.ok_or_else(|| Error::Node { node: "the graph".into(), reason: "it has no input".into() })?;
        walk.flows.insert(&image.name, Flow::Maps(vec![Piece { source: Source::Image, steps: 0, read: None }]));
        for node in &model.nodes {
            walk.node(node)?;
        }
        let output = model.outputs.first().map_or("", |output| output.name.as_str());
        let reason =
            || Error::Node { node: excerpt(output), reason: "the first output is not a map of a layer".into() };
        let maps = match walk.flows.get(output) {
            Some(Flow::Maps(maps)) => maps.clone(),
            Some(Flow::Probabilities) => {
                vec![Piece {
                    source: Source::Layer(walk.layers.len().saturating_sub(1)),
                    steps: usize::MAX,
                    read: None,
                }]
            }
            _ => return Err(reason()),
        };
        let outputs = maps.iter().map(|&piece| walk.whole(piece).ok_or_else(reason)).collect::<Result<_>>()?;
        let channels = match image.dims.get(1) {
            Some(Dim::Fixed(channels)) if !walk.preprocesses => Some(*channels),
            _ => None,
        };
        Ok(Self { layers: walk.layers, outputs, channels, preprocesses: walk.preprocesses })
    }

    /// Number of classes: outputs of the linear layer at the end, 0 without one.
    pub fn classes(&self) -> usize {
        match self.layers.last().map(|layer| &layer.op) {
            Some(LayerOp::Linear { weight, transposed, .. }) => {
                weight.info.dims.get(usize::from(*transposed)).copied().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether the model normalizes an image of samples before the first layer.
    pub fn preprocesses(&self) -> bool {
        self.preprocesses
    }
}

/// Layers under construction.
pub(super) struct Walk<'m> {
    pub(super) constants: Constants<'m>,
    pub(super) flows: HashMap<&'m str, Flow>,
    /// Constants of integers, by the names of what they stand for.
    pub(super) scaled: HashMap<&'m str, Scaled<'m>>,
    pub(super) layers: Vec<Layer<'m>>,
    preprocesses: bool,
    /// References to maps so far.
    references: usize,
}

/// Most references to maps, over all nodes; HarDNet85 has less than 2,000. Small nodes could otherwise join maps over
/// and over.
const MAX_REFERENCES: usize = 1 << 16;

impl<'m> Walk<'m> {
    fn node(&mut self, node: &'m Node<'m>) -> Result<()> {
        let output = node.outputs.first().ok_or_else(|| refused(node, "it has no output"))?.as_str();
        if self.knows(output) {
            return Err(refused(node, "another node or constant has the name of its output"));
        }
        for input in node.inputs.iter().filter(|input| !input.is_empty()) {
            if !self.knows(input) {
                return Err(refused(node, format!("it reads `{}`, which no earlier node writes", excerpt(input))));
            }
        }
        let own = node.domain.is_empty() || node.domain == "ai.onnx";
        let flow = match node.op.as_str() {
            _ if !own => Flow::Other(node.op.clone()),
            "Constant" => match node.attribute("value") {
                Some(Attribute::Tensor(tensor)) => {
                    self.constants.insert(output, tensor);
                    return Ok(());
                }
                _ => Flow::Other(node.op.clone()),
            },
            "Identity" | "Cast" | "Dropout" => match node.inputs.first().and_then(|name| self.constants.get(name)) {
                // A bound of a `Clip` may be cast; a weight that is would be another one.
                Some(tensor) if node.op == "Identity" || tensor.info.count() == Some(1) => {
                    self.constants.insert(output, tensor);
                    return Ok(());
                }
                Some(_) => Flow::Other(node.op.clone()),
                None => self.flow(node, 0)?.clone(),
            },
            "QuantizeLinear" => self.quantize(node)?,
            "DequantizeLinear" => match self.dequantize(node)? {
                Some(flow) => flow,
                None => return Ok(()),
            },
            "Conv" => self.conv(node)?,
            "MaxPool" | "AveragePool" => self.pool(node)?,
            "GlobalAveragePool" => self.layer(node, LayerOp::Mean)?,
            "ReduceMean" => self.mean(node)?,
            "BatchNormalization" => self.norm(node)?,
            "Relu" => self.activation(node, Activation::Relu)?,
            "Clip" => self.clip(node)?,
            "Concat" => self.concat(node)?,
            "Flatten" | "Reshape" | "Squeeze" => self.flatten(node)?,
            "Gemm" | "MatMul" => self.linear(node)?,
            "Add" if self.bias(node)? => {
                let reads = usize::from(self.constants.contains(&node.inputs[0]));
                self.flow(node, reads)?.clone()
            }
            "Sub" | "Div" | "Mul" | "Add" | "Transpose" => self.preprocessing(node)?,
            "Softmax" => match self.maps(node, 0) {
                Ok(_) => Flow::Probabilities,
                Err(_) => Flow::Other(node.op.clone()),
            },
            _ => Flow::Other(node.op.clone()),
        };
        if let Flow::Maps(maps) | Flow::Bytes(maps, _) = &flow {
            self.refer(node, maps.len())?;
        }
        self.flows.insert(output, flow);
        Ok(())
    }

    /// Whether a value is known by now.
    fn knows(&self, name: &str) -> bool {
        self.flows.contains_key(name) || self.constants.contains(name) || self.scaled.contains_key(name)
    }

    /// Counts references to maps.
    fn refer(&mut self, node: &Node<'_>, count: usize) -> Result<()> {
        self.references += count;
        if self.references > MAX_REFERENCES {
            return Err(refused(node, "the model joins more maps than a HarDNet has"));
        }
        Ok(())
    }

    pub(super) fn flow(&self, node: &Node<'_>, at: usize) -> Result<&Flow> {
        let name = node.inputs.get(at).map_or("", String::as_str);
        self.flows.get(name).ok_or_else(|| refused(node, format!("its input {at} is not a map")))
    }

    /// The maps that input `at` of a node is.
    pub(super) fn maps(&self, node: &Node<'_>, at: usize) -> Result<&[Piece]> {
        match self.flow(node, at)? {
            Flow::Maps(maps) => Ok(maps),
            Flow::Bytes(..) => Err(refused(node, "it reads bytes without their scale")),
            Flow::Probabilities => Err(refused(node, "it reads probabilities")),
            Flow::Other(op) => {
                Err(refused(node, format!("it reads what a node `{}` writes, which HarDNets do not have", excerpt(op))))
            }
        }
    }

    /// A source that has all of its layer's steps.
    pub(super) fn whole(&self, piece: Piece) -> Option<Source> {
        match piece.source {
            Source::Layer(at) if piece.steps != usize::MAX && piece.steps != self.layers[at].steps() => None,
            source => Some(source),
        }
    }

    /// The layers that input 0 of a node is the concatenation of.
    pub(super) fn sources(&self, node: &Node<'_>) -> Result<Vec<Source>> {
        let whole = |&piece: &Piece| {
            let name = || match piece.source {
                Source::Layer(at) => excerpt(&self.layers[at].name),
                Source::Image => String::new(),
            };
            let reason = || refused(node, format!("it reads `{}` before its normalization or activation", name()));
            let source = self.whole(piece).ok_or_else(reason)?;
            // A map of bytes is read as bytes.
            match source {
                Source::Layer(at) if self.layers[at].map.is_some() && piece.read.is_none() => {
                    Err(refused(node, format!("it reads `{}` before it becomes bytes", name())))
                }
                _ => Ok(source),
            }
        };
        self.maps(node, 0)?.iter().map(whole).collect()
    }

    /// Adds a layer.
    fn layer(&mut self, node: &Node<'_>, op: LayerOp<'m>) -> Result<Flow> {
        self.layer_of(node, op, None)
    }

    fn layer_of(&mut self, node: &Node<'_>, op: LayerOp<'m>, integers: Option<Integers<'m>>) -> Result<Flow> {
        let inputs = self.sources(node)?;
        self.refer(node, inputs.len())?;
        let shifts = self.shifts(node, &op, integers.is_some())?;
        let name = if node.name.is_empty() { node.outputs[0].clone() } else { node.name.clone() };
        self.layers.push(Layer { name, op, inputs, shifts, integers, map: None, norm: None, activation: None });
        Ok(self.last())
    }

    fn last(&self) -> Flow {
        let at = self.layers.len() - 1;
        Flow::Maps(vec![Piece { source: Source::Layer(at), steps: self.layers[at].steps(), read: None }])
    }

    /// The layer that input 0 of a node is, if its last step is that value and it is the last layer.
    fn step(&mut self, node: &Node<'_>) -> Result<&mut Layer<'m>> {
        let last = self.layers.len().wrapping_sub(1);
        match *self.maps(node, 0)? {
            [Piece { source: Source::Layer(at), steps, read: None }]
                if at == last && steps == self.layers[at].steps() && self.layers[at].map.is_none() =>
            {
                Ok(&mut self.layers[at])
            }
            _ => Err(refused(node, "it does not follow a convolution")),
        }
    }

    fn conv(&mut self, node: &'m Node<'m>) -> Result<Flow> {
        let scaled = node.inputs.get(1).and_then(|name| self.scaled.get(name.as_str())).copied();
        let weight = match scaled {
            Some(scaled) => scaled.tensor,
            None => self.constants.input(node, 1, "weight")?,
        };
        let [_, _, rows, columns] = weight.info.dims[..] else {
            return Err(refused(node, "its weight does not have four extents"));
        };
        let (bias, bias_scale) = match node.inputs.get(2).filter(|name| !name.is_empty()) {
            Some(name) => match self.scaled.get(name.as_str()).filter(|_| scaled.is_some()) {
                Some(bias) => (Some(bias.tensor), Some(bias.scale)),
                None => (Some(self.constants.input(node, 2, "bias")?), None),
            },
            None => (None, None),
        };
        let integers = scaled.map(|scaled| Integers { scale: scaled.scale, bias_scale });
        let kernel = ints(node, "kernel_shape", [rows, columns])?;
        if kernel != [rows, columns] {
            return Err(refused(node, "`kernel_shape` is not that of its weight"));
        }
        let groups = int(node, "group", 1)?;
        let groups = usize::try_from(groups).map_err(|_| refused(node, "`group` is below zero"))?;
        let op = LayerOp::Conv {
            weight,
            bias,
            strides: ints(node, "strides", [1, 1])?,
            dilations: ints(node, "dilations", [1, 1])?,
            padding: padding(node)?,
            groups,
        };
        self.layer_of(node, op, integers)
    }

    fn pool(&mut self, node: &Node<'_>) -> Result<Flow> {
        let kernel = ints(node, "kernel_shape", [0, 0])?;
        if ints(node, "dilations", [1, 1])? != [1, 1] || int(node, "storage_order", 0)? != 0 {
            return Err(refused(node, "it has dilations or another order of elements"));
        }
        let padding = padding(node)?;
        let kind = match node.op.as_str() {
            "MaxPool" => PoolKind::Max,
            _ if padding != Padding::all(0) && int(node, "count_include_pad", 0)? == 0 => {
                return Err(refused(node, "zeros of its padding do not count"));
            }
            _ => PoolKind::Average,
        };
        let op = LayerOp::Pool {
            kind,
            kernel,
            strides: ints(node, "strides", [1, 1])?,
            padding,
            ceil: int(node, "ceil_mode", 0)? != 0,
        };
        self.layer(node, op)
    }

    /// A mean over rows and columns.
    fn mean(&mut self, node: &Node<'_>) -> Result<Flow> {
        let axes = match (node.attribute("axes"), node.inputs.get(1)) {
            (Some(Attribute::Ints(axes)), _) => Some(axes.iter().map(|&axis| axis as f64).collect()),
            (None, Some(name)) => self.constants.get(name).and_then(numbers),
            _ => None,
        };
        match axes.map(|mut axes: Vec<f64>| {
            axes.sort_by(f64::total_cmp);
            axes
        }) {
            Some(axes) if axes == [2.0, 3.0] || axes == [-2.0, -1.0] => self.layer(node, LayerOp::Mean),
            _ => Err(refused(node, "it is not a mean over rows and columns")),
        }
    }

    fn norm(&mut self, node: &'m Node<'m>) -> Result<Flow> {
        let eps = float(node, "epsilon", 1e-5)?;
        let mut tensors = [self.constants.input(node, 1, "weight")?; 4];
        for (at, what) in [(2, "bias"), (3, "mean"), (4, "variance")] {
            tensors[at - 1] = self.constants.input(node, at, what)?;
        }
        let layer = self.step(node)?;
        if layer.steps() > 1 || !matches!(layer.op, LayerOp::Conv { .. }) {
            return Err(refused(node, "it does not follow a convolution"));
        }
        layer.norm = Some(Normalization { tensors, eps });
        Ok(self.last())
    }

    fn activation(&mut self, node: &Node<'_>, activation: Activation) -> Result<Flow> {
        let layer = self.step(node)?;
        if layer.activation.is_some() {
            return Err(refused(node, "it follows another activation"));
        }
        layer.activation = Some(activation);
        Ok(self.last())
    }

    /// ReLU6, or ReLU without an upper bound.
    fn clip(&mut self, node: &Node<'_>) -> Result<Flow> {
        // Bounds are attributes up to opset 10.
        let bound = |name: &str, at: usize| match node.attribute(name) {
            Some(_) => float(node, name, 0.0).map(|bound| Some(f64::from(bound))),
            None => self.constants.number(node, at).transpose(),
        };
        match (bound("min", 1)?, bound("max", 2)?) {
            (Some(0.0), Some(6.0)) => self.activation(node, Activation::Relu6),
            (Some(0.0), None) => self.activation(node, Activation::Relu),
            _ => Err(refused(node, "its bounds are not 0 and 6")),
        }
    }

    fn concat(&mut self, node: &Node<'_>) -> Result<Flow> {
        // Shapes are concatenated too.
        let Ok(_) = self.maps(node, 0) else { return Ok(Flow::Other(node.op.clone())) };
        if !matches!(int(node, "axis", 0)?, 1 | -3) {
            return Err(refused(node, "it does not join channels"));
        }
        let mut all = Vec::new();
        for at in 0..node.inputs.len() {
            all.extend_from_slice(self.maps(node, at)?);
            if all.len() > MAX_REFERENCES {
                return Err(refused(node, "it joins more maps than a HarDBlock has"));
            }
        }
        Ok(Flow::Maps(all))
    }

    /// A node that makes a list of the means of channels.
    fn flatten(&mut self, node: &Node<'_>) -> Result<Flow> {
        match self.maps(node, 0) {
            Ok(&[piece @ Piece { source: Source::Layer(at), .. }])
                if matches!(self.layers[at].op, LayerOp::Mean | LayerOp::Linear { .. }) =>
            {
                Ok(Flow::Maps(vec![piece]))
            }
            Ok(_) => Err(refused(node, "it does not follow the mean of every channel")),
            Err(_) => Ok(Flow::Other(node.op.clone())),
        }
    }

    fn linear(&mut self, node: &'m Node<'m>) -> Result<Flow> {
        let weight = self.constants.input(node, 1, "weight")?;
        let [_, _] = weight.info.dims[..] else { return Err(refused(node, "its weight does not have two extents")) };
        if node.op == "MatMul" {
            return self.layer(node, LayerOp::Linear { weight, transposed: true, bias: None });
        }
        if float(node, "alpha", 1.0)? != 1.0 || float(node, "beta", 1.0)? != 1.0 || int(node, "transA", 0)? != 0 {
            return Err(refused(node, "it scales or transposes what it reads"));
        }
        let bias = match node.inputs.get(2).filter(|name| !name.is_empty()) {
            Some(_) => Some(self.constants.input(node, 2, "bias")?),
            None => None,
        };
        let transposed = int(node, "transB", 0)? == 0;
        self.layer(node, LayerOp::Linear { weight, transposed, bias })
    }

    /// Takes an addition of a constant to a linear layer, or to a convolution without bias, as its bias.
    fn bias(&mut self, node: &'m Node<'m>) -> Result<bool> {
        let [first, second] = &node.inputs[..] else { return Ok(false) };
        let (map, constant) = if self.constants.contains(first) { (second, first) } else { (first, second) };
        let (Some(tensor), Some(Flow::Maps(maps))) = (self.constants.get(constant), self.flows.get(map.as_str()))
        else {
            return Ok(false);
        };
        let [Piece { source: Source::Layer(at), steps: 1, .. }] = maps[..] else { return Ok(false) };
        let alone = at + 1 == self.layers.len() && self.layers[at].steps() == 1;
        match &mut self.layers[at].op {
            LayerOp::Linear { bias: bias @ None, .. } if alone => *bias = Some(tensor),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Arithmetic on the image with constants.
    fn preprocessing(&mut self, node: &Node<'_>) -> Result<Flow> {
        let maps = (0..node.inputs.len()).find(|&at| !self.constants.contains(&node.inputs[at]));
        match maps.map(|at| self.maps(node, at)) {
            Some(Ok([piece @ Piece { source: Source::Image, .. }])) => {
                let flow = Flow::Maps(vec![*piece]);
                self.preprocesses = true;
                Ok(flow)
            }
            _ => Ok(Flow::Other(node.op.clone())),
        }
    }
}

impl Layer<'_> {
    /// The operation itself, and what follows it.
    pub(super) fn steps(&self) -> usize {
        1 + usize::from(self.norm.is_some()) + usize::from(self.activation.is_some())
    }
}

fn padding(node: &Node<'_>) -> Result<Padding> {
    match node.attribute("auto_pad") {
        None => {}
        Some(Attribute::Text(text)) if text == "NOTSET" || text.is_empty() => {}
        Some(_) => return Err(refused(node, "its padding depends on the size of the image")),
    }
    let [top, left, bottom, right] = ints(node, "pads", [0; 4])?;
    Ok(Padding { top, bottom, left, right })
}

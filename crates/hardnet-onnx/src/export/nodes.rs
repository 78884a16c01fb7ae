//! From a graph to the nodes of an ONNX model.
//!
//! Names are PyTorch's. The map that a layer writes has the layer's name, as `base.0`, so that the output of a module
//! is found under the module's name; a node is named after the module that computes it, as `base.0.conv`,
//! `base.0.norm` and `base.0.relu`, and so are the maps between them. Initializers have the names of parameters.
//!
//! Nodes that compute nothing are not written: no dropout, no identity, no arithmetic of shapes. That keeps sizes free
//! and leaves nothing to simplify.

use std::collections::HashMap;

use hardnet_graph::{Activation, Conv, Graph, Grouping, NodeId, Op, ParamInfo, ParamKind, Pointwise, Shape};

use super::attributes::{int, ints, pads, pool};
use super::options::{ExportOptions, Image, Norm};
use super::outputs::part;
use super::values::{Folded, Source};
use crate::error::{Error, Result};
use crate::model::{Attribute, Dim, ElementType, Model, Node, Tensor, TensorInfo, Value};

/// Name of the model's input.
const INPUT: &str = "input";

/// The parameters of a normalization, in the order of `BatchNormalization`'s inputs.
const NORM: [ParamKind; 4] =
    [ParamKind::NormWeight, ParamKind::NormBias, ParamKind::RunningMean, ParamKind::RunningVar];

/// The constants of an operation.
type Attributes = Vec<(String, Attribute<'static>)>;

/// A model under construction.
pub(super) struct Exporter<'a> {
    pub(super) graph: &'a Graph,
    pub(super) options: &'a ExportOptions,
    params: Vec<ParamInfo>,
    /// The shape of each layer's map for images of the fixed size.
    pub(super) shapes: Vec<Shape>,
    /// Each node has one output, whose type and shape are at the node's position in `values`.
    pub(super) model: Model<'static>,
    sources: Vec<Source>,
    /// The name of each layer's map.
    pub(super) maps: Vec<String>,
    /// The names of concatenations, by the layers that are joined.
    joined: HashMap<Vec<NodeId>, String>,
}

impl Exporter<'_> {
    /// The model of `graph`, and where the values of its initializers come from.
    pub(super) fn export(graph: &Graph, options: &ExportOptions) -> Result<(Model<'static>, Vec<Source>)> {
        let graph = match &options.features {
            Some(positions) => part(graph, positions)?.inference(),
            None => graph.inference(),
        };
        let (height, width) = options.size;
        let mut exporter = Exporter {
            graph: &graph,
            options,
            params: graph.params(),
            shapes: graph.shapes(height, width)?,
            model: Model::default(),
            sources: Vec::new(),
            maps: Vec::with_capacity(graph.nodes().len()),
            joined: HashMap::new(),
        };
        exporter.describe();
        exporter.input()?;
        for id in 1..graph.nodes().len() {
            exporter.layer(id)?;
        }
        exporter.outputs()?;
        exporter.check_names()?;
        Ok((exporter.model, exporter.sources))
    }

    fn describe(&mut self) {
        let Self { model, options, graph, .. } = self;
        model.ir_version = options.opset.ir_version();
        model.opset = options.opset.number();
        model.producer_name = "hardnet".into();
        model.producer_version = env!("CARGO_PKG_VERSION").into();
        model.name = graph.name().into();
        model.description.clone_from(&options.description);
        model.metadata.clone_from(&options.metadata);
    }

    /// Adds the input, with its normalization if it has one.
    fn input(&mut self) -> Result<()> {
        let mut planes = self.dims(self.shapes[0]);
        if self.options.dynamic_size {
            planes.splice(2.., ["height", "width"].map(|name| Dim::Dynamic(name.into())));
        }
        let element = self.options.precision.element();
        let Some(Image { mean, std }) = &self.options.image else {
            self.model.inputs.push(Value { name: INPUT.into(), element, dims: planes });
            self.maps.push(INPUT.into());
            return Ok(());
        };
        let channels = self.shapes[0].channels;
        if let Some(found) = [mean.len(), std.len()].into_iter().find(|&found| found != channels) {
            return Err(Error::Channels { expected: channels, found });
        }
        let pixels: Vec<Dim> = [0, 2, 3, 1].map(|axis| planes[axis].clone()).to_vec();
        self.model.inputs.push(Value { name: INPUT.into(), element: ElementType::U8, dims: pixels.clone() });
        let cast = |to: ElementType| vec![("to".to_owned(), Attribute::Int(to.code() as i64))];
        let value = |element, dims: &[Dim]| Value { name: String::new(), element, dims: dims.to_vec() };
        // In f32 even for a network in f16, where a mean of 123.675 would be 123.6875.
        let f32 = ElementType::F32;
        let map = self.push("preprocessing.cast", "Cast", vec![INPUT.into()], cast(f32), value(f32, &pixels));
        let order = vec![ints("perm", &[0, 3, 1, 2])];
        let mut map = self.push("preprocessing.transpose", "Transpose", vec![map], order, value(f32, &planes));
        for (name, op, constants) in [("mean", "Sub", mean), ("std", "Div", std)] {
            let constants = constants.iter().map(|&constant| (f64::from(constant) * 255.0) as f32).collect();
            let info = TensorInfo::new(format!("preprocessing.{name}"), f32, vec![1, channels, 1, 1]);
            let constant = self.initializer(info, Source::Constant(constants));
            let path = format!("preprocessing.{}", op.to_lowercase());
            map = self.push(&path, op, vec![map, constant], vec![], value(f32, &planes));
        }
        if element != f32 {
            map = self.push("preprocessing.to_f16", "Cast", vec![map], cast(element), value(element, &planes));
        }
        self.maps.push(map);
        Ok(())
    }

    /// Adds the nodes of a layer.
    fn layer(&mut self, id: NodeId) -> Result<()> {
        let graph = self.graph;
        let node = &graph.nodes()[id];
        let name = node.name.as_str();
        let mut rest = node.after;
        let map = match node.op {
            Op::Add => self.add(id),
            op => {
                // A convolution of integers may read the maps in another way.
                let mut map = match op {
                    Op::Conv(_) if self.is_integer(id) => String::new(),
                    _ => self.join(&node.inputs, &format!("{name}.concat")),
                };
                if node.before != Pointwise::NONE {
                    let read = graph.input_shape(node, &self.shapes)?;
                    map = self.pointwise(id, map, node.before, "pre_", read)?;
                }
                match op {
                    Op::Conv(conv) if self.is_integer(id) => {
                        rest.norm = None;
                        self.integer_conv(id, &conv)?
                    }
                    Op::Conv(mut conv) => {
                        if !self.options.dynamic_size {
                            let read = graph.input_shape(node, &self.shapes)?;
                            conv = conv.on((read.height, read.width));
                        }
                        let folds = self.options.norm == Norm::Folded && rest.norm.is_some();
                        let map = self.conv(id, map, &conv, folds);
                        rest.norm = rest.norm.filter(|_| !folds);
                        map
                    }
                    Op::Pool(window) => {
                        let (op, attributes) = pool(name, &window)?;
                        self.push(name, op, vec![map], attributes, self.written(id))
                    }
                    Op::GLOBAL_AVERAGE_POOL => {
                        self.push(name, "GlobalAveragePool", vec![map], vec![], self.written(id))
                    }
                    Op::Linear { .. } => self.linear(id, map),
                    Op::Upsample(upsample) => self.resize(id, map, &upsample),
                    _ => {
                        let reason = "ONNX has no such operation for images of any size";
                        return Err(Error::Unsupported { layer: name.into(), reason });
                    }
                }
            }
        };
        self.pointwise(id, map, rest, "", self.shapes[id])?;
        // The last node of a layer writes the layer's map.
        match self.byte_map(id) {
            Some(map) => self.quantize_last(name, map),
            None => self.name_last(name),
        }
        self.maps.push(name.into());
        Ok(())
    }

    /// Adds a convolution, into which the normalization after it is folded if `folds`.
    fn conv(&mut self, id: NodeId, map: String, conv: &Conv, folds: bool) -> String {
        let node = &self.graph.nodes()[id];
        let weight = self.weight(id);
        let path = weight.name.trim_end_matches(".weight").to_owned();
        let bias = conv.bias.then(|| self.param(id, ParamKind::ConvBias, "bias"));
        let weight_info = self.info(&weight.name, &weight.shape);
        let bias_info = self.info(&format!("{path}.bias"), &[conv.channels]);
        let mut inputs = vec![map];
        match node.after.norm.filter(|_| folds) {
            Some(constants) => {
                let norm = NORM.map(|kind| self.param(id, kind, ".norm."));
                let folded = Box::new(Folded { weight, bias, norm, constants });
                inputs.push(self.initializer(weight_info, Source::FoldedWeight(folded)));
                inputs.push(self.initializer(bias_info, Source::FoldedBias));
            }
            None => {
                inputs.push(self.initializer(weight_info, Source::Param(weight)));
                inputs.extend(bias.map(|bias| self.initializer(bias_info, Source::Param(bias))));
            }
        }
        let attributes = self.conv_attributes(conv);
        self.push(&path, "Conv", inputs, attributes, self.written(id))
    }

    /// The constants of a convolution.
    pub(super) fn conv_attributes(&self, conv: &Conv) -> Attributes {
        let groups = match conv.grouping {
            Grouping::Groups(groups) => groups,
            Grouping::Depthwise => conv.channels,
            _ => 1,
        };
        // Half of the zeros before the map, rounded down.
        let same = || ("auto_pad".to_owned(), Attribute::Text("SAME_UPPER".into()));
        vec![
            ints("dilations", &[conv.dilation; 2]),
            int("group", groups),
            ints("kernel_shape", &[conv.kernel.0, conv.kernel.1]),
            if conv.same { same() } else { pads(conv.padding) },
            ints("strides", &[conv.stride; 2]),
        ]
    }

    /// Adds a linear layer on all elements of `map`.
    fn linear(&mut self, id: NodeId, mut map: String) -> String {
        let graph = self.graph;
        let node = &graph.nodes()[id];
        // A linear layer's own output is flat.
        if !node.inputs.iter().all(|&input| is_linear(graph, input)) {
            // The head is a sequence of pool, flatten, dropout and linear layer.
            let head = node.name.strip_suffix(".3");
            let path = head.map_or_else(|| format!("{}.flatten", node.name), |head| format!("{head}.1"));
            let features = node.inputs.iter().map(|&input| self.shapes[input].count()).sum();
            let dims = vec![self.options.batch.dim(), Dim::Fixed(features)];
            let value = Value { name: String::new(), element: self.options.precision.element(), dims };
            map = self.push(&path, "Flatten", vec![map], vec![int("axis", 1)], value);
        }
        let mut inputs = vec![map];
        for kind in [ParamKind::LinearWeight, ParamKind::LinearBias] {
            let param = self.param(id, kind, "");
            inputs.push(self.initializer(self.info(&param.name, &param.shape), Source::Param(param)));
        }
        self.push(&node.name, "Gemm", inputs, vec![int("transB", 1)], self.written(id))
    }

    /// Adds the sum of a layer's inputs.
    fn add(&mut self, id: NodeId) -> String {
        let node = &self.graph.nodes()[id];
        let inputs: Vec<String> = node.inputs.iter().map(|&input| self.maps[input].clone()).collect();
        let op = if inputs.len() == 2 { "Add" } else { "Sum" };
        self.push(&node.name, op, inputs, vec![], self.written(id))
    }

    /// Adds normalization and activation of `map`, which has `shape`; `prefix` tells those before a layer from those
    /// after it.
    fn pointwise(
        &mut self,
        id: NodeId,
        mut map: String,
        steps: Pointwise,
        prefix: &str,
        shape: Shape,
    ) -> Result<String> {
        let node = &self.graph.nodes()[id];
        let value = self.value(shape, is_linear(self.graph, id));
        if let Some(norm) = steps.norm {
            let mut inputs = vec![map];
            for kind in NORM {
                let param = self.param(id, kind, &format!(".{prefix}norm."));
                inputs.push(self.initializer(self.info(&param.name, &param.shape), Source::Param(param)));
            }
            let path = format!("{}.{prefix}norm", node.name);
            let epsilon = ("epsilon".to_owned(), Attribute::Float(norm.eps as f32));
            map = self.push(&path, "BatchNormalization", inputs, vec![epsilon], value.clone());
        }
        if let Some(activation) = steps.activation {
            let path = format!("{}.{prefix}relu", node.name);
            let (op, bounds) = match activation {
                Activation::Relu => ("Relu", vec![]),
                Activation::Relu6 => ("Clip", vec![("relu6.min", 0.0), ("relu6.max", 6.0)]),
                _ => {
                    let reason = "its activation is neither ReLU nor ReLU6";
                    return Err(Error::Unsupported { layer: node.name.clone(), reason });
                }
            };
            let bounds = bounds.into_iter().map(|(name, bound)| self.constant(name, bound));
            let inputs = std::iter::once(map).chain(bounds).collect();
            map = self.push(&path, op, inputs, vec![], value);
        }
        Ok(map)
    }

    /// The name of the maps of `nodes` concatenated, by a node named `path` if there is none yet.
    pub(super) fn join(&mut self, nodes: &[NodeId], path: &str) -> String {
        if let [node] = nodes {
            return self.maps[*node].clone();
        }
        if let Some(name) = self.joined.get(nodes) {
            return name.clone();
        }
        let inputs = nodes.iter().map(|&node| self.maps[node].clone()).collect();
        let channels = nodes.iter().map(|&node| self.shapes[node].channels).sum();
        let flat = nodes.iter().all(|&node| is_linear(self.graph, node));
        let value = self.value(Shape { channels, ..self.shapes[nodes[0]] }, flat);
        let module = self.graph.modules().iter().find(|module| module.outputs == nodes && !module.nodes.is_empty());
        let module = module.map(|module| module.name.clone()).filter(|name| !name.is_empty());
        let path = module.as_ref().map_or_else(|| path.to_owned(), |module| format!("{module}.concat"));
        let name = module.unwrap_or_else(|| path.clone());
        self.push(&path, "Concat", inputs, vec![int("axis", 1)], value);
        match self.common(nodes) {
            Some(map) => self.quantize_last(&name, map),
            None => self.name_last(&name),
        }
        self.joined.insert(nodes.to_vec(), name.clone());
        name
    }

    /// Adds a node with one output of its own name, and returns that name.
    pub(super) fn push(
        &mut self,
        path: &str,
        op: &str,
        inputs: Vec<String>,
        attributes: Attributes,
        value: Value,
    ) -> String {
        let name = path.to_owned();
        let outputs = vec![name.clone()];
        let domain = String::new();
        self.model.nodes.push(Node { name: name.clone(), op: op.into(), domain, inputs, outputs, attributes });
        self.model.values.push(Value { name: name.clone(), ..value });
        name
    }

    /// Gives the output of the last node another name.
    pub(super) fn name_last(&mut self, name: &str) {
        if let (Some(node), Some(value)) = (self.model.nodes.last_mut(), self.model.values.last_mut()) {
            node.outputs = vec![name.into()];
            value.name = name.into();
        }
    }

    pub(super) fn initializer(&mut self, info: TensorInfo, source: Source) -> String {
        let name = info.name.clone();
        self.model.initializers.push(Tensor { info, bytes: Vec::new().into(), place: None });
        self.sources.push(source);
        name
    }

    /// The initializer of a number.
    fn constant(&mut self, name: &str, number: f32) -> String {
        if self.model.initializers.iter().any(|tensor| tensor.info.name == name) {
            return name.into();
        }
        self.initializer(self.info(name, &[]), Source::Constant(vec![number]))
    }

    /// A tensor of the network's type.
    fn info(&self, name: &str, dims: &[usize]) -> TensorInfo {
        TensorInfo::new(name, self.options.precision.element(), dims.to_vec())
    }

    /// The weight of a convolution.
    pub(super) fn weight(&self, id: NodeId) -> ParamInfo {
        self.param(id, ParamKind::ConvWeight, "weight")
    }

    /// The parameter of a layer that is of `kind` and whose name contains `part`.
    fn param(&self, id: NodeId, kind: ParamKind, part: &str) -> ParamInfo {
        let wanted = |param: &&ParamInfo| param.node == id && param.kind == kind && param.name.contains(part);
        self.params.iter().find(wanted).expect("a layer has the parameters of its operation").clone()
    }

    /// Type and shape of the map that a layer writes.
    pub(super) fn written(&self, id: NodeId) -> Value {
        self.value(self.shapes[id], is_linear(self.graph, id))
    }

    /// Type and shape of a map, or of a list if it is `flat`; without a name.
    pub(super) fn value(&self, shape: Shape, flat: bool) -> Value {
        let mut dims = self.dims(shape);
        dims.truncate(if flat { 2 } else { 4 });
        Value { name: String::new(), element: self.options.precision.element(), dims }
    }

    /// The extents of maps of `shape`. Strides turn a free size into sizes that have no name.
    fn dims(&self, shape: Shape) -> Vec<Dim> {
        let size = |size| if self.options.dynamic_size { Dim::Unknown } else { Dim::Fixed(size) };
        vec![self.options.batch.dim(), Dim::Fixed(shape.channels), size(shape.height), size(shape.width)]
    }
}

pub(super) fn is_linear(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.nodes()[id].op, Op::Linear { .. })
}

//! The parameters of a network among the layers of a model.

use hardnet_base::excerpt;
use hardnet_graph::{Conv, Graph, Grouping, Node as GraphNode, Op, ParamInfo, ParamKind};

use super::layers::{Layer, LayerOp, Layers, Normalization, Source};
use crate::error::{Error, Result};
use crate::model::{ElementType, Tensor};

/// A parameter of a network, and its values in a model.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parameter<'m> {
    /// The parameter.
    pub param: ParamInfo,
    /// Its values, in the order of its shape.
    pub values: ParameterValues<'m>,
}

/// Values of a parameter.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum ParameterValues<'m> {
    /// A tensor of the model.
    Tensor(&'m Tensor<'m>),
    /// The transpose of a tensor of the model, a matrix of numbers.
    Transposed(&'m Tensor<'m>),
    /// Numbers that stand for what the model does not have: a normalization that it has folded.
    Numbers(Vec<f32>),
}

impl<'m> Layers<'m> {
    /// How many layers from the first on are those of `graph`, by what they read and compute.
    pub fn matching(&self, graph: &Graph) -> usize {
        let graph = graph.inference();
        let pairs = graph.nodes().iter().skip(1).zip(&self.layers);
        pairs.take_while(|(node, layer)| Check { node, layer }.reads().is_ok()).count()
    }

    /// The parameters of `graph`, in the order of [`Graph::params`], but for those of layers whose weights are
    /// [integers](Self::integers).
    ///
    /// A normalization that is folded into its convolution comes back as one that gives the convolution's bias: weight
    /// 1, mean 0, and a variance that with the epsilon is 1.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] for the first layer that is not the graph's, [`Error::Part`] where the model ends before the
    /// graph does.
    pub fn parameters(&self, graph: &Graph) -> Result<Vec<Parameter<'m>>> {
        let graph = graph.inference();
        let (nodes, params) = (&graph.nodes()[1..], graph.params());
        let mut all = Vec::new();
        if let Some(found) = self.channels.filter(|&found| found != graph.in_channels()) {
            let reason = format!("it has {found} channels, expected {}", graph.in_channels());
            return Err(Error::Layer { layer: "the image".into(), reason });
        }
        for (at, (node, layer)) in nodes.iter().zip(&self.layers).enumerate() {
            let check = Check { node, layer };
            check.reads()?;
            // Those of a layer of integers are its own.
            let own = params.iter().filter(|param| param.node == at + 1 && layer.integers.is_none());
            check.parameters(own.cloned(), &mut all)?;
        }
        let named = |id: usize| graph.nodes()[id].name.clone();
        if nodes.len() > self.layers.len() {
            let reason = format!("the model ends before `{}`", named(self.layers.len() + 1));
            return Err(Error::Part { reason });
        }
        if let Some(more) = self.layers.get(nodes.len()) {
            let layer = excerpt(&more.name);
            return Err(Error::Layer { layer, reason: "the network does not have it".into() });
        }
        if ids(&self.outputs) != graph.outputs() {
            let reason = "the model's first output is another map".into();
            return Err(Error::Layer { layer: named(graph.outputs()[0]), reason });
        }
        Ok(all)
    }
}

/// Positions in a graph, where the image is 0.
fn ids(sources: &[Source]) -> Vec<usize> {
    let id = |source: &Source| match source {
        Source::Image => 0,
        Source::Layer(at) => at + 1,
    };
    sources.iter().map(id).collect()
}

/// A layer of a model against that of a network.
pub(super) struct Check<'a, 'm> {
    pub(super) node: &'a GraphNode,
    pub(super) layer: &'a Layer<'m>,
}

impl<'m> Check<'_, 'm> {
    pub(super) fn differs(&self, reason: impl Into<String>) -> Error {
        let layer = format!("{}` is node `{}", self.node.name, excerpt(&self.layer.name));
        Error::Layer { layer, reason: reason.into() }
    }

    pub(super) fn expect<T: PartialEq + std::fmt::Debug>(&self, what: &str, found: T, expected: T) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(self.differs(format!("{what} is {found:?}, expected {expected:?}")))
    }

    /// Checks what the layer reads and computes.
    fn reads(&self) -> Result<()> {
        let Self { node, layer } = self;
        if ids(&layer.inputs) != node.inputs {
            return Err(self.differs("it reads other layers than the network's"));
        }
        self.expect("its activation", layer.activation, node.after.activation)?;
        match (&layer.op, &node.op) {
            (LayerOp::Conv { strides, dilations, padding, .. }, Op::Conv(conv)) => {
                self.expect("its stride", *strides, [conv.stride; 2])?;
                self.expect("its dilation", *dilations, [conv.dilation; 2])?;
                self.expect("its padding", *padding, conv.padding)
            }
            (LayerOp::Pool { kind, kernel, strides, padding, ceil }, Op::Pool(pool)) => {
                self.expect("its kind", *kind, pool.kind)?;
                self.expect("its window", *kernel, [pool.kernel; 2])?;
                self.expect("its stride", *strides, [pool.stride; 2])?;
                self.expect("its padding", *padding, pool.padding)?;
                self.expect("its last window", *ceil, pool.ceil)
            }
            (LayerOp::Mean, &Op::GLOBAL_AVERAGE_POOL) | (LayerOp::Linear { .. }, Op::Linear { .. }) => Ok(()),
            _ => Err(self.differs(format!("it is another operation than `{}`", node.op))),
        }
    }

    /// Adds the layer's parameters, `params`.
    fn parameters(&self, params: impl Iterator<Item = ParamInfo>, all: &mut Vec<Parameter<'m>>) -> Result<()> {
        for param in params {
            let values = match (&self.layer.op, param.kind) {
                (LayerOp::Conv { weight, groups, .. }, ParamKind::ConvWeight) => {
                    if let Op::Conv(conv) = &self.node.op {
                        self.expect("its number of groups", *groups, self.groups(conv))?;
                    }
                    self.tensor(weight, &param)?
                }
                (LayerOp::Conv { bias: Some(bias), .. }, ParamKind::ConvBias) => self.tensor(bias, &param)?,
                (LayerOp::Conv { .. }, _) => self.norm(&param)?,
                (LayerOp::Linear { weight, transposed: false, .. }, ParamKind::LinearWeight) => {
                    self.tensor(weight, &param)?
                }
                (LayerOp::Linear { weight, .. }, ParamKind::LinearWeight) => self.transposed(weight, &param)?,
                (LayerOp::Linear { bias: Some(bias), .. }, ParamKind::LinearBias) => self.tensor(bias, &param)?,
                (LayerOp::Linear { bias: None, .. }, ParamKind::LinearBias) => {
                    ParameterValues::Numbers(vec![0.0; param.count()])
                }
                _ => return Err(self.differs(format!("it has no `{}`", param.name))),
            };
            all.push(Parameter { param, values });
        }
        Ok(())
    }

    pub(super) fn groups(&self, conv: &Conv) -> usize {
        match conv.grouping {
            Grouping::Groups(groups) => groups,
            Grouping::Depthwise => conv.channels,
            _ => 1,
        }
    }

    /// A tensor of the shape of `param`.
    fn tensor(&self, tensor: &'m Tensor<'m>, param: &ParamInfo) -> Result<ParameterValues<'m>> {
        self.expect(&format!("the shape of `{}`", param.name), &tensor.info.dims[..], &param.shape[..])?;
        Ok(ParameterValues::Tensor(tensor))
    }

    /// A parameter of the normalization.
    fn norm(&self, param: &ParamInfo) -> Result<ParameterValues<'m>> {
        let eps = self.node.after.norm.unwrap_or_default().eps;
        let LayerOp::Conv { bias, .. } = &self.layer.op else { return Err(self.differs("it is not a convolution")) };
        let place = match param.kind {
            ParamKind::NormWeight => 0,
            ParamKind::NormBias => 1,
            ParamKind::RunningMean => 2,
            ParamKind::RunningVar => 3,
            _ => return Err(self.differs(format!("it has no `{}`", param.name))),
        };
        if let Some(Normalization { tensors, eps: found }) = self.layer.norm {
            if bias.is_some() {
                return Err(self.differs("it has both a bias and a normalization"));
            }
            self.expect("its epsilon", found, eps as f32)?;
            return self.tensor(tensors[place], param);
        }
        let count = param.count();
        Ok(ParameterValues::Numbers(match (place, bias) {
            (1, Some(bias)) => return self.tensor(bias, param),
            (0, _) => vec![1.0; count],
            (3, _) => vec![(1.0 - eps) as f32; count],
            _ => vec![0.0; count],
        }))
    }

    /// The transpose of a matrix.
    fn transposed(&self, tensor: &'m Tensor<'m>, param: &ParamInfo) -> Result<ParameterValues<'m>> {
        let [outputs, inputs] = param.shape[..] else { return Err(self.differs("it is not a matrix")) };
        self.expect(&format!("the shape of `{}`", param.name), &tensor.info.dims[..], &[inputs, outputs][..])?;
        match tensor.info.element {
            ElementType::F32 | ElementType::F64 | ElementType::F16 | ElementType::Bf16 => {
                Ok(ParameterValues::Transposed(tensor))
            }
            _ => Err(self.differs("its weight is whole numbers")),
        }
    }
}

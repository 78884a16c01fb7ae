//! The network that is quantized: which nodes compute in integers, and their parameters.

use std::borrow::Cow;

use hardnet_graph::{
    BatchNorm, Conv, Graph, Grouping, Node, NodeId, Op, ParamInfo, ParamKind, Pointwise, Pool, PoolKind, Upsample,
};
use hardnet_params::Parameters;

use crate::error::{Error, Result};

/// A node's part in the quantized network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    /// The image.
    Image,
    /// A convolution that adds up integers.
    Integer(Conv),
    /// A convolution in f32, whose map is `u8`.
    Float(Conv),
    /// A pool of a `u8` map.
    Pool(Pool),
    /// An interpolation of a `u8` map.
    Upsample(Upsample),
    /// Global average pooling, of f32.
    Mean,
    /// The classifier, in f32.
    Linear,
    /// The classifier of pixels, in f32: a convolution with a bias, without padding.
    PixelLinear(Conv),
    /// An interpolation of logits, in f32.
    Logits,
}

impl Role {
    /// Whether the node writes a map of `u8`.
    pub(crate) fn writes_bytes(self) -> bool {
        matches!(self, Self::Integer(_) | Self::Float(_) | Self::Pool(_) | Self::Upsample(_))
    }
}

/// Parameters of a convolution with its normalization, or of a linear layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// As stored, unless they are read again whenever they are needed.
    weights: Option<Vec<f32>>,
    /// Of each output channel, of the normalization after it.
    pub(crate) scale: Vec<f64>,
    /// The bias, of a convolution that of its normalization.
    pub(crate) shift: Vec<f64>,
    /// Weight, bias, running mean and variance of the normalization as stored; nothing of a linear layer.
    pub(crate) norm: Vec<Vec<f32>>,
    /// Mean and standard deviation before the activation, where the normalization tells them.
    pub(crate) normal: Option<Vec<(f64, f64)>>,
}

/// A graph without dropouts, with its parameters.
pub(crate) struct Network<'a> {
    pub(crate) graph: Graph,
    pub(crate) params: Vec<ParamInfo>,
    pub(crate) roles: Vec<Role>,
    pub(crate) layers: Vec<Option<Layer>>,
    /// The nodes that read each node.
    pub(crate) readers: Vec<Vec<NodeId>>,
    parameters: &'a dyn Parameters,
}

impl<'a> Network<'a> {
    /// The network of `graph`. Its weights are held, or read again each time.
    pub(crate) fn new(graph: &Graph, parameters: &'a dyn Parameters, holds_weights: bool) -> Result<Self> {
        let graph = graph.inference();
        let params = graph.params();
        let mut roles: Vec<Role> = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            roles.push(role(node, &roles)?);
        }
        let mut readers = vec![Vec::new(); roles.len()];
        for (id, node) in graph.nodes().iter().enumerate() {
            node.inputs.iter().for_each(|&input| readers[input].push(id));
        }
        let reader = Reader { params: &params, parameters, holds_weights };
        let layer = |(id, node): (NodeId, &Node)| match node.op {
            Op::Conv(conv) if conv.bias => reader.conv_with_bias(id).map(Some),
            Op::Conv(_) => reader.conv(id, node.after.norm.unwrap_or_default()).map(Some),
            Op::Linear { .. } => reader.linear(id).map(Some),
            _ => Ok(None),
        };
        let layers = graph.nodes().iter().enumerate().map(layer).collect::<hardnet_params::Result<_>>()?;
        Ok(Self { graph, params, roles, layers, readers, parameters })
    }

    /// The weights of a layer as stored.
    pub(crate) fn weights(&self, id: NodeId) -> hardnet_params::Result<Cow<'_, [f32]>> {
        if let Some(weights) = self.layers[id].as_ref().and_then(|layer| layer.weights.as_ref()) {
            return Ok(Cow::Borrowed(weights));
        }
        let reader = Reader { params: &self.params, parameters: self.parameters, holds_weights: false };
        let kind = match self.node(id).op {
            Op::Linear { .. } => ParamKind::LinearWeight,
            _ => ParamKind::ConvWeight,
        };
        reader.values(id, kind).map(Cow::Owned)
    }

    /// Number of the weights of a layer.
    pub(crate) fn weight_count(&self, id: NodeId) -> usize {
        let weights = [ParamKind::ConvWeight, ParamKind::LinearWeight];
        let own = self.params.iter().filter(|param| param.node == id && weights.contains(&param.kind));
        own.map(ParamInfo::count).sum()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.graph.nodes()[id]
    }

    /// Input channels of a convolution that each weight of an output channel `output` reads, in their order.
    pub(crate) fn channels_read(&self, id: NodeId, conv: &Conv, output: usize) -> std::ops::Range<usize> {
        match conv.grouping {
            Grouping::Depthwise => output..output + 1,
            _ => 0..self.node(id).in_channels,
        }
    }
}

fn role(node: &Node, roles: &[Role]) -> Result<Role> {
    let refuse = |reason| Err(Error::Layer { node: node.name.clone(), reason });
    let single = || match node.inputs[..] {
        [input] => Ok(roles[input]),
        _ => refuse("it reads several maps"),
    };
    if node.before != Pointwise::NONE {
        return refuse("it normalizes or activates what it reads");
    }
    match node.op {
        Op::Input { .. } => Ok(Role::Image),
        Op::Conv(conv) if is_pixel_linear(node, &conv) => {
            match node.inputs.iter().all(|&input| roles[input].writes_bytes()) {
                true => Ok(Role::PixelLinear(conv)),
                false => refuse("it classifies pixels of the image"),
            }
        }
        Op::Conv(conv) => {
            if conv.bias || node.after.norm.is_none() || node.after.bounds().is_none() {
                return refuse("it is not a convolution, batch normalization and ReLU6, ReLU or nothing");
            }
            let integer = node.inputs.iter().all(|&input| roles[input].writes_bytes());
            match conv.grouping {
                Grouping::Dense | Grouping::Depthwise if integer => Ok(Role::Integer(conv)),
                _ if node.inputs.iter().any(|&input| roles[input].writes_bytes()) => {
                    refuse("it reads groups of channels, or the image and another map")
                }
                _ => Ok(Role::Float(conv)),
            }
        }
        _ if node.after != Pointwise::NONE => refuse("it is normalized or activated"),
        Op::Pool(pool) => match single()? {
            input if input.writes_bytes() => Ok(Role::Pool(pool)),
            _ => refuse("it pools the image"),
        },
        Op::Upsample(upsample) => match single()? {
            input if input.writes_bytes() => Ok(Role::Upsample(upsample)),
            Role::PixelLinear(_) => Ok(Role::Logits),
            _ => refuse("it interpolates the image"),
        },
        Op::GLOBAL_AVERAGE_POOL => single().map(|_| Role::Mean),
        Op::Linear { .. } => single().map(|_| Role::Linear),
        _ => refuse("no kernel computes it"),
    }
}

/// Whether a node is a convolution with a bias in place of a normalization, of single pixels.
fn is_pixel_linear(node: &Node, conv: &Conv) -> bool {
    let is_linear = node.after == Pointwise::NONE && conv.bias && conv.grouping == Grouping::Dense;
    is_linear && conv.kernel == (1, 1) && conv.padding == hardnet_graph::Padding::default()
}

/// Whether a node writes a map that may be quantized and whose range is measured; an interpolation has that of the map
/// that it reads.
pub(crate) fn measured(op: &Op) -> bool {
    match op {
        Op::Conv(conv) => !conv.bias,
        op => matches!(op, Op::Pool(_)),
    }
}

/// Whether the map of a convolution, a pool or an interpolation may be negative.
pub(crate) fn is_signed(graph: &Graph, id: NodeId) -> bool {
    let node = &graph.nodes()[id];
    match node.op {
        Op::Pool(_) | Op::Upsample(_) => node.inputs.iter().any(|&input| is_signed(graph, input)),
        _ => node.after.bounds().is_none_or(|(least, _)| least < 0.0),
    }
}

/// Whether a pool gives only values of its map.
pub(crate) fn is_max(pool: &Pool) -> bool {
    pool.kind == PoolKind::Max
}

/// Reads parameters node by node.
struct Reader<'a> {
    params: &'a [ParamInfo],
    parameters: &'a dyn Parameters,
    holds_weights: bool,
}

impl Reader<'_> {
    fn conv(&self, node: NodeId, norm: BatchNorm) -> hardnet_params::Result<Layer> {
        let [gamma, beta, mean, variance] =
            [ParamKind::NormWeight, ParamKind::NormBias, ParamKind::RunningMean, ParamKind::RunningVar]
                .map(|kind| self.values(node, kind));
        let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
        let (scale, shift) = norm.scale_and_shift(&gamma, &beta, &mean, &variance);
        // A reader of folded models makes up this normalization.
        let made_up = mean.iter().all(|&mean| mean == 0.0) && gamma.iter().all(|&gamma| gamma == 1.0);
        let normal = || beta.iter().zip(&gamma).map(|(&beta, &gamma)| (f64::from(beta), f64::from(gamma).abs()));
        let normal = (!made_up).then(|| normal().collect());
        let norm = vec![gamma, beta, mean, variance];
        Ok(Layer { weights: self.weights(node, ParamKind::ConvWeight)?, scale, shift, norm, normal })
    }

    fn linear(&self, node: NodeId) -> hardnet_params::Result<Layer> {
        self.without_norm(node, [ParamKind::LinearWeight, ParamKind::LinearBias])
    }

    fn conv_with_bias(&self, node: NodeId) -> hardnet_params::Result<Layer> {
        self.without_norm(node, [ParamKind::ConvWeight, ParamKind::ConvBias])
    }

    fn without_norm(&self, node: NodeId, [weights, bias]: [ParamKind; 2]) -> hardnet_params::Result<Layer> {
        let shift: Vec<f64> = self.values(node, bias)?.into_iter().map(f64::from).collect();
        let weights = self.weights(node, weights)?;
        Ok(Layer { weights, scale: vec![1.0; shift.len()], shift, norm: Vec::new(), normal: None })
    }

    /// Weights that are held.
    fn weights(&self, node: NodeId, kind: ParamKind) -> hardnet_params::Result<Option<Vec<f32>>> {
        self.holds_weights.then(|| self.values(node, kind)).transpose()
    }

    fn values(&self, node: NodeId, kind: ParamKind) -> hardnet_params::Result<Vec<f32>> {
        let wanted = |param: &&ParamInfo| param.node == node && param.kind == kind;
        let param = self.params.iter().find(wanted).expect("a node has the parameters of its operation");
        let values = self.parameters.values(param)?;
        if values.len() != param.count() {
            let (name, expected) = (param.name.clone(), param.count());
            return Err(hardnet_params::Error::Parameter { name, expected, found: values.len() });
        }
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(hardnet_params::Error::NotFinite { name: param.name.clone() }),
        }
    }
}

//! One node of the graph as a Candle layer.

use std::sync::Arc;

use candle_core::{Module, ModuleT, Result, Tensor};
use candle_nn::{BatchNormConfig, Conv2dConfig, Linear, VarBuilder};
use hardnet_graph::{Activation, Conv, Grouping, Node, Op, Pointwise, Pool, Upsample};
use hardnet_kernels::training::{BatchPart, GradientObserver, dropout_keeps};

use super::batch_part::normalize;
use super::windows::{depthwise, pad, pool};

/// A pass in training.
pub(super) struct Train {
    /// Seed of the dropouts.
    pub(super) seed: u64,
    /// The part of a batch that the images are, if there are others.
    pub(super) part: Option<Arc<dyn BatchPart>>,
    /// Receives gradients while the backward pass computes others.
    pub(super) observer: Option<Arc<dyn GradientObserver>>,
}

/// An operation with its parameters.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    Input,
    Conv(ConvNorm),
    /// A convolution with bias by itself.
    Plain(Plain),
    Pool(Pool),
    Dropout(Dropout),
    GlobalAveragePool,
    Linear(Linear),
    /// Interpolation, for which [`Layers`](super::Layers) knows the size.
    Upsample(Upsample),
}

impl Layer {
    /// The layer of `node`, before which there are `dropouts` that drop something, with its parameters from `vb`.
    pub(super) fn new(node: &Node, dropouts: u64, vb: &VarBuilder) -> Result<Self> {
        Ok(match &node.op {
            Op::Input { .. } => Self::Input,
            Op::Conv(conv) if conv.bias => Self::Plain(Plain::new(node, *conv, vb.pp(&node.name))?),
            Op::Conv(conv) => Self::Conv(ConvNorm::new(node, *conv, vb.pp(&node.name))?),
            Op::Pool(pool) => Self::Pool(*pool),
            Op::Dropout(probability) => Self::Dropout(Dropout { probability: *probability, layer: dropouts }),
            &Op::GLOBAL_AVERAGE_POOL => Self::GlobalAveragePool,
            Op::Linear { .. } => {
                Self::Linear(candle_nn::linear(node.in_channels, node.out_channels, vb.pp(&node.name))?)
            }
            Op::Upsample(upsample) => Self::Upsample(*upsample),
            op => candle_core::bail!("`{}` is a layer that Candle networks do not have: {op}", node.name),
        })
    }

    /// The convolution, if it is one.
    pub(super) fn conv(&self) -> Option<&ConvNorm> {
        if let Self::Conv(conv) = self { Some(conv) } else { None }
    }

    /// The tensors that training changes by gradients, in the order of [`Graph::params`](crate::Graph::params).
    pub(super) fn parameters(&self) -> Vec<&Tensor> {
        match self {
            Self::Conv(conv) => {
                let norm = conv.norm.weight_and_bias().into_iter().flat_map(|(weight, bias)| [weight, bias]);
                std::iter::once(&conv.weight).chain(norm).collect()
            }
            Self::Plain(plain) => vec![&plain.weight, &plain.bias],
            Self::Linear(linear) => std::iter::once(linear.weight()).chain(linear.bias()).collect(),
            Self::Input | Self::Pool(_) | Self::Dropout(_) | Self::GlobalAveragePool | Self::Upsample(_) => Vec::new(),
        }
    }

    pub(super) fn forward(&self, x: &Tensor, train: Option<&Train>) -> Result<Tensor> {
        match self {
            Self::Input => Ok(x.clone()),
            Self::Conv(conv) => conv.forward(x, train),
            Self::Plain(plain) => plain.forward(x),
            Self::Upsample(_) => candle_core::bail!("the size of an interpolation is not known"),
            Self::Pool(settings) => pool(x, settings),
            Self::Dropout(dropout) => match train {
                Some(train) => dropout.forward(x, train),
                None => Ok(x.clone()),
            },
            Self::GlobalAveragePool => x.mean((2, 3)),
            Self::Linear(linear) => linear.forward(x),
        }
    }
}

/// Dropout that follows from a seed, the same on every device.
#[derive(Clone, Debug)]
pub(super) struct Dropout {
    probability: f64,
    layer: u64,
}

impl Dropout {
    fn forward(&self, x: &Tensor, train: &Train) -> Result<Tensor> {
        if self.probability == 0.0 {
            return Ok(x.clone());
        }
        let kept = |at| if dropout_keeps(train.seed, self.layer, at, self.probability) { 1f32 } else { 0.0 };
        let mask: Vec<f32> = (0..x.elem_count() as u64).map(kept).collect();
        let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?;
        (x * mask)? / (1.0 - self.probability)
    }
}

/// The products of a convolution, dense or depthwise.
fn convolution(x: &Tensor, conv: &Conv, weight: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let conv = conv.on((height, width));
    if conv.is_depthwise() {
        return depthwise(x, weight, conv.stride, conv.padding);
    }
    // Candle pads alike on all sides.
    let (x, padding) = match conv.padding.uniform() {
        Some(padding) => (x.clone(), padding),
        None => (pad(x, conv.padding, 0.0)?, 0),
    };
    let config = Conv2dConfig { padding, stride: conv.stride, ..Default::default() };
    candle_nn::Conv2d::new(weight.clone(), None, config).forward(&x)
}

/// Whether [`convolution`] computes it.
fn is_known(node: &Node, conv: &Conv) -> bool {
    let grouping = matches!(conv.grouping, Grouping::Dense | Grouping::Depthwise);
    grouping && conv.dilation == 1 && conv.square_kernel().is_some() && node.before == Pointwise::NONE
}

/// A convolution with a bias, neither normalized nor activated.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    conv: Conv,
    weight: Tensor,
    bias: Tensor,
}

impl Plain {
    fn new(node: &Node, conv: Conv, vb: VarBuilder) -> Result<Self> {
        if !is_known(node, &conv) || node.after != Pointwise::NONE {
            candle_core::bail!("`{}` is a convolution that Candle networks do not have", node.name);
        }
        let shape = (node.out_channels, conv.channels_read(node.in_channels), conv.kernel.0, conv.kernel.1);
        let weight = vb.get_with_hints(shape, "weight", candle_nn::init::DEFAULT_KAIMING_NORMAL)?;
        let bias = vb.get_with_hints(node.out_channels, "bias", candle_nn::init::ZERO)?;
        Ok(Self { conv, weight, bias })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        convolution(x, &self.conv, &self.weight)?.broadcast_add(&self.bias.reshape((1, (), 1, 1))?)
    }
}

/// A convolution, its batch normalization and activation.
#[derive(Clone, Debug)]
pub(super) struct ConvNorm {
    conv: Conv,
    activation: Option<Activation>,
    pub(super) weight: Tensor,
    pub(super) norm: candle_nn::BatchNorm,
}

impl ConvNorm {
    fn new(node: &Node, conv: Conv, vb: VarBuilder) -> Result<Self> {
        let Some(norm) = node.after.norm.filter(|_| is_known(node, &conv)) else {
            candle_core::bail!("`{}` is a convolution that Candle networks do not have", node.name);
        };
        let norm = BatchNormConfig { eps: norm.eps, remove_mean: true, affine: true, momentum: norm.momentum };
        let leaf = if conv.is_depthwise() { "dwconv" } else { "conv" };
        let shape = (node.out_channels, conv.channels_read(node.in_channels), conv.kernel.0, conv.kernel.1);
        let weight = vb.pp(leaf).get_with_hints(shape, "weight", candle_nn::init::DEFAULT_KAIMING_NORMAL)?;
        let norm = candle_nn::batch_norm(node.out_channels, norm, vb.pp("norm"))?;
        Ok(Self { conv, activation: node.after.activation, weight, norm })
    }

    fn forward(&self, x: &Tensor, train: Option<&Train>) -> Result<Tensor> {
        let y = convolution(x, &self.conv, &self.weight)?;
        let y = match train.and_then(|train| train.part.as_ref()) {
            Some(part) => normalize(&self.norm, &y, part)?,
            None => self.norm.forward_t(&y, train.is_some())?,
        };
        match self.activation {
            Some(Activation::Relu6) => y.clamp(0f32, 6f32),
            Some(Activation::Relu) => y.relu(),
            None => Ok(y),
            Some(other) => candle_core::bail!("no {other:?} on Candle"),
        }
    }
}

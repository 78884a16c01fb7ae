//! One node of the graph as a Candle layer.

use candle_core::{Module, ModuleT, Result, Tensor};
use candle_nn::{BatchNorm, BatchNormConfig, Conv2dConfig, Linear, VarBuilder};

use super::windows::{depthwise, pad, pool};
use crate::config::Activation;
use crate::graph::{Conv, Node, Op, Pool};

/// PyTorch's and Candle's defaults; Paddle writes the same momentum as 0.9.
const NORM: BatchNormConfig = BatchNormConfig { eps: 1e-5, remove_mean: true, affine: true, momentum: 0.1 };

/// An operation with its parameters.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    Input,
    Conv(ConvNorm),
    Pool(Pool),
    Dropout(f32),
    GlobalAveragePool,
    Linear(Linear),
}

impl Layer {
    pub(super) fn new(node: &Node, vb: &VarBuilder) -> Result<Self> {
        Ok(match &node.op {
            Op::Input => Self::Input,
            Op::Conv(conv) => Self::Conv(ConvNorm::new(node, *conv, vb.pp(&node.name))?),
            Op::Pool(pool) => Self::Pool(*pool),
            Op::Dropout(probability) => Self::Dropout(*probability as f32),
            Op::GlobalAveragePool => Self::GlobalAveragePool,
            Op::Linear => Self::Linear(candle_nn::linear(node.in_channels, node.out_channels, vb.pp(&node.name))?),
        })
    }

    pub(super) fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Self::Input => Ok(x.clone()),
            Self::Conv(conv) => conv.forward(x, train),
            Self::Pool(settings) => pool(x, settings),
            Self::Dropout(probability) if train && *probability > 0.0 => candle_nn::ops::dropout(x, *probability),
            Self::Dropout(_) => Ok(x.clone()),
            Self::GlobalAveragePool => x.mean((2, 3)),
            Self::Linear(linear) => linear.forward(x),
        }
    }
}

/// A convolution, its batch normalisation and activation.
#[derive(Clone, Debug)]
pub(super) struct ConvNorm {
    conv: Conv,
    weight: Tensor,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(node: &Node, conv: Conv, vb: VarBuilder) -> Result<Self> {
        let (leaf, inputs) = if conv.depthwise { ("dwconv", 1) } else { ("conv", node.in_channels) };
        let shape = (node.out_channels, inputs, conv.kernel, conv.kernel);
        let weight = vb.pp(leaf).get_with_hints(shape, "weight", candle_nn::init::DEFAULT_KAIMING_NORMAL)?;
        let norm = candle_nn::batch_norm(node.out_channels, NORM, vb.pp("norm"))?;
        Ok(Self { conv, weight, norm })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = if self.conv.depthwise {
            depthwise(x, &self.weight, self.conv.stride, self.conv.padding)?
        } else {
            // Candle pads alike on all sides.
            let (x, padding) = match self.conv.padding.uniform() {
                Some(padding) => (x.clone(), padding),
                None => (pad(x, self.conv.padding, 0.0)?, 0),
            };
            let config = Conv2dConfig { padding, stride: self.conv.stride, ..Default::default() };
            candle_nn::Conv2d::new(self.weight.clone(), None, config).forward(&x)?
        };
        let y = self.norm.forward_t(&y, train)?;
        match self.conv.activation {
            Some(Activation::Relu6) => y.clamp(0f32, 6f32),
            Some(Activation::Relu) => y.relu(),
            None => Ok(y),
        }
    }
}

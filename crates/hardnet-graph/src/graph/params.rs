//! Names and shapes of a network's parameters.

use super::{Graph, NodeId};
use crate::op::{Op, Pointwise};

/// Role of a parameter in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParamKind {
    /// Weight of a convolution, `[out, in, k, k]` or `[out, 1, k, k]` if depthwise.
    ConvWeight,
    /// Bias of a convolution, `[out]`.
    ConvBias,
    /// Scale of a batch normalization, `[channels]`.
    NormWeight,
    /// Shift of a batch normalization, `[channels]`.
    NormBias,
    /// Running mean of a batch normalization, `[channels]`: a buffer, not trained.
    RunningMean,
    /// Running variance of a batch normalization, `[channels]`: a buffer, not trained.
    RunningVar,
    /// Weight of a linear layer, `[out, in]`.
    LinearWeight,
    /// Bias of a linear layer, `[out]`.
    LinearBias,
}

impl ParamKind {
    /// Whether training updates it by its gradient, rather than by statistics of the batch.
    pub fn is_trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVar)
    }
}

/// A parameter or buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParamInfo {
    /// PyTorch's key, as `base.0.conv.weight`.
    pub name: String,
    /// Its role.
    pub kind: ParamKind,
    /// Its dimensions, as PyTorch stores it.
    pub shape: Vec<usize>,
    /// The node it belongs to.
    pub node: NodeId,
}

impl ParamInfo {
    /// Number of its elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Graph {
    /// Every parameter and buffer in the order of PyTorch's `state_dict`, without the `num_batches_tracked` counters.
    ///
    /// A convolution has `NAME.conv.weight`, or `NAME.dwconv.weight` if it is depthwise, and `NAME.norm.weight`,
    /// `.bias`, `.running_mean` and `.running_var`; a normalization before it is `NAME.pre_norm`. A linear layer, and a
    /// convolution with a bias that stands by itself, have `NAME.weight` and `NAME.bias`.
    pub fn params(&self) -> Vec<ParamInfo> {
        let mut params = Vec::new();
        for (id, node) in self.nodes().iter().enumerate() {
            let mut push = |leaf: &str, kind, shape: Vec<usize>| {
                params.push(ParamInfo { name: format!("{}.{leaf}", node.name), kind, shape, node: id });
            };
            if node.before.norm.is_some() {
                push_norm(&mut push, "pre_norm", node.in_channels);
            }
            match &node.op {
                Op::Conv(conv) => {
                    let alone = conv.bias && node.before == Pointwise::NONE && node.after == Pointwise::NONE;
                    let path = match (alone, conv.is_depthwise()) {
                        (true, _) => "",
                        (false, true) => "dwconv.",
                        (false, false) => "conv.",
                    };
                    let read = conv.channels_read(node.in_channels);
                    let shape = vec![node.out_channels, read, conv.kernel.0, conv.kernel.1];
                    push(&format!("{path}weight"), ParamKind::ConvWeight, shape);
                    if conv.bias {
                        push(&format!("{path}bias"), ParamKind::ConvBias, vec![node.out_channels]);
                    }
                }
                Op::Linear { channels } => {
                    // Checked when the graph was built.
                    let features = self.features(node).unwrap_or(node.in_channels);
                    push("weight", ParamKind::LinearWeight, vec![*channels, features]);
                    push("bias", ParamKind::LinearBias, vec![*channels]);
                }
                Op::Input { .. }
                | Op::Pool(_)
                | Op::Dropout(_)
                | Op::AdaptiveAveragePool { .. }
                | Op::Upsample(_)
                | Op::Add => {}
            }
            if node.after.norm.is_some() {
                push_norm(&mut push, "norm", node.out_channels);
            }
        }
        params
    }

    /// Number of trained values, as papers count parameters: without running statistics.
    pub fn param_count(&self) -> usize {
        self.params().iter().filter(|param| param.kind.is_trained()).map(ParamInfo::count).sum()
    }
}

/// The parameters and buffers of a batch normalization of `channels` channels.
fn push_norm(push: &mut impl FnMut(&str, ParamKind, Vec<usize>), path: &str, channels: usize) {
    let leaves = [
        ("weight", ParamKind::NormWeight),
        ("bias", ParamKind::NormBias),
        ("running_mean", ParamKind::RunningMean),
        ("running_var", ParamKind::RunningVar),
    ];
    for (leaf, kind) in leaves {
        push(&format!("{path}.{leaf}"), kind, vec![channels]);
    }
}

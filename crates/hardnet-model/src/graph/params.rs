//! Names and shapes of a network's parameters.

use super::{Graph, NodeId, Op};

/// What a parameter is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParamKind {
    /// Weight of a convolution, `[out, in, k, k]` or `[out, 1, k, k]` if depthwise.
    ConvWeight,
    /// Scale of a batch normalisation, `[channels]`.
    NormWeight,
    /// Shift of a batch normalisation, `[channels]`.
    NormBias,
    /// Running mean of a batch normalisation, `[channels]`: a buffer, not trained.
    RunningMean,
    /// Running variance of a batch normalisation, `[channels]`: a buffer, not trained.
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
    /// What it is.
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
    pub fn params(&self) -> Vec<ParamInfo> {
        let mut params = Vec::new();
        for (id, node) in self.nodes().iter().enumerate() {
            let mut push = |leaf: &str, kind, shape: Vec<usize>| {
                params.push(ParamInfo { name: format!("{}.{leaf}", node.name), kind, shape, node: id });
            };
            match &node.op {
                Op::Conv(conv) => {
                    let (leaf, inputs) =
                        if conv.depthwise { ("dwconv.weight", 1) } else { ("conv.weight", node.in_channels) };
                    push(leaf, ParamKind::ConvWeight, vec![node.out_channels, inputs, conv.kernel, conv.kernel]);
                    push("norm.weight", ParamKind::NormWeight, vec![node.out_channels]);
                    push("norm.bias", ParamKind::NormBias, vec![node.out_channels]);
                    push("norm.running_mean", ParamKind::RunningMean, vec![node.out_channels]);
                    push("norm.running_var", ParamKind::RunningVar, vec![node.out_channels]);
                }
                Op::Linear => {
                    push("weight", ParamKind::LinearWeight, vec![node.out_channels, node.in_channels]);
                    push("bias", ParamKind::LinearBias, vec![node.out_channels]);
                }
                Op::Input | Op::Pool(_) | Op::Dropout(_) | Op::GlobalAveragePool => {}
            }
        }
        params
    }

    /// Number of trained values, as papers count parameters: without running statistics.
    pub fn param_count(&self) -> usize {
        self.params().iter().filter(|param| param.kind.is_trained()).map(ParamInfo::count).sum()
    }
}

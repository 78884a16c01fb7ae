//! Batch normalization folded into the convolution before it.
//!
//! At inference, the statistics of a normalization are constants, and it is one multiplication and one addition for
//! each channel. With the convolution `z = w * x`, the running mean `m` and variance `v`, `gamma` and `beta`:
//!
//! ```text
//! y = gamma * (z - m) / sqrt(v + eps) + beta
//!   = (s * w) * x + (beta - s * m)              s = gamma / sqrt(v + eps)
//! ```
//!
//! so that a convolution with the weights `s * w` and the bias `beta - s * m` computes both. `s` and the bias are f64;
//! the kernels multiply weights by `s` as they pack them, and round each packed weight once.

use hardnet_graph::{BatchNorm, Graph, NodeId, ParamInfo, ParamKind};
use hardnet_kernels::Filter;
use hardnet_params::Parameters;

use crate::error::Result;

/// A [`Filter`] that owns its values.
pub(crate) struct Folded {
    weights: Vec<f32>,
    scale: Vec<f64>,
    bias: Vec<f64>,
}

impl Folded {
    pub(crate) fn as_filter(&self) -> Filter<'_> {
        Filter { weights: &self.weights, scale: &self.scale, bias: &self.bias }
    }
}

/// Reads the parameters of a graph, node by node.
pub(crate) struct Folder<'a> {
    parameters: &'a dyn Parameters,
    params: Vec<ParamInfo>,
}

impl<'a> Folder<'a> {
    pub(crate) fn new(graph: &Graph, parameters: &'a dyn Parameters) -> Self {
        Self { parameters, params: graph.params() }
    }

    /// Folds `norm` into the convolution at `node`.
    pub(crate) fn conv(&self, node: NodeId, norm: BatchNorm) -> Result<Folded> {
        let [gamma, beta, mean, variance] =
            [ParamKind::NormWeight, ParamKind::NormBias, ParamKind::RunningMean, ParamKind::RunningVar]
                .map(|kind| self.values(node, kind));
        let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
        let (scale, bias) = norm.scale_and_shift(&gamma, &beta, &mean, &variance);
        Ok(Folded { weights: self.values(node, ParamKind::ConvWeight)?, scale, bias })
    }

    /// Reads the convolution at `node`, which has a bias and stands by itself.
    pub(crate) fn conv_with_bias(&self, node: NodeId) -> Result<Folded> {
        let bias: Vec<f64> = self.values(node, ParamKind::ConvBias)?.into_iter().map(f64::from).collect();
        let weights = self.values(node, ParamKind::ConvWeight)?;
        Ok(Folded { weights, scale: vec![1.0; bias.len()], bias })
    }

    /// Reads the linear layer at `node`.
    pub(crate) fn linear(&self, node: NodeId) -> Result<Folded> {
        let bias: Vec<f64> = self.values(node, ParamKind::LinearBias)?.into_iter().map(f64::from).collect();
        let weights = self.values(node, ParamKind::LinearWeight)?;
        Ok(Folded { weights, scale: vec![1.0; bias.len()], bias })
    }

    fn values(&self, node: NodeId, kind: ParamKind) -> Result<Vec<f32>> {
        let wanted = |param: &&ParamInfo| param.node == node && param.kind == kind;
        let param = self.params.iter().find(wanted).expect("a node has the parameters of its operation");
        let values = self.parameters.values(param)?;
        if values.len() != param.count() {
            let (name, expected) = (param.name.clone(), param.count());
            return Err(hardnet_params::Error::Parameter { name, expected, found: values.len() }.into());
        }
        Ok(values)
    }
}

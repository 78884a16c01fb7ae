//! One HarDBlock for custom networks.

use candle_core::{ModuleT, Result, Tensor};
use candle_nn::VarBuilder;
use hardnet_graph::{BlockSpec, Graph};
use hardnet_kernels::Isa;

use super::Layers;

/// A HarDBlock: from `[N, C, H, W]` to its odd layers and the last, concatenated, at the same `H` and `W`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candle_nn::{VarBuilder, VarMap};
/// use hardnet_model::{Activation, BlockSpec, HarDBlock};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let spec = BlockSpec::new(48, 4, 10).activation(Activation::Relu);
/// let parameters = VarMap::new();
/// let block = HarDBlock::new(&spec, VarBuilder::from_varmap(&parameters, DType::F32, &Device::Cpu))?;
/// let x = Tensor::zeros((1, 48, 32, 32), DType::F32, &Device::Cpu)?;
/// assert_eq!(block.forward(&x)?.dims(), [1, block.out_channels(), 32, 32]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HarDBlock {
    layers: Layers,
}

impl HarDBlock {
    /// The block of `spec` with parameters `layers.0.conv.weight` and on from `vb`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](hardnet_graph::Error::Config) where a number of `spec` does not describe a block; Candle's
    /// error for a parameter that `vb` lacks.
    pub fn new(spec: &BlockSpec, vb: VarBuilder) -> crate::Result<Self> {
        Ok(Self { layers: Layers::new(Graph::block(spec)?, &vb)? })
    }

    /// Sets the instruction set that training on the CPU computes with, the best of the processor by default.
    #[must_use]
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.layers.set_isa(isa);
        self
    }

    /// The block's output for `x`, by the running statistics.
    ///
    /// # Errors
    ///
    /// Candle's.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_t(x, false)
    }

    /// Channels of its output.
    pub fn out_channels(&self) -> usize {
        self.layers.graph.modules()[0].channels
    }

    /// Its graph.
    pub fn graph(&self) -> &Graph {
        &self.layers.graph
    }
}

impl ModuleT for HarDBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.layers.run(x, train, &[self.layers.graph.outputs().to_vec()])?.remove(0))
    }
}

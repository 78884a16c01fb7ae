//! The graph of a network: what every reader of a [`Config`] walks.
//!
//! Nodes stand in an order in which they can be computed. A node reads the concatenation of its inputs' channels, so that
//! links need no node of their own and a reader is free to copy or not.

mod builder;
mod params;
mod shapes;

use std::ops::Range;

use crate::config::{Activation, Config};
use crate::error::Result;
pub use builder::BlockSpec;
use builder::Builder;
pub use hardnet_kernels::{Padding, Pool, PoolKind};
pub use params::{ParamInfo, ParamKind};
pub use shapes::Shape;

/// Position of a node in [`Graph::nodes`].
pub type NodeId = usize;

/// Layers, links, channels, strides and parameter names of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    modules: Vec<ModuleInfo>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// PyTorch's name of the module, as `base.3.layers.0.layer1`; empty for the input.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The nodes it reads, concatenated along the channels in this order.
    pub inputs: Vec<NodeId>,
    /// Channels it reads, the sum over its inputs.
    pub in_channels: usize,
    /// Channels it writes.
    pub out_channels: usize,
}

/// The operations that a HarDNet is made of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// The image.
    Input,
    /// A convolution, its batch normalisation and activation.
    Conv(Conv),
    /// Pooling over windows.
    Pool(Pool),
    /// Dropout with this probability; does nothing at inference.
    Dropout(f64),
    /// The mean over rows and columns.
    GlobalAveragePool,
    /// A linear layer with bias.
    Linear,
}

/// A square convolution without bias, batch normalisation (eps 1e-5, momentum 0.1) and an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conv {
    /// Side of the kernel.
    pub kernel: usize,
    /// Step in rows and columns.
    pub stride: usize,
    /// Rows and columns of zeros around the input.
    pub padding: Padding,
    /// Whether each channel is convolved by itself (`dwconv` in parameter names).
    pub depthwise: bool,
    /// The activation, if any.
    pub activation: Option<Activation>,
}

/// One entry of the network's flat `base` sequence.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModuleInfo {
    /// Its name, as `base.3`.
    pub name: String,
    /// Its index in `base`.
    pub index: usize,
    /// What it is.
    pub kind: ModuleKind,
    /// Its nodes.
    pub nodes: Range<NodeId>,
    /// The nodes whose concatenation is its output.
    pub outputs: Vec<NodeId>,
    /// Channels of its output.
    pub channels: usize,
    /// Pixels of the image per pixel of its output, along each side.
    pub stride: usize,
}

/// What an entry of `base` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleKind {
    /// A convolution before the first block.
    Stem,
    /// A pool or a strided depthwise convolution.
    Downsample,
    /// A HarDBlock.
    Block,
    /// The dropout between a block and its transition.
    Dropout,
    /// The 1x1 convolution behind a block.
    Transition,
    /// Global pooling, dropout and the linear layer.
    Head,
}

impl Graph {
    /// The graph of `config`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) where `config` is not [valid](Config::validate).
    pub fn new(config: &Config) -> Result<Self> {
        config.validate()?;
        Ok(builder::network(config))
    }

    /// The graph of one HarDBlock with parameters named `layers.0.conv.weight` and on. Its last module is the block.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) where a number of `spec` makes no block.
    pub fn block(spec: &BlockSpec) -> Result<Self> {
        spec.validate()?;
        let mut builder = Builder::new(spec.in_channels);
        builder.hard_block(spec, None);
        Ok(builder.finish())
    }

    /// The nodes in the order of computation; the first is the input.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The entries of `base` in order.
    pub fn modules(&self) -> &[ModuleInfo] {
        &self.modules
    }

    /// The nodes whose concatenation is the network's output.
    pub fn outputs(&self) -> &[NodeId] {
        self.modules.last().map_or(&[0], |module| &module.outputs)
    }

    /// Channels of the image.
    pub fn in_channels(&self) -> usize {
        self.nodes[0].in_channels
    }

    /// For every node, the last node that reads it; itself if none does.
    ///
    /// A map is dead once that node is computed, unless it is an output.
    pub fn last_readers(&self) -> Vec<NodeId> {
        let mut last: Vec<NodeId> = (0..self.nodes.len()).collect();
        for (reader, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                last[input] = reader;
            }
        }
        last
    }

    /// The graph up to and including the module at position `end` of [`Graph::modules`].
    pub(crate) fn truncated(mut self, end: usize) -> Self {
        self.modules.truncate(end + 1);
        let nodes = self.modules.last().map_or(1, |module| module.nodes.end);
        self.nodes.truncate(nodes);
        self
    }
}

#[cfg(test)]
mod tests;

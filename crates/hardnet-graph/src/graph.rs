//! The graph of a network: what every reader of a [`Config`] walks.
//!
//! Nodes stand in an order in which they can be computed. A node reads the concatenation of its inputs' channels, so
//! that links need no node of their own and a reader is free to copy or not. Normalization and activation belong to the
//! node before or after which they stand: an engine computes them in passing, and they write no map of their own.

mod builder;
mod hardnet;
mod inference;
mod params;
mod shapes;
mod taps;

use std::ops::Range;

use crate::config::Config;
use crate::error::Result;
use crate::op::{Op, Pointwise, Upsample};
pub use builder::GraphBuilder;
pub use hardnet::BlockSpec;
pub use params::{ParamInfo, ParamKind};
pub use shapes::Shape;
pub use taps::{FeatureInfo, TapKind, Taps};

/// Position of a node in [`Graph::nodes`].
pub type NodeId = usize;

/// Layers, links, channels, strides and parameter names of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    name: String,
    nodes: Vec<Node>,
    outputs: Vec<NodeId>,
    modules: Vec<ModuleInfo>,
    blocks: Vec<Block>,
}

/// One operation, which writes one map.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// PyTorch's name of the module, as `base.3.layers.0.layer1`; `image` for the input.
    pub name: String,
    /// The operation.
    pub op: Op,
    /// The nodes it reads, concatenated along the channels in this order; added, if it is an [`Op::Add`].
    pub inputs: Vec<NodeId>,
    /// Normalization and activation of what it reads, as in networks that normalize before they convolve.
    pub before: Pointwise,
    /// Normalization and activation of what it writes.
    pub after: Pointwise,
    /// Channels it reads: the sum over its inputs, or those of one of them if it adds them.
    pub in_channels: usize,
    /// Channels it writes.
    pub out_channels: usize,
}

/// One entry of the network's flat `base` sequence, or of the decoder after it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleInfo {
    /// Its name, as `base.3`.
    pub name: String,
    /// Its index in `base`; a decoder's entries count on.
    pub index: usize,
    /// Its kind.
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

/// Kind of an entry of `base` or of a decoder.
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
    /// The 1x1 convolution after a block.
    Transition,
    /// Global pooling, dropout and the linear layer, or the last convolution of a decoder.
    Head,
    /// Interpolation of the deeper map in a decoder.
    Upsample,
    /// The 1x1 convolution of an interpolated map and the encoder's output of its size.
    Fusion,
}

/// Layers that a dense network would keep until the block is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// Its name.
    pub name: String,
    /// The nodes that it reads: layer 0 of its numbering.
    pub inputs: Vec<NodeId>,
    /// Its layers from number 1 on. One may be several convolutions in a row: the last writes what the others read.
    pub layers: Vec<Vec<NodeId>>,
    /// The nodes whose concatenation is its output.
    pub outputs: Vec<NodeId>,
}

impl Graph {
    /// The graph of `config`, named after its [variant](Config::variant), or `hardnet`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) where `config` is not [valid](Config::validate).
    pub fn new(config: &Config) -> Result<Self> {
        config.validate()?;
        hardnet::network(config)
    }

    /// The graph of one HarDBlock with parameters named `layers.0.conv.weight` and on. Its last module is the block.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) where a number of `spec` does not describe a block.
    pub fn block(spec: &BlockSpec) -> Result<Self> {
        spec.validate()?;
        hardnet::block(spec)
    }

    /// Sets the name, which titles and errors use.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes in the order of computation; the first is the input.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes whose concatenation is the network's output.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// The entries of `base` in order, then those of a decoder; empty for a graph that is not a HarDNet's.
    pub fn modules(&self) -> &[ModuleInfo] {
        &self.modules
    }

    /// The graph without the interpolation to the image's size at its end, so that its output is the decoder's own map
    /// of classes. Other graphs stay as they are.
    #[must_use]
    pub fn without_final_upsampling(self) -> Self {
        match self.modules.iter().rposition(|module| module.kind == ModuleKind::Head) {
            Some(head) if self.modules[head + 1..].iter().any(|module| module.kind == ModuleKind::Upsample) => {
                self.truncated(head)
            }
            _ => self,
        }
    }

    /// The interpolation to the image's size at the end of a segmentation network.
    pub fn final_upsampling(&self) -> Option<Upsample> {
        match self.nodes.get(*self.outputs.first()?)?.op {
            Op::Upsample(upsample) if upsample.like == 0 => Some(upsample),
            _ => None,
        }
    }

    /// The blocks in order; empty for a network that was described without.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Channels of the image.
    pub fn in_channels(&self) -> usize {
        self.nodes[0].in_channels
    }

    /// The node of that name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.name == name)
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

    /// The graph up to and including the module at position `end` of [`Graph::modules`], whose output is that module's.
    #[must_use]
    pub fn truncated(mut self, end: usize) -> Self {
        self.modules.truncate(end.saturating_add(1));
        if let Some(module) = self.modules.last() {
            self.nodes.truncate(module.nodes.end);
            self.outputs.clone_from(&module.outputs);
        }
        let nodes = self.nodes.len();
        self.blocks.retain(|block| block.layers.iter().flatten().all(|&layer| layer < nodes));
        self
    }
}

#[cfg(test)]
mod tests;

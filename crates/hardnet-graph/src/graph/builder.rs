//! From layers, one after the other, to a graph.

use super::{Block, Graph, ModuleInfo, Node, NodeId};
use crate::error::{Error, Result};
use crate::op::{Conv, Grouping, Op, Pointwise, Pool, Upsample};

/// A graph under construction. Each method adds a layer and returns its position; mistakes are found by
/// [`GraphBuilder::finish`].
///
/// ```
/// use hardnet_graph::{Conv, GraphBuilder, Pointwise, Pool};
///
/// # fn main() -> Result<(), hardnet_graph::Error> {
/// let mut builder = GraphBuilder::new("residual", 3);
/// let stem = builder.conv("stem", &[builder.image()], Conv::new(16, 3).stride(2), Pointwise::NORM_RELU);
/// let conv = builder.conv("conv", &[stem], Conv::new(16, 3), Pointwise::NORM);
/// let sum = builder.add("add", &[stem, conv], Pointwise::RELU);
/// let pool = builder.pool("pool", &[sum], Pool::max(2, 2));
/// let graph = builder.finish(&[pool])?;
/// assert_eq!(graph.shapes(32, 32)?[pool].to_string(), "16x8x8");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    graph: Graph,
}

impl GraphBuilder {
    /// A network whose node 0 is an image of `channels` channels.
    pub fn new(name: impl Into<String>, channels: usize) -> Self {
        let graph = Graph { name: name.into(), nodes: vec![], outputs: vec![], modules: vec![], blocks: vec![] };
        let mut builder = Self { graph };
        builder.push("image", Op::Input { channels }, &[]);
        builder
    }

    /// The image.
    pub fn image(&self) -> NodeId {
        0
    }

    /// Adds a convolution of the concatenation of `inputs`, followed by `after`.
    pub fn conv(&mut self, name: impl Into<String>, inputs: &[NodeId], conv: Conv, after: Pointwise) -> NodeId {
        self.followed(name, Op::Conv(conv), inputs, after)
    }

    /// Adds a pool over windows of the concatenation of `inputs`.
    pub fn pool(&mut self, name: impl Into<String>, inputs: &[NodeId], pool: Pool) -> NodeId {
        self.push(name, Op::Pool(pool), inputs)
    }

    /// Adds the concatenation of `inputs`, interpolated to the size of another map.
    pub fn upsample(&mut self, name: impl Into<String>, inputs: &[NodeId], upsample: Upsample) -> NodeId {
        self.push(name, Op::Upsample(upsample), inputs)
    }

    /// Adds the mean of every channel.
    pub fn mean(&mut self, name: impl Into<String>, inputs: &[NodeId]) -> NodeId {
        self.push(name, Op::GLOBAL_AVERAGE_POOL, inputs)
    }

    /// Adds the sum of `inputs`, followed by `after`.
    pub fn add(&mut self, name: impl Into<String>, inputs: &[NodeId], after: Pointwise) -> NodeId {
        self.followed(name, Op::Add, inputs, after)
    }

    /// Adds a linear layer with bias on all elements of its input, followed by `after`.
    pub fn linear(&mut self, name: impl Into<String>, inputs: &[NodeId], channels: usize, after: Pointwise) -> NodeId {
        self.followed(name, Op::Linear { channels }, inputs, after)
    }

    /// Adds any operation, with nothing before or after it.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> NodeId {
        self.followed(name, op, inputs, Pointwise::NONE)
    }

    /// Sets the normalization and activation of what the last layer reads, as in networks with pre-activation
    /// (DenseNet): [`Node::before`].
    pub fn pre_activation(&mut self, before: Pointwise) {
        if let Some(node) = self.graph.nodes.last_mut() {
            node.before = before;
        }
    }

    /// Notes a block: its inputs, its layers from number 1 on, each of one or more convolutions, and its outputs.
    pub fn block(&mut self, name: impl Into<String>, inputs: &[NodeId], layers: Vec<Vec<NodeId>>, outputs: &[NodeId]) {
        let block = Block { name: name.into(), inputs: inputs.to_vec(), layers, outputs: outputs.to_vec() };
        self.graph.blocks.push(block);
    }

    /// The network whose output is the concatenation of `outputs`.
    ///
    /// # Errors
    ///
    /// [`Error::NoInputs`], [`Error::UnknownLayer`] for inputs that are not earlier layers, [`Error::Field`] and
    /// [`Error::Groups`] for a number that does not describe a layer, [`Error::NoFixedSize`] for a linear layer on a
    /// map whose size depends on the image, [`Error::Block`] for a block of other layers. Sizes that depend on the
    /// image are checked by [`Graph::shapes`].
    pub fn finish(mut self, outputs: &[NodeId]) -> Result<Graph> {
        self.graph.outputs = outputs.to_vec();
        self.graph.validate()?;
        Ok(self.graph)
    }

    /// Adds `op` on `inputs`, followed by `after`.
    pub(super) fn followed(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId], after: Pointwise) -> NodeId {
        let read = || inputs.iter().filter_map(|&id| self.graph.nodes.get(id)).map(|node| node.out_channels);
        let in_channels = match op {
            Op::Input { channels } => channels,
            Op::Add => read().next().unwrap_or(0),
            _ => read().fold(0, usize::saturating_add),
        };
        let out_channels = match op {
            Op::Conv(conv) => conv.channels,
            Op::Linear { channels } => channels,
            _ => in_channels,
        };
        self.graph.nodes.push(Node {
            name: name.into(),
            op,
            inputs: inputs.to_vec(),
            before: Pointwise::NONE,
            after,
            in_channels,
            out_channels,
        });
        self.graph.nodes.len() - 1
    }

    /// Nodes and modules so far.
    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn module(&mut self, module: ModuleInfo) {
        self.graph.modules.push(module);
    }
}

impl Graph {
    /// Checks what does not depend on the size of an image.
    fn validate(&self) -> Result<()> {
        let check = |reader: &str, inputs: &[NodeId], earlier: usize| {
            if inputs.is_empty() {
                return Err(Error::NoInputs { layer: reader.into() });
            }
            match inputs.iter().find(|&&input| input >= earlier) {
                Some(&input) => Err(Error::UnknownLayer { layer: reader.into(), input, earlier }),
                None => Ok(()),
            }
        };
        for (id, node) in self.nodes.iter().enumerate() {
            if id > 0 {
                check(&node.name, &node.inputs, id)?;
            }
            if let Op::Upsample(upsample) = node.op {
                check(&node.name, &[upsample.like], id)?;
            }
            node.validate()?;
            if matches!(node.op, Op::Linear { .. }) && self.features(node).is_none() {
                return Err(Error::NoFixedSize { layer: node.name.clone() });
            }
        }
        check(&self.name, &self.outputs, self.nodes.len())?;
        for block in &self.blocks {
            let mut least = 1;
            for &layer in block.layers.iter().flatten() {
                if layer < least || layer >= self.nodes.len() {
                    return Err(Error::Block { block: block.name.clone(), layer });
                }
                least = layer + 1;
            }
            let first = block.layers.iter().flatten().next().copied().unwrap_or(self.nodes.len());
            check(&block.name, &block.inputs, first)?;
            check(&block.name, &block.outputs, least)?;
        }
        Ok(())
    }
}

impl Node {
    fn validate(&self) -> Result<()> {
        let positive = |field, found| match found {
            0 => Err(Error::Field { layer: self.name.clone(), field, found, expected: "1 or more" }),
            _ => Ok(()),
        };
        match &self.op {
            Op::Input { channels } | Op::Linear { channels } => positive("channels", *channels),
            Op::Conv(conv) => {
                positive("channels", conv.channels)?;
                positive("kernel", conv.kernel.0.min(conv.kernel.1))?;
                positive("dilation", conv.dilation)?;
                positive("stride", conv.stride)?;
                self.validate_groups(conv)
            }
            Op::Pool(pool) => {
                positive("kernel", pool.kernel)?;
                positive("stride", pool.stride)
            }
            Op::AdaptiveAveragePool { rows, columns } => positive("pixels", (*rows).min(*columns)),
            Op::Add | Op::Dropout(_) | Op::Upsample(_) => Ok(()),
        }
    }

    fn validate_groups(&self, conv: &Conv) -> Result<()> {
        let layer = || self.name.clone();
        let groups = match conv.grouping {
            Grouping::Dense => return Ok(()),
            Grouping::Groups(0) => {
                return Err(Error::Field { layer: layer(), field: "groups", found: 0, expected: "1 or more" });
            }
            Grouping::Groups(groups) => groups,
            Grouping::Depthwise if self.in_channels == self.out_channels => return Ok(()),
            Grouping::Depthwise => self.in_channels,
        };
        match [self.in_channels, conv.channels].into_iter().find(|channels| channels % groups.max(1) != 0) {
            Some(channels) => Err(Error::Groups { layer: layer(), groups, channels }),
            None if conv.is_depthwise() => Err(Error::Groups { layer: layer(), groups, channels: conv.channels }),
            None => Ok(()),
        }
    }
}

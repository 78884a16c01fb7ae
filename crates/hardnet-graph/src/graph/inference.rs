//! The graph of inference.

use super::{Block, Graph, ModuleInfo, NodeId};
use crate::op::{Op, Upsample};

impl Graph {
    /// The graph without its dropouts, which do nothing at inference: their readers read their inputs.
    ///
    /// Modules stay at their positions; one that was nothing but a dropout has no nodes, and the outputs of what it
    /// read.
    #[must_use]
    pub fn inference(&self) -> Self {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        // The new nodes whose concatenation each node's output is, and the number of new nodes before it.
        let mut written: Vec<Vec<NodeId>> = Vec::with_capacity(self.nodes.len());
        let mut starts = Vec::with_capacity(self.nodes.len() + 1);
        let all = |written: &[Vec<NodeId>], ids: &[NodeId]| -> Vec<NodeId> {
            ids.iter().flat_map(|&id| written[id].iter().copied()).collect()
        };
        for node in &self.nodes {
            starts.push(nodes.len());
            let inputs = all(&written, &node.inputs);
            if matches!(node.op, Op::Dropout(_)) {
                written.push(inputs);
            } else {
                written.push(vec![nodes.len()]);
                let op = match node.op {
                    Op::Upsample(upsample) => Op::Upsample(Upsample { like: written[upsample.like][0], ..upsample }),
                    op => op,
                };
                nodes.push(super::Node { inputs, op, ..node.clone() });
            }
        }
        starts.push(nodes.len());
        let modules = self.modules.iter().map(|module| ModuleInfo {
            nodes: starts[module.nodes.start]..starts[module.nodes.end],
            outputs: all(&written, &module.outputs),
            ..module.clone()
        });
        let blocks = self.blocks.iter().map(|block| Block {
            name: block.name.clone(),
            inputs: all(&written, &block.inputs),
            layers: block.layers.iter().map(|layer| all(&written, layer)).collect(),
            outputs: all(&written, &block.outputs),
        });
        Self {
            name: self.name.clone(),
            outputs: all(&written, &self.outputs),
            modules: modules.collect(),
            blocks: blocks.collect(),
            nodes,
        }
    }
}

//! A graph in the terms of `hardnet-metrics`.

use hardnet_metrics::{Builder, LayerId, Network, Pointwise};

use crate::graph::{Conv, Graph, ModuleInfo, ModuleKind, Node, NodeId, Op, Padding, Pool};

impl Graph {
    /// What the graph is made of, for counting what it costs: `graph.describe("mine").figures(224, 224)`.
    ///
    /// Layers have the names of nodes and their order. Dropout, which does nothing at inference, is left out.
    ///
    /// ```
    /// use hardnet_model::{Config, Graph, Variant};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let graph = Graph::new(&Config::from(Variant::HarDNet68))?;
    /// let totals = graph.describe("hardnet68").figures(224, 224)?.totals;
    /// assert_eq!((totals.params, totals.cio()), (17_565_348, 11_468_940));
    /// # Ok(())
    /// # }
    /// ```
    pub fn describe(&self, name: impl Into<String>) -> Network {
        let mut description = Description {
            builder: Builder::new(name, self.in_channels()),
            layers: Vec::with_capacity(self.nodes().len()),
        };
        for node in self.nodes() {
            let layers = description.layers_of(node);
            description.layers.push(layers);
        }
        for module in self.modules().iter().filter(|module| module.kind == ModuleKind::Block) {
            description.block(self, module);
        }
        let outputs = description.all(self.outputs());
        description.builder.finish(&outputs).expect("a graph's nodes read earlier ones, and its blocks lie in order")
    }
}

struct Description {
    builder: Builder,
    /// The layers whose concatenation each node's output is.
    layers: Vec<Vec<LayerId>>,
}

impl Description {
    fn all(&self, nodes: &[NodeId]) -> Vec<LayerId> {
        nodes.iter().flat_map(|&node| self.layers[node].iter().copied()).collect()
    }

    fn layers_of(&mut self, node: &Node) -> Vec<LayerId> {
        let inputs = self.all(&node.inputs);
        let name = node.name.as_str();
        vec![match &node.op {
            Op::Input => self.builder.image(),
            Op::Dropout(_) => return inputs,
            Op::Conv(conv) => {
                let after = Pointwise { norm: true, activation: conv.activation.is_some() };
                self.builder.conv(name, &inputs, describe_conv(node, conv), after)
            }
            Op::Pool(pool) => self.builder.pool(name, &inputs, describe_pool(pool)),
            Op::GlobalAveragePool => self.builder.mean(name, &inputs),
            Op::Linear => self.builder.linear(name, &inputs, node.out_channels, Pointwise::default()),
        }]
    }

    /// A block; a depthwise convolution belongs to the layer of the 1x1 convolution before it.
    fn block(&mut self, graph: &Graph, module: &ModuleInfo) {
        let mut layers: Vec<Vec<LayerId>> = Vec::new();
        for node in module.nodes.clone() {
            let depthwise = matches!(&graph.nodes()[node].op, Op::Conv(conv) if conv.depthwise);
            match layers.last_mut() {
                Some(layer) if depthwise => layer.extend(&self.layers[node]),
                _ => layers.push(self.layers[node].clone()),
            }
        }
        let inputs = self.all(&graph.nodes()[module.nodes.start].inputs);
        self.builder.block(module.name.as_str(), &inputs, layers, &self.all(&module.outputs));
    }
}

fn describe_conv(node: &Node, conv: &Conv) -> hardnet_metrics::Conv {
    let described = hardnet_metrics::Conv::new(node.out_channels, conv.kernel)
        .stride(conv.stride)
        .padding(describe_padding(conv.padding));
    if conv.depthwise { described.groups(node.out_channels) } else { described }
}

fn describe_pool(pool: &Pool) -> hardnet_metrics::Pool {
    hardnet_metrics::Pool::new(pool.kernel, pool.stride).padding(describe_padding(pool.padding))
}

fn describe_padding(padding: Padding) -> hardnet_metrics::Padding {
    let Padding { top, bottom, left, right } = padding;
    hardnet_metrics::Padding { top, bottom, left, right }
}

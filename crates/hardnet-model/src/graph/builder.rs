//! From a configuration to nodes.

use super::{Conv, Graph, ModuleInfo, ModuleKind, Node, NodeId, Op, Padding, Pool, PoolKind};
use crate::config::{self, Activation, Config, Downsample, StemPadding};
use crate::error::Result;
use crate::link;

/// One HarDBlock by itself, for networks of your own.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockSpec {
    /// Channels of its input.
    pub in_channels: usize,
    /// Number of layers.
    pub layers: usize,
    /// Growth rate, the paper's `k`.
    pub growth: usize,
    /// Channel multiplier, the paper's `m`.
    pub multiplier: f64,
    /// Whether a layer is a 1x1 and a depthwise 3x3 convolution instead of a 3x3 one.
    pub depthwise: bool,
    /// Activation behind all but the depthwise convolutions.
    pub activation: Activation,
}

impl BlockSpec {
    pub(super) fn validate(&self) -> Result<()> {
        config::channels("in_channels", self.in_channels)?;
        config::layers("block", self.layers, self.growth, self.multiplier)
    }
}

/// The graph of a valid `config`.
pub(super) fn network(config: &Config) -> Graph {
    let mut builder = Builder::new(config.in_channels);
    let activation = Some(config.activation);
    for stem in &config.stem.convs {
        let size = stem.kernel / 2;
        let padding = match config.stem.padding {
            StemPadding::TopLeft if stem.stride > 1 => Padding::top_left(size),
            _ => Padding::all(size),
        };
        let conv = Conv { kernel: stem.kernel, stride: stem.stride, padding, depthwise: false, activation };
        builder.module(ModuleKind::Stem, |b, name| b.conv(name, conv, stem.channels));
    }
    builder.downsample(config.downsample, 3);
    for block in &config.blocks {
        let spec = BlockSpec {
            in_channels: builder.channels(),
            layers: block.layers,
            growth: block.growth,
            multiplier: block.multiplier,
            depthwise: config.depthwise,
            activation: config.activation,
        };
        builder.hard_block(&spec, Some("base"));
        if let Some(probability) = block.dropout {
            builder.module(ModuleKind::Dropout, |b, name| b.same(name, Op::Dropout(probability)));
        }
        let conv = Conv { kernel: 1, stride: 1, padding: Padding::default(), depthwise: false, activation };
        builder.module(ModuleKind::Transition, |b, name| b.conv(name, conv, block.transition));
        if block.downsample {
            builder.downsample(config.downsample, 2);
        }
    }
    if let Some(head) = &config.head {
        builder.module(ModuleKind::Head, |b, name| {
            b.same(format!("{name}.0"), Op::GlobalAveragePool);
            b.same(format!("{name}.2"), Op::Dropout(head.dropout));
            b.push(format!("{name}.3"), Op::Linear, b.current.clone(), head.classes);
        });
    }
    builder.finish()
}

/// A graph under construction and the nodes whose concatenation the next one reads.
pub(super) struct Builder {
    nodes: Vec<Node>,
    modules: Vec<ModuleInfo>,
    current: Vec<NodeId>,
    stride: usize,
}

impl Builder {
    pub(super) fn new(in_channels: usize) -> Self {
        let input = Node { name: String::new(), op: Op::Input, inputs: vec![], in_channels, out_channels: in_channels };
        Self { nodes: vec![input], modules: vec![], current: vec![0], stride: 1 }
    }

    pub(super) fn finish(self) -> Graph {
        Graph { nodes: self.nodes, modules: self.modules }
    }

    fn channels(&self) -> usize {
        self.current.iter().map(|&id| self.nodes[id].out_channels).sum()
    }

    fn push(&mut self, name: String, op: Op, inputs: Vec<NodeId>, out_channels: usize) -> NodeId {
        let in_channels = inputs.iter().map(|&id| self.nodes[id].out_channels).sum();
        let id = self.nodes.len();
        self.stride *= match &op {
            Op::Conv(conv) => conv.stride,
            Op::Pool(pool) => pool.stride,
            _ => 1,
        };
        self.nodes.push(Node { name, op, inputs, in_channels, out_channels });
        self.current = vec![id];
        id
    }

    /// A node that reads the current output and keeps its channels.
    fn same(&mut self, name: String, op: Op) {
        self.push(name, op, self.current.clone(), self.channels());
    }

    fn conv(&mut self, name: String, conv: Conv, out_channels: usize) {
        self.push(name, Op::Conv(conv), self.current.clone(), out_channels);
    }

    /// The next entry of `base`, whose nodes `build` adds below the name that it is given.
    fn module(&mut self, kind: ModuleKind, build: impl FnOnce(&mut Self, String)) {
        let index = self.modules.len();
        let name = format!("base.{index}");
        let first = self.nodes.len();
        build(self, name.clone());
        self.record(name, kind, first);
    }

    /// Notes the nodes from `first` on as a module.
    fn record(&mut self, name: String, kind: ModuleKind, first: NodeId) {
        self.modules.push(ModuleInfo {
            name,
            index: self.modules.len(),
            kind,
            nodes: first..self.nodes.len(),
            outputs: self.current.clone(),
            channels: self.channels(),
            stride: self.stride,
        });
    }

    /// A layer that halves the map; `window` is the side of a pool's window.
    fn downsample(&mut self, how: Downsample, window: usize) {
        let kind = match how {
            Downsample::MaxPool => PoolKind::Max,
            Downsample::AveragePool => PoolKind::Average,
            Downsample::Depthwise => {
                return self.module(ModuleKind::Downsample, |b, name| b.conv(name, depthwise(2), b.channels()));
            }
        };
        let pool = Pool::new(kind, window, 2).padding(Padding::all((window - 1) / 2));
        self.module(ModuleKind::Downsample, |b, name| b.same(name, Op::Pool(pool)));
    }

    /// A HarDBlock as the next entry of the sequence `parent`, or with names of its own without one.
    pub(super) fn hard_block(&mut self, spec: &BlockSpec, parent: Option<&str>) {
        let name = parent.map_or(String::new(), |parent| format!("{parent}.{}", self.modules.len()));
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        let first = self.nodes.len();
        // What each layer wrote, the block's input first.
        let mut written = vec![self.current.clone()];
        for layer in 1..=spec.layers {
            let width = link::width(layer, spec.growth, spec.multiplier);
            let path = format!("{prefix}layers.{}", layer - 1);
            self.current = link::sources(layer).flat_map(|source| written[source].iter().copied()).collect();
            let activation = Some(spec.activation);
            if spec.depthwise {
                let pointwise =
                    Conv { kernel: 1, stride: 1, padding: Padding::default(), depthwise: false, activation };
                self.conv(format!("{path}.layer1"), pointwise, width);
                self.conv(format!("{path}.layer2"), depthwise(1), width);
            } else {
                let conv = Conv { kernel: 3, stride: 1, padding: Padding::all(1), depthwise: false, activation };
                self.conv(path, conv, width);
            }
            written.push(self.current.clone());
        }
        self.current = link::outputs(spec.layers).flat_map(|layer| written[layer].iter().copied()).collect();
        self.record(name, ModuleKind::Block, first);
    }
}

/// A depthwise 3x3 convolution, which no activation follows.
fn depthwise(stride: usize) -> Conv {
    Conv { kernel: 3, stride, padding: Padding::all(1), depthwise: true, activation: None }
}

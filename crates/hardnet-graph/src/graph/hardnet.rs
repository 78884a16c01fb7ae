//! From a configuration to the graph of a HarDNet.

use super::{Graph, GraphBuilder, ModuleInfo, ModuleKind, NodeId};
use crate::config::{self, Config, Downsample, StemPadding};
use crate::error::Result;
use crate::link;
use crate::op::{Activation, Conv, Op, Padding, Pointwise, Pool, PoolKind};

/// One HarDBlock by itself, for custom networks.
///
/// ```
/// use hardnet_graph::{BlockSpec, Graph};
///
/// # fn main() -> Result<(), hardnet_graph::Error> {
/// let block = Graph::block(&BlockSpec::new(48, 4, 16).multiplier(1.6).depthwise(true))?;
/// assert_eq!(block.modules()[0].channels, 72);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
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
    /// Activation after all but the depthwise convolutions.
    pub activation: Activation,
}

impl BlockSpec {
    /// A block of `layers` layers with growth rate `growth` and, as in HarDNet-68, the multiplier 1.7, 3x3 convolutions
    /// and ReLU6.
    pub fn new(in_channels: usize, layers: usize, growth: usize) -> Self {
        Self { in_channels, layers, growth, multiplier: 1.7, depthwise: false, activation: Activation::Relu6 }
    }

    /// Sets the channel multiplier, the paper's `m`.
    #[must_use]
    pub fn multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// Sets whether a layer is a 1x1 and a depthwise 3x3 convolution instead of a 3x3 one.
    #[must_use]
    pub fn depthwise(mut self, depthwise: bool) -> Self {
        self.depthwise = depthwise;
        self
    }

    /// Sets the activation after all but the depthwise convolutions.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        config::channels("in_channels", self.in_channels)?;
        config::layers("block", self.layers, self.growth, self.multiplier)
    }
}

/// The graph of a valid `config`.
pub(super) fn network(config: &Config) -> Result<Graph> {
    let name = config.published_name().unwrap_or("hardnet");
    let mut builder = Sequence::new(name, config.in_channels);
    let after = Pointwise::NORM.activation(config.activation);
    for stem in &config.stem.convs {
        let size = stem.kernel / 2;
        let padding = match config.stem.padding {
            StemPadding::TopLeft if stem.stride > 1 => Padding::top_left(size),
            _ => Padding::all(size),
        };
        let conv = Conv::new(stem.channels, stem.kernel).stride(stem.stride).padding(padding);
        builder.module(ModuleKind::Stem, |b, name| b.conv(name, conv, after));
    }
    if config.stem.downsample {
        builder.downsample(config.downsample, 3);
    }
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
            builder.module(ModuleKind::Dropout, |b, name| b.push(name, Op::Dropout(probability), Pointwise::NONE));
        }
        let conv = Conv::new(block.transition, 1);
        builder.module(ModuleKind::Transition, |b, name| b.conv(name, conv, after));
        if block.downsample {
            builder.downsample(config.downsample, 2);
        }
    }
    if let Some(head) = &config.head {
        builder.module(ModuleKind::Head, |b, name| {
            b.push(format!("{name}.0"), Op::GLOBAL_AVERAGE_POOL, Pointwise::NONE);
            b.push(format!("{name}.2"), Op::Dropout(head.dropout), Pointwise::NONE);
            b.push(format!("{name}.3"), Op::Linear { channels: head.classes }, Pointwise::NONE);
        });
    }
    builder.finish()
}

/// The graph of a valid block.
pub(super) fn block(spec: &BlockSpec) -> Result<Graph> {
    let mut builder = Sequence::new("block", spec.in_channels);
    builder.hard_block(spec, None);
    builder.finish()
}

/// The flat `base` sequence under construction, and the nodes whose concatenation the next one reads.
struct Sequence {
    builder: GraphBuilder,
    modules: usize,
    current: Vec<NodeId>,
    stride: usize,
}

impl Sequence {
    fn new(name: &str, in_channels: usize) -> Self {
        let builder = GraphBuilder::new(name, in_channels);
        Self { current: vec![builder.image()], builder, modules: 0, stride: 1 }
    }

    fn finish(self) -> Result<Graph> {
        self.builder.finish(&self.current)
    }

    fn channels(&self) -> usize {
        self.current.iter().map(|&id| self.builder.graph().nodes()[id].out_channels).sum()
    }

    /// Adds a node that reads the current output and becomes it.
    fn push(&mut self, name: String, op: Op, after: Pointwise) {
        self.stride *= match &op {
            Op::Conv(conv) => conv.stride,
            Op::Pool(pool) => pool.stride,
            _ => 1,
        };
        self.current = vec![self.builder.followed(name, op, &self.current, after)];
    }

    fn conv(&mut self, name: String, conv: Conv, after: Pointwise) {
        self.push(name, Op::Conv(conv), after);
    }

    /// Adds the next entry of `base`, whose nodes `build` adds below the name that it is given.
    fn module(&mut self, kind: ModuleKind, build: impl FnOnce(&mut Self, String)) {
        let name = format!("base.{}", self.modules);
        let first = self.builder.graph().nodes().len();
        build(self, name.clone());
        self.record(name, kind, first);
    }

    /// Notes the nodes from `first` on as a module.
    fn record(&mut self, name: String, kind: ModuleKind, first: NodeId) {
        let module = ModuleInfo {
            name,
            index: self.modules,
            kind,
            nodes: first..self.builder.graph().nodes().len(),
            outputs: self.current.clone(),
            channels: self.channels(),
            stride: self.stride,
        };
        self.builder.module(module);
        self.modules += 1;
    }

    /// Adds a layer that halves the map; `window` is the side of a pool's window.
    fn downsample(&mut self, how: Downsample, window: usize) {
        let kind = match how {
            Downsample::MaxPool => PoolKind::Max,
            Downsample::AveragePool => PoolKind::Average,
            Downsample::Depthwise => {
                let conv = Conv::depthwise(self.channels()).stride(2);
                return self.module(ModuleKind::Downsample, |b, name| b.conv(name, conv, Pointwise::NORM));
            }
        };
        let pool = Pool::new(kind, window, 2).padding(Padding::all((window - 1) / 2));
        self.module(ModuleKind::Downsample, |b, name| b.push(name, Op::Pool(pool), Pointwise::NONE));
    }

    /// Adds a HarDBlock as the next entry of the sequence `parent`, or with names of its own without one.
    fn hard_block(&mut self, spec: &BlockSpec, parent: Option<&str>) {
        let name = parent.map_or(String::new(), |parent| format!("{parent}.{}", self.modules));
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        let (input, first) = (self.current.clone(), self.builder.graph().nodes().len());
        let after = Pointwise::NORM.activation(spec.activation);
        // The map of each layer, the block's input first.
        let mut written = vec![input.clone()];
        let mut layers = Vec::with_capacity(spec.layers);
        for layer in 1..=spec.layers {
            let width = link::width(layer, spec.growth, spec.multiplier);
            let path = format!("{prefix}layers.{}", layer - 1);
            self.current = link::sources(layer).flat_map(|source| written[source].iter().copied()).collect();
            let mut convs = Vec::with_capacity(2);
            if spec.depthwise {
                self.conv(format!("{path}.layer1"), Conv::new(width, 1), after);
                convs.extend(&self.current);
                self.conv(format!("{path}.layer2"), Conv::depthwise(width), Pointwise::NORM);
            } else {
                self.conv(path, Conv::new(width, 3), after);
            }
            convs.extend(&self.current);
            layers.push(convs);
            written.push(self.current.clone());
        }
        self.current = link::outputs(spec.layers).flat_map(|layer| written[layer].iter().copied()).collect();
        self.builder.block(name.clone(), &input, layers, &self.current);
        self.record(name, ModuleKind::Block, first);
    }
}

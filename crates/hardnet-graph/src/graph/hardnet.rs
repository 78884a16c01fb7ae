//! From a configuration to the graph of a HarDNet.

use super::{Graph, GraphBuilder, ModuleInfo, ModuleKind, NodeId};
use crate::config::{self, Config, Decoder, Downsample, LinkOrder, StemPadding};
use crate::error::Result;
use crate::link;
use crate::op::{Activation, Conv, Op, Padding, Pointwise, Pool, PoolKind, Upsample};

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
    /// The order in which a layer concatenates what it reads.
    pub links: LinkOrder,
}

impl BlockSpec {
    /// A block of `layers` layers with growth rate `growth` and, as in HarDNet-68, the multiplier 1.7, 3x3 convolutions
    /// and ReLU6.
    pub fn new(in_channels: usize, layers: usize, growth: usize) -> Self {
        let (activation, links) = (Activation::Relu6, LinkOrder::NearestFirst);
        Self { in_channels, layers, growth, multiplier: 1.7, depthwise: false, activation, links }
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

    /// Sets the order in which a layer concatenates what it reads.
    #[must_use]
    pub fn links(mut self, links: LinkOrder) -> Self {
        self.links = links;
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
        let conv = Conv::new(stem.channels, stem.kernel).stride(stem.stride);
        let conv = match config.stem.padding {
            StemPadding::TopLeft if stem.stride > 1 => conv.padding(Padding::top_left(stem.kernel / 2)),
            StemPadding::Same if stem.stride > 1 => conv.same(),
            _ => conv,
        };
        builder.module(ModuleKind::Stem, |b, name| b.conv(name, conv, after));
    }
    if config.stem.downsample {
        builder.downsample(config.downsample, 3);
    }
    let mut skips = Vec::new();
    for block in &config.blocks {
        let spec = BlockSpec {
            in_channels: builder.channels(),
            layers: block.layers,
            growth: block.growth,
            multiplier: block.multiplier,
            depthwise: config.depthwise,
            activation: config.activation,
            links: config.links,
        };
        builder.hard_block(&spec, &format!("base.{}", builder.modules));
        if block.downsample {
            skips.push((builder.current.clone(), builder.stride, spec));
        }
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
    if let Some(decoder) = &config.decoder {
        builder.decoder(decoder, skips, after);
    }
    builder.finish()
}

/// The graph of a valid block.
pub(super) fn block(spec: &BlockSpec) -> Result<Graph> {
    let mut builder = Sequence::new("block", spec.in_channels);
    builder.hard_block(spec, "");
    builder.finish()
}

/// The outputs of a block before a downsampling layer, their stride, and the block.
type Skip = (Vec<NodeId>, usize, BlockSpec);

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
        self.named_module(name, kind, build);
    }

    /// Adds an entry called `name`, whose nodes `build` adds below that.
    fn named_module(&mut self, name: String, kind: ModuleKind, build: impl FnOnce(&mut Self, String)) {
        let first = self.builder.graph().nodes().len();
        build(self, name.clone());
        self.record(name, kind, first);
    }

    /// Adds the part of a segmentation network after the encoder, whose blocks left `skips`.
    fn decoder(&mut self, decoder: &Decoder, skips: Vec<Skip>, after: Pointwise) {
        for (level, (skip, stride, block)) in skips.into_iter().rev().enumerate() {
            self.upsample(&format!("transUpBlocks.{level}"), skip[0], stride, decoder);
            self.current.extend(&skip);
            let conv = Conv::new(self.channels() / 2, 1);
            self.named_module(format!("conv1x1_up.{level}"), ModuleKind::Fusion, |b, name| b.conv(name, conv, after));
            let spec = BlockSpec { in_channels: self.channels(), ..block };
            self.hard_block(&spec, &format!("denseBlocksUp.{level}"));
        }
        let conv = Conv::new(decoder.classes, 1).with_bias();
        self.named_module("finalConv".into(), ModuleKind::Head, |b, name| b.conv(name, conv, Pointwise::NONE));
        self.upsample("upsample", self.builder.image(), 1, decoder);
    }

    /// Adds the interpolation of each current map to the size of node `like`, which has `stride`.
    fn upsample(&mut self, name: &str, like: NodeId, stride: usize, decoder: &Decoder) {
        let op = Op::Upsample(Upsample::new(like, decoder.alignment()));
        self.named_module(name.into(), ModuleKind::Upsample, |b, name| {
            // A node for each map, which its readers find in their lists.
            let maps = std::mem::take(&mut b.current);
            let only = maps.len() == 1;
            for (part, map) in maps.into_iter().enumerate() {
                let name = if only { name.clone() } else { format!("{name}.{part}") };
                b.current.push(b.builder.push(name, op, &[map]));
            }
            b.stride = stride;
        });
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

    /// Adds a HarDBlock as the entry called `name`.
    fn hard_block(&mut self, spec: &BlockSpec, name: &str) {
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        let (input, first) = (self.current.clone(), self.builder.graph().nodes().len());
        let after = Pointwise::NORM.activation(spec.activation);
        // The map of each layer, the block's input first.
        let mut written = vec![input.clone()];
        let mut layers = Vec::with_capacity(spec.layers);
        for layer in 1..=spec.layers {
            let width = link::width(layer, spec.growth, spec.multiplier);
            let path = format!("{prefix}layers.{}", layer - 1);
            let sources = link::ordered_sources(layer, spec.links);
            self.current = sources.into_iter().flat_map(|source| written[source].iter().copied()).collect();
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
        self.builder.block(name, &input, layers, &self.current);
        self.record(name.into(), ModuleKind::Block, first);
    }
}

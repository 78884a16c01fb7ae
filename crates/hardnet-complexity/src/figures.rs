//! Counts of layers and networks for one size of image.

use hardnet_graph::{Block, Graph, Node, NodeId, Op, Pointwise, Shape};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::memory::{self, Retention, lifetimes, live};

/// Costs of a layer for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LayerFigures {
    /// Its input: the concatenation of what it reads; of a sum, one of them.
    pub input: Shape,
    /// Its output.
    pub output: Shape,
    /// Trained values: weights, biases, scales and shifts of normalizations.
    pub params: u64,
    /// Running statistics of normalizations, which are stored but not trained.
    pub statistics: u64,
    /// Multiply-accumulates of a convolution or linear layer by its definition, without bias and normalization.
    pub macs: u64,
    /// The paper's convolutional input and output: elements that a convolution reads and writes. 0 for other layers.
    pub cio: u64,
    /// Elements that are normalized.
    pub norm_elements: u64,
    /// Elements that an activation is applied to.
    pub activation_elements: u64,
    /// Bytes of f32 maps that exist while it runs: what it reads and writes and what later layers read.
    pub live_bytes: u64,
    /// The same if every layer of a block were kept until its output was read.
    pub kept_bytes: u64,
}

impl LayerFigures {
    /// The paper's MACs over CIO, multiply-accumulates per element moved; none for other layers than convolutions.
    pub fn moc(&self) -> Option<f64> {
        (self.cio > 0).then(|| self.macs as f64 / self.cio as f64)
    }
}

/// Costs of a network for one image of one size.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// The network that was counted: the given one [without dropout](Graph::inference).
    pub graph: Graph,
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Each layer's, as the nodes of [`Figures::graph`].
    pub layers: Vec<LayerFigures>,
    /// Their sums.
    pub totals: Totals,
    /// Each block's memory, as [`Graph::blocks`].
    pub blocks: Vec<BlockMemory>,
}

/// Sums over the layers of a network, and the greatest live memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Number of convolutions.
    pub convs: u64,
    /// Trained values.
    pub params: u64,
    /// Running statistics.
    pub statistics: u64,
    /// Multiply-accumulates of convolutions.
    pub conv_macs: u64,
    /// Multiply-accumulates of linear layers.
    pub linear_macs: u64,
    /// Elements that convolutions read.
    pub cio_in: u64,
    /// Elements that convolutions write.
    pub cio_out: u64,
    /// Elements that depthwise convolutions of a stride above 1 read and write, a part of both.
    pub cio_strided_depthwise: u64,
    /// Elements that are normalized.
    pub norm_elements: u64,
    /// Elements that an activation is applied to.
    pub activation_elements: u64,
    /// The greatest [`LayerFigures::live_bytes`].
    pub peak_live_bytes: u64,
    /// The greatest [`LayerFigures::kept_bytes`].
    pub peak_kept_bytes: u64,
}

impl Totals {
    /// Multiply-accumulates of convolutions and linear layers.
    pub fn macs(&self) -> u64 {
        self.conv_macs + self.linear_macs
    }

    /// The paper's equation 1: elements that convolutions read and write.
    pub fn cio(&self) -> u64 {
        self.cio_in + self.cio_out
    }

    /// Multiply-accumulates per element that convolutions move.
    pub fn moc(&self) -> f64 {
        self.macs() as f64 / self.cio() as f64
    }

    /// Multiply-accumulates, two operations for each normalized element and one for each activation: what some counters
    /// of operations print as MACs.
    pub fn macs_and_pointwise(&self) -> u64 {
        self.macs() + 2 * self.norm_elements + self.activation_elements
    }
}

/// The memory of a block's maps, with them dropped after their last reader ("live") and with every layer of the block
/// kept until its output was read ("kept").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlockMemory {
    /// The block's name.
    pub name: String,
    /// Bytes that exist at most while its layers and those that read its output run.
    pub live_bytes: u64,
    /// The same, kept.
    pub kept_bytes: u64,
    /// Bytes that still exist when its last layer is done.
    pub output_live_bytes: u64,
    /// The same, kept.
    pub output_kept_bytes: u64,
}

impl BlockMemory {
    /// How many times less memory the links need at most.
    pub fn peak_saving(&self) -> f64 {
        self.kept_bytes as f64 / self.live_bytes as f64
    }

    /// How many times less memory is left to the block's output.
    pub fn output_saving(&self) -> f64 {
        self.output_kept_bytes as f64 / self.output_live_bytes as f64
    }
}

impl Figures {
    /// Counts the network for one image of `height` x `width` pixels.
    ///
    /// # Errors
    ///
    /// As [`Graph::shapes`]; [`Error::TooLarge`] for counts beyond 64 bits.
    pub fn new(graph: &Graph, height: usize, width: usize) -> Result<Self> {
        let graph = graph.inference();
        let shapes = graph.shapes(height, width)?;
        let mut layers = Vec::with_capacity(shapes.len());
        for (node, &output) in graph.nodes().iter().zip(&shapes) {
            let counts = count(node, graph.input_shape(node, &shapes)?, output);
            layers.push(counts.ok_or_else(|| Error::TooLarge { layer: node.name.clone() })?);
        }
        let too_large = || Error::TooLarge { layer: graph.name().into() };
        for retention in [Retention::Links, Retention::Blocks] {
            let bytes = live(&graph, &layers, retention).ok_or_else(too_large)?;
            for (layer, bytes) in layers.iter_mut().zip(bytes) {
                match retention {
                    Retention::Links => layer.live_bytes = bytes,
                    Retention::Blocks => layer.kept_bytes = bytes,
                }
            }
        }
        let totals = total(graph.nodes(), &layers).ok_or_else(too_large)?;
        let blocks = graph.blocks().iter().map(|block| block_memory(&graph, block, &layers)).collect();
        Ok(Self { graph, height, width, layers, totals, blocks })
    }
}

fn block_memory(graph: &Graph, block: &Block, figures: &[LayerFigures]) -> BlockMemory {
    let reads = |id: NodeId| graph.nodes()[id].inputs.iter().any(|input| block.outputs.contains(input));
    let inside: Vec<NodeId> = block.layers.iter().flatten().copied().collect();
    let last = inside.last().copied().unwrap_or(0);
    let readers = (last + 1..figures.len()).filter(|&id| reads(id));
    let steps: Vec<&LayerFigures> = inside.iter().copied().chain(readers).map(|id| &figures[id]).collect();
    let most = |bytes: fn(&LayerFigures) -> u64| steps.iter().map(|&figures| bytes(figures)).max().unwrap_or(0);
    // The maps that exist while the last layer runs, without those that nobody needs after it.
    let left = |bytes: u64, retention| {
        let lifetimes = lifetimes(graph, retention);
        let over = (0..=last).filter(|&id| lifetimes[id].last == last && !graph.outputs().contains(&id));
        bytes - over.filter_map(|id| memory::bytes(figures[id].output)).sum::<u64>()
    };
    BlockMemory {
        name: block.name.clone(),
        live_bytes: most(|figures| figures.live_bytes),
        kept_bytes: most(|figures| figures.kept_bytes),
        output_live_bytes: left(figures[last].live_bytes, Retention::Links),
        output_kept_bytes: left(figures[last].kept_bytes, Retention::Blocks),
    }
}

/// The layer's counts but for memory; none beyond 64 bits.
fn count(layer: &Node, input: Shape, output: Shape) -> Option<LayerFigures> {
    let (read, written) = (elements(input)?, elements(output)?);
    let (weights, bias, macs) = match &layer.op {
        Op::Conv(conv) => {
            // Of one output channel.
            let weights = product([conv.channels_read(input.channels), conv.kernel.0, conv.kernel.1])?;
            let bias = if conv.bias { conv.channels } else { 0 };
            (weights.checked_mul(conv.channels as u64)?, bias as u64, weights.checked_mul(written)?)
        }
        Op::Linear { channels } => {
            let weights = read.checked_mul(*channels as u64)?;
            (weights, *channels as u64, weights)
        }
        _ => (0, 0, 0),
    };
    let sides = [(layer.before, input.channels, read), (layer.after, output.channels, written)];
    let norms = |value: fn(Pointwise) -> bool, of: fn(usize, u64) -> u64| {
        let values = sides.iter().filter(|(pointwise, ..)| value(*pointwise));
        values.map(|&(_, channels, elements)| of(channels, elements)).try_fold(0_u64, u64::checked_add)
    };
    let normalized = norms(|pointwise| pointwise.norm.is_some(), |channels, _| channels as u64)?;
    let pair = normalized.checked_mul(2)?;
    Some(LayerFigures {
        input,
        output,
        params: weights.checked_add(bias)?.checked_add(pair)?,
        statistics: pair,
        macs,
        cio: if matches!(layer.op, Op::Conv(_)) { read.checked_add(written)? } else { 0 },
        norm_elements: norms(|pointwise| pointwise.norm.is_some(), |_, elements| elements)?,
        activation_elements: norms(|pointwise| pointwise.activation.is_some(), |_, elements| elements)?,
        live_bytes: 0,
        kept_bytes: 0,
    })
}

fn total(layers: &[Node], figures: &[LayerFigures]) -> Option<Totals> {
    let mut totals = Totals::default();
    for (layer, figures) in layers.iter().zip(figures) {
        let add = |sum: &mut u64, value: u64| {
            *sum = sum.checked_add(value)?;
            Some(())
        };
        add(&mut totals.params, figures.params)?;
        add(&mut totals.statistics, figures.statistics)?;
        add(&mut totals.norm_elements, figures.norm_elements)?;
        add(&mut totals.activation_elements, figures.activation_elements)?;
        match &layer.op {
            Op::Conv(conv) => {
                totals.convs += 1;
                add(&mut totals.conv_macs, figures.macs)?;
                add(&mut totals.cio_in, elements(figures.input)?)?;
                add(&mut totals.cio_out, elements(figures.output)?)?;
                if conv.is_depthwise() && conv.stride > 1 {
                    add(&mut totals.cio_strided_depthwise, figures.cio)?;
                }
            }
            Op::Linear { .. } => add(&mut totals.linear_macs, figures.macs)?,
            _ => {}
        }
        totals.peak_live_bytes = totals.peak_live_bytes.max(figures.live_bytes);
        totals.peak_kept_bytes = totals.peak_kept_bytes.max(figures.kept_bytes);
    }
    // So that sums of these do not overflow either.
    let whole = [totals.conv_macs, totals.linear_macs, totals.norm_elements, totals.norm_elements];
    let whole = whole.into_iter().try_fold(totals.activation_elements, u64::checked_add);
    whole.and(totals.cio_in.checked_add(totals.cio_out)).and(Some(totals))
}

fn product(factors: [usize; 3]) -> Option<u64> {
    factors.into_iter().try_fold(1_u64, |product, factor| product.checked_mul(factor as u64))
}

/// Number of a map's elements.
pub(crate) fn elements(shape: Shape) -> Option<u64> {
    product([shape.channels, shape.height, shape.width])
}

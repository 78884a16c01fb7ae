//! The networks on Candle: the readable reference for every faster path.
//!
//! [`Layers`] holds one Candle layer per node of a [`Graph`] and walks it; the three public types choose the graph and
//! the outputs: [`HarDNet`] classifies, [`Backbone`] gives feature maps, [`HarDBlock`] is one block.

mod backbone;
mod block;
mod classifier;
mod layer;
mod trainer;
mod windows;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use hardnet_kernels::Isa;

pub use backbone::Backbone;
pub use block::HarDBlock;
pub use classifier::HarDNet;
use hardnet_graph::{Graph, NodeId, Op};
use layer::{Layer, Train};
use trainer::Trainer;

/// The layers of a graph with their parameters.
#[derive(Clone, Debug)]
struct Layers {
    graph: Graph,
    layers: Vec<Layer>,
    last_readers: Vec<NodeId>,
    trainer: Trainer,
}

impl Layers {
    /// Takes every parameter of `graph` from `vb` under its own name.
    fn new(graph: Graph, vb: &VarBuilder) -> Result<Self> {
        let mut dropouts = 0;
        let mut layers = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            layers.push(Layer::new(node, dropouts, vb)?);
            dropouts += u64::from(matches!(node.op, Op::Dropout(probability) if probability > 0.0));
        }
        let last_readers = graph.last_readers();
        Ok(Self { graph, layers, last_readers, trainer: Trainer::new(Isa::best()) })
    }

    /// Sets the instruction set that training on the CPU computes with.
    fn set_isa(&mut self, isa: Isa) {
        self.trainer = Trainer::new(isa);
    }

    /// Computes the network for `images`, `[N, C, H, W]`, and returns the concatenation of each list of nodes in
    /// `wanted`.
    ///
    /// A map is dropped once the last layer that reads it is done. In training, the [`Trainer`] computes instead where
    /// it can.
    fn run(&self, images: &Tensor, train: bool, wanted: &[Vec<NodeId>]) -> Result<Vec<Tensor>> {
        let train = train.then(|| Train { seed: self.trainer.next_seed() });
        self.pass(images, train, wanted)
    }

    /// The same, with what dropout follows from in training.
    fn pass(&self, images: &Tensor, train: Option<Train>, wanted: &[Vec<NodeId>]) -> Result<Vec<Tensor>> {
        let (_, channels, height, width) = images.dims4()?;
        if channels != self.graph.in_channels() {
            candle_core::bail!("expected images of {} channels, got {:?}", self.graph.in_channels(), images.shape());
        }
        self.graph.shapes(height, width).map_err(candle_core::Error::wrap)?;
        if let Some(train) = &train
            && let Some(maps) = self.trainer.run(&self.graph, &self.layers, images, train, wanted)?
        {
            return Ok(maps);
        }
        let mut keep = vec![false; self.layers.len()];
        wanted.iter().flatten().for_each(|&node| keep[node] = true);
        let mut maps: Vec<Option<Tensor>> = Vec::with_capacity(self.layers.len());
        for (id, (node, layer)) in self.graph.nodes().iter().zip(&self.layers).enumerate() {
            let input = if node.inputs.is_empty() { images.clone() } else { gather(&maps, &node.inputs)? };
            maps.push(Some(layer.forward(&input, train.as_ref())?));
            for &read in &node.inputs {
                if self.last_readers[read] == id && !keep[read] {
                    maps[read] = None;
                }
            }
        }
        wanted.iter().map(|nodes| gather(&maps, nodes)).collect()
    }
}

/// The concatenation of `nodes` along the channels.
fn gather(maps: &[Option<Tensor>], nodes: &[NodeId]) -> Result<Tensor> {
    let parts: Vec<&Tensor> =
        nodes.iter().map(|&node| maps[node].as_ref().expect("a map lives until its last reader is done")).collect();
    match parts[..] {
        [map] => Ok(map.clone()),
        _ => Tensor::cat(&parts, 1),
    }
}

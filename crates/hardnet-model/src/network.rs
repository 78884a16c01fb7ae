//! The networks on Candle: the readable reference for every faster path.
//!
//! [`Layers`] holds one Candle layer per node of a [`Graph`] and walks it; the three public types choose the graph and
//! the outputs: [`HarDNet`] classifies, [`Backbone`] gives feature maps, [`HarDBlock`] is one block.

mod backbone;
mod batch_part;
mod block;
mod classifier;
mod layer;
mod trainer;
mod upsample;
mod windows;

use std::sync::Arc;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use hardnet_kernels::Isa;
use hardnet_kernels::training::{BatchPart, GradientObserver};

pub use backbone::Backbone;
pub use block::HarDBlock;
pub use classifier::HarDNet;
use hardnet_graph::{Graph, ModuleInfo, ModuleKind, NodeId, Op};
use layer::{Layer, Train};
use trainer::Trainer;
use upsample::bilinear;

/// The layers of a graph with their parameters.
#[derive(Clone, Debug)]
struct Layers {
    graph: Graph,
    layers: Vec<Layer>,
    last_readers: Vec<NodeId>,
    trainer: Trainer,
    /// The part of a batch that passes in training compute, if there are others.
    part: Option<Arc<dyn BatchPart>>,
    /// Receives gradients while a backward pass computes others.
    observer: Option<Arc<dyn GradientObserver>>,
    /// The part that the [`Trainer`] computes of a segmentation network.
    trained: Option<Graph>,
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
        let trained = before_classes(&graph);
        Ok(Self {
            graph,
            layers,
            last_readers,
            trainer: Trainer::new(Isa::best()),
            part: None,
            observer: None,
            trained,
        })
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
        let train = train.then(|| self.train(self.trainer.next_seed()));
        self.pass(images, train, wanted)
    }

    /// A pass in training with a seed of dropout.
    fn train(&self, seed: u64) -> Train {
        Train { seed, part: self.part.clone(), observer: self.observer.clone() }
    }

    /// The same, with what dropout follows from in training.
    fn pass(&self, images: &Tensor, train: Option<Train>, wanted: &[Vec<NodeId>]) -> Result<Vec<Tensor>> {
        let (_, channels, height, width) = images.dims4()?;
        if channels != self.graph.in_channels() {
            candle_core::bail!("expected images of {} channels, got {:?}", self.graph.in_channels(), images.shape());
        }
        self.graph.shapes(height, width).map_err(candle_core::Error::wrap)?;
        let start = Start { first: 0, reads: &[], map: images, image: Some((height, width)) };
        self.walk(&start, train.as_ref(), wanted)
    }

    /// The same from `map`, `[N, C, H, W]`, the output of `module`: nothing before is computed.
    fn pass_after(
        &self,
        module: &ModuleInfo,
        map: &Tensor,
        train: &Train,
        wanted: &[Vec<NodeId>],
    ) -> Result<Vec<Tensor>> {
        let (_, channels, _, _) = map.dims4()?;
        if channels != module.channels {
            candle_core::bail!("`{}` gives {} channels, got {:?}", module.name, module.channels, map.shape());
        }
        let start = Start { first: module.nodes.end, reads: &module.outputs, map, image: None };
        self.walk(&start, Some(train), wanted)
    }

    fn walk(&self, start: &Start, train: Option<&Train>, wanted: &[Vec<NodeId>]) -> Result<Vec<Tensor>> {
        let Some(train) = train else { return self.compute(start, None, wanted) };
        let Some(part) = self.trained.as_ref().filter(|part| is_after(part, start, wanted)) else {
            let maps = self.trainer.run(&self.graph, &self.layers, start, train, wanted)?;
            return maps.map_or_else(|| self.compute(start, Some(train), wanted), Ok);
        };
        let (end, reads) = (part.nodes().len(), part.outputs());
        match self.trainer.run(part, &self.layers[..end], start, train, &[reads.to_vec()])? {
            Some(maps) => {
                let rest = Start { first: end, reads, map: &maps[0], image: start.image };
                self.compute(&rest, Some(train), wanted)
            }
            None => self.compute(start, Some(train), wanted),
        }
    }

    /// The same layer by layer.
    fn compute(&self, start: &Start, train: Option<&Train>, wanted: &[Vec<NodeId>]) -> Result<Vec<Tensor>> {
        let mut keep = vec![false; self.layers.len()];
        wanted.iter().flatten().for_each(|&node| keep[node] = true);
        let mut maps: Vec<Option<Tensor>> = vec![None; start.first];
        maps.reserve_exact(self.layers.len() - start.first);
        // The size of each map, where it is known.
        let mut sizes: Vec<Option<(usize, usize)>> = vec![None; start.first];
        if let Some(image) = sizes.first_mut() {
            *image = start.image;
        }
        let mut channel = 0;
        for &node in start.reads {
            let channels = self.graph.nodes()[node].out_channels;
            maps[node] = Some(start.map.narrow(1, channel, channels)?);
            sizes[node] = rows_and_columns(start.map);
            channel += channels;
        }
        for (id, (node, layer)) in self.graph.nodes().iter().zip(&self.layers).enumerate().skip(start.first) {
            let input = if node.inputs.is_empty() { start.map.clone() } else { gather(&maps, &node.inputs)? };
            let map = match layer {
                Layer::Upsample(upsample) => {
                    let Some(size) = sizes[upsample.like] else {
                        candle_core::bail!("`{}` needs the size of a map from before the start", node.name);
                    };
                    bilinear(&input, size, upsample.alignment)?
                }
                layer => layer.forward(&input, train)?,
            };
            sizes.push(rows_and_columns(&map));
            maps.push(Some(map));
            for &read in &node.inputs {
                if self.last_readers[read] == id && !keep[read] {
                    maps[read] = None;
                }
            }
        }
        wanted.iter().map(|nodes| gather(&maps, nodes)).collect()
    }
}

/// The size of a map, `[N, C, H, W]`.
fn rows_and_columns(map: &Tensor) -> Option<(usize, usize)> {
    match map.dims() {
        &[_, _, height, width] => Some((height, width)),
        _ => None,
    }
}

/// Where the computation of a graph begins.
struct Start<'a> {
    /// The first node.
    first: NodeId,
    /// The earlier nodes that later ones read; none for the image.
    reads: &'a [NodeId],
    /// Their concatenation, or the images.
    map: &'a Tensor,
    /// Rows and columns of the images, if they are known.
    image: Option<(usize, usize)>,
}

/// The graph before the last convolution of a decoder, which has a bias and no normalization. What follows it has few
/// channels, and no kernel of the trainer.
fn before_classes(graph: &Graph) -> Option<Graph> {
    graph.final_upsampling()?;
    let head = graph.modules().iter().rposition(|module| module.kind == ModuleKind::Head)?;
    Some(graph.clone().truncated(head.checked_sub(1)?))
}

/// Whether all that is wanted comes after a `part` of the graph, which begins at the start.
fn is_after(part: &Graph, start: &Start, wanted: &[Vec<NodeId>]) -> bool {
    let end = part.nodes().len();
    start.first < end && wanted.iter().flatten().all(|&node| node >= end)
}

/// The concatenation of `nodes` along the channels.
fn gather(maps: &[Option<Tensor>], nodes: &[NodeId]) -> Result<Tensor> {
    // A map lives until its last reader is done, so it is missing only where a node reads past the start.
    let parts: Option<Vec<&Tensor>> = nodes.iter().map(|&node| maps[node].as_ref()).collect();
    let Some(parts) = parts else { candle_core::bail!("a node reads a map from before the start") };
    match parts[..] {
        [map] => Ok(map.clone()),
        _ => Tensor::cat(&parts, 1),
    }
}

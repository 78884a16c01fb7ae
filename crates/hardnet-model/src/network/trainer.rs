//! Training on the CPU by kernels of this project, as one operation of Candle's.
//!
//! Candle computes the gradients of these networks rightly but slowly: grouped convolutions and strided pools have to
//! be spelled out in shifted views, and every operation passes over memory by itself. On the CPU in f32, a [`Program`]
//! computes the whole network instead: see [`pass`]. Everything else takes the path of single operations, which all
//! devices have and which this one is tested against: other devices and types, images that need a gradient, and
//! networks that the kernels do not know.

mod pass;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Result, Tensor, Var};
use hardnet_graph::{BatchNorm, Conv, Graph, Node, NodeId, Op, Pointwise, Shape};
use hardnet_kernels::training::{Builder, Program};
use hardnet_kernels::{Clamp, FeatureMap, Isa, Unsupported};

use self::pass::Pass;
use super::Start;
use super::layer::{ConvNorm, Layer, Train};

/// Programs for a network's passes in training; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Trainer {
    isa: Isa,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Programs that no pass uses.
    idle: Mutex<Vec<Compiled>>,
    /// Whether the kernels do not know this network.
    unknown: AtomicBool,
    seed: AtomicU64,
}

/// A program and what it was made for.
#[derive(Debug)]
struct Compiled {
    first: NodeId,
    height: usize,
    width: usize,
    outputs: Vec<NodeId>,
    program: Program,
    /// All parameters as the last pass had them, and their gradients. They are kept from pass to pass, since fresh
    /// memory costs more than what is written to it.
    parameters: Vec<f32>,
    gradients: Vec<f32>,
}

impl Trainer {
    /// A trainer whose programs compute with `isa`.
    pub(super) fn new(isa: Isa) -> Self {
        Self { isa, state: Arc::default() }
    }

    /// The seed of a pass that is given none: the numbers from 0.
    pub(super) fn next_seed(&self) -> u64 {
        self.state.seed.fetch_add(1, Ordering::Relaxed)
    }

    /// The concatenation of each list of nodes in `wanted` from `start`, by the batch's statistics, which update the
    /// running ones; nothing where this is not for the kernels.
    pub(super) fn run(
        &self,
        graph: &Graph,
        layers: &[Layer],
        start: &Start,
        train: &Train,
        wanted: &[Vec<NodeId>],
    ) -> Result<Option<Vec<Tensor>>> {
        let (images, layers) = (start.map, &layers[start.first..]);
        if start.first > 0 && !suits_kernels(graph, start, wanted) {
            return Ok(None);
        }
        let norms: Vec<&ConvNorm> = layers.iter().filter_map(Layer::conv).collect();
        let parameters: Vec<&Tensor> = layers.iter().flat_map(Layer::parameters).collect();
        let ours = |tensor: &Tensor| tensor.device().is_cpu() && tensor.dtype() == DType::F32;
        if images.track_op() || !ours(images) || !parameters.iter().copied().all(ours) {
            return Ok(None);
        }
        let (count, _, height, width) = images.dims4()?;
        let outputs: Vec<NodeId> = wanted.iter().flatten().copied().collect();
        let program = self.state.program(graph, start, self.isa, (count, height, width), &outputs)?;
        let Some(mut compiled) = program else { return Ok(None) };
        compiled.program.set_part(train.part.clone());
        // After a start in the middle, the program has a part of the parameters.
        let observer = train.observer.clone().filter(|_| start.first == 0);
        let (maps, statistics) = Pass::run(compiled, &self.state, images, &parameters, (train.seed, observer))?;
        if train.part.as_ref().is_none_or(|part| part.updates_running_statistics()) {
            update(&norms, &statistics)?;
        }
        split(graph, &maps, (height, width), wanted).map(Some)
    }
}

impl State {
    /// A program for these images that no pass uses.
    fn program(
        &self,
        graph: &Graph,
        start: &Start,
        isa: Isa,
        (count, height, width): (usize, usize, usize),
        outputs: &[NodeId],
    ) -> Result<Option<Compiled>> {
        let first = start.first;
        let mut idle = lock(&self.idle);
        // Programs of other sizes are dropped, for the memory of those that are made now.
        idle.retain(|compiled| {
            (compiled.first, compiled.height, compiled.width) == (first, height, width)
                && compiled.outputs == outputs
                && compiled.program.images() >= count
        });
        if let Some(compiled) = idle.pop() {
            return Ok(Some(compiled));
        }
        drop(idle);
        if self.unknown.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match compile(graph, start, isa, (count, height, width), outputs) {
            Ok(program) => {
                let parameters = vec![0.0; program.parameters()];
                let (outputs, gradients) = (outputs.to_vec(), parameters.clone());
                Ok(Some(Compiled { first, height, width, outputs, program, parameters, gradients }))
            }
            Err(hardnet_kernels::Error::Unsupported(_)) => {
                self.unknown.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(candle_core::Error::wrap(error)),
        }
    }
}

/// Whether the kernels compute a part of `graph` as they would as a part of the whole: dropouts are numbered from the
/// start, the size of the images, from which those of maps follow, is not known, and the map of the start is read as
/// one.
fn suits_kernels(graph: &Graph, start: &Start, wanted: &[Vec<NodeId>]) -> bool {
    let drops = |node: &Node| matches!(node.op, Op::Dropout(probability) if probability > 0.0);
    let reads_all = |node: &Node| {
        let first = node.inputs.iter().position(|&input| input < start.first);
        let count = node.inputs.iter().filter(|&&input| input < start.first).count();
        first.is_none_or(|first| count == start.reads.len() && node.inputs[first..].starts_with(start.reads))
    };
    let (before, after) = graph.nodes().split_at(start.first);
    let are_vectors = wanted.iter().flatten().all(|&node| is_vector(graph, node));
    !before.iter().any(drops) && after.iter().all(reads_all) && are_vectors
}

/// The program of `graph` from `start` that gives the maps of `outputs`.
fn compile(
    graph: &Graph,
    start: &Start,
    isa: Isa,
    (count, height, width): (usize, usize, usize),
    outputs: &[NodeId],
) -> hardnet_kernels::Result<Program> {
    let size = Shape { channels: start.map.dims()[1], height, width };
    let (mut builder, image) = Builder::new(isa, candle_core::utils::get_num_threads(), size)?;
    // The maps whose concatenation each node's output is.
    let mut maps: Vec<Vec<FeatureMap>> = vec![Vec::new(); start.first];
    if let Some(&read) = start.reads.first() {
        // The map of the start stands for all nodes that are read, which always come together.
        maps[read] = vec![image];
    }
    for node in &graph.nodes()[start.first..] {
        let inputs: Vec<FeatureMap> = node.inputs.iter().flat_map(|&input| maps[input].iter().copied()).collect();
        let single = || match inputs[..] {
            [input] => Ok(input),
            _ => Err(hardnet_kernels::Error::from(Unsupported::SeveralInputs)),
        };
        maps.push(match &node.op {
            Op::Input { .. } => vec![image],
            Op::Conv(conv) => vec![builder.conv(&inputs, conv, clamp(node, conv)?)?],
            Op::Pool(pool) => vec![builder.pool(single()?, pool)?],
            Op::Dropout(probability) if *probability > 0.0 => builder.dropout(&inputs, *probability)?,
            Op::Dropout(_) => inputs,
            &Op::GLOBAL_AVERAGE_POOL => vec![builder.mean(single()?)?],
            Op::Linear { .. } => vec![builder.linear(single()?, node.out_channels)?],
            Op::Upsample(upsample) => {
                let like = maps[upsample.like].first().ok_or(Unsupported::Op(node.op))?;
                let size = builder.size(*like)?;
                vec![builder.upsample(single()?, (size.height, size.width), upsample.alignment)?]
            }
            op => return Err(Unsupported::Op(*op).into()),
        });
    }
    let outputs: Vec<FeatureMap> = outputs.iter().flat_map(|&output| maps[output].iter().copied()).collect();
    builder.finish(&outputs, count)
}

/// The bounds of a convolution's results, if it is normalized as the kernels do it.
fn clamp(node: &Node, conv: &Conv) -> hardnet_kernels::Result<Clamp> {
    let normalized = node.before == Pointwise::NONE && node.after.norm == Some(BatchNorm::DEFAULT);
    match node.after.bounds() {
        Some((low, high)) if normalized => Ok(Clamp { low, high }),
        _ => Err(Unsupported::Conv(*conv).into()),
    }
}

/// Moves the running statistics towards those of a batch, as [`candle_nn::BatchNorm`] does.
fn update(norms: &[&ConvNorm], statistics: &[f32]) -> Result<()> {
    let mut rest = statistics;
    for conv in norms {
        for running in [conv.norm.running_mean(), conv.norm.running_var()] {
            let (batch, others) = rest.split_at(running.elem_count());
            rest = others;
            let batch = Tensor::from_slice(batch, running.shape(), running.device())?;
            // It is a variable, which this shares.
            let variable = Var::from_tensor(running)?;
            variable
                .set(&((running * (1.0 - BatchNorm::DEFAULT.momentum))? + (batch * BatchNorm::DEFAULT.momentum)?)?)?;
        }
    }
    Ok(())
}

/// The maps of `wanted` out of all maps of each image.
fn split(graph: &Graph, maps: &Tensor, (height, width): (usize, usize), wanted: &[Vec<NodeId>]) -> Result<Vec<Tensor>> {
    let images = maps.dim(0)?;
    if let [nodes] = wanted
        && nodes.iter().all(|&node| is_vector(graph, node))
    {
        return Ok(vec![maps.clone()]);
    }
    let shapes = graph.shapes(height, width).map_err(candle_core::Error::wrap)?;
    let mut first = 0;
    wanted
        .iter()
        .map(|nodes| {
            let channels: usize = nodes.iter().map(|&node| shapes[node].channels).sum();
            let size = shapes[nodes[0]];
            let count = channels * size.height * size.width;
            let map = maps.narrow(1, first, count)?;
            first += count;
            if is_vector(graph, nodes[0]) {
                map.reshape((images, channels))
            } else {
                map.reshape((images, channels, size.height, size.width))
            }
        })
        .collect()
}

/// Whether a node's output has no rows and columns.
fn is_vector(graph: &Graph, node: NodeId) -> bool {
    match graph.nodes()[node].op {
        Op::GLOBAL_AVERAGE_POOL | Op::Linear { .. } => true,
        Op::Dropout(_) => is_vector(graph, graph.nodes()[node].inputs[0]),
        _ => false,
    }
}

/// Locks, also after a panic of another holder: the guarded values are whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

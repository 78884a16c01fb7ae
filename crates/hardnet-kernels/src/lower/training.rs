//! From layers to a program for training.

mod emit;

use hardnet_graph::{Alignment, Conv, Padding, Pool};
use hardnet_simd::{Isa, LANES};

use super::arena::{Extent, place};
use super::halo::{self, Demand, reach};
use super::layers::{IMAGE, Layer, Layers, Node, Op};
use crate::error::{Error, Result, Unsupported};
use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::exec::program::Executor;
use crate::exec::thread_pool::ThreadPool;
use crate::gemm::{Clamp, MAX_BLOCKS};
use crate::map::{ChannelBlocks, Element, FeatureMap, Layout, Shape};
use crate::ops::batch_norm::SAVED;
use crate::ops::conv::input_gradient::rotated_padding;
use crate::ops::depthwise;
use crate::training::Program;
use emit::{Emitter, Machine, Memory};

/// The parameters of a layer, and the bounds of its results.
#[derive(Clone, Copy, Debug)]
struct Data {
    offsets: ParamOffsets,
    clamp: Clamp,
}

/// The first of a layer's values in the lists of parameters and statistics.
#[derive(Clone, Copy, Debug)]
struct ParamOffsets {
    parameter: usize,
    statistics: usize,
}

impl ParamOffsets {
    /// Those of the normalization of a layer, after its weights.
    fn norm(self, layer: &Layer) -> Self {
        Self { parameter: self.parameter + layer.weights(), ..self }
    }
}

/// The kinds of map that a layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its output.
    Output,
    /// The convolution's output before normalization, then its gradient.
    PreNorm,
    /// The gradient of its output.
    Gradient,
    /// Of a strided convolution, the gradient of its output before normalization with zeros in between.
    Spread,
}

/// Number of [`Kind`]s.
const KINDS: usize = 4;

/// The kind of map that the gradients of a convolution's inputs read, and its size.
fn read_backwards(layer: &Layer) -> (Kind, Shape) {
    match layer.op {
        Op::Conv { kernel, stride, padding, .. } if stride > 1 => {
            let side = |length: usize, before: usize, after: usize| length + before + after + 1 - kernel;
            let height = side(layer.input.height, padding.top, padding.bottom);
            let width = side(layer.input.width, padding.left, padding.right);
            (Kind::Spread, Shape { height, width, ..layer.size })
        }
        _ => (Kind::PreNorm, layer.size),
    }
}

/// The number of a map of a layer.
fn slot(node: usize, kind: Kind) -> usize {
    KINDS * node + kind as usize
}

/// A training program under construction.
pub struct Builder {
    isa: Isa,
    pool: ThreadPool,
    layers: Layers<Data>,
    parameters: usize,
    statistics: usize,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers = self.layers.nodes().len();
        f.debug_struct("Builder").field("isa", &self.isa).field("layers", &layers).finish_non_exhaustive()
    }
}

impl Builder {
    /// Starts a program for images of `size` that computes with `isa` on `threads` threads, at least the caller's; also
    /// gives the map that is its image.
    ///
    /// # Errors
    ///
    /// [`Error::Size`] for an empty or huge image, [`Error::Thread`] where threads cannot be started.
    pub fn new(isa: Isa, threads: usize, size: Shape) -> Result<(Self, FeatureMap)> {
        let pool = ThreadPool::new(threads)?;
        let offsets = ParamOffsets { parameter: 0, statistics: 0 };
        let layers = Layers::new(size, Data { offsets, clamp: Clamp::NONE })?;
        Ok((Self { isa, pool, layers, parameters: 0, statistics: 0 }, FeatureMap(IMAGE)))
    }

    /// Adds a convolution of the concatenation of `inputs`, its batch normalization and the bounds `clamp`.
    ///
    /// # Errors
    ///
    /// [`Error::NoInputs`], [`Error::SizesDiffer`] for inputs of different sizes, [`Error::Window`] where the kernel
    /// does not fit, [`Error::Unsupported`] for a convolution that no kernel computes.
    pub fn conv(&mut self, inputs: &[FeatureMap], conv: &Conv, clamp: Clamp) -> Result<FeatureMap> {
        let layer = self.layers.conv(inputs, conv)?;
        if conv.bias {
            return Err(Unsupported::Conv(*conv).into());
        }
        let channels = layer.size.channels;
        let parameters = layer.weights() + 2 * channels;
        self.push(layer, parameters, 2 * channels, clamp)
    }

    /// Adds a pool over windows.
    ///
    /// # Errors
    ///
    /// [`Error::Window`] where the window does not fit, [`Error::Unsupported`] for the image.
    pub fn pool(&mut self, input: FeatureMap, pool: &Pool) -> Result<FeatureMap> {
        let layer = self.layers.pool(input, pool)?;
        self.push(layer, 0, 0, Clamp::NONE)
    }

    /// Adds the mean of every channel, a map of one pixel.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for the image.
    pub fn mean(&mut self, input: FeatureMap) -> Result<FeatureMap> {
        let layer = self.layers.mean(input)?;
        self.push(layer, 0, 0, Clamp::NONE)
    }

    /// Adds bilinear interpolation to a number of rows and columns.
    ///
    /// # Errors
    ///
    /// [`Error::Size`] for an empty or huge map, [`Error::Unsupported`] for the image.
    pub fn upsample(&mut self, input: FeatureMap, size: (usize, usize), alignment: Alignment) -> Result<FeatureMap> {
        let layer = self.layers.upsample(input, size, alignment)?;
        self.push(layer, 0, 0, Clamp::NONE)
    }

    /// Adds dropout with `probability` on the concatenation of `inputs`; gives a map for each.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for the image, [`Error::Probability`] for a probability outside of [0, 1).
    pub fn dropout(&mut self, inputs: &[FeatureMap], probability: f64) -> Result<Vec<FeatureMap>> {
        let layers = self.layers.dropout(inputs, probability)?;
        layers.into_iter().map(|layer| self.push(layer, 0, 0, Clamp::NONE)).collect()
    }

    /// Adds a linear layer with biases on a map of one pixel.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a map of more pixels or the image.
    pub fn linear(&mut self, input: FeatureMap, channels: usize) -> Result<FeatureMap> {
        let layer = self.layers.linear(input, channels)?;
        let parameters = layer.weights() + channels;
        self.push(layer, parameters, 0, Clamp::NONE)
    }

    /// The size of a map.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownMap`] for a map of another builder.
    pub fn size(&self, map: FeatureMap) -> Result<Shape> {
        self.layers.size(map)
    }

    /// Plans the memory for batches of at most `images` images; the program's outputs are those of `outputs`, one after
    /// the other for each image.
    ///
    /// # Errors
    ///
    /// [`Error::NoInputs`] without outputs, [`Error::UnknownMap`], [`Error::Unsupported`] where a map is neither read
    /// nor an output.
    pub fn finish(self, outputs: &[FeatureMap], images: usize) -> Result<Program> {
        if outputs.is_empty() {
            return Err(Error::NoInputs);
        }
        outputs.iter().try_for_each(|&map| self.size(map).map(|_| ()))?;
        let outputs: Vec<usize> = outputs.iter().map(|map| map.0).collect();
        let (nodes, images) = (self.layers.nodes(), images.max(1));
        let mut weights = PackedWeights::default();
        let saved: Vec<SavedSlices> = nodes.iter().map(|node| SavedSlices::new(node, &mut weights)).collect();
        let lanes = nodes.iter().map(|node| node.layer.size.blocks() * LANES).max().unwrap_or(0);
        let zeros = weights.push(lanes + MAX_BLOCKS * LANES, |_| {});
        let sizes = |node: &Node<Data>| {
            let size = node.layer.size;
            [size, size, size, read_backwards(&node.layer).1]
        };
        let sizes: Vec<Shape> = nodes.iter().flat_map(sizes).collect();
        let halos = halo::fit(sizes.iter().copied(), &demands(nodes));
        let layout = |slot: usize, offset: usize| {
            let (size, halo) = (sizes[slot], halos[slot]);
            Layout { size, halo, offset, element: Element::F32, interleaved: false }
        };
        // Steps are emitted twice: first to see at which of them maps live, then with the places of maps.
        let machine = Machine { isa: self.isa, images };
        let layouts = (0..halos.len()).map(|slot| layout(slot, 0)).collect();
        let memory = Memory { layouts, image_stride: 0, saved: &saved, zeros, packed: zeros };
        let draft = Emitter::emit(nodes, &outputs, machine, memory)?;
        let (offsets, image_stride) = place(&draft.extents());
        let packed = weights.push(draft.packed_values, |_| {});
        let layouts = offsets.iter().enumerate().map(|(slot, &offset)| layout(slot, offset)).collect();
        let memory = Memory { layouts, image_stride, saved: &saved, zeros, packed };
        let emitter = Emitter::emit(nodes, &outputs, machine, memory)?;
        let outputs = outputs.iter().map(|&node| emitter.memory.layouts[slot(node, Kind::Output)]).collect();
        let (steps, forward, finals) = (emitter.steps, emitter.forward, emitter.finals);
        let input = nodes[IMAGE].layer.size;
        #[allow(unsafe_code)]
        // SAFETY: layouts were placed within `image_stride` values, each for its life; slices are of these weights; the
        // tasks of a step have different pixels, blocks, panels or images.
        let executor = unsafe { Executor::new(self.isa, self.pool, weights, steps, image_stride, images) };
        Ok(Program::new(executor, forward, input, outputs, (self.parameters, self.statistics), &finals))
    }

    /// Adds a layer with so many parameters and statistics.
    fn push(&mut self, layer: Layer, parameters: usize, statistics: usize, clamp: Clamp) -> Result<FeatureMap> {
        let offsets = ParamOffsets { parameter: self.parameters, statistics: self.statistics };
        let map = self.layers.push(layer, Data { offsets, clamp })?;
        self.parameters += parameters;
        self.statistics += statistics;
        Ok(map)
    }
}

/// Values that a layer saves in addition to maps.
#[derive(Clone, Copy, Debug, Default)]
struct SavedSlices {
    /// Vectors of its normalization.
    norm: Option<PackedSlice>,
    /// Its packed weights or biases, where they are small.
    weights: Option<PackedSlice>,
}

impl SavedSlices {
    fn new(node: &Node<Data>, weights: &mut PackedWeights) -> Self {
        let lanes = node.layer.size.blocks() * LANES;
        let mut zeros = |len: usize| Some(weights.push(len, |_| {}));
        match node.layer.op {
            Op::Conv { .. } => Self { norm: zeros(SAVED * lanes), weights: None },
            Op::Depthwise { .. } => Self { norm: zeros(SAVED * lanes), weights: zeros(depthwise::TAPS * lanes) },
            Op::Linear { .. } => Self { norm: None, weights: zeros(lanes + MAX_BLOCKS * LANES) },
            Op::Image
            | Op::Pool { .. }
            | Op::Mean { .. }
            | Op::Upsample { .. }
            | Op::Dropout { .. }
            | Op::Convert { .. } => Self::default(),
        }
    }
}

/// The halos that the convolutions of both passes ask of the maps that each reads together, by [`slot`].
fn demands(nodes: &[Node<Data>]) -> Vec<Demand> {
    let mut demands = Vec::new();
    let mut demand = |maps: Vec<usize>, halo| demands.push(Demand { maps, halo });
    for (node, Node { layer, .. }) in nodes.iter().enumerate() {
        let inputs = || layer.op.inputs().iter().map(|&input| slot(input, Kind::Output)).collect();
        match layer.op {
            Op::Conv { kernel, stride, padding, .. } => {
                demand(inputs(), reach(layer.size, kernel, stride, padding));
            }
            Op::Depthwise { stride, padding, .. } => {
                demand(inputs(), reach(layer.size, depthwise::SIDE, stride, padding));
                if stride == 1 {
                    let rotated = rotated_padding(padding, depthwise::SIDE);
                    demand(vec![slot(node, Kind::PreNorm)], reach(layer.input, depthwise::SIDE, 1, rotated));
                }
            }
            _ => {}
        }
        if node == IMAGE {
            continue;
        }
        let readers = conv_readers(nodes, node);
        let halo =
            readers.iter().map(|&(_, kernel, padding)| reach(layer.size, kernel, 1, rotated_padding(padding, kernel)));
        if let Some(halo) = halo.reduce(crate::map::Halo::union) {
            let gradient =
                |&(reader, ..): &(usize, usize, Padding)| slot(reader, read_backwards(&nodes[reader].layer).0);
            demand(readers.iter().map(gradient).collect(), halo);
        }
    }
    demands
}

/// The convolutions that read the map of `node`, with their kernels and paddings.
fn conv_readers(nodes: &[Node<Data>], node: usize) -> Vec<(usize, usize, Padding)> {
    let readers = nodes.iter().enumerate().skip(node + 1);
    let readers = readers.filter_map(|(reader, other)| match &other.layer.op {
        Op::Conv { inputs, kernel, padding, .. } if inputs.contains(&node) => Some((reader, *kernel, *padding)),
        _ => None,
    });
    readers.collect()
}

/// The life of a map: the first and the last step that touches it.
type Life = Option<(usize, usize)>;

/// The extent of a map that lives so.
fn extent(life: Life, layout: &Layout) -> Extent {
    match life {
        Some(steps) => Extent { len: layout.len(), steps },
        None => Extent { len: 0, steps: (0, 0) },
    }
}

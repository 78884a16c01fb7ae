//! From layers to a program for inference.

use hardnet_graph::{Alignment, Conv, Padding, Pool};
use hardnet_simd::{Isa, LANES};

use super::arena::{Extent, place};
use super::commute::Commuted;
use super::fuse::{Fuser, Span};
use super::halo::{self, Demand};
use super::layers::{IMAGE, Layer, Layers, Node, Op};
use super::outputs::Outputs;
use crate::algorithm::Algorithm;
use crate::error::{Error, Result, Unsupported};
use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::exec::program::Executor;
use crate::exec::thread_pool::ThreadPool;
use crate::filter::Filter;
use crate::gemm::{Clamp, MAX_BLOCKS};
use crate::inference::Program;
use crate::inference::step::{Step, StepInfo};
use crate::map::{ChannelBlocks, Element, FeatureMap, Halo, Layout, Shape};
use crate::ops::conv::direct::{ConvGemm, ConvInput, Direct, Division, PackedFilter, RowOrder};
use crate::ops::conv::interpolated::InterpolatedConv;
use crate::ops::conv::pack::{pack_bias, pack_filter};
use crate::ops::conv::winograd::{self, Winograd};
use crate::ops::depthwise::{self, Depthwise, DepthwiseFilter};
use crate::ops::linear::linear;
use crate::ops::load::Load;
use crate::ops::pool::Pooling;
use crate::ops::quantized::pack::PackedBytes;
use crate::ops::upsample::{Upsampling, UpsamplingOutput};

/// The packed weights of a layer, and the algorithm of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) filter: PackedFilter,
    pub(super) algorithm: Algorithm,
    /// The filter of a layer of bytes.
    pub(super) bytes: Option<PackedBytes>,
    /// The values of the map that is written.
    pub(super) element: Element,
}

impl Data {
    /// A layer of f32.
    fn floats(filter: PackedFilter, algorithm: Algorithm) -> Self {
        Self { filter, algorithm, bytes: None, element: Element::F32 }
    }
}

/// A program under construction.
pub struct Builder {
    pub(super) isa: Isa,
    pub(super) pool: ThreadPool,
    pub(super) weights: PackedWeights,
    zeros: PackedSlice,
    pub(super) layers: Layers<Data>,
    /// Images that layers of bytes are chosen for.
    pub(super) images: usize,
    infos: Vec<StepInfo>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("isa", &self.isa).field("steps", &self.infos).finish_non_exhaustive()
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
        let mut weights = PackedWeights::default();
        let zeros = weights.push(MAX_BLOCKS * LANES, |_| {});
        let filter = PackedFilter { weights: zeros, bias: zeros, clamp: Clamp::NONE };
        let layers = Layers::new(size, Data::floats(filter, Algorithm::Direct))?;
        let info = StepInfo { bytes: 4 * size.count() as u64, ..StepInfo::new("load") };
        Ok((Self { isa, pool, weights, zeros, layers, images: 1, infos: vec![info] }, FeatureMap(IMAGE)))
    }

    /// Adds a convolution of the concatenation of `inputs` with bounds `clamp`, computed by `algorithm` unless it is
    /// depthwise. The weights of `filter` are `[out, in, kernel, kernel]`, or `[channels, 1, 3, 3]` where depthwise.
    ///
    /// # Errors
    ///
    /// [`Error::SizesDiffer`] for inputs of different sizes, [`Error::Window`] where the kernel does not fit,
    /// [`Error::Filter`] for a filter of another size, [`Error::Unsupported`] for a convolution that no kernel computes
    /// or `algorithm` does not.
    pub fn conv(
        &mut self,
        inputs: &[FeatureMap],
        conv: &Conv,
        clamp: Clamp,
        algorithm: Algorithm,
        filter: &Filter<'_>,
    ) -> Result<FeatureMap> {
        let layer = self.layers.conv(inputs, conv)?;
        self.check_floats(inputs)?;
        check(filter, &layer)?;
        let (channels, machine) = (layer.input.channels, (self.isa, self.pool.size()));
        let (weights, kernel_name) = match (&layer.op, algorithm.winograd()) {
            (Op::Conv { kernel, .. }, None) => {
                let weights = pack_filter(filter, (channels, kernel * kernel), machine, &mut self.weights);
                (weights, algorithm.name())
            }
            (&Op::Conv { kernel, stride, padding, .. }, Some(form)) => {
                if (kernel, stride, padding) != (3, 1, Padding::all(1)) || inputs.contains(&FeatureMap(IMAGE)) {
                    return Err(Unsupported::Algorithm { algorithm, kernel, stride, padding }.into());
                }
                (winograd::pack(form, filter, channels, machine, &mut self.weights), algorithm.name())
            }
            _ => (depthwise::pack(filter, &mut self.weights), "depthwise"),
        };
        let bias = pack_bias(filter, &mut self.weights);
        self.push(layer, Data::floats(PackedFilter { weights, bias, clamp }, algorithm), kernel_name)
    }

    /// Adds a pool over windows. That of a map of bytes is one of its kind, with means rounded half to even.
    ///
    /// # Errors
    ///
    /// [`Error::Window`] where the window does not fit, [`Error::Unsupported`] for the image.
    pub fn pool(&mut self, input: FeatureMap, pool: &Pool) -> Result<FeatureMap> {
        if let Some(read) = self.quantization(input)? {
            return self.byte_pool(input, pool, read);
        }
        let layer = self.layers.pool(input, pool)?;
        self.push(layer, self.without_weights(), "pool")
    }

    /// Adds the mean of every channel, a map of f32 of one pixel.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for the image.
    pub fn mean(&mut self, input: FeatureMap) -> Result<FeatureMap> {
        let layer = self.layers.mean(input)?;
        self.push(layer, self.without_weights(), "mean")
    }

    /// Adds bilinear interpolation to a number of rows and columns. That of a map of bytes is one of its kind, rounded
    /// half to even.
    ///
    /// # Errors
    ///
    /// [`Error::Size`] for an empty or huge map, [`Error::Unsupported`] for the image.
    pub fn upsample(&mut self, input: FeatureMap, size: (usize, usize), alignment: Alignment) -> Result<FeatureMap> {
        if let Some(read) = self.quantization(input)? {
            return self.byte_upsample(input, size, alignment, read);
        }
        let layer = self.layers.upsample(input, size, alignment)?;
        self.push(layer, self.without_weights(), "upsample")
    }

    /// Adds a linear layer on a map of one pixel; the weights of `filter` are `[out, in]`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a map of more pixels or the image, [`Error::Filter`] for a filter of another size.
    pub fn linear(&mut self, input: FeatureMap, channels: usize, filter: &Filter<'_>) -> Result<FeatureMap> {
        let layer = self.layers.linear(input, channels)?;
        self.check_floats(&[input])?;
        check(filter, &layer)?;
        let machine = (self.isa, self.pool.size());
        let weights = pack_filter(filter, (layer.input.channels, 1), machine, &mut self.weights);
        let bias = pack_bias(filter, &mut self.weights);
        let filter = PackedFilter { weights, bias, clamp: Clamp::NONE };
        self.push(layer, Data::floats(filter, Algorithm::Direct), "linear")
    }

    /// The size of a map.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownMap`] for a map of another builder.
    pub fn size(&self, map: FeatureMap) -> Result<Shape> {
        self.layers.size(map)
    }

    /// Plans the memory for `images` images at once; the program's output is the values of all `outputs`, map by map.
    /// They may be of different sizes.
    ///
    /// # Errors
    ///
    /// [`Error::NoInputs`] without outputs, [`Error::UnknownMap`] for a map of another builder.
    pub fn finish(mut self, outputs: &[FeatureMap], images: usize) -> Result<Program> {
        if outputs.is_empty() {
            return Err(Error::NoInputs);
        }
        outputs.iter().try_for_each(|&map| self.layers.size(map).map(|_| ()))?;
        let maps: Vec<usize> = outputs.iter().map(|map| map.0).collect();
        let images = images.max(1);
        let nodes = self.layers.nodes();
        let outputs = Outputs::new(nodes, &maps);
        let commuted = Commuted::all(nodes, &maps);
        let demands: Vec<Demand> = demands(nodes).into_iter().chain(commuted.iter().map(Commuted::demand)).collect();
        let halos = halo::fit(nodes.iter().map(|node| node.layer.size), &demands);
        let layout = |at: usize, offset: usize| {
            let (size, halo, element) = (nodes[at].layer.size, halos[at], nodes[at].data.element);
            Layout { size, halo, offset, element, interleaved: at == IMAGE }
        };
        let unplaced: Vec<Layout> = (0..nodes.len()).map(|at| layout(at, 0)).collect();
        let fuser = Fuser { nodes, isa: self.isa, threads: self.pool.size(), images };
        let spans = fuser.spans(&unplaced, &maps);
        let (offsets, image_stride) = place(&extents(nodes, &unplaced, &spans, &outputs, &commuted));
        let layouts: Vec<Layout> = (0..nodes.len()).map(|at| layout(at, offsets[at])).collect();
        // Places of small products follow those of maps.
        let small = |at: usize| Layout { offset: offsets[nodes.len() + at], ..small_layout(&commuted[at]) };
        let step = |at: usize| match spans.iter().find(|span| span.contains(at)) {
            Some(&span) if span.last == at => {
                let group = fuser.group(span, &layouts);
                Step::Fused(group.expect("whether it is worth it does not depend on offsets"))
            }
            Some(_) => Step::FusedIntoLater,
            None if commuted.iter().any(|commuted| commuted.interpolates(at)) => Step::FusedIntoLater,
            None if let Some(of) = commuted.iter().position(|commuted| commuted.conv == at) => {
                let Commuted { sources, others, alignment, .. } = &commuted[of];
                let inputs = (of_maps(sources, &layouts), of_maps(others, &layouts));
                let filter = nodes[at].data.filter;
                let conv = InterpolatedConv::new(self.isa, inputs, small(of), *alignment, layouts[at], filter);
                Step::InterpolatedConv(conv)
            }
            None => match (outputs.direct(at), &nodes[at].layer.op) {
                (Some(first), &Op::Upsample { input, alignment }) => {
                    let size = nodes[at].layer.size;
                    let place = (outputs.values, first);
                    Step::UpsampleOutput(UpsamplingOutput::new(layouts[input], size, alignment, place))
                }
                _ => self.step(&nodes[at], layouts[at], &layouts, images, image_stride),
            },
        };
        let mut steps: Vec<Step> = (0..nodes.len()).map(step).collect();
        spans.iter().for_each(|&span| fuser.merge_infos(span, &mut self.infos));
        commuted.iter().for_each(|commuted| commuted.merge_infos(nodes, &mut self.infos));
        let input = nodes[IMAGE].layer.size;
        for (at, store) in outputs.stores(&layouts) {
            let bytes = 8 * nodes[maps[at]].layer.size.count() as u64;
            self.infos.push(StepInfo { bytes, stores: Some(at), ..StepInfo::new("store") });
            steps.push(Step::Store(store));
        }
        let unpacked = outputs.unpacked(&layouts);
        #[allow(unsafe_code)]
        // SAFETY: layouts were placed within `image_stride` values, each for its life; slices are of these weights; the
        // tasks of a phase have different pixels, blocks or images.
        let executor = unsafe { Executor::new(self.isa, self.pool, self.weights, steps, image_stride, images) };
        Ok(Program::new(executor, self.infos, input, unpacked, outputs.values))
    }

    pub(super) fn without_weights(&self) -> Data {
        self.layers.nodes()[IMAGE].data
    }

    /// Checks that no map is one of bytes.
    fn check_floats(&self, maps: &[FeatureMap]) -> Result<()> {
        for &map in maps {
            if self.quantization(map)?.is_some() {
                return Err(Unsupported::ByteInput.into());
            }
        }
        Ok(())
    }

    pub(super) fn push(&mut self, layer: Layer, data: Data, kernel: &'static str) -> Result<FeatureMap> {
        let pixels = layer.size.height * layer.size.width;
        let value = |element: Element| if element == Element::F32 { 4 } else { 1 };
        // All maps that a layer reads are of one kind.
        let read = layer.op.inputs().first().map_or(Element::F32, |&map| self.layers.nodes()[map].data.element);
        let weights = match data.bytes {
            Some(filter) => 4 * filter.weights.len() as u64,
            None if layer.weights() > 0 => 4 * data.filter.weights.len() as u64,
            None => 0,
        };
        let info = StepInfo {
            macs: (pixels * layer.weights()) as u64,
            bytes: (value(read) * layer.input.count() + value(data.element) * layer.size.count()) as u64,
            weights,
            ..StepInfo::new(kernel)
        };
        let map = self.layers.push(layer, data)?;
        self.infos.push(info);
        Ok(map)
    }

    /// The step of a layer that is not fused.
    fn step(&self, node: &Node<Data>, output: Layout, layouts: &[Layout], images: usize, image_stride: usize) -> Step {
        if let Some(step) = self.byte_step(node, output, layouts, images) {
            return step;
        }
        let Node { layer, data: Data { filter, algorithm, .. } } = node;
        let inputs: Vec<Layout> = layer.op.inputs().iter().map(|&map| layouts[map]).collect();
        match layer.op {
            Op::Image => Step::Load(Load::new(output)),
            Op::Conv { kernel, stride, padding, .. } => match algorithm.winograd() {
                None => {
                    let inputs: Vec<ConvInput> =
                        inputs.into_iter().map(|layout| ConvInput { layout, kernel, padding }).collect();
                    let blocks = output.size.blocks();
                    let gemm = ConvGemm::new(self.isa, &inputs, RowOrder::Taps, stride, blocks, *filter);
                    Step::Conv(Direct::new(self.isa, &inputs, gemm, output, Division::Image))
                }
                Some((tile, on_the_fly)) => {
                    let (isa, threads, zeros) = (self.isa, self.pool.size(), self.zeros);
                    let spec = winograd::WinogradSpec { isa, threads, tile, on_the_fly, filter: *filter, zeros };
                    Step::Winograd(Winograd::new(&inputs, output, &spec, images))
                }
            },
            Op::Depthwise { stride, padding, .. } => {
                let &PackedFilter { weights, bias, clamp } = filter;
                let filter = DepthwiseFilter { weights, bias, clamp };
                Step::Depthwise(Depthwise::new(inputs[0], output, stride, padding, filter))
            }
            Op::Pool { ref pool, .. } => Step::Pool(Pooling::pool(inputs[0], output, pool)),
            Op::Mean { .. } => Step::Pool(Pooling::mean(inputs[0], output)),
            Op::Upsample { alignment, .. } => Step::Upsample(Upsampling::new(inputs[0], output, alignment)),
            Op::Linear { .. } => Step::Conv(linear(self.isa, inputs[0], output, *filter, image_stride)),
            Op::Dropout { .. } => unreachable!("inference has no dropout"),
            Op::Convert { .. } => unreachable!("one of its maps is of bytes"),
        }
    }
}

/// The halos that layers ask of their inputs.
fn demands(nodes: &[Node<Data>]) -> Vec<Demand> {
    let demands = nodes.iter().map(|Node { layer, data }| {
        let halo = match layer.op {
            Op::Conv { kernel, stride, padding, .. } => match data.algorithm.winograd() {
                None => halo::reach(layer.size, kernel, stride, padding),
                Some((tile, _)) => tile.input_halo(layer.size),
            },
            Op::Depthwise { stride, padding, .. } => halo::reach(layer.size, depthwise::SIDE, stride, padding),
            // The same around all maps that are read together, though not more than they have.
            _ => Halo::default(),
        };
        Demand { maps: layer.op.inputs().to_vec(), halo }
    });
    demands.collect()
}

/// The layouts of some maps.
fn of_maps(maps: &[usize], layouts: &[Layout]) -> Vec<Layout> {
    maps.iter().map(|&map| layouts[map]).collect()
}

/// The layout of a small product, without a place.
fn small_layout(commuted: &Commuted) -> Layout {
    let (size, halo) = (commuted.small, commuted.demand().halo);
    Layout { size, halo, offset: 0, element: Element::F32, interleaved: false }
}

/// The size and life of every map, and of small products after them. Maps inside a fused group need no place, and its
/// inputs live until its last layer; nor do maps that are interpolated as they are read or written to the output.
fn extents(
    nodes: &[Node<Data>],
    layouts: &[Layout],
    spans: &[Span],
    outputs: &Outputs,
    commuted: &[Commuted],
) -> Vec<Extent> {
    let mut extents: Vec<Extent> =
        layouts.iter().enumerate().map(|(at, layout)| Extent { len: layout.len(), steps: (at, at) }).collect();
    for (at, node) in nodes.iter().enumerate() {
        node.layer.op.inputs().iter().for_each(|&map| extents[map].steps.1 = at);
    }
    for span in spans {
        for &map in nodes[span.first].layer.op.inputs() {
            extents[map].steps.1 = extents[map].steps.1.max(span.last);
        }
        extents[span.first..span.last].iter_mut().for_each(|extent| extent.len = 0);
    }
    outputs.kept().for_each(|map| extents[map].steps.1 = nodes.len());
    (0..nodes.len()).filter(|&map| outputs.direct(map).is_some()).for_each(|map| extents[map].len = 0);
    for commuted in commuted {
        let conv = commuted.conv;
        commuted.sources.iter().for_each(|&map| extents[map].steps.1 = extents[map].steps.1.max(conv));
        (0..nodes.len()).filter(|&map| commuted.interpolates(map)).for_each(|map| extents[map].len = 0);
        extents.push(Extent { len: small_layout(commuted).len(), steps: (conv, conv) });
    }
    extents
}

fn check(filter: &Filter<'_>, layer: &Layer) -> Result<()> {
    let channels = layer.size.channels;
    let parts = [
        ("the filter's weights", filter.weights.len(), layer.weights()),
        ("the filter's scale", filter.scale.len(), channels),
        ("the filter's bias", filter.bias.len(), channels),
    ];
    match parts.into_iter().find(|(_, found, expected)| found != expected) {
        Some((what, found, expected)) => Err(Error::Filter { what, expected, found }),
        None => Ok(()),
    }
}

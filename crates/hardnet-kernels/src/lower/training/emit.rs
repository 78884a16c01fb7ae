//! The steps of both passes, in order.

use hardnet_graph::Padding;
use hardnet_simd::{Isa, LANES};

use super::{Data, Extent, IMAGE, Kind, Life, Node, Op, SavedSlices, conv_readers, extent, read_backwards, slot};
use crate::error::{Result, Unsupported};
use crate::exec::buffer::PackedSlice;
use crate::gemm::Clamp;
use crate::map::{ChannelBlocks, Layout};
use crate::ops::batch_norm::Norm;
use crate::ops::conv::direct::{ConvGemm, ConvInput, Direct, Division, PackedFilter, RowOrder};
use crate::ops::conv::input_gradient::{Reader, input_gradient};
use crate::ops::conv::pack::{Pack, RotatedFilter, Rows, Source};
use crate::ops::conv::spread::Spread;
use crate::ops::conv::weight_gradient::WeightGradient;
use crate::ops::depthwise::gradient::DepthwiseTraining;
use crate::ops::depthwise::{Depthwise, DepthwiseFilter};
use crate::ops::dropout::Dropout;
use crate::ops::linear::{self, BiasGradient, linear};
use crate::ops::load::LoadBlocks;
use crate::ops::pool::{PoolGradient, Pooling};
use crate::ops::upsample::{Upsampling, UpsamplingGradient};
use crate::training::step::Step;

/// The machine and batch that steps are made for.
#[derive(Clone, Copy)]
pub(super) struct Machine {
    pub(super) isa: Isa,
    /// Images of a batch at most.
    pub(super) images: usize,
}

/// Places of maps and of other values.
pub(super) struct Memory<'a> {
    /// The layout of each map, by [`slot`].
    pub(super) layouts: Vec<Layout>,
    /// Values of the maps of one image.
    pub(super) image_stride: usize,
    /// Slices of each layer.
    pub(super) saved: &'a [SavedSlices],
    pub(super) zeros: PackedSlice,
    /// The slice that all large packed weights share, each until the next are packed.
    pub(super) packed: PackedSlice,
}

/// Makes steps, and notes when maps live and how many values are packed.
pub(super) struct Emitter<'a> {
    nodes: &'a [Node<Data>],
    outputs: &'a [usize],
    machine: Machine,
    pub(super) memory: Memory<'a>,
    lives: Vec<Life>,
    pub(super) steps: Vec<Step>,
    /// Steps of the forward pass.
    pub(super) forward: usize,
    /// After so many steps, the gradients from a parameter on are final: one for each layer, the last layer first.
    pub(super) finals: Vec<(usize, usize)>,
    /// Values of the largest packed weights.
    pub(super) packed_values: usize,
}

impl<'a> Emitter<'a> {
    /// Emits the forward pass, then the backward pass.
    pub(super) fn emit(
        nodes: &'a [Node<Data>],
        outputs: &'a [usize],
        machine: Machine,
        memory: Memory<'a>,
    ) -> Result<Self> {
        let lives = vec![None; memory.layouts.len()];
        let (steps, forward, finals, packed_values) = (Vec::new(), 0, Vec::new(), 0);
        let mut emitter = Self { nodes, outputs, machine, memory, lives, steps, forward, finals, packed_values };
        for node in 0..nodes.len() {
            emitter.emit_forward(node);
        }
        for &node in outputs {
            emitter.layout(node, Kind::Output);
        }
        emitter.forward = emitter.steps.len();
        for node in (1..nodes.len()).rev() {
            emitter.emit_output_gradient(node)?;
            emitter.emit_backward(node);
            emitter.finals.push((emitter.steps.len(), nodes[node].data.offsets.parameter));
        }
        Ok(emitter)
    }

    /// The size and life of every map.
    pub(super) fn extents(&self) -> Vec<Extent> {
        self.lives.iter().zip(&self.memory.layouts).map(|(&life, layout)| extent(life, layout)).collect()
    }

    /// The layout of a map, which the next step touches.
    fn layout(&mut self, node: usize, kind: Kind) -> Layout {
        let (slot, step) = (slot(node, kind), self.steps.len());
        let life = self.lives[slot].get_or_insert((step, step));
        life.1 = step;
        self.memory.layouts[slot]
    }

    /// Emits the packing of `rows` for `channels` output channels, with `bias` or none.
    fn pack(&mut self, rows: Rows, channels: usize, bias: Option<(PackedSlice, usize)>) -> PackedFilter {
        self.packed_values = self.packed_values.max(rows.depth() * channels.next_multiple_of(LANES));
        let weights = self.memory.packed;
        self.steps.push(Step::Pack(Pack::new(self.machine.isa, rows, channels, weights, bias)));
        PackedFilter { weights, bias: bias.map_or(self.memory.zeros, |(slice, _)| slice), clamp: Clamp::NONE }
    }

    /// The convolution of `inputs` to `output`, whose halo another step clears.
    fn conv(
        &self,
        inputs: &[ConvInput],
        order: RowOrder,
        stride: usize,
        output: Layout,
        filter: PackedFilter,
    ) -> Direct {
        let isa = self.machine.isa;
        let gemm = ConvGemm::new(isa, inputs, order, stride, output.size.blocks(), filter);
        Direct::new(isa, inputs, gemm, output, Division::Batch).leave_halo()
    }

    /// The maps that a convolution reads.
    fn conv_inputs(&mut self, inputs: &[usize], kernel: usize, padding: Padding) -> Vec<ConvInput> {
        inputs.iter().map(|&input| ConvInput { layout: self.layout(input, Kind::Output), kernel, padding }).collect()
    }

    /// The source of a convolution's or linear layer's weights.
    fn source(&self, node: usize) -> Source {
        let Node { layer, data } = &self.nodes[node];
        let taps = if let Op::Conv { kernel, .. } = layer.op { kernel * kernel } else { 1 };
        Source { parameter: data.offsets.parameter, outputs: layer.size.channels, inputs: layer.input.channels, taps }
    }

    fn emit_forward(&mut self, node: usize) {
        let Node { layer, .. } = &self.nodes[node];
        match layer.op {
            Op::Convert { .. } => unreachable!("training has maps of f32 alone"),
            Op::Image => {
                let to = self.layout(node, Kind::Output);
                let image = layer.size.count();
                self.steps.push(Step::Load(LoadBlocks { to, gradient: false, add: false, image, first: 0 }));
            }
            Op::Conv { ref inputs, kernel, stride, padding } => {
                let filter = self.pack(Rows::Forward(self.source(node)), layer.size.channels, None);
                let inputs = self.conv_inputs(inputs, kernel, padding);
                let pre_norm = self.layout(node, Kind::PreNorm);
                self.steps.push(Step::Conv(self.conv(&inputs, RowOrder::Taps, stride, pre_norm, filter)));
                self.emit_norm(node);
            }
            Op::Depthwise { input, stride, padding } => {
                let layouts =
                    |emitter: &mut Self| (emitter.layout(input, Kind::Output), emitter.layout(node, Kind::PreNorm));
                let (from, pre_norm) = layouts(self);
                self.steps.push(Step::DepthwisePack(self.depthwise(node, from, pre_norm)));
                let (from, pre_norm) = layouts(self);
                let weights = self.memory.saved[node].weights.unwrap_or(self.memory.zeros);
                let filter = DepthwiseFilter { weights, bias: self.memory.zeros, clamp: Clamp::NONE };
                self.steps.push(Step::Depthwise(Depthwise::new(from, pre_norm, stride, padding, filter)));
                self.emit_norm(node);
            }
            Op::Pool { input, ref pool } => {
                let (input, output) = (self.layout(input, Kind::Output), self.layout(node, Kind::Output));
                self.steps.push(Step::Pool(Pooling::pool(input, output, pool)));
            }
            Op::Mean { input } => {
                let (input, output) = (self.layout(input, Kind::Output), self.layout(node, Kind::Output));
                self.steps.push(Step::Pool(Pooling::mean(input, output)));
            }
            Op::Upsample { input, alignment } => {
                let (input, output) = (self.layout(input, Kind::Output), self.layout(node, Kind::Output));
                self.steps.push(Step::Upsample(Upsampling::new(input, output, alignment)));
            }
            Op::Dropout { input, layer, first, channels, probability } => {
                let (from, to) = (self.layout(input, Kind::Output), self.layout(node, Kind::Output));
                self.steps.push(Step::Dropout(Dropout { from, to, add: false, layer, first, channels, probability }));
            }
            Op::Linear { input } => {
                let source = self.source(node);
                let biases = source.parameter + layer.weights();
                let bias = self.memory.saved[node].weights.map(|slice| (slice, biases));
                let filter = self.pack(Rows::Forward(source), layer.size.channels, bias);
                let (input, output) = (self.layout(input, Kind::Output), self.layout(node, Kind::Output));
                self.steps.push(Step::Conv(linear(self.machine.isa, input, output, filter, self.memory.image_stride)));
            }
        }
    }

    /// The depthwise convolution at `node` with its gradients, except that of the input, which is written elsewhere.
    fn depthwise(&self, node: usize, input: Layout, output_gradient: Layout) -> DepthwiseTraining {
        let Node { layer, data } = &self.nodes[node];
        let Op::Depthwise { stride, padding, .. } = layer.op else {
            unreachable!("called for depthwise convolutions only")
        };
        let weights = self.memory.saved[node].weights.unwrap_or(self.memory.zeros);
        let parameter = data.offsets.parameter;
        let (input_gradient, add) = (input, false);
        DepthwiseTraining { input, output_gradient, input_gradient, add, stride, padding, parameter, weights }
    }

    /// The normalization of a layer.
    fn norm(&self, node: usize, pre_norm: Layout, map: Layout, gradient: Layout) -> Norm {
        let Node { layer, data } = &self.nodes[node];
        let offsets = data.offsets.norm(layer);
        Norm {
            pre_norm,
            map,
            gradient,
            clamp: data.clamp,
            saved: self.memory.saved[node].norm.unwrap_or(self.memory.zeros),
            parameter: offsets.parameter,
            statistics: offsets.statistics,
        }
    }

    /// Emits the normalization of a layer.
    fn emit_norm(&mut self, node: usize) {
        let pre_norm = self.layout(node, Kind::PreNorm);
        self.steps.push(Step::Measure(self.norm(node, pre_norm, pre_norm, pre_norm)));
        self.steps.push(Step::Scale(self.norm(node, pre_norm, pre_norm, pre_norm)));
        let (pre_norm, map) = (self.layout(node, Kind::PreNorm), self.layout(node, Kind::Output));
        self.steps.push(Step::Normalize(self.norm(node, pre_norm, map, pre_norm)));
    }

    /// Emits the gradient of a layer's output, by those of its readers.
    fn emit_output_gradient(&mut self, node: usize) -> Result<()> {
        let nodes = self.nodes;
        let mut written = false;
        let readers = |op: fn(&Op) -> bool| {
            let readers = nodes.iter().enumerate().skip(node + 1);
            readers.filter(move |(_, other)| op(&other.layer.op) && other.layer.op.inputs().contains(&node))
        };
        let convs = conv_readers(nodes, node);
        if !convs.is_empty() {
            self.emit_input_gradient(node, &convs);
            written = true;
        }
        for (reader, _) in readers(|op| matches!(op, Op::Linear { .. })) {
            if written {
                return Err(Unsupported::LinearBesideReaders.into());
            }
            let rotated = RotatedFilter { source: self.source(reader), first: 0 };
            let filter = self.pack(Rows::Rotated(vec![rotated]), nodes[node].layer.size.channels, None);
            let (from, to) = (self.layout(reader, Kind::Gradient), self.layout(node, Kind::Gradient));
            self.steps.push(Step::Conv(linear(self.machine.isa, from, to, filter, self.memory.image_stride)));
            written = true;
        }
        for (reader, other) in readers(|op| !matches!(op, Op::Conv { .. } | Op::Linear { .. })) {
            let (add, to) = (written, self.layout(node, Kind::Gradient));
            let step = match other.layer.op {
                Op::Depthwise { .. } => {
                    let output_gradient = self.layout(reader, Kind::PreNorm);
                    let depthwise = self.depthwise(reader, to, output_gradient);
                    Step::DepthwiseInput(DepthwiseTraining { input_gradient: to, add, ..depthwise })
                }
                Op::Pool { ref pool, .. } => {
                    let (input, from) = (self.layout(node, Kind::Output), self.layout(reader, Kind::Gradient));
                    Step::PoolGradient(PoolGradient::pool(input, from, to, add, pool))
                }
                Op::Mean { .. } => {
                    let from = self.layout(reader, Kind::Gradient);
                    Step::PoolGradient(PoolGradient::mean(from, to, add))
                }
                Op::Upsample { alignment, .. } => {
                    let from = self.layout(reader, Kind::Gradient);
                    Step::UpsampleGradient(UpsamplingGradient::new(from, to, add, alignment))
                }
                Op::Dropout { layer, first, channels, probability, .. } => {
                    let from = self.layout(reader, Kind::Gradient);
                    Step::Dropout(Dropout { from, to, add, layer, first, channels, probability })
                }
                Op::Image | Op::Conv { .. } | Op::Linear { .. } | Op::Convert { .. } => continue,
            };
            self.steps.push(step);
            written = true;
        }
        let image = self.outputs.iter().map(|&output| nodes[output].layer.size.count()).sum();
        let mut first = 0;
        for &output in self.outputs {
            if output == node {
                let to = self.layout(node, Kind::Gradient);
                self.steps.push(Step::Load(LoadBlocks { to, gradient: true, add: written, image, first }));
                written = true;
            }
            first += nodes[output].layer.size.count();
        }
        if written { Ok(()) } else { Err(Unsupported::Unread.into()) }
    }

    /// Emits the sum of the gradients of the output of `node` by the convolutions that read it.
    fn emit_input_gradient(&mut self, node: usize, convs: &[(usize, usize, Padding)]) {
        // The packing does not touch the maps, whose life begins with the step after it.
        let mut found = Vec::new();
        for &(reader, kernel, padding) in convs {
            let source = self.source(reader);
            let mut first = 0;
            for &input in self.nodes[reader].layer.op.inputs() {
                if input == node {
                    let gradient = self.memory.layouts[slot(reader, read_backwards(&self.nodes[reader].layer).0)];
                    found.push((reader, Reader { gradient, kernel, padding, source, first }));
                }
                first += self.nodes[input].layer.size.channels;
            }
        }
        let (numbers, readers): (Vec<usize>, Vec<Reader>) = found.into_iter().unzip();
        let (rows, inputs) = input_gradient(&readers);
        let filter = self.pack(rows, self.nodes[node].layer.size.channels, None);
        for reader in numbers {
            self.layout(reader, read_backwards(&self.nodes[reader].layer).0);
        }
        let to = self.layout(node, Kind::Gradient);
        self.steps.push(Step::Conv(self.conv(&inputs, RowOrder::Inputs, 1, to, filter)));
    }

    /// Emits the gradients of a layer's parameters, and of its convolution's output.
    fn emit_backward(&mut self, node: usize) {
        let Node { layer, .. } = &self.nodes[node];
        match layer.op {
            Op::Conv { ref inputs, kernel, stride, padding } => {
                self.emit_norm_gradient(node);
                let reads_maps = inputs.iter().any(|&input| input != IMAGE);
                let inputs = self.conv_inputs(inputs, kernel, padding);
                let gradient = self.layout(node, Kind::PreNorm);
                let (source, Machine { isa, images }) = (self.source(node), self.machine);
                self.emit_weight_gradient(|| WeightGradient::new(isa, source, &inputs, stride, gradient, images));
                if stride > 1 && reads_maps {
                    let (from, to) = (self.layout(node, Kind::PreNorm), self.layout(node, Kind::Spread));
                    self.steps.push(Step::Spread(Spread { from, to, stride }));
                }
            }
            Op::Depthwise { input, .. } => {
                self.emit_norm_gradient(node);
                let (input, gradient) = (self.layout(input, Kind::Output), self.layout(node, Kind::PreNorm));
                self.steps.push(Step::DepthwiseWeights(self.depthwise(node, input, gradient)));
                self.steps.push(Step::DepthwiseFinish(self.depthwise(node, input, gradient)));
            }
            Op::Linear { input } => {
                let source = self.source(node);
                let from = self.layout(node, Kind::Gradient);
                let parameter = source.parameter + layer.weights();
                self.steps.push(Step::BiasGradient(BiasGradient { from, parameter }));
                let (input, gradient) = (self.layout(input, Kind::Output), self.layout(node, Kind::Gradient));
                let (isa, image_stride) = (self.machine.isa, self.memory.image_stride);
                self.emit_weight_gradient(|| linear::weight_gradient(isa, source, input, gradient, image_stride));
            }
            Op::Image
            | Op::Pool { .. }
            | Op::Mean { .. }
            | Op::Upsample { .. }
            | Op::Dropout { .. }
            | Op::Convert { .. } => {}
        }
    }

    fn emit_weight_gradient(&mut self, gradient: impl Fn() -> WeightGradient) {
        self.steps.push(Step::WeightGradient(gradient()));
        self.steps.push(Step::WeightFinish(gradient()));
    }

    /// Emits the gradients of a normalization.
    fn emit_norm_gradient(&mut self, node: usize) {
        let (pre_norm, gradient) = (self.layout(node, Kind::PreNorm), self.layout(node, Kind::Gradient));
        self.steps.push(Step::Reduce(self.norm(node, pre_norm, pre_norm, gradient)));
        self.steps.push(Step::Combine(self.norm(node, pre_norm, pre_norm, gradient)));
        // The gradient lives up to the last of the three.
        let (pre_norm, gradient) = (self.layout(node, Kind::PreNorm), self.layout(node, Kind::Gradient));
        self.steps.push(Step::Apply(self.norm(node, pre_norm, pre_norm, gradient)));
    }
}

//! The steps of both passes, in order.

use hardnet_graph::Padding;
use hardnet_simd::Isa;

use super::builder::{Op, Own};
use super::compile::{Kind, Pieces, turned};
use super::depthwise::Depthwise;
use super::dropout::Dropout;
use super::edge::{BiasGradient, Load};
use super::norm::Norm;
use super::pack::{Pack, Rows, Source, Turned};
use super::pool::PoolGradient;
use super::product::{Product, Term, Weights};
use super::step::Step;
use super::weight_gradient::WeightGradient;
use crate::error::{Error, Result};
use crate::gemm::Range;
use crate::gemm::panels;
use crate::map::{Layout, Size};
use crate::memory::Piece;
use crate::window::Window;
use hardnet_simd::LANES;

/// Makes steps, and notes when maps live and how much memory steps need.
pub(super) struct Emitter<'a> {
    isa: Isa,
    nodes: &'a [(Size, Op)],
    outputs: &'a [usize],
    images: usize,
    /// Values of the maps of one image.
    image: usize,
    pub(super) layouts: Vec<Layout>,
    /// The first and the last step that touches each map.
    pub(super) lives: Vec<Option<(usize, usize)>>,
    pub(super) steps: Vec<Step>,
    pub(super) forward: usize,
    pub(super) scratch: usize,
    /// Values of the largest packed weights, which share one piece.
    pub(super) packed_values: usize,
    pieces: &'a [Pieces],
    zeros: Piece,
    packed: Piece,
}

/// Emits the forward pass, then the backward pass.
pub(super) fn emit(emitter: &mut Emitter<'_>) -> Result<()> {
    let image = emitter.nodes[0].0.count();
    let to = emitter.layout(0, Kind::Output);
    emitter.steps.push(Step::Load(Load { to, gradient: false, add: false, image, first: 0 }));
    for node in 1..emitter.nodes.len() {
        emitter.forward(node);
    }
    for &node in emitter.outputs {
        emitter.layout(node, Kind::Output);
    }
    emitter.forward = emitter.steps.len();
    for node in (1..emitter.nodes.len()).rev() {
        emitter.pull(node)?;
        emitter.backward(node);
    }
    Ok(())
}

impl<'a> Emitter<'a> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        isa: Isa,
        nodes: &'a [(Size, Op)],
        outputs: &'a [usize],
        images: usize,
        image: usize,
        layouts: Vec<Layout>,
        pieces: &'a [Pieces],
        zeros: Piece,
        packed: Piece,
    ) -> Self {
        let lives = vec![None; layouts.len()];
        let (steps, forward, scratch, packed_values) = (Vec::new(), 0, 0, 0);
        Self {
            isa,
            nodes,
            outputs,
            images,
            image,
            layouts,
            lives,
            steps,
            forward,
            scratch,
            packed_values,
            pieces,
            zeros,
            packed,
        }
    }

    /// The number of a map of a node.
    pub(super) fn slot(node: usize, kind: Kind) -> usize {
        3 * node + kind as usize
    }

    /// The layout of a map, which the next step touches.
    fn layout(&mut self, node: usize, kind: Kind) -> Layout {
        let (slot, step) = (Self::slot(node, kind), self.steps.len());
        let life = self.lives[slot].get_or_insert((step, step));
        life.1 = step;
        self.layouts[slot]
    }

    fn need(&mut self, scratch: usize) {
        self.scratch = self.scratch.max(scratch);
    }

    /// Emits the packing of `rows`, for `channels` channels, and says where they will be.
    fn pack(&mut self, rows: Rows, channels: usize, bias: Option<(Piece, usize)>) -> Weights {
        self.packed_values = self.packed_values.max(rows.depth() * channels.next_multiple_of(LANES));
        let panels = panels(self.isa, channels.div_ceil(LANES), rows.depth());
        self.steps.push(Step::Pack(Pack::new(rows, channels, panels.clone(), self.packed, bias)));
        Weights { panels, weights: self.packed, bias: bias.map_or(self.zeros, |(piece, _)| piece) }
    }

    /// The maps that a convolution reads, by windows of its own.
    fn terms(&mut self, inputs: &[usize], kernel: usize, padding: Padding) -> Vec<Term> {
        inputs.iter().map(|&input| Term { layout: self.layout(input, Kind::Output), kernel, padding }).collect()
    }

    /// The source of a convolution's or linear layer's weights.
    fn source(&self, node: usize, parameter: usize) -> Source {
        let (size, op) = &self.nodes[node];
        let inputs = op.inputs().iter().map(|&input| self.nodes[input].0.channels).sum();
        let taps = if let Op::Conv { conv, .. } = op { conv.kernel * conv.kernel } else { 1 };
        Source { parameter, outputs: size.channels, inputs, taps }
    }

    fn forward(&mut self, node: usize) {
        let (size, op) = &self.nodes[node];
        match op {
            Op::Image => {}
            Op::Conv { inputs, conv, own } => {
                let source = self.source(node, own.parameter);
                let weights = self.pack(Rows::Forward(source), size.channels, None);
                let terms = self.terms(inputs, conv.kernel, conv.padding);
                let raw = self.layout(node, Kind::Raw);
                self.steps.push(Step::Product(Product::new(&terms, false, conv.stride, raw, weights)));
                let parameters = size.channels * source.inputs * source.taps;
                self.normalise(node, Own { parameter: own.parameter + parameters, ..*own }, conv.range);
            }
            Op::Depthwise { input, conv, own } => {
                let (from, raw) = (self.layout(*input, Kind::Output), self.layout(node, Kind::Raw));
                self.steps.push(Step::DepthwisePack(self.depthwise(node, from, raw, (from, false))));
                let (from, raw) = (self.layout(*input, Kind::Output), self.layout(node, Kind::Raw));
                let depthwise = self.depthwise(node, from, raw, (from, false));
                self.steps.push(Step::Depthwise(depthwise));
                let taps = crate::depthwise::SIDE * crate::depthwise::SIDE;
                let own = Own { parameter: own.parameter + size.channels * taps, ..*own };
                self.normalise(node, own, conv.range);
            }
            Op::Pool { input, pool } => {
                let (input, output) = (self.layout(*input, Kind::Output), self.layout(node, Kind::Output));
                self.steps.push(Step::Window(Window::pool(input, output, pool)));
            }
            Op::Mean { input } => {
                let (input, output) = (self.layout(*input, Kind::Output), self.layout(node, Kind::Output));
                self.steps.push(Step::Window(Window::mean(input, output)));
            }
            &Op::Dropout { input, layer, first, channels, probability } => {
                let (from, to) = (self.layout(input, Kind::Output), self.layout(node, Kind::Output));
                self.steps.push(Step::Dropout(Dropout { from, to, add: false, layer, first, channels, probability }));
            }
            Op::Linear { input, own } => {
                let source = self.source(node, own.parameter);
                let bias = self.pieces[node].own.map(|piece| (piece, own.parameter + size.channels * source.inputs));
                let weights = self.pack(Rows::Forward(source), size.channels, bias);
                let terms = self.terms(&[*input], 1, Padding::default());
                let output = self.layout(node, Kind::Output);
                self.steps.push(Step::Product(Product::across(&terms, output, weights, self.image)));
            }
        }
    }

    fn depthwise(&self, node: usize, input: Layout, raw: Layout, (gradient, add): (Layout, bool)) -> Depthwise {
        let Op::Depthwise { conv, own, .. } = &self.nodes[node].1 else {
            unreachable!("asked for depthwise nodes only")
        };
        let weights = self.pieces[node].own.unwrap_or(self.zeros);
        let (stride, padding, parameter) = (conv.stride, conv.padding, own.parameter);
        Depthwise { input, raw, gradient, add, stride, padding, parameter, weights }
    }

    /// Emits the normalisation of a node; `own` has its weights.
    fn normalise(&mut self, node: usize, own: Own, range: Range) {
        let norm = |raw: Layout, map: Layout, kept: Piece| {
            let (parameter, statistics) = (own.parameter, own.statistics);
            Norm { raw, map, gradient: raw, range, kept, parameter, statistics }
        };
        let kept = self.pieces[node].kept.unwrap_or(self.zeros);
        let raw = self.layout(node, Kind::Raw);
        let measured = norm(raw, raw, kept);
        self.need(measured.scratch(self.images));
        self.steps.push(Step::Measure(measured));
        self.steps.push(Step::Scale(norm(raw, raw, kept)));
        let (raw, map) = (self.layout(node, Kind::Raw), self.layout(node, Kind::Output));
        self.steps.push(Step::Normalise(norm(raw, map, kept)));
    }

    /// Emits what writes the gradient of a node's output.
    fn pull(&mut self, node: usize) -> Result<()> {
        let nodes = self.nodes;
        let mut written = false;
        let readers = |op: fn(&Op) -> bool| {
            let readers = nodes.iter().enumerate().skip(node + 1);
            readers.filter(move |(_, (_, other))| op(other) && other.inputs().contains(&node))
        };
        let convs: Vec<usize> = readers(|op| matches!(op, Op::Conv { .. })).map(|(reader, _)| reader).collect();
        if !convs.is_empty() {
            self.pull_convs(node, &convs);
            written = true;
        }
        for (reader, _) in readers(|op| matches!(op, Op::Linear { .. })) {
            if written {
                return Err(Error::Unsupported("a map that is read by a linear layer and another"));
            }
            let Op::Linear { own, .. } = &nodes[reader].1 else { continue };
            let turned = Turned { source: self.source(reader, own.parameter), first: 0 };
            let weights = self.pack(Rows::Backward(vec![turned]), nodes[node].0.channels, None);
            let layout = self.layout(reader, Kind::Gradient);
            let to = self.layout(node, Kind::Gradient);
            let term = Term { layout, kernel: 1, padding: Padding::default() };
            self.steps.push(Step::Product(Product::across(&[term], to, weights, self.image)));
            written = true;
        }
        for (reader, (_, op)) in readers(|op| !matches!(op, Op::Conv { .. } | Op::Linear { .. })) {
            let (add, to) = (written, self.layout(node, Kind::Gradient));
            let step = match op {
                Op::Depthwise { .. } => {
                    let raw = self.layout(reader, Kind::Raw);
                    Step::DepthwiseInput(self.depthwise(reader, to, raw, (to, add)))
                }
                Op::Pool { pool, .. } => {
                    let (input, from) = (self.layout(node, Kind::Output), self.layout(reader, Kind::Gradient));
                    Step::PoolGradient(PoolGradient::pool(input, from, to, add, pool))
                }
                Op::Mean { .. } => {
                    let from = self.layout(reader, Kind::Gradient);
                    Step::PoolGradient(PoolGradient::mean(to, from, to, add))
                }
                &Op::Dropout { layer, first, channels, probability, .. } => {
                    let from = self.layout(reader, Kind::Gradient);
                    Step::Dropout(Dropout { from, to, add, layer, first, channels, probability })
                }
                Op::Image | Op::Conv { .. } | Op::Linear { .. } => continue,
            };
            self.steps.push(step);
            written = true;
        }
        let image = self.outputs.iter().map(|&output| nodes[output].0.count()).sum();
        let mut first = 0;
        for &output in self.outputs {
            if output == node {
                let to = self.layout(node, Kind::Gradient);
                self.steps.push(Step::Load(Load { to, gradient: true, add: written, image, first }));
                written = true;
            }
            first += nodes[output].0.count();
        }
        if written { Ok(()) } else { Err(Error::Unsupported("a map that is neither read nor an output")) }
    }

    /// Emits the sum of what convolutions give to the gradient of `node`'s output.
    fn pull_convs(&mut self, node: usize, convs: &[usize]) {
        let mut turns = Vec::new();
        let mut readers = Vec::new();
        for &reader in convs {
            let Op::Conv { inputs, conv, own } = &self.nodes[reader].1 else { continue };
            let source = self.source(reader, own.parameter);
            let mut first = 0;
            for &input in inputs {
                if input == node {
                    turns.push(Turned { source, first });
                    readers.push((reader, conv.kernel, turned(conv.padding, conv.kernel)));
                }
                first += self.nodes[input].0.channels;
            }
        }
        let weights = self.pack(Rows::Backward(turns), self.nodes[node].0.channels, None);
        let terms: Vec<Term> = readers
            .into_iter()
            .map(|(reader, kernel, padding)| Term { layout: self.layout(reader, Kind::Raw), kernel, padding })
            .collect();
        let to = self.layout(node, Kind::Gradient);
        self.steps.push(Step::Product(Product::new(&terms, true, 1, to, weights)));
    }

    /// Emits the gradients of a node's parameters, and of its convolution's output.
    fn backward(&mut self, node: usize) {
        let (size, op) = &self.nodes[node];
        match op {
            Op::Conv { inputs, conv, own } => {
                let source = self.source(node, own.parameter);
                let parameters = size.channels * source.inputs * source.taps;
                self.differentiate(node, Own { parameter: own.parameter + parameters, ..*own }, conv.range);
                let terms = self.terms(inputs, conv.kernel, conv.padding);
                let raw = self.layout(node, Kind::Raw);
                let images = self.images;
                let gradient = || WeightGradient::new(source, &terms, conv.stride, raw, images);
                self.weight_gradient(&gradient);
            }
            Op::Depthwise { input, conv, own } => {
                let taps = crate::depthwise::SIDE * crate::depthwise::SIDE;
                let norm = Own { parameter: own.parameter + size.channels * taps, ..*own };
                self.differentiate(node, norm, conv.range);
                let (input, raw) = (self.layout(*input, Kind::Output), self.layout(node, Kind::Raw));
                let gradient = self.depthwise(node, input, raw, (input, false));
                self.need(gradient.scratch(self.images));
                self.steps.push(Step::DepthwiseWeights(gradient));
                self.steps.push(Step::DepthwiseFinish(self.depthwise(node, input, raw, (input, false))));
            }
            Op::Linear { input, own } => {
                let source = self.source(node, own.parameter);
                let from = self.layout(node, Kind::Gradient);
                let parameter = own.parameter + source.outputs * source.inputs;
                self.steps.push(Step::BiasGradient(BiasGradient { from, parameter }));
                let terms = self.terms(&[*input], 1, Padding::default());
                let output = self.layout(node, Kind::Gradient);
                let image = self.image;
                self.weight_gradient(&|| WeightGradient::across(source, &terms, output, image));
            }
            Op::Image | Op::Pool { .. } | Op::Mean { .. } | Op::Dropout { .. } => {}
        }
    }

    fn weight_gradient(&mut self, gradient: &dyn Fn() -> WeightGradient) {
        self.need(gradient().scratch());
        self.steps.push(Step::WeightGradient(gradient()));
        self.steps.push(Step::WeightFinish(gradient()));
    }

    /// Emits the gradients of a normalisation, whose weights `own` has.
    fn differentiate(&mut self, node: usize, own: Own, range: Range) {
        let kept = self.pieces[node].kept.unwrap_or(self.zeros);
        let mut norm = || {
            let (raw, gradient) = (self.layout(node, Kind::Raw), self.layout(node, Kind::Gradient));
            let (parameter, statistics) = (own.parameter, own.statistics);
            Norm { raw, map: raw, gradient, range, kept, parameter, statistics }
        };
        let (reduce, combine, apply) = (norm(), norm(), norm());
        self.need(reduce.scratch(self.images));
        self.steps.extend([Step::Reduce(reduce), Step::Combine(combine)]);
        // The gradient lives up to the last of the three.
        self.layout(node, Kind::Gradient);
        self.layout(node, Kind::Raw);
        self.steps.push(Step::Apply(apply));
    }
}

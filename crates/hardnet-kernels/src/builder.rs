//! From layers to a program.

mod chains;

use hardnet_graph::{Padding, Pool, output_size};
use hardnet_simd::Isa;

use crate::algorithm::Algorithm;
use crate::arena::{Extent, place};
use crate::depthwise;
use crate::direct::{self, Direct};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::gemm::{MAX_BLOCKS, Range};
use crate::image::Load;
use crate::map::{Frame, Layout, Map, Size};
use crate::memory::{Piece, Store};
use crate::program::Program;
use crate::step::{Step, StepInfo};
use crate::team::Team;
use crate::window::Window;
use crate::winograd::{self, Winograd};
use chains::Ends;
use hardnet_simd::LANES;

/// A convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct Conv {
    /// Output channels.
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step in rows and columns.
    pub stride: usize,
    /// Zeros around the input, fewer on each side than the kernel's.
    pub padding: Padding,
    /// Bounds of the results.
    pub range: Range,
}

/// A depthwise 3x3 convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct Depthwise {
    /// Step in rows and columns, 1 or 2.
    pub stride: usize,
    /// Zeros around the input, fewer than 3 on each side.
    pub padding: Padding,
    /// Bounds of the results.
    pub range: Range,
}

/// What computes a map.
enum Op {
    Load,
    Conv { inputs: Vec<Map>, conv: Conv, algorithm: Algorithm, weights: Piece, bias: Piece },
    Linear { input: Map, weights: Piece, bias: Piece },
    Depthwise { input: Map, conv: Depthwise, weights: Piece, bias: Piece },
    Pool { input: Map, pool: Pool },
    Mean { input: Map },
}

impl Op {
    fn inputs(&self) -> &[Map] {
        match self {
            Self::Load => &[],
            Self::Conv { inputs, .. } => inputs,
            Self::Linear { input, .. }
            | Self::Depthwise { input, .. }
            | Self::Pool { input, .. }
            | Self::Mean { input } => std::slice::from_ref(input),
        }
    }

    /// What the op needs around its inputs to write a map of `output`.
    fn frame(&self, output: Size) -> Frame {
        match self {
            Self::Conv { conv, algorithm, .. } => match algorithm.winograd() {
                None => reach(output, conv.kernel, conv.stride, conv.padding),
                Some((side, _)) => {
                    let round = |length: usize| length.next_multiple_of(side.pixels());
                    let whole = Size { height: round(output.height), width: round(output.width), ..output };
                    reach(whole, 3, 1, Padding::all(1))
                }
            },
            Self::Depthwise { conv, .. } => reach(output, depthwise::SIDE, conv.stride, conv.padding),
            Self::Load | Self::Linear { .. } | Self::Pool { .. } | Self::Mean { .. } => Frame::default(),
        }
    }
}

/// The frame of an input whose windows make a map of `output`.
pub(crate) fn reach(output: Size, kernel: usize, stride: usize, padding: Padding) -> Frame {
    Frame {
        top: padding.top,
        left: padding.left,
        down: ((output.height - 1) * stride + kernel).saturating_sub(padding.top),
        right: ((output.width - 1) * stride + kernel).saturating_sub(padding.left),
    }
}

/// A program under construction.
pub struct Builder {
    isa: Isa,
    team: Team,
    store: Store,
    zeros: Piece,
    /// The size of each map and the op that computes it.
    ops: Vec<(Size, Op)>,
    infos: Vec<StepInfo>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("isa", &self.isa).field("steps", &self.infos).finish_non_exhaustive()
    }
}

impl Builder {
    /// A program for images of `size` that computes with `isa` on `threads` threads, at least the caller's, and the map that
    /// is its image.
    ///
    /// # Errors
    ///
    /// [`Error::Size`] for an empty or huge image, [`Error::Thread`] where threads cannot be started.
    pub fn new(isa: Isa, threads: usize, size: Size) -> Result<(Self, Map)> {
        let team = Team::new(threads)?;
        let mut store = Store::default();
        let zeros = store.push(MAX_BLOCKS * LANES, |_| {});
        let mut builder = Self { isa, team, store, zeros, ops: Vec::new(), infos: Vec::new() };
        let info = StepInfo { kernel: "load", macs: 0, bytes: 4 * size.count() as u64, weights: 0 };
        let image = builder.push(size, Op::Load, info)?;
        Ok((builder, image))
    }

    /// A convolution of the concatenation of `inputs`, computed by `algorithm`; `filter` is `[out, in, kernel, kernel]`.
    ///
    /// # Errors
    ///
    /// [`Error::SizesDiffer`] for inputs that are not one, [`Error::Window`] where the kernel does not fit,
    /// [`Error::Filter`] for a filter of another size, [`Error::Unsupported`] for a Winograd algorithm and another kernel
    /// than it computes, or for the image and a map as one input.
    pub fn conv(&mut self, inputs: &[Map], conv: &Conv, algorithm: Algorithm, filter: &Filter<'_>) -> Result<Map> {
        let input = self.concatenation(inputs)?;
        let (height, width) = windows(input, conv.kernel, conv.stride, conv.padding)?;
        let taps = conv.kernel * conv.kernel;
        check(filter, conv.channels, conv.channels * input.channels * taps)?;
        let of_image = inputs.contains(&Map(0));
        if of_image && inputs.len() > 1 {
            return Err(Error::Unsupported("the image and a map as one input"));
        }
        let threads = self.team.size();
        let weights = match algorithm.winograd() {
            None => filter.pack_direct(input.channels, taps, (self.isa, threads), &mut self.store),
            Some(_) if conv.kernel != 3 || conv.stride != 1 || conv.padding != Padding::all(1) || of_image => {
                return Err(Error::Unsupported("a Winograd convolution of other than 3x3, stride 1, padding 1"));
            }
            Some(form) => winograd::pack(form, filter, input.channels, (self.isa, threads), &mut self.store),
        };
        let bias = filter.pack_bias(&mut self.store);
        let size = Size { channels: conv.channels, height, width };
        let info = StepInfo {
            kernel: algorithm.name(),
            macs: (size.count() * input.channels * taps) as u64,
            bytes: 4 * (input.count() + size.count()) as u64,
            weights: 4 * weights.len() as u64,
        };
        self.push(size, Op::Conv { inputs: inputs.to_vec(), conv: *conv, algorithm, weights, bias }, info)
    }

    /// A depthwise 3x3 convolution; `filter` is `[channels, 1, 3, 3]`.
    ///
    /// # Errors
    ///
    /// As [`Builder::conv`]; [`Error::Unsupported`] for another stride than 1 and 2 and for the image.
    pub fn depthwise(&mut self, input: Map, conv: &Depthwise, filter: &Filter<'_>) -> Result<Map> {
        let size = self.blocked(input)?;
        if !(1..=2).contains(&conv.stride) {
            return Err(Error::Unsupported("a depthwise convolution of a stride other than 1 and 2"));
        }
        let taps = depthwise::SIDE * depthwise::SIDE;
        let (height, width) = windows(size, depthwise::SIDE, conv.stride, conv.padding)?;
        check(filter, size.channels, size.channels * taps)?;
        let weights = depthwise::pack(filter, &mut self.store);
        let bias = filter.pack_bias(&mut self.store);
        let out = Size { height, width, ..size };
        let info = StepInfo {
            kernel: "depthwise",
            macs: (out.count() * taps) as u64,
            bytes: 4 * (size.count() + out.count()) as u64,
            weights: 4 * weights.len() as u64,
        };
        self.push(out, Op::Depthwise { input, conv: *conv, weights, bias }, info)
    }

    /// A pool over windows.
    ///
    /// # Errors
    ///
    /// [`Error::Window`] where the window does not fit, [`Error::Unsupported`] for the image.
    pub fn pool(&mut self, input: Map, pool: &Pool) -> Result<Map> {
        let size = self.blocked(input)?;
        let (height, width) = pooled(size, pool)?;
        let out = Size { height, width, ..size };
        let bytes = 4 * (size.count() + out.count()) as u64;
        let info = StepInfo { kernel: "pool", macs: 0, bytes, weights: 0 };
        self.push(out, Op::Pool { input, pool: *pool }, info)
    }

    /// The mean of every channel, a map of one pixel.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for the image.
    pub fn mean(&mut self, input: Map) -> Result<Map> {
        let size = self.blocked(input)?;
        let out = Size { height: 1, width: 1, ..size };
        let bytes = 4 * (size.count() + out.count()) as u64;
        self.push(out, Op::Mean { input }, StepInfo { kernel: "mean", macs: 0, bytes, weights: 0 })
    }

    /// A linear layer on a map of one pixel; `filter` is `[out, in]`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a map of more pixels or the image, [`Error::Filter`] for a filter of another size.
    pub fn linear(&mut self, input: Map, channels: usize, filter: &Filter<'_>) -> Result<Map> {
        let size = self.blocked(input)?;
        if (size.height, size.width) != (1, 1) {
            return Err(Error::Unsupported("a linear layer on more than one pixel"));
        }
        check(filter, channels, channels * size.channels)?;
        let weights = filter.pack_direct(size.channels, 1, (self.isa, self.team.size()), &mut self.store);
        let bias = filter.pack_bias(&mut self.store);
        let out = Size { channels, ..size };
        let info = StepInfo {
            kernel: "linear",
            macs: (size.channels * channels) as u64,
            bytes: 4 * (size.channels + channels) as u64,
            weights: 4 * weights.len() as u64,
        };
        self.push(out, Op::Linear { input, weights, bias }, info)
    }

    /// The size of a map.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownMap`] for a map of another builder.
    pub fn size(&self, map: Map) -> Result<Size> {
        self.ops.get(map.0).map(|(size, _)| *size).ok_or(Error::UnknownMap(map.0))
    }

    /// Plans the memory for `images` images at once; the program's output is the concatenation of `outputs`.
    ///
    /// # Errors
    ///
    /// [`Error::NoInputs`] without outputs, [`Error::SizesDiffer`] for outputs that are not one.
    pub fn finish(mut self, outputs: &[Map], images: usize) -> Result<Program> {
        self.concatenation(outputs)?;
        let images = images.max(1);
        let frames = self.frames();
        let layout = |at: usize, offset: usize| {
            let (size, frame) = (self.ops[at].0, frames[at]);
            Layout { size, frame, offset, interleaved: at == 0 }
        };
        let unplaced: Vec<Layout> = (0..self.ops.len()).map(|at| layout(at, 0)).collect();
        let chains = self.chains(&unplaced, outputs, images);
        let (offsets, image) = self.place(&unplaced, &chains, outputs);
        let layouts: Vec<Layout> = offsets.iter().enumerate().map(|(at, &offset)| layout(at, offset)).collect();
        let step = |at: usize| match chains.iter().find(|ends| (ends.first..=ends.last).contains(&at)) {
            Some(&ends) if ends.last == at => {
                let chain = self.chain(ends, &layouts, images);
                Step::Chain(chain.expect("what is worth it does not depend on offsets"))
            }
            Some(_) => Step::Later,
            None => self.step(&self.ops[at].1, layouts[at], &layouts, images, image),
        };
        let steps = (0..self.ops.len()).map(step).collect();
        chains.into_iter().for_each(|ends| self.merge_infos(ends));
        let outputs = outputs.iter().map(|map| layouts[map.0]).collect();
        Ok(Program::new(self.isa, self.team, self.store, steps, self.infos, layouts[0].size, outputs, image, images))
    }

    fn push(&mut self, size: Size, op: Op, info: StepInfo) -> Result<Map> {
        let Size { channels, height, width } = size;
        // Far from overflow with any border and any transformed form.
        let values = channels.checked_mul(height).and_then(|values| values.checked_mul(width));
        if values.is_none_or(|values| values == 0 || values > isize::MAX as usize >> 12) {
            return Err(Error::Size { channels, height, width });
        }
        self.ops.push((size, op));
        self.infos.push(info);
        Ok(Map(self.ops.len() - 1))
    }

    /// The size of a map other than the image.
    fn blocked(&self, map: Map) -> Result<Size> {
        if map == Map(0) {
            return Err(Error::Unsupported("the image as the input of anything but a convolution"));
        }
        self.size(map)
    }

    /// The size of maps concatenated.
    fn concatenation(&self, maps: &[Map]) -> Result<Size> {
        let mut whole = self.size(*maps.first().ok_or(Error::NoInputs)?)?;
        for &map in &maps[1..] {
            let size = self.size(map)?;
            let (first, other) = ((whole.height, whole.width), (size.height, size.width));
            if first != other {
                return Err(Error::SizesDiffer { first, other });
            }
            whole.channels += size.channels;
        }
        Ok(whole)
    }

    /// The frame of every map: large enough for all its readers, and one for all maps that some reader takes together.
    fn frames(&self) -> Vec<Frame> {
        let mut frames: Vec<Frame> = self
            .ops
            .iter()
            .map(|(size, _)| Frame { down: size.height, right: size.width, ..Frame::default() })
            .collect();
        // Frames only grow, and few maps share readers: this ends after a few rounds.
        loop {
            let before = frames.clone();
            for (size, op) in &self.ops {
                let union = op.inputs().iter().map(|map| frames[map.0]).fold(op.frame(*size), Frame::union);
                op.inputs().iter().for_each(|map| frames[map.0] = union);
            }
            if frames == before {
                return frames;
            }
        }
    }

    /// The offset of every map and the values of one image's memory. Maps inside a chain need none, and its inputs live until its
    /// last layer.
    fn place(&self, layouts: &[Layout], chains: &[Ends], outputs: &[Map]) -> (Vec<usize>, usize) {
        let mut extents: Vec<Extent> =
            layouts.iter().enumerate().map(|(at, layout)| Extent { len: layout.len(), steps: (at, at) }).collect();
        for (at, (_, op)) in self.ops.iter().enumerate() {
            op.inputs().iter().for_each(|map| extents[map.0].steps.1 = at);
        }
        for ends in chains {
            for map in self.ops[ends.first].1.inputs() {
                extents[map.0].steps.1 = extents[map.0].steps.1.max(ends.last);
            }
            extents[ends.first..ends.last].iter_mut().for_each(|extent| extent.len = 0);
        }
        outputs.iter().for_each(|map| extents[map.0].steps.1 = self.ops.len());
        place(&extents)
    }

    fn step(&self, op: &Op, output: Layout, layouts: &[Layout], images: usize, image: usize) -> Step {
        let inputs: Vec<Layout> = op.inputs().iter().map(|map| layouts[map.0]).collect();
        match op {
            Op::Load => Step::Load(Load::new(output)),
            Op::Conv { conv, algorithm, weights, bias, .. } => {
                let &Conv { kernel, stride, padding, range, .. } = conv;
                let (weights, bias) = (*weights, *bias);
                match algorithm.winograd() {
                    None => {
                        let spec = direct::Spec { isa: self.isa, kernel, stride, padding, range, weights, bias };
                        Step::Direct(Direct::new(&inputs, output, &spec))
                    }
                    Some((side, lean)) => {
                        let spec = winograd::Spec {
                            isa: self.isa,
                            threads: self.team.size(),
                            side,
                            lean,
                            range,
                            weights,
                            bias,
                            zeros: self.zeros,
                        };
                        Step::Winograd(Winograd::new(&inputs, output, &spec, images))
                    }
                }
            }
            Op::Linear { weights, bias, .. } => {
                let (padding, range) = (Padding::default(), Range::ALL);
                let spec = direct::Spec {
                    isa: self.isa,
                    kernel: 1,
                    stride: 1,
                    padding,
                    range,
                    weights: *weights,
                    bias: *bias,
                };
                Step::Direct(Direct::linear(&inputs, output, &spec, image))
            }
            Op::Depthwise { conv, weights, bias, .. } => {
                let &Depthwise { stride, padding, range } = conv;
                let spec = depthwise::Spec { stride, padding, range, weights: *weights, bias: *bias };
                Step::Depthwise(depthwise::Depthwise::new(inputs[0], output, &spec))
            }
            Op::Pool { pool, .. } => Step::Window(Window::pool(inputs[0], output, pool)),
            Op::Mean { .. } => Step::Window(Window::mean(inputs[0], output)),
        }
    }
}

/// Rows and columns of the windows that fit into a padded map.
pub(crate) fn windows(size: Size, kernel: usize, stride: usize, padding: Padding) -> Result<(usize, usize)> {
    let Padding { top, bottom, left, right } = padding;
    let inside = [top, bottom, left, right].iter().all(|&padding| padding < kernel);
    let (height, width) = output_size((size.height, size.width), (kernel, kernel), stride, padding);
    if !inside || height == 0 || width == 0 {
        let padded = |length: usize, before: usize, after: usize| length.saturating_add(before).saturating_add(after);
        let (height, width) = (padded(size.height, top, bottom), padded(size.width, left, right));
        return Err(Error::Window { kernel, stride, height, width });
    }
    Ok((height, width))
}

/// Rows and columns that a pool writes.
pub(crate) fn pooled(size: Size, pool: &Pool) -> Result<(usize, usize)> {
    if pool.ceil {
        return Err(Error::Unsupported("a pool whose windows reach beyond the padding"));
    }
    windows(size, pool.kernel, pool.stride, pool.padding)
}

fn check(filter: &Filter<'_>, channels: usize, weights: usize) -> Result<()> {
    let parts = [
        ("the filter's weights", filter.weights.len(), weights),
        ("the filter's scale", filter.scale.len(), channels),
        ("the filter's bias", filter.bias.len(), channels),
    ];
    match parts.into_iter().find(|(_, found, expected)| found != expected) {
        Some((what, found, expected)) => Err(Error::Filter { what, expected, found }),
        None => Ok(()),
    }
}

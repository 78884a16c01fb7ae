//! From layers to a program.

use hardnet_graph::Pool;
use hardnet_simd::Isa;

use super::compile::compile;
use super::program::Program;
use crate::builder::{Conv, Depthwise, pooled, windows};
use crate::depthwise::SIDE;
use crate::error::{Error, Result};
use crate::map::{Map, Size};
use crate::team::Team;

/// What computes a map.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Image,
    Conv { inputs: Vec<usize>, conv: Conv, own: Own },
    Depthwise { input: usize, conv: Depthwise, own: Own },
    Pool { input: usize, pool: Pool },
    Mean { input: usize },
    Dropout { input: usize, layer: u64, first: usize, channels: usize, probability: f64 },
    Linear { input: usize, own: Own },
}

/// What a layer has in the lists of parameters and statistics: its first of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) parameter: usize,
    pub(super) statistics: usize,
}

impl Op {
    pub(super) fn inputs(&self) -> &[usize] {
        match self {
            Self::Image => &[],
            Self::Conv { inputs, .. } => inputs,
            Self::Depthwise { input, .. }
            | Self::Pool { input, .. }
            | Self::Mean { input }
            | Self::Dropout { input, .. }
            | Self::Linear { input, .. } => std::slice::from_ref(input),
        }
    }
}

/// A training program under construction.
#[derive(Debug)]
pub struct Builder {
    isa: Isa,
    team: Team,
    /// The size of each map and the op that computes it.
    nodes: Vec<(Size, Op)>,
    dropouts: u64,
    parameters: usize,
    statistics: usize,
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
        let mut builder = Self { isa, team, nodes: Vec::new(), dropouts: 0, parameters: 0, statistics: 0 };
        let image = builder.push(size, Op::Image)?;
        Ok((builder, image))
    }

    /// A convolution of the concatenation of `inputs`, its batch normalisation and the bounds of `conv`.
    ///
    /// # Errors
    ///
    /// [`Error::NoInputs`], [`Error::SizesDiffer`] for inputs that are not one, [`Error::Window`] where the kernel does not
    /// fit, [`Error::Unsupported`] for a stride other than 1 behind other layers, whose gradient no kernel computes.
    pub fn conv(&mut self, inputs: &[Map], conv: &Conv) -> Result<Map> {
        let mut input = self.size(*inputs.first().ok_or(Error::NoInputs)?)?;
        for &map in &inputs[1..] {
            let size = self.size(map)?;
            let (first, other) = ((input.height, input.width), (size.height, size.width));
            if first != other {
                return Err(Error::SizesDiffer { first, other });
            }
            input.channels += size.channels;
        }
        if conv.stride != 1 && inputs.iter().any(|&map| map != Map(0)) {
            return Err(Error::Unsupported("the gradient of a strided convolution's input"));
        }
        let (height, width) = windows(input, conv.kernel, conv.stride, conv.padding)?;
        let weights = conv.channels * input.channels * conv.kernel * conv.kernel;
        let own = self.own(weights + 2 * conv.channels, 2 * conv.channels);
        let inputs = inputs.iter().map(|map| map.0).collect();
        self.push(Size { channels: conv.channels, height, width }, Op::Conv { inputs, conv: *conv, own })
    }

    /// A depthwise 3x3 convolution, its batch normalisation and the bounds of `conv`.
    ///
    /// # Errors
    ///
    /// [`Error::Window`] where the kernel does not fit, [`Error::Unsupported`] for another stride than 1 and 2 and for the
    /// image.
    pub fn depthwise(&mut self, input: Map, conv: &Depthwise) -> Result<Map> {
        let size = self.inner(input)?;
        if !(1..=2).contains(&conv.stride) {
            return Err(Error::Unsupported("a depthwise convolution of a stride other than 1 and 2"));
        }
        let (height, width) = windows(size, SIDE, conv.stride, conv.padding)?;
        let own = self.own(size.channels * (SIDE * SIDE + 2), 2 * size.channels);
        self.push(Size { height, width, ..size }, Op::Depthwise { input: input.0, conv: *conv, own })
    }

    /// A pool over windows.
    ///
    /// # Errors
    ///
    /// [`Error::Window`] where the window does not fit, [`Error::Unsupported`] for the image.
    pub fn pool(&mut self, input: Map, pool: &Pool) -> Result<Map> {
        let size = self.inner(input)?;
        let (height, width) = pooled(size, pool)?;
        self.push(Size { height, width, ..size }, Op::Pool { input: input.0, pool: *pool })
    }

    /// The mean of every channel, a map of one pixel.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for the image.
    pub fn mean(&mut self, input: Map) -> Result<Map> {
        let size = self.inner(input)?;
        self.push(Size { height: 1, width: 1, ..size }, Op::Mean { input: input.0 })
    }

    /// Dropout with `probability` on the concatenation of `inputs`, a map for each.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for the image and for a probability outside of [0, 1).
    pub fn dropout(&mut self, inputs: &[Map], probability: f64) -> Result<Vec<Map>> {
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::Unsupported("a probability outside of [0, 1)"));
        }
        let sizes = inputs.iter().map(|&input| self.inner(input)).collect::<Result<Vec<_>>>()?;
        let channels = sizes.iter().map(|size| size.channels).sum();
        let (layer, mut first) = (self.dropouts, 0);
        self.dropouts += 1;
        let mut maps = Vec::with_capacity(inputs.len());
        for (input, size) in inputs.iter().zip(sizes) {
            maps.push(self.push(size, Op::Dropout { input: input.0, layer, first, channels, probability })?);
            first += size.channels;
        }
        Ok(maps)
    }

    /// A linear layer with biases on a map of one pixel.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a map of more pixels or the image.
    pub fn linear(&mut self, input: Map, channels: usize) -> Result<Map> {
        let size = self.inner(input)?;
        if (size.height, size.width) != (1, 1) {
            return Err(Error::Unsupported("a linear layer on more than one pixel"));
        }
        let own = self.own(channels * (size.channels + 1), 0);
        self.push(Size { channels, ..size }, Op::Linear { input: input.0, own })
    }

    /// The size of a map.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownMap`] for a map of another builder.
    pub fn size(&self, map: Map) -> Result<Size> {
        self.nodes.get(map.0).map(|(size, _)| *size).ok_or(Error::UnknownMap(map.0))
    }

    /// Plans the memory for batches of at most `images` images; the program's outputs are those of `outputs`, one after the
    /// other for each image.
    ///
    /// # Errors
    ///
    /// [`Error::NoInputs`] without outputs, [`Error::UnknownMap`], [`Error::Unsupported`] where a map is neither read nor an
    /// output.
    pub fn finish(self, outputs: &[Map], images: usize) -> Result<Program> {
        if outputs.is_empty() {
            return Err(Error::NoInputs);
        }
        outputs.iter().try_for_each(|&map| self.size(map).map(|_| ()))?;
        let outputs: Vec<usize> = outputs.iter().map(|map| map.0).collect();
        let plan = compile(&self.nodes, &outputs, images.max(1), self.isa)?;
        Ok(Program::new(self.isa, self.team, plan, images.max(1), self.parameters, self.statistics))
    }

    fn own(&mut self, parameters: usize, statistics: usize) -> Own {
        let own = Own { parameter: self.parameters, statistics: self.statistics };
        self.parameters += parameters;
        self.statistics += statistics;
        own
    }

    fn push(&mut self, size: Size, op: Op) -> Result<Map> {
        let Size { channels, height, width } = size;
        let values = channels.checked_mul(height).and_then(|values| values.checked_mul(width));
        if values.is_none_or(|values| values == 0 || values > isize::MAX as usize >> 16) {
            return Err(Error::Size { channels, height, width });
        }
        self.nodes.push((size, op));
        Ok(Map(self.nodes.len() - 1))
    }

    /// The size of a map other than the image.
    fn inner(&self, map: Map) -> Result<Size> {
        if map == Map(0) {
            return Err(Error::Unsupported("the image as the input of anything but a convolution"));
        }
        self.size(map)
    }
}

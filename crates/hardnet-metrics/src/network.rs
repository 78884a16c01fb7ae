//! A network as data: layers in an order in which they can be computed, and what each reads.
//!
//! A layer reads the concatenation of its inputs' channels, as in the paper: links need no layer of their own.
//! Normalisation and activation are part of the layer before or behind which they stand, because an engine computes them in
//! passing and they make no map of their own.

mod builder;
mod shapes;

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Result};
pub use builder::Builder;

/// Position of a layer in [`Network::layers`].
pub type LayerId = usize;

/// A network: [`Builder`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    name: String,
    layers: Vec<Layer>,
    outputs: Vec<LayerId>,
    blocks: Vec<Block>,
}

/// One operation that writes a map.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The layers whose maps it reads, all earlier.
    pub inputs: Vec<LayerId>,
    /// What is done to each element that it reads.
    pub before: Pointwise,
    /// What is done to each element that it writes.
    pub after: Pointwise,
}

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// The image, of so many channels.
    Input(usize),
    /// A convolution.
    Conv(Conv),
    /// Pooling over windows.
    Pool(Pool),
    /// The means of as many equal parts of a map as the output has pixels: rows, columns. `(1, 1)` is global pooling.
    Mean(usize, usize),
    /// The sum of maps of one shape, as at the end of a residual block.
    Add,
    /// A linear layer with bias on all elements of its input.
    Linear(usize),
}

impl fmt::Display for Op {
    /// As `depthwise 3x3 /2`: the stride, where there is one, behind the slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stride = |stride: usize| if stride == 1 { String::new() } else { format!(" /{stride}") };
        f.pad(&match self {
            Self::Input(_) => "image".into(),
            Self::Conv(conv) => {
                let kind = if conv.is_depthwise() { "depthwise" } else { "conv" };
                format!("{kind} {}x{}{}", conv.kernel.0, conv.kernel.1, stride(conv.stride))
            }
            Self::Pool(pool) => format!("pool {0}x{0}{1}", pool.kernel, stride(pool.stride)),
            Self::Mean(..) => "mean".into(),
            Self::Add => "add".into(),
            Self::Linear(_) => "linear".into(),
        })
    }
}

/// Normalisation and activation of every element. The default is neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Pointwise {
    /// A batch normalisation: two parameters and two running statistics for each channel.
    pub norm: bool,
    /// An activation without parameters.
    pub activation: bool,
}

impl Pointwise {
    /// Normalisation and activation.
    pub const NORM_ACTIVATION: Self = Self { norm: true, activation: true };
    /// Normalisation only.
    pub const NORM: Self = Self { norm: true, activation: false };
    /// Activation only.
    pub const ACTIVATION: Self = Self { norm: false, activation: true };
}

/// A convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conv {
    /// Output channels.
    pub channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: (usize, usize),
    /// Step in rows and columns.
    pub stride: usize,
    /// Distance of the kernel's taps, 1 for a dense kernel.
    pub dilation: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// Parts into which the channels are divided; each output channel reads those of its part.
    pub groups: usize,
    /// Whether each output channel has a bias.
    pub bias: bool,
}

impl Conv {
    /// A square convolution of stride 1 that keeps the size, for an odd `kernel`; without bias.
    pub fn new(channels: usize, kernel: usize) -> Self {
        let padding = Padding::all(kernel / 2);
        Self { channels, kernel: (kernel, kernel), stride: 1, dilation: 1, padding, groups: 1, bias: false }
    }

    /// A 3x3 convolution of each of `channels` channels by itself.
    pub fn depthwise(channels: usize) -> Self {
        Self::new(channels, 3).groups(channels)
    }

    /// The same with another step.
    pub fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// The same with other zeros around it.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// The same in groups.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// The same with a kernel of other sides, rows first.
    pub fn kernel(mut self, rows: usize, columns: usize) -> Self {
        self.kernel = (rows, columns);
        self
    }

    /// The same with taps so far apart.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }

    /// The same with a bias.
    pub fn with_bias(mut self) -> Self {
        self.bias = true;
        self
    }

    /// Whether each channel is convolved by itself.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.channels
    }
}

/// A pool over square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pool {
    /// Side of the window.
    pub kernel: usize,
    /// Step in rows and columns.
    pub stride: usize,
    /// Rows and columns around the input.
    pub padding: Padding,
    /// Whether a last window that reaches beyond the padding counts, as PyTorch's `ceil_mode`.
    pub ceil: bool,
}

impl Pool {
    /// A pool without padding.
    pub fn new(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: Padding::default(), ceil: false }
    }

    /// The same with padding.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// The same with a last window that reaches beyond the padding.
    pub fn ceil(mut self) -> Self {
        self.ceil = true;
        self
    }
}

/// Rows and columns around a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the left.
    pub left: usize,
    /// Columns on the right.
    pub right: usize,
}

impl Padding {
    /// The same on all four sides.
    pub const fn all(size: usize) -> Self {
        Self { top: size, bottom: size, left: size, right: size }
    }
}

/// Size of one map of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}x{}x{}", self.channels, self.height, self.width))
    }
}

/// Layers that a dense network would keep until the block is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// Its name.
    pub name: String,
    /// What it reads: layer 0 of its numbering.
    pub inputs: Vec<LayerId>,
    /// Its layers from number 1 on. One may be several convolutions in a row: the last writes what the others read.
    pub layers: Vec<Vec<LayerId>>,
    /// The layers whose concatenation is its output.
    pub outputs: Vec<LayerId>,
}

impl Network {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layers in the order of computation; the first is the image.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layers whose concatenation is the network's output.
    pub fn outputs(&self) -> &[LayerId] {
        &self.outputs
    }

    /// The blocks in order; empty for a network that was described without.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The layer of that name.
    pub fn find(&self, name: &str) -> Option<LayerId> {
        self.layers.iter().position(|layer| layer.name == name)
    }

    /// Checks what does not depend on the size of an image.
    fn validate(&self) -> Result<()> {
        let check = |reader: &str, inputs: &[LayerId], earlier: usize| {
            if inputs.is_empty() {
                return Err(Error::NoInputs { layer: reader.into() });
            }
            match inputs.iter().find(|&&input| input >= earlier) {
                Some(&input) => Err(Error::UnknownLayer { layer: reader.into(), input, earlier }),
                None => Ok(()),
            }
        };
        for (id, layer) in self.layers.iter().enumerate() {
            if id > 0 {
                check(&layer.name, &layer.inputs, id)?;
            }
            layer.validate()?;
        }
        check(&self.name, &self.outputs, self.layers.len())?;
        for block in &self.blocks {
            let mut least = 1;
            for &layer in block.layers.iter().flatten() {
                if layer < least || layer >= self.layers.len() {
                    return Err(Error::Block { block: block.name.clone(), layer });
                }
                least = layer + 1;
            }
            let first = block.layers.iter().flatten().next().copied().unwrap_or(self.layers.len());
            check(&block.name, &block.inputs, first)?;
            check(&block.name, &block.outputs, least)?;
        }
        Ok(())
    }
}

impl Layer {
    fn validate(&self) -> Result<()> {
        let positive = |field, found| match found {
            0 => Err(Error::Field { layer: self.name.clone(), field, found, expected: "1 or more" }),
            _ => Ok(()),
        };
        match &self.op {
            Op::Input(channels) | Op::Linear(channels) => positive("channels", *channels),
            Op::Conv(conv) => {
                positive("channels", conv.channels)?;
                positive("kernel", conv.kernel.0.min(conv.kernel.1))?;
                positive("dilation", conv.dilation)?;
                positive("groups", conv.groups)?;
                positive("stride", conv.stride)
            }
            Op::Pool(pool) => {
                positive("kernel", pool.kernel)?;
                positive("stride", pool.stride)
            }
            Op::Mean(rows, columns) => positive("pixels", (*rows).min(*columns)),
            Op::Add => Ok(()),
        }
    }
}

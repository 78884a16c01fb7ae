//! Convolutions.

use super::window::{Padding, output_size};

/// Which input channels an output channel of a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grouping {
    /// All of them.
    Dense,
    /// Those of its group, of so many groups of as many channels.
    Groups(usize),
    /// The one of its own number.
    Depthwise,
}

/// A convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Which input channels an output channel reads.
    pub grouping: Grouping,
    /// Whether each output channel has a bias.
    pub bias: bool,
}

impl Conv {
    /// A dense square convolution of stride 1 that keeps the size, for an odd `kernel`; without bias.
    pub const fn new(channels: usize, kernel: usize) -> Self {
        Self {
            channels,
            kernel: (kernel, kernel),
            stride: 1,
            dilation: 1,
            padding: Padding::all(kernel / 2),
            grouping: Grouping::Dense,
            bias: false,
        }
    }

    /// A 3x3 convolution of each of `channels` channels by itself.
    pub const fn depthwise(channels: usize) -> Self {
        Self { grouping: Grouping::Depthwise, ..Self::new(channels, 3) }
    }

    /// Sets the step.
    #[must_use]
    pub const fn stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// Sets the zeros around the input.
    #[must_use]
    pub const fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Divides the channels into `groups` parts.
    #[must_use]
    pub const fn groups(mut self, groups: usize) -> Self {
        self.grouping = Grouping::Groups(groups);
        self
    }

    /// Sets the sides of the kernel.
    #[must_use]
    pub const fn kernel(mut self, rows: usize, columns: usize) -> Self {
        self.kernel = (rows, columns);
        self
    }

    /// Sets the distance of the kernel's taps.
    #[must_use]
    pub const fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = dilation;
        self
    }

    /// Gives each output channel a bias.
    #[must_use]
    pub const fn with_bias(mut self) -> Self {
        self.bias = true;
        self
    }

    /// Whether each channel is convolved by itself.
    pub const fn is_depthwise(&self) -> bool {
        matches!(self.grouping, Grouping::Depthwise)
    }

    /// The side of the kernel, if it is square.
    pub const fn square_kernel(&self) -> Option<usize> {
        if self.kernel.0 == self.kernel.1 { Some(self.kernel.0) } else { None }
    }

    /// Input channels that each output channel reads, of `in_channels`.
    pub const fn channels_read(&self, in_channels: usize) -> usize {
        match self.grouping {
            Grouping::Dense => in_channels,
            Grouping::Groups(groups) => in_channels / if groups == 0 { 1 } else { groups },
            Grouping::Depthwise => 1,
        }
    }

    /// Rows and columns of the output for a map of so many rows and columns; 0 where no window fits.
    pub fn output_size(&self, map: (usize, usize)) -> (usize, usize) {
        let reach = |kernel: usize| match kernel {
            0 => 0,
            _ => (kernel - 1).saturating_mul(self.dilation).saturating_add(1),
        };
        output_size(map, (reach(self.kernel.0), reach(self.kernel.1)), self.stride, self.padding)
    }
}

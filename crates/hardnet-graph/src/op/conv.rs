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
    /// Whether zeros follow from the size of the map instead, as TensorFlow's and Paddle's `SAME`: as few as make
    /// `ceil(size / stride)` windows, half of them before the map, rounded down.
    pub same: bool,
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
            same: false,
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

    /// Lets zeros around the input follow from its size.
    #[must_use]
    pub const fn same(mut self) -> Self {
        self.same = true;
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
        output_size(map, self.reach(), self.stride, self.on(map).padding)
    }

    /// The same convolution with the zeros that a map of so many rows and columns has around it.
    #[must_use]
    pub fn on(mut self, map: (usize, usize)) -> Self {
        if self.same {
            let zeros = |side: usize, reach: usize| {
                let windows = side.div_ceil(self.stride.max(1));
                let covered = windows.saturating_sub(1).saturating_mul(self.stride).saturating_add(reach);
                let total = covered.saturating_sub(side);
                (total / 2, total - total / 2)
            };
            let reach = self.reach();
            let ((top, bottom), (left, right)) = (zeros(map.0, reach.0), zeros(map.1, reach.1));
            (self.padding, self.same) = (Padding { top, bottom, left, right }, false);
        }
        self
    }

    /// Rows and columns between the outermost taps of the kernel, both included.
    fn reach(&self) -> (usize, usize) {
        let reach = |kernel: usize| match kernel {
            0 => 0,
            _ => (kernel - 1).saturating_mul(self.dilation).saturating_add(1),
        };
        (reach(self.kernel.0), reach(self.kernel.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paddle 3.3.1 sums windows of 6x6 pixels from the first on: `conv2d(x, ones, stride=2, padding="SAME")`; a side
    /// of 7 pixels gives 4.
    #[test]
    fn zeros_by_size_are_paddles() {
        let conv = Conv::new(1, 3).stride(2).same();
        for (side, before, after) in [(6, 0, 1), (7, 1, 1), (1, 1, 1), (2, 0, 1)] {
            let padding = conv.on((side, 5)).padding;
            assert_eq!((padding.top, padding.bottom), (before, after), "{side}");
            assert_eq!((padding.left, padding.right), (1, 1));
            assert_eq!(conv.output_size((side, 5)), (side.div_ceil(2), 3));
        }
        let depthwise = Conv::depthwise(4).same();
        assert_eq!(depthwise.on((8, 8)), Conv::depthwise(4));
        let wide = Conv::new(1, 3).dilation(2).same();
        assert_eq!(wide.on((8, 9)).padding, Padding::all(2));
    }
}

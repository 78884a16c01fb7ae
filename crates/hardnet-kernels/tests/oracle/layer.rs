//! Convolutions as the tests list them.

use hardnet_kernels::{Alignment, Clamp, Padding};

/// A dense convolution and the bounds of its results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv {
    pub(crate) channels: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: Padding,
    pub(crate) clamp: Clamp,
}

/// A depthwise 3x3 convolution and the bounds of its results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depthwise {
    pub(crate) stride: usize,
    pub(crate) padding: Padding,
    pub(crate) clamp: Clamp,
}

impl Conv {
    /// The same for a builder.
    pub(crate) fn layer(&self) -> hardnet_kernels::Conv {
        hardnet_kernels::Conv::new(self.channels, self.kernel).stride(self.stride).padding(self.padding)
    }
}

impl Depthwise {
    /// The same for a builder and so many channels.
    pub(crate) fn layer(&self, channels: usize) -> hardnet_kernels::Conv {
        hardnet_kernels::Conv::depthwise(channels).stride(self.stride).padding(self.padding)
    }
}

/// The weight of pixel `pixel` of a side of `input` pixels in output pixel `at` of `output`: by PyTorch's formulas of
/// positions, one minus the distance.
pub(crate) fn bilinear_weight(
    alignment: Alignment,
    (at, output): (usize, usize),
    (pixel, input): (usize, usize),
) -> f64 {
    let last = (input - 1) as f64;
    let position = match alignment {
        Alignment::Corners if output == 1 => 0.0,
        Alignment::Corners => at as f64 * last / (output - 1) as f64,
        Alignment::HalfPixel => ((at as f64 + 0.5) * input as f64 / output as f64 - 0.5).clamp(0.0, last),
    };
    (1.0 - (position - pixel as f64).abs()).max(0.0)
}

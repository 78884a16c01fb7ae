//! Convolutions as the tests list them.

use hardnet_kernels::{Clamp, Padding};

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

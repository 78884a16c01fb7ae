//! The operations that layers are made of.

mod conv;
mod pointwise;
mod pool;
mod upsample;
mod window;

use std::fmt;

pub use conv::{Conv, Grouping};
pub use pointwise::{Activation, BatchNorm, Pointwise};
pub use pool::{Pool, PoolKind};
pub use upsample::{Alignment, Between, Upsample};
pub use window::{Padding, output_size};

/// The operation of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// The image.
    Input {
        /// Its channels.
        channels: usize,
    },
    /// A convolution.
    Conv(Conv),
    /// Pooling over windows.
    Pool(Pool),
    /// Dropout with this probability; does nothing at inference.
    Dropout(f64),
    /// The means of as many equal parts of a map as the output has pixels; of one, global average pooling.
    AdaptiveAveragePool {
        /// Rows of the output.
        rows: usize,
        /// Columns of the output.
        columns: usize,
    },
    /// Bilinear interpolation to the size of another map.
    Upsample(Upsample),
    /// The sum of maps of one shape, as at the end of a residual block.
    Add,
    /// A linear layer with bias on all elements of its input.
    Linear {
        /// Outputs.
        channels: usize,
    },
}

impl Op {
    /// The mean over rows and columns.
    pub const GLOBAL_AVERAGE_POOL: Self = Self::AdaptiveAveragePool { rows: 1, columns: 1 };
}

impl fmt::Display for Op {
    /// As `depthwise 3x3 /2`: the stride, unless it is 1, after the slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stride = |stride: usize| if stride == 1 { String::new() } else { format!(" /{stride}") };
        f.pad(&match self {
            Self::Input { .. } => "image".into(),
            Self::Conv(conv) => {
                let kind = if conv.is_depthwise() { "depthwise" } else { "conv" };
                format!("{kind} {}x{}{}", conv.kernel.0, conv.kernel.1, stride(conv.stride))
            }
            Self::Pool(pool) => format!("pool {0}x{0}{1}", pool.kernel, stride(pool.stride)),
            Self::Dropout(_) => "dropout".into(),
            Self::AdaptiveAveragePool { .. } => "mean".into(),
            Self::Upsample(_) => "bilinear".into(),
            Self::Add => "add".into(),
            Self::Linear { .. } => "linear".into(),
        })
    }
}

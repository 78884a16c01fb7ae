//! Pooling over windows.

use super::window::{Padding, sizes};

/// Which value of a window a pool keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum PoolKind {
    /// The greatest value: max pooling, PyTorch's `MaxPool2d`. Padding never wins.
    Max,
    /// The mean: average pooling, PyTorch's `AvgPool2d`. Padding counts as zeros, as in PyTorch.
    Average,
}

/// A pool over square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Pool {
    /// Greatest value or mean.
    pub kind: PoolKind,
    /// Side of the window.
    pub kernel: usize,
    /// Step in rows and columns.
    pub stride: usize,
    /// Rows and columns around the map, less than a window.
    pub padding: Padding,
    /// Whether a last window that reaches beyond the padding counts, as PyTorch's `ceil_mode`.
    pub ceil: bool,
}

impl Pool {
    /// A pool without padding.
    pub const fn new(kind: PoolKind, kernel: usize, stride: usize) -> Self {
        Self { kind, kernel, stride, padding: Padding::all(0), ceil: false }
    }

    /// Max pooling without padding.
    pub const fn max(kernel: usize, stride: usize) -> Self {
        Self::new(PoolKind::Max, kernel, stride)
    }

    /// Average pooling without padding.
    pub const fn average(kernel: usize, stride: usize) -> Self {
        Self::new(PoolKind::Average, kernel, stride)
    }

    /// Sets the padding.
    #[must_use]
    pub const fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Lets a last window reach beyond the padding.
    #[must_use]
    pub const fn ceil(mut self) -> Self {
        self.ceil = true;
        self
    }

    /// Rows and columns of the output for a map of so many rows and columns; 0 where no window fits.
    pub fn output_size(&self, map: (usize, usize)) -> (usize, usize) {
        sizes(map, (self.kernel, self.kernel), self.stride, self.padding, self.ceil)
    }
}

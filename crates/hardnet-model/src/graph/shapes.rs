//! Sizes of the maps for one size of image.

use super::{Graph, Op, Padding};
use crate::error::{Error, Result};

/// The largest side of an image; keeps every product of sizes far from overflow.
const MAX_SIDE: usize = 1 << 15;

/// Size of one map of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// Number of its elements.
    pub fn count(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl Graph {
    /// What every node writes for an image of `height` x `width` pixels.
    ///
    /// # Errors
    ///
    /// [`Error::InputTooSmall`] where the strides leave nothing, [`Error::InputTooLarge`] above 32768 pixels a side.
    pub fn shapes(&self, height: usize, width: usize) -> Result<Vec<Shape>> {
        if height.max(width) > MAX_SIDE {
            return Err(Error::InputTooLarge { height, width, maximum: MAX_SIDE });
        }
        self.try_shapes(height, width).map_err(|node| Error::InputTooSmall {
            height,
            width,
            module: self.nodes()[node].name.clone(),
            minimum: (1..MAX_SIDE).find(|&side| self.try_shapes(side, side).is_ok()).unwrap_or(MAX_SIDE),
        })
    }

    /// The shapes, or the first node without an output.
    fn try_shapes(&self, height: usize, width: usize) -> std::result::Result<Vec<Shape>, usize> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes().len());
        for (id, node) in self.nodes().iter().enumerate() {
            let (h, w) =
                node.inputs.first().map_or((height, width), |&input| (shapes[input].height, shapes[input].width));
            let (h, w) = match &node.op {
                Op::Conv(conv) => windows((h, w), conv.kernel, conv.stride, conv.padding),
                Op::Pool(pool) => windows((h, w), pool.kernel, pool.stride, pool.padding),
                Op::GlobalAveragePool | Op::Linear => (1, 1),
                Op::Input | Op::Dropout(_) => (h, w),
            };
            if h == 0 || w == 0 {
                return Err(id);
            }
            shapes.push(Shape { channels: node.out_channels, height: h, width: w });
        }
        Ok(shapes)
    }
}

/// Rows and columns of windows that fit into a padded map.
fn windows((height, width): (usize, usize), kernel: usize, stride: usize, padding: Padding) -> (usize, usize) {
    let fit = |padded: usize| {
        if padded < kernel { 0 } else { (padded - kernel) / stride + 1 }
    };
    (fit(height + padding.top + padding.bottom), fit(width + padding.left + padding.right))
}

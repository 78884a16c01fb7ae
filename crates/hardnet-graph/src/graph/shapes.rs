//! Sizes of the maps for one size of image.

use std::fmt;

use serde::Serialize;

use super::{Graph, Node, NodeId};
use crate::error::{Error, Result};
use crate::op::Op;

/// The largest side of an image; keeps every product of sizes far from overflow.
const MAX_SIDE: usize = 1 << 15;

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

impl Shape {
    /// Number of its elements.
    pub fn count(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}x{}x{}", self.channels, self.height, self.width))
    }
}

/// Reason why shapes cannot be computed.
enum Failure {
    /// No window of this node fits.
    Empty(NodeId),
    Other(Error),
}

impl Graph {
    /// The shape of every node's map for an image of `height` x `width` pixels.
    ///
    /// # Errors
    ///
    /// [`Error::InputTooSmall`] where the strides leave nothing, [`Error::InputTooLarge`] above 32768 pixels a side,
    /// [`Error::SizesDiffer`] for maps of two sizes that are concatenated or added.
    pub fn shapes(&self, height: usize, width: usize) -> Result<Vec<Shape>> {
        if height.max(width) > MAX_SIDE {
            return Err(Error::InputTooLarge { height, width, maximum: MAX_SIDE });
        }
        self.try_shapes(height, width).map_err(|failure| match failure {
            Failure::Other(error) => error,
            Failure::Empty(node) => {
                let fits = |&side: &usize| !matches!(self.try_shapes(side, side), Err(Failure::Empty(_)));
                Error::InputTooSmall {
                    height,
                    width,
                    module: self.nodes[node].name.clone(),
                    minimum: (1..MAX_SIDE).find(fits).unwrap_or(MAX_SIDE),
                }
            }
        })
    }

    /// The shape of the concatenation that `node` reads, or of one of the maps that it adds; `shapes` are those of the
    /// nodes before it. The image reads itself.
    ///
    /// # Errors
    ///
    /// [`Error::SizesDiffer`].
    pub fn input_shape(&self, node: &Node, shapes: &[Shape]) -> Result<Shape> {
        let mut inputs = node.inputs.iter().map(|&input| shapes[input]);
        let Some(first) = inputs.next() else { return Ok(shapes[0]) };
        for other in inputs {
            let fits = match node.op {
                Op::Add => other == first,
                _ => (other.height, other.width) == (first.height, first.width),
            };
            if !fits {
                return Err(Error::SizesDiffer { layer: node.name.clone(), first, other });
            }
        }
        Ok(Shape { channels: node.in_channels, ..first })
    }

    fn try_shapes(&self, height: usize, width: usize) -> std::result::Result<Vec<Shape>, Failure> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            let (height, width) = match &node.op {
                Op::Input { .. } => (height, width),
                op => {
                    let input = self.input_shape(node, &shapes).map_err(Failure::Other)?;
                    let input = (input.height, input.width);
                    match op {
                        Op::Conv(conv) => conv.output_size(input),
                        Op::Pool(pool) => pool.output_size(input),
                        Op::AdaptiveAveragePool { rows, columns } => (*rows, *columns),
                        Op::Linear { .. } => (1, 1),
                        // An earlier node, as was checked when the graph was built.
                        Op::Upsample(upsample) => (shapes[upsample.like].height, shapes[upsample.like].width),
                        Op::Input { .. } | Op::Add | Op::Dropout(_) => input,
                    }
                }
            };
            if height == 0 || width == 0 {
                return Err(Failure::Empty(id));
            }
            shapes.push(Shape { channels: node.out_channels, height, width });
        }
        Ok(shapes)
    }

    /// Elements that a linear layer at `node` reads, if they do not depend on the size of the image.
    pub(super) fn features(&self, node: &Node) -> Option<usize> {
        node.inputs.iter().try_fold(0_usize, |sum, &input| {
            let features = self.pixels(input)?.checked_mul(self.nodes.get(input)?.out_channels)?;
            sum.checked_add(features)
        })
    }

    /// Pixels of the map of a node, if they do not depend on the size of the image.
    fn pixels(&self, id: NodeId) -> Option<usize> {
        let node = self.nodes.get(id)?;
        match &node.op {
            Op::AdaptiveAveragePool { rows, columns } => rows.checked_mul(*columns),
            Op::Linear { .. } => Some(1),
            Op::Upsample(upsample) => self.pixels(upsample.like),
            Op::Add | Op::Dropout(_) => self.pixels(*node.inputs.first()?),
            Op::Input { .. } | Op::Conv(_) | Op::Pool(_) => None,
        }
    }
}

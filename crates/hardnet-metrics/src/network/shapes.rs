//! Sizes of maps for one size of image.

use super::{Layer, Network, Op, Padding, Shape};
use crate::error::{Error, Result};

/// What a layer reads and writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shapes {
    /// The concatenation of its inputs; of `Add`, one of them.
    pub(crate) input: Shape,
    pub(crate) output: Shape,
}

impl Network {
    /// What every layer reads and writes for an image of `height` x `width` pixels.
    pub(crate) fn shapes(&self, height: usize, width: usize) -> Result<Vec<Shapes>> {
        let mut shapes: Vec<Shapes> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let shape = match layer.op {
                Op::Input(channels) => {
                    let image = Shape { channels, height, width };
                    Shapes { input: image, output: image }
                }
                _ => {
                    let input = layer.input(layer.inputs.iter().map(|&input| shapes[input].output))?;
                    Shapes { input, output: layer.output(input)? }
                }
            };
            let Shape { channels, height, width } = shape.output;
            if channels == 0 || height == 0 || width == 0 {
                return Err(Error::TooSmall { layer: layer.name.clone(), input: shape.input });
            }
            shapes.push(shape);
        }
        Ok(shapes)
    }
}

impl Layer {
    /// The concatenation of the inputs, or their common shape where they are added.
    fn input(&self, mut inputs: impl Iterator<Item = Shape>) -> Result<Shape> {
        let first = inputs.next().ok_or_else(|| Error::NoInputs { layer: self.name.clone() })?;
        inputs.try_fold(first, |whole, other| {
            let fits = match self.op {
                Op::Add => other == first,
                _ => (other.height, other.width) == (first.height, first.width),
            };
            if !fits {
                return Err(Error::SizesDiffer { layer: self.name.clone(), first, other });
            }
            let channels = match self.op {
                Op::Add => Some(first.channels),
                _ => whole.channels.checked_add(other.channels),
            };
            let channels = channels.ok_or_else(|| Error::TooLarge { layer: self.name.clone() })?;
            Ok(Shape { channels, ..whole })
        })
    }

    /// What the layer writes; a side is 0 where no window fits.
    fn output(&self, input: Shape) -> Result<Shape> {
        Ok(match &self.op {
            Op::Input(_) | Op::Add => input,
            Op::Conv(conv) => {
                for channels in [input.channels, conv.channels] {
                    if channels % conv.groups != 0 {
                        return Err(Error::Groups { layer: self.name.clone(), groups: conv.groups, channels });
                    }
                }
                let reach = |kernel: usize| (kernel - 1).saturating_mul(conv.dilation).saturating_add(1);
                let (rows, columns) = (reach(conv.kernel.0), reach(conv.kernel.1));
                let (height, width) = windows(input, (rows, columns), conv.stride, conv.padding, false);
                Shape { channels: conv.channels, height, width }
            }
            Op::Pool(pool) => {
                let window = (pool.kernel, pool.kernel);
                let (height, width) = windows(input, window, pool.stride, pool.padding, pool.ceil);
                Shape { height, width, ..input }
            }
            Op::Mean(height, width) => Shape { height: *height, width: *width, ..input },
            Op::Linear(channels) => Shape { channels: *channels, height: 1, width: 1 },
        })
    }
}

/// Rows and columns of windows that fit into a padded map.
fn windows(map: Shape, window: (usize, usize), stride: usize, padding: Padding, ceil: bool) -> (usize, usize) {
    let fit = |side: usize, window: usize, before: usize, after: usize| {
        let padded = side.saturating_add(before).saturating_add(after);
        let Some(room) = padded.checked_sub(window) else { return 0 };
        let whole = room / stride + 1;
        // As PyTorch: a further window counts if it starts within the map or the padding before it.
        let further = ceil && room % stride != 0 && whole * stride < side + before;
        whole + usize::from(further)
    };
    (fit(map.height, window.0, padding.top, padding.bottom), fit(map.width, window.1, padding.left, padding.right))
}

//! The layers of a network under construction, checked as they are added, for inference and training alike.

use hardnet_graph::{Conv, Grouping, Padding, Pool};

use crate::error::{Error, Result, Unsupported};
use crate::map::{FeatureMap, Size};
use crate::ops::depthwise;

/// Values of a map at most: far from overflow of an address with any halo, in the transform domain, and in the bytes of a batch of some
/// thousand images.
const MAX_VALUES: usize = isize::MAX as usize >> 16;

/// The image, the first map of every network.
pub(crate) const IMAGE: usize = 0;

/// The operation that computes a map.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Image,
    Conv { inputs: Vec<usize>, kernel: usize, stride: usize, padding: Padding },
    Depthwise { input: usize, stride: usize, padding: Padding },
    Pool { input: usize, pool: Pool },
    Mean { input: usize },
    Dropout { input: usize, layer: u64, first: usize, channels: usize, probability: f64 },
    Linear { input: usize },
}

impl Op {
    /// The maps that it reads.
    pub(crate) fn inputs(&self) -> &[usize] {
        match self {
            Self::Image => &[],
            Self::Conv { inputs, .. } => inputs,
            Self::Depthwise { input, .. }
            | Self::Pool { input, .. }
            | Self::Mean { input }
            | Self::Dropout { input, .. }
            | Self::Linear { input } => std::slice::from_ref(input),
        }
    }
}

/// A layer that was checked: its input, the map that it writes and its operation.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// The concatenation of its inputs.
    pub(crate) input: Size,
    pub(crate) size: Size,
    pub(crate) op: Op,
}

impl Layer {
    /// Weights of each output channel.
    pub(crate) fn weights_per_output(&self) -> usize {
        match &self.op {
            Op::Conv { kernel, .. } => self.input.channels * kernel * kernel,
            Op::Depthwise { .. } => depthwise::TAPS,
            Op::Linear { .. } => self.input.channels,
            Op::Image | Op::Pool { .. } | Op::Mean { .. } | Op::Dropout { .. } => 0,
        }
    }

    /// Weights.
    pub(crate) fn weights(&self) -> usize {
        self.size.channels * self.weights_per_output()
    }
}

/// A layer with what lowering needs of it.
#[derive(Clone, Debug)]
pub(crate) struct Node<T> {
    pub(crate) layer: Layer,
    pub(crate) data: T,
}

/// The layers of a network, each of which reads earlier ones.
#[derive(Clone, Debug)]
pub(crate) struct Layers<T> {
    nodes: Vec<Node<T>>,
    dropouts: u64,
}

impl<T> Layers<T> {
    /// The image alone.
    pub(crate) fn new(size: Size, data: T) -> Result<Self> {
        let mut layers = Self { nodes: Vec::new(), dropouts: 0 };
        layers.push(Layer { input: size, size, op: Op::Image }, data)?;
        Ok(layers)
    }

    /// The layers, of which the first is the image.
    pub(crate) fn nodes(&self) -> &[Node<T>] {
        &self.nodes
    }

    /// Adds a layer that was checked.
    pub(crate) fn push(&mut self, layer: Layer, data: T) -> Result<FeatureMap> {
        let Size { channels, height, width } = layer.size;
        let values = channels.checked_mul(height).and_then(|values| values.checked_mul(width));
        if values.is_none_or(|values| values == 0 || values > MAX_VALUES) {
            return Err(Error::Size { channels, height, width });
        }
        self.nodes.push(Node { layer, data });
        Ok(FeatureMap(self.nodes.len() - 1))
    }

    /// The size of a map.
    pub(crate) fn size(&self, map: FeatureMap) -> Result<Size> {
        self.nodes.get(map.0).map(|node| node.layer.size).ok_or(Error::UnknownMap(map.0))
    }

    /// The size of maps concatenated.
    pub(crate) fn concatenation(&self, maps: &[FeatureMap]) -> Result<Size> {
        let mut whole = self.size(*maps.first().ok_or(Error::NoInputs)?)?;
        for &map in &maps[1..] {
            let size = self.size(map)?;
            let (first, other) = ((whole.height, whole.width), (size.height, size.width));
            if first != other {
                return Err(Error::SizesDiffer { first, other });
            }
            whole.channels += size.channels;
        }
        Ok(whole)
    }

    /// Checks a convolution of the concatenation of `inputs`, dense or depthwise.
    pub(crate) fn conv(&self, inputs: &[FeatureMap], conv: &Conv) -> Result<Layer> {
        let input = self.concatenation(inputs)?;
        let kernel = conv.square_kernel().filter(|_| conv.dilation == 1);
        let Some(kernel) = kernel else { return Err(Unsupported::Conv(*conv).into()) };
        let (stride, padding) = (conv.stride, conv.padding);
        let (height, width) = windows(input, kernel, stride, padding, conv.output_size((input.height, input.width)))?;
        let size = Size { channels: conv.channels, height, width };
        let op = match conv.grouping {
            Grouping::Dense => {
                if inputs.len() > 1 && inputs.contains(&FeatureMap(IMAGE)) {
                    return Err(Unsupported::ImageBesideMaps.into());
                }
                Op::Conv { inputs: inputs.iter().map(|map| map.0).collect(), kernel, stride, padding }
            }
            Grouping::Depthwise if kernel == depthwise::SIDE && (1..=2).contains(&stride) => {
                let (input, size) = self.single(inputs)?;
                if size.channels != conv.channels {
                    return Err(Unsupported::Conv(*conv).into());
                }
                Op::Depthwise { input, stride, padding }
            }
            _ => return Err(Unsupported::Conv(*conv).into()),
        };
        Ok(Layer { input, size, op })
    }

    /// Checks a pool.
    pub(crate) fn pool(&self, input: FeatureMap, pool: &Pool) -> Result<Layer> {
        let (at, input) = self.single(&[input])?;
        if pool.ceil {
            return Err(Unsupported::CeilPool.into());
        }
        let output = pool.output_size((input.height, input.width));
        let (height, width) = windows(input, pool.kernel, pool.stride, pool.padding, output)?;
        Ok(Layer { input, size: Size { height, width, ..input }, op: Op::Pool { input: at, pool: *pool } })
    }

    /// Checks a mean of every channel.
    pub(crate) fn mean(&self, input: FeatureMap) -> Result<Layer> {
        let (at, input) = self.single(&[input])?;
        Ok(Layer { input, size: Size { height: 1, width: 1, ..input }, op: Op::Mean { input: at } })
    }

    /// Checks a linear layer.
    pub(crate) fn linear(&self, input: FeatureMap, channels: usize) -> Result<Layer> {
        let (at, input) = self.single(&[input])?;
        if (input.height, input.width) != (1, 1) {
            return Err(Unsupported::LinearOfPixels { height: input.height, width: input.width }.into());
        }
        Ok(Layer { input, size: Size { channels, ..input }, op: Op::Linear { input: at } })
    }

    /// Checks dropout of the concatenation of `inputs`: a layer for each.
    pub(crate) fn dropout(&mut self, inputs: &[FeatureMap], probability: f64) -> Result<Vec<Layer>> {
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::Probability(probability));
        }
        let inputs = inputs.iter().map(|&input| self.single(&[input])).collect::<Result<Vec<_>>>()?;
        let channels = inputs.iter().map(|(_, size)| size.channels).sum();
        let layer = self.dropouts;
        self.dropouts += 1;
        let mut first = 0;
        let dropouts = inputs.into_iter().map(|(input, size)| {
            let op = Op::Dropout { input, layer, first, channels, probability };
            first += size.channels;
            Layer { input: size, size, op }
        });
        Ok(dropouts.collect())
    }

    /// The one map of `inputs`, other than the image.
    fn single(&self, inputs: &[FeatureMap]) -> Result<(usize, Size)> {
        let &[map] = inputs else { return Err(Unsupported::SeveralInputs.into()) };
        if map.0 == IMAGE {
            return Err(Unsupported::ImageInput.into());
        }
        Ok((map.0, self.size(map)?))
    }
}

/// The rows and columns of a window's output, `output`, where windows fit a map of `size`.
fn windows(
    size: Size,
    kernel: usize,
    stride: usize,
    padding: Padding,
    output: (usize, usize),
) -> Result<(usize, usize)> {
    let Padding { top, bottom, left, right } = padding;
    let inside = [top, bottom, left, right].iter().all(|&padding| padding < kernel);
    if !inside || output.0 == 0 || output.1 == 0 {
        let padded = |length: usize, before: usize, after: usize| length.saturating_add(before).saturating_add(after);
        let (height, width) = (padded(size.height, top, bottom), padded(size.width, left, right));
        return Err(Error::Window { kernel, stride, height, width });
    }
    Ok(output)
}

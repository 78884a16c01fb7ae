//! The layers of a network under construction, checked as they are added, for inference and training alike.

use hardnet_graph::{Alignment, Conv, Grouping, Padding, Pool};

use crate::error::{Error, Result, Unsupported};
use crate::map::{FeatureMap, Shape};
use crate::ops::depthwise;

/// Values of a map at most: far from overflow of an address with any halo, in the transform domain, and in the bytes of
/// a batch of some thousand images; of some dozen where addresses have 32 bits.
const MAX_VALUES: usize = isize::MAX as usize >> if usize::BITS < 64 { 8 } else { 16 };

/// The image, the first map of every network.
pub(crate) const IMAGE: usize = 0;

/// The operation that computes a map.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Image,
    Conv {
        inputs: Vec<usize>,
        kernel: usize,
        stride: usize,
        padding: Padding,
    },
    Depthwise {
        input: usize,
        stride: usize,
        padding: Padding,
    },
    Pool {
        input: usize,
        pool: Pool,
    },
    Mean {
        input: usize,
    },
    Upsample {
        input: usize,
        alignment: Alignment,
    },
    Dropout {
        input: usize,
        layer: u64,
        first: usize,
        channels: usize,
        probability: f64,
    },
    Linear {
        input: usize,
    },
    /// A map of the same values as bytes, or back.
    Convert {
        input: usize,
    },
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
            | Self::Upsample { input, .. }
            | Self::Dropout { input, .. }
            | Self::Linear { input }
            | Self::Convert { input } => std::slice::from_ref(input),
        }
    }
}

/// A layer that was checked: its input, the map that it writes and its operation.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// The concatenation of its inputs.
    pub(crate) input: Shape,
    pub(crate) size: Shape,
    pub(crate) op: Op,
}

impl Layer {
    /// Weights of each output channel.
    pub(crate) fn weights_per_output(&self) -> usize {
        match &self.op {
            Op::Conv { kernel, .. } => self.input.channels * kernel * kernel,
            Op::Depthwise { .. } => depthwise::TAPS,
            Op::Linear { .. } => self.input.channels,
            Op::Image
            | Op::Pool { .. }
            | Op::Mean { .. }
            | Op::Upsample { .. }
            | Op::Dropout { .. }
            | Op::Convert { .. } => 0,
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

/// The layers of a network; each reads earlier ones.
#[derive(Clone, Debug)]
pub(crate) struct Layers<T> {
    nodes: Vec<Node<T>>,
    dropouts: u64,
}

impl<T> Layers<T> {
    /// The image alone.
    pub(crate) fn new(size: Shape, data: T) -> Result<Self> {
        let mut layers = Self { nodes: Vec::new(), dropouts: 0 };
        layers.push(Layer { input: size, size, op: Op::Image }, data)?;
        Ok(layers)
    }

    /// The layers; the first is the image.
    pub(crate) fn nodes(&self) -> &[Node<T>] {
        &self.nodes
    }

    /// Adds a layer that was checked.
    pub(crate) fn push(&mut self, layer: Layer, data: T) -> Result<FeatureMap> {
        let Shape { channels, height, width } = layer.size;
        let values = channels.checked_mul(height).and_then(|values| values.checked_mul(width));
        if values.is_none_or(|values| values == 0 || values > MAX_VALUES) {
            return Err(Error::Size { channels, height, width });
        }
        self.nodes.push(Node { layer, data });
        Ok(FeatureMap(self.nodes.len() - 1))
    }

    /// The size of a map.
    pub(crate) fn size(&self, map: FeatureMap) -> Result<Shape> {
        self.nodes.get(map.0).map(|node| node.layer.size).ok_or(Error::UnknownMap(map.0))
    }

    /// The size of maps concatenated.
    pub(crate) fn concatenation(&self, maps: &[FeatureMap]) -> Result<Shape> {
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
        let conv = &conv.on((input.height, input.width));
        let kernel = conv.square_kernel().filter(|_| conv.dilation == 1);
        let Some(kernel) = kernel else { return Err(Unsupported::Conv(*conv).into()) };
        let (stride, padding) = (conv.stride, conv.padding);
        let (height, width) = windows(input, kernel, stride, padding, conv.output_size((input.height, input.width)))?;
        let size = Shape { channels: conv.channels, height, width };
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
        Ok(Layer { input, size: Shape { height, width, ..input }, op: Op::Pool { input: at, pool: *pool } })
    }

    /// Checks a mean of every channel.
    pub(crate) fn mean(&self, input: FeatureMap) -> Result<Layer> {
        let (at, input) = self.single(&[input])?;
        Ok(Layer { input, size: Shape { height: 1, width: 1, ..input }, op: Op::Mean { input: at } })
    }

    /// Checks an interpolation to a number of rows and columns.
    pub(crate) fn upsample(&self, input: FeatureMap, size: (usize, usize), alignment: Alignment) -> Result<Layer> {
        let (at, input) = self.single(&[input])?;
        let size = Shape { height: size.0, width: size.1, ..input };
        Ok(Layer { input, size, op: Op::Upsample { input: at, alignment } })
    }

    /// Checks a linear layer.
    pub(crate) fn linear(&self, input: FeatureMap, channels: usize) -> Result<Layer> {
        let (at, input) = self.single(&[input])?;
        if (input.height, input.width) != (1, 1) {
            return Err(Unsupported::LinearOfPixels { height: input.height, width: input.width }.into());
        }
        Ok(Layer { input, size: Shape { channels, ..input }, op: Op::Linear { input: at } })
    }

    /// Checks a conversion of a map between f32 and bytes.
    pub(crate) fn convert(&self, input: FeatureMap) -> Result<Layer> {
        let (at, input) = self.single(&[input])?;
        Ok(Layer { input, size: input, op: Op::Convert { input: at } })
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
    fn single(&self, inputs: &[FeatureMap]) -> Result<(usize, Shape)> {
        let &[map] = inputs else { return Err(Unsupported::SeveralInputs.into()) };
        if map.0 == IMAGE {
            return Err(Unsupported::ImageInput.into());
        }
        Ok((map.0, self.size(map)?))
    }
}

/// The rows and columns of a window's output, `output`, where windows fit a map of `size`.
fn windows(
    size: Shape,
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

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Shape = Shape { channels: 3, height: 8, width: 6 };

    /// The image, and a map of 4 channels of the same size.
    fn layers() -> (Layers<()>, FeatureMap, FeatureMap) {
        let mut layers = Layers::new(SIZE, ()).unwrap();
        let image = FeatureMap(IMAGE);
        let conv = layers.conv(&[image], &Conv::new(4, 3)).unwrap();
        let map = layers.push(conv, ()).unwrap();
        (layers, image, map)
    }

    fn unsupported<T>(result: Result<T>) -> Unsupported {
        match result {
            Err(Error::Unsupported(unsupported)) => unsupported,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it is supported"),
        }
    }

    #[test]
    fn convolutions_without_a_kernel_are_refused() {
        let (layers, image, map) = layers();
        for conv in [
            Conv::new(4, 3).kernel(3, 1),
            Conv::new(4, 3).dilation(2),
            Conv::new(4, 3).groups(2),
            Conv::depthwise(4).stride(3),
            Conv::depthwise(4).kernel(5, 5),
            // The map has 4 channels.
            Conv::depthwise(5),
        ] {
            assert_eq!(unsupported(layers.conv(&[map], &conv)), Unsupported::Conv(conv));
        }
        let three = Conv::new(4, 3);
        assert_eq!(unsupported(layers.conv(&[image, map], &three)), Unsupported::ImageBesideMaps);
        assert_eq!(unsupported(layers.conv(&[image], &Conv::depthwise(3))), Unsupported::ImageInput);
        assert_eq!(unsupported(layers.conv(&[map, map], &Conv::depthwise(4))), Unsupported::SeveralInputs);
    }

    #[test]
    fn other_layers_without_a_kernel_are_refused() {
        let (mut layers, image, map) = layers();
        assert_eq!(unsupported(layers.pool(map, &Pool::max(3, 2).ceil())), Unsupported::CeilPool);
        assert_eq!(unsupported(layers.pool(image, &Pool::max(2, 2))), Unsupported::ImageInput);
        assert_eq!(unsupported(layers.mean(image)), Unsupported::ImageInput);
        let (height, width) = (SIZE.height, SIZE.width);
        assert_eq!(unsupported(layers.linear(map, 5)), Unsupported::LinearOfPixels { height, width });
        for probability in [-0.5, 1.0, f64::NAN] {
            assert!(matches!(layers.dropout(&[map], probability), Err(Error::Probability(_))), "{probability}");
        }
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        let (layers, _, map) = layers();
        let conv = Conv::new(4, 1);
        for conv in [
            conv.kernel(0, 0),
            conv.stride(0),
            // The map has 6 columns; padding is less than a window.
            conv.kernel(7, 7),
            conv.padding(Padding::all(1)),
            conv.padding(Padding::all(usize::MAX)),
        ] {
            assert!(matches!(layers.conv(&[map], &conv), Err(Error::Window { .. })), "{conv:?}");
        }
    }

    #[test]
    fn maps_that_do_not_fit_together_are_refused() {
        let (mut layers, _, map) = layers();
        let pool = layers.pool(map, &Pool::max(2, 2)).unwrap();
        let half = layers.push(pool, ()).unwrap();
        let conv = Conv::new(4, 3);
        assert!(matches!(layers.conv(&[], &conv), Err(Error::NoInputs)));
        assert!(matches!(layers.conv(&[FeatureMap(9)], &conv), Err(Error::UnknownMap(9))));
        let error = layers.conv(&[map, half], &conv).unwrap_err();
        assert!(matches!(error, Error::SizesDiffer { first: (8, 6), other: (4, 3) }), "{error}");
    }

    #[test]
    fn empty_and_huge_maps_are_refused() {
        for size in
            [Shape { channels: 0, ..SIZE }, Shape { height: 1 << 44, ..SIZE }, Shape { width: usize::MAX, ..SIZE }]
        {
            assert!(matches!(Layers::new(size, ()), Err(Error::Size { .. })), "{size:?}");
        }
        let (mut layers, _, map) = layers();
        let conv = layers.conv(&[map], &Conv::new(0, 3)).unwrap();
        assert!(matches!(layers.push(conv, ()), Err(Error::Size { .. })));
    }
}

//! Layers of maps of bytes.

use hardnet_graph::{Alignment, Conv, Padding, Pool};
use hardnet_simd::BYTE_LANES;

use super::inference::{Builder, Data};
use super::layers::{Layer, Node, Op};
use crate::algorithm::Algorithm;
use crate::error::{Error, Result, Unsupported};
use crate::gemm::Clamp;
use crate::inference::step::Step;
use crate::map::{Element, FeatureMap, Layout};
use crate::ops::conv::direct::ConvInput;
use crate::ops::quantized::conv::ByteConv;
use crate::ops::quantized::convert::Convert;
use crate::ops::quantized::depthwise::ByteDepthwise;
use crate::ops::quantized::pack::{self, ByteInput};
use crate::ops::quantized::pool::{ByteMean, BytePool};
use crate::ops::quantized::upsample::ByteUpsampling;
use crate::ops::quantized::winograd::{self, ByteTile, ByteWinograd};
use crate::quantization::{Quantization, QuantizedFilter};

impl Builder {
    /// Says how many images the program will compute at once, 1 unless it is called: algorithms of the layers of bytes
    /// that are added after it are chosen for so many. Results are the same, to the last bit.
    pub fn expect_images(&mut self, images: usize) {
        self.images = images;
    }

    /// Adds a convolution of bytes: of the concatenation of `inputs`, maps of bytes of one scale, with bounds `clamp`,
    /// to a map of bytes of `output`, of f32 if there is none.
    ///
    /// ```
    /// use hardnet_kernels::{Algorithm, Builder, Clamp, Conv, Filter, Isa, Quantization, QuantizedFilter, Shape};
    ///
    /// # fn main() -> Result<(), hardnet_kernels::Error> {
    /// let size = Shape { channels: 3, height: 8, width: 8 };
    /// let (mut builder, image) = Builder::new(Isa::best(), 1, size)?;
    /// let filter = Filter { weights: &[0.5; 4 * 3], scale: &[1.0; 4], bias: &[0.0; 4] };
    /// let map = builder.conv(&[image], &Conv::new(4, 1), Clamp::RELU6, Algorithm::Direct, &filter)?;
    /// let sixths = Quantization { scale: 6.0 / 255.0, zero_point: 0 };
    /// let map = builder.quantize(map, sixths)?;
    /// // Weights of 10 units of 0.01.
    /// let scale = sixths.scale * 0.01;
    /// let filter = QuantizedFilter { weights: &[10; 2 * 4 * 9], scale: &[scale; 2], bias: &[0.0; 2] };
    /// let map = builder.quantized_conv(&[map], &Conv::new(2, 3), Clamp::RELU6, Some(sixths), &filter)?;
    /// let mut program = builder.finish(&[map], 1)?;
    /// let mut output = vec![0.0; 2 * 64];
    /// program.run(&[vec![1.0; size.count()]], &mut output)?;
    /// // Nine taps of four channels of 1.5 by 0.1.
    /// assert!((output[9] - 36.0 * 1.5 * 0.1).abs() < 0.03, "{}", output[9]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Builder::conv`]; [`Unsupported::FloatInput`] for a map of f32, [`Error::ScalesDiffer`] for maps of
    /// different scales, [`Error::SumOverflow`] for weights whose sums may not fit 32 bits, [`Error::Scale`] and
    /// [`Error::NotFinite`] for numbers that are not finite.
    pub fn quantized_conv(
        &mut self,
        inputs: &[FeatureMap],
        conv: &Conv,
        clamp: Clamp,
        output: Option<Quantization>,
        filter: &QuantizedFilter<'_>,
    ) -> Result<FeatureMap> {
        let layer = self.layers.conv(inputs, conv)?;
        check(filter, &layer)?;
        if let Some(output) = output {
            output.check()?;
        }
        let mut read = Vec::with_capacity(inputs.len());
        let mut scale = None;
        for &input in inputs {
            let Some(quantization) = self.quantization(input)? else { return Err(Unsupported::FloatInput.into()) };
            let (first, other) = (*scale.get_or_insert(quantization.scale), quantization.scale);
            if first != other {
                return Err(Error::ScalesDiffer { first, other });
            }
            read.push(ByteInput { channels: self.size(input)?.channels, zero_point: quantization.zero_point });
        }
        let mut algorithm = Algorithm::Direct;
        let tiles: &[ByteTile] = match layer.op {
            Op::Conv { kernel: 3, stride: 1, padding, .. } if padding == Padding::all(1) && output.is_some() => {
                let channels = (layer.input.channels, layer.size.channels);
                winograd::choose(self.isa, channels, layer.size, self.images)
            }
            _ => &[],
        };
        let tile = tiles.iter().copied().find(|&tile| winograd::fits(tile, filter, &read));
        let (filter, kernel) = match layer.op {
            Op::Conv { .. } if tile.is_some() => {
                let tile = tile.unwrap_or(ByteTile::Two);
                algorithm = tile.algorithm();
                let packed = pack::winograd(self.isa, tile, filter, &read, (output, clamp), &mut self.weights)?;
                (packed, if tile == ByteTile::Two { "winograd-2x2-int8" } else { "winograd-4x4-int8" })
            }
            Op::Conv { kernel, .. } => {
                let panels = pack::panels(self.isa, layer.size.channels.div_ceil(BYTE_LANES));
                let inputs = (&read[..], kernel * kernel);
                let packed = pack::dense(self.isa, filter, inputs, &panels, (output, clamp), &mut self.weights)?;
                (packed, "direct-int8")
            }
            _ => {
                let zero_point = read[0].zero_point;
                let packed = pack::depthwise(self.isa, filter, zero_point, (output, clamp), &mut self.weights)?;
                (packed, "depthwise-int8")
            }
        };
        let element = output.map_or(Element::F32, Element::U8);
        self.push(layer, Data { bytes: Some(filter), element, algorithm, ..self.without_weights() }, kernel)
    }

    /// Adds a map of bytes of the same values, rounded, where `input` is a map of f32.
    ///
    /// # Errors
    ///
    /// [`Error::Scale`] for a scale that is not positive, [`Error::Unsupported`] for the image and for a map of bytes.
    pub fn quantize(&mut self, input: FeatureMap, quantization: Quantization) -> Result<FeatureMap> {
        quantization.check()?;
        if self.quantization(input)?.is_some() {
            return Err(Unsupported::ByteInput.into());
        }
        let layer = self.layers.convert(input)?;
        self.push(layer, Data { element: Element::U8(quantization), ..self.without_weights() }, "quantize")
    }

    /// Adds a map of f32 of the same values, where `input` is a map of bytes.
    ///
    /// # Errors
    ///
    /// [`Unsupported::FloatInput`] for a map of f32.
    pub fn dequantize(&mut self, input: FeatureMap) -> Result<FeatureMap> {
        if self.quantization(input)?.is_none() {
            return Err(Unsupported::FloatInput.into());
        }
        let layer = self.layers.convert(input)?;
        self.push(layer, self.without_weights(), "dequantize")
    }

    /// How the bytes of a map are read; none for a map of f32.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownMap`] for a map of another builder.
    pub fn quantization(&self, map: FeatureMap) -> Result<Option<Quantization>> {
        let node = self.layers.nodes().get(map.0).ok_or(Error::UnknownMap(map.0))?;
        Ok(match node.data.element {
            Element::F32 => None,
            Element::U8(quantization) => Some(quantization),
        })
    }

    /// Adds the pool of a map of bytes to a map of the same quantization; means are rounded half to even.
    pub(super) fn byte_pool(&mut self, input: FeatureMap, pool: &Pool, read: Quantization) -> Result<FeatureMap> {
        let layer = self.layers.pool(input, pool)?;
        self.push(layer, Data { element: Element::U8(read), ..self.without_weights() }, "pool-int8")
    }

    /// Adds the interpolation of a map of bytes to a map of the same quantization, rounded half to even.
    pub(super) fn byte_upsample(
        &mut self,
        input: FeatureMap,
        size: (usize, usize),
        alignment: Alignment,
        read: Quantization,
    ) -> Result<FeatureMap> {
        let layer = self.layers.upsample(input, size, alignment)?;
        self.push(layer, Data { element: Element::U8(read), ..self.without_weights() }, "upsample-int8")
    }

    /// The step of a layer that reads or writes bytes and is not fused; none for a layer of f32.
    pub(super) fn byte_step(
        &self,
        node: &Node<Data>,
        output: Layout,
        layouts: &[Layout],
        images: usize,
    ) -> Option<Step> {
        let Node { layer, data } = node;
        let inputs: Vec<Layout> = layer.op.inputs().iter().map(|&map| layouts[map]).collect();
        let read = inputs.first().map_or(Element::F32, |input| input.element);
        Some(match (&layer.op, data.bytes, read) {
            (Op::Conv { .. }, Some(filter), _) if data.algorithm != Algorithm::Direct => {
                let tile = if data.algorithm == Algorithm::Winograd2 { ByteTile::Two } else { ByteTile::Four };
                let machine = (self.isa, self.pool.size());
                Step::ByteWinograd(ByteWinograd::new(machine, tile, &inputs, output, filter, images))
            }
            (&Op::Conv { kernel, stride, padding, .. }, Some(filter), _) => {
                let inputs: Vec<ConvInput> =
                    inputs.into_iter().map(|layout| ConvInput { layout, kernel, padding }).collect();
                let machine = (self.isa, self.pool.size());
                Step::ByteConv(ByteConv::new(machine, &inputs, stride, output, filter, images))
            }
            (&Op::Depthwise { stride, padding, .. }, Some(filter), _) => {
                Step::ByteDepthwise(ByteDepthwise::new(self.isa, inputs[0], output, (stride, padding), filter))
            }
            (Op::Pool { pool, .. }, _, Element::U8(Quantization { zero_point, .. })) => {
                Step::BytePool(BytePool::new(inputs[0], output, pool, zero_point))
            }
            (&Op::Upsample { alignment, .. }, _, Element::U8(_)) => {
                Step::ByteUpsample(ByteUpsampling::new(self.isa, inputs[0], output, alignment))
            }
            (Op::Mean { .. }, _, Element::U8(quantization)) => {
                Step::ByteMean(ByteMean::new(inputs[0], output, quantization))
            }
            (Op::Convert { .. }, _, _) => {
                let ((Element::U8(quantization), _) | (_, Element::U8(quantization))) = (read, output.element) else {
                    return None;
                };
                Step::Convert(Convert::new(self.isa, inputs[0], output, quantization))
            }
            _ => return None,
        })
    }
}

impl Data {
    /// The algorithm, of a convolution of f32.
    pub(super) fn float_algorithm(&self) -> Option<Algorithm> {
        (self.bytes.is_none() && self.element == Element::F32).then_some(self.algorithm)
    }
}

fn check(filter: &QuantizedFilter<'_>, layer: &Layer) -> Result<()> {
    let channels = layer.size.channels;
    let parts = [
        ("the filter's weights", filter.weights.len(), layer.weights()),
        ("the filter's scale", filter.scale.len(), channels),
        ("the filter's bias", filter.bias.len(), channels),
    ];
    match parts.into_iter().find(|(_, found, expected)| found != expected) {
        Some((what, found, expected)) => Err(Error::Filter { what, expected, found }),
        None => Ok(()),
    }
}

//! The layers by their definitions, in f64.

mod layer;

use hardnet_kernels::{Algorithm, Alignment, Builder, FeatureMap, Filter, Padding, Pool, PoolKind};
use layer::bilinear_weight;
pub(crate) use layer::{Conv, Depthwise};

impl Conv {
    /// Adds the convolution of `inputs` to a program.
    pub(crate) fn add(
        &self,
        builder: &mut Builder,
        inputs: &[FeatureMap],
        algorithm: Algorithm,
        filter: &Filter<'_>,
    ) -> FeatureMap {
        builder.conv(inputs, &self.layer(), self.clamp, algorithm, filter).unwrap()
    }
}

impl Depthwise {
    /// Adds the convolution of `input` to a program.
    pub(crate) fn add(&self, builder: &mut Builder, input: FeatureMap, filter: &Filter<'_>) -> FeatureMap {
        let channels = builder.size(input).unwrap().channels;
        builder.conv(&[input], &self.layer(channels), self.clamp, Algorithm::Direct, filter).unwrap()
    }
}

/// `[channels, height, width]`.
pub(crate) struct Tensor {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<f64>,
}

impl Tensor {
    pub(crate) fn new(channels: usize, height: usize, width: usize, values: &[f32]) -> Self {
        Self { channels, height, width, values: values.iter().copied().map(f64::from).collect() }
    }

    pub(crate) fn concatenation(parts: &[Tensor]) -> Self {
        let (height, width) = (parts[0].height, parts[0].width);
        let channels = parts.iter().map(|part| part.channels).sum();
        Self { channels, height, width, values: parts.iter().flat_map(|part| part.values.clone()).collect() }
    }

    /// The value in a row and column that may lie outside.
    fn get(&self, channel: usize, y: isize, x: isize) -> Option<f64> {
        let inside = (0..self.height as isize).contains(&y) && (0..self.width as isize).contains(&x);
        inside.then(|| self.values[(channel * self.height + y as usize) * self.width + x as usize])
    }

    /// A tensor whose values are `value(channel, first row of the window, first column)`.
    fn windows(
        &self,
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: Padding,
        value: impl Fn(usize, isize, isize) -> f64,
    ) -> Self {
        let height = (self.height + padding.top + padding.bottom - kernel) / stride + 1;
        let width = (self.width + padding.left + padding.right - kernel) / stride + 1;
        let mut values = Vec::new();
        for channel in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let first = |at: usize, padding: usize| (at * stride) as isize - padding as isize;
                    values.push(value(channel, first(y, padding.top), first(x, padding.left)));
                }
            }
        }
        Self { channels, height, width, values }
    }
}

fn clamp(value: f64, low: f32, high: f32) -> f64 {
    value.max(f64::from(low)).min(f64::from(high))
}

pub(crate) fn conv(input: &Tensor, filter: &Filter<'_>, conv: &Conv) -> Tensor {
    let kernel = conv.kernel;
    input.windows(conv.channels, kernel, conv.stride, conv.padding, |channel, y, x| {
        let mut sum = 0.0;
        for source in 0..input.channels {
            for i in 0..kernel {
                for j in 0..kernel {
                    let at = ((channel * input.channels + source) * kernel + i) * kernel + j;
                    let value = input.get(source, y + i as isize, x + j as isize).unwrap_or(0.0);
                    sum += f64::from(filter.weights[at]) * value;
                }
            }
        }
        clamp(sum * filter.scale[channel] + filter.bias[channel], conv.clamp.low, conv.clamp.high)
    })
}

pub(crate) fn depthwise(input: &Tensor, filter: &Filter<'_>, conv: &Depthwise) -> Tensor {
    input.windows(input.channels, 3, conv.stride, conv.padding, |channel, y, x| {
        let mut sum = 0.0;
        for i in 0..3 {
            for j in 0..3 {
                let value = input.get(channel, y + i as isize, x + j as isize).unwrap_or(0.0);
                sum += f64::from(filter.weights[channel * 9 + i * 3 + j]) * value;
            }
        }
        clamp(sum * filter.scale[channel] + filter.bias[channel], conv.clamp.low, conv.clamp.high)
    })
}

pub(crate) fn pool(input: &Tensor, pool: &Pool) -> Tensor {
    input.windows(input.channels, pool.kernel, pool.stride, pool.padding, |channel, y, x| {
        let side = 0..pool.kernel as isize;
        let values = side.clone().flat_map(|i| side.clone().map(move |j| (i, j)));
        let values = values.filter_map(|(i, j)| input.get(channel, y + i, x + j));
        match pool.kind {
            PoolKind::Max => values.fold(f64::NEG_INFINITY, f64::max),
            _ => values.sum::<f64>() / (pool.kernel * pool.kernel) as f64,
        }
    })
}

pub(crate) fn mean(input: &Tensor) -> Tensor {
    let pixels = input.height * input.width;
    let values = input.values.chunks(pixels).map(|plane| plane.iter().sum::<f64>() / pixels as f64).collect();
    Tensor { channels: input.channels, height: 1, width: 1, values }
}

pub(crate) fn upsample(input: &Tensor, (height, width): (usize, usize), alignment: Alignment) -> Tensor {
    let mut values = Vec::new();
    for plane in input.values.chunks(input.height * input.width) {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let pixel = |(at, value): (usize, &f64)| {
                let row = bilinear_weight(alignment, (y, height), (at / input.width, input.height));
                row * bilinear_weight(alignment, (x, width), (at % input.width, input.width)) * value
            };
            values.push(plane.iter().enumerate().map(pixel).sum());
        }
    }
    Tensor { channels: input.channels, height, width, values }
}

/// Values in [-1, 1), every eighth of them zero.
pub(crate) fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|at| if at % 8 == 5 { 0.0 } else { next() }).collect()
}

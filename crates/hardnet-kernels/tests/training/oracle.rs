//! Networks in training by their definitions, in f64.

use hardnet_kernels::training::dropout_keeps;
use hardnet_kernels::{Alignment, Clamp, Padding, Pool, PoolKind, Shape};

#[path = "../oracle/layer.rs"]
mod layer;
use layer::bilinear_weight;
pub(crate) use layer::{Conv, Depthwise};

/// A layer and the layers that it reads; 0 is the image, the first layer is 1.
#[derive(Clone)]
pub(crate) enum Layer {
    Conv(Vec<usize>, Conv),
    Depthwise(usize, Depthwise),
    Pool(usize, Pool),
    Mean(usize),
    Upsample(usize, (usize, usize), Alignment),
    Dropout(Vec<usize>, f64),
    Linear(usize, usize),
}

pub(crate) struct Network {
    pub(crate) images: usize,
    pub(crate) size: Shape,
    pub(crate) layers: Vec<Layer>,
    pub(crate) outputs: Vec<usize>,
}

/// `[N, channels, height, width]`.
#[derive(Clone)]
struct Batch {
    images: usize,
    channels: usize,
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl Batch {
    fn new(images: usize, channels: usize, height: usize, width: usize) -> Self {
        Self { images, channels, height, width, values: vec![0.0; images * channels * height * width] }
    }

    fn at(&self, n: usize, c: usize, y: usize, x: usize) -> usize {
        ((n * self.channels + c) * self.height + y) * self.width + x
    }

    /// The value in a row and column that may lie outside.
    fn get(&self, n: usize, c: usize, y: usize, x: usize, padding: Padding) -> Option<f64> {
        let (y, x) = (y.checked_sub(padding.top)?, x.checked_sub(padding.left)?);
        (y < self.height && x < self.width).then(|| self.values[self.at(n, c, y, x)])
    }

    fn concatenation(parts: &[&Batch]) -> Self {
        let first = parts[0];
        let channels = parts.iter().map(|part| part.channels).sum();
        let mut whole = Self::new(first.images, channels, first.height, first.width);
        whole.values.clear();
        for n in 0..first.images {
            for part in parts {
                let image = part.channels * part.height * part.width;
                whole.values.extend(&part.values[n * image..(n + 1) * image]);
            }
        }
        whole
    }

    /// A batch whose values are `value(image, channel, first row, first column)` of the windows of the padded map.
    fn windows(
        &self,
        channels: usize,
        (kernel, stride, padding): (usize, usize, Padding),
        value: impl Fn(usize, usize, usize, usize) -> f64,
    ) -> Self {
        let height = (self.height + padding.top + padding.bottom - kernel) / stride + 1;
        let width = (self.width + padding.left + padding.right - kernel) / stride + 1;
        let mut out = Self::new(self.images, channels, height, width);
        for n in 0..self.images {
            for c in 0..channels {
                for y in 0..height {
                    for x in 0..width {
                        let at = out.at(n, c, y, x);
                        out.values[at] = value(n, c, y * stride, x * stride);
                    }
                }
            }
        }
        out
    }

    /// Normalizes every channel, and adds its mean and unbiased variance to `statistics`.
    fn normalize(&mut self, parameters: &mut &[f64], clamp: Clamp, statistics: &mut Vec<f64>) {
        let (weight, rest) = parameters.split_at(self.channels);
        let (bias, rest) = rest.split_at(self.channels);
        *parameters = rest;
        let count = (self.images * self.height * self.width) as f64;
        let mut variances = Vec::new();
        for c in 0..self.channels {
            let all: Vec<usize> = (0..self.images)
                .flat_map(|n| {
                    let first = self.at(n, c, 0, 0);
                    first..first + self.height * self.width
                })
                .collect();
            let mean = all.iter().map(|&at| self.values[at]).sum::<f64>() / count;
            let squares = all.iter().map(|&at| (self.values[at] - mean).powi(2)).sum::<f64>();
            statistics.push(mean);
            variances.push(squares / (count - 1.0));
            for at in all {
                let value = (self.values[at] - mean) / (squares / count + 1e-5).sqrt() * weight[c] + bias[c];
                self.values[at] = value.max(f64::from(clamp.low)).min(f64::from(clamp.high));
            }
        }
        statistics.extend(variances);
    }
}

fn take<'a>(parameters: &mut &'a [f64], count: usize) -> &'a [f64] {
    let (first, rest) = parameters.split_at(count);
    *parameters = rest;
    first
}

impl Network {
    /// Channels of the image and of every layer, and the number of parameters of every layer: weights, and others.
    fn sizes(&self) -> (Vec<usize>, Vec<(usize, usize)>) {
        let mut channels = vec![self.size.channels];
        let mut parameters = Vec::new();
        for layer in &self.layers {
            let of = |inputs: &[usize]| inputs.iter().map(|&input| channels[input]).sum::<usize>();
            let (out, count) = match layer {
                Layer::Conv(inputs, conv) => {
                    let weights = conv.channels * of(inputs) * conv.kernel * conv.kernel;
                    (conv.channels, (weights, 2 * conv.channels))
                }
                Layer::Depthwise(input, _) => (channels[*input], (9 * channels[*input], 2 * channels[*input])),
                Layer::Pool(input, _) | Layer::Mean(input) | Layer::Upsample(input, ..) => (channels[*input], (0, 0)),
                Layer::Dropout(inputs, _) => (of(inputs), (0, 0)),
                Layer::Linear(input, out) => (*out, (out * channels[*input], *out)),
            };
            channels.push(out);
            parameters.push(count);
        }
        (channels, parameters)
    }

    /// Random parameters; what is not a weight of a convolution or linear layer lies about 1.
    pub(crate) fn parameters(&self) -> Vec<f32> {
        let mut all = Vec::new();
        for (layer, (weights, others)) in self.sizes().1.into_iter().enumerate() {
            all.extend(random(layer as u64 + 100, weights));
            all.extend(random(layer as u64 + 200, others).iter().map(|value| value + 1.2));
        }
        all
    }

    /// Positions of some weights of every layer, at steps prime to the lanes and taps, and of all other parameters.
    pub(crate) fn sample(&self) -> Vec<usize> {
        const WEIGHTS: usize = 25;
        let mut first = 0;
        let mut sample = Vec::new();
        for (weights, others) in self.sizes().1 {
            let step = [1, 7, 11, 13, 17, 29, 41, 61, 89, 131, 191].into_iter().find(|step| weights / step < WEIGHTS);
            sample.extend((first..first + weights).step_by(step.unwrap_or(211)));
            sample.extend(first + weights..first + weights + others);
            first += weights + others;
        }
        sample
    }

    /// Outputs, an image at a time, and statistics.
    pub(crate) fn forward(&self, pixels: &[f32], parameters: &[f32], seed: u64) -> (Vec<f64>, Vec<f64>) {
        let parameters: Vec<f64> = parameters.iter().copied().map(f64::from).collect();
        self.forward_f64(pixels, &parameters, seed)
    }

    /// The gradient of the sum of outputs times `weights` by the parameters of `sample`, by central differences.
    pub(crate) fn gradients(
        &self,
        pixels: &[f32],
        parameters: &[f32],
        seed: u64,
        weights: &[f32],
        sample: &[usize],
    ) -> Vec<f64> {
        const STEP: f64 = 1e-6;
        let mut parameters: Vec<f64> = parameters.iter().copied().map(f64::from).collect();
        let loss = |parameters: &[f64]| {
            let outputs = self.forward_f64(pixels, parameters, seed).0;
            outputs.iter().zip(weights).map(|(output, &weight)| output * f64::from(weight)).sum::<f64>()
        };
        let mut gradients = Vec::new();
        for &at in sample {
            let value = parameters[at];
            parameters[at] = value + STEP;
            let above = loss(&parameters);
            parameters[at] = value - STEP;
            let below = loss(&parameters);
            parameters[at] = value;
            gradients.push((above - below) / (2.0 * STEP));
        }
        gradients
    }

    fn forward_f64(&self, pixels: &[f32], mut parameters: &[f64], seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut image = Batch::new(self.images, self.size.channels, self.size.height, self.size.width);
        image.values = pixels.iter().copied().map(f64::from).collect();
        let (mut maps, mut statistics, mut dropouts) = (vec![image], Vec::new(), 0);
        for layer in &self.layers {
            let all = |inputs: &[usize]| {
                let parts: Vec<&Batch> = inputs.iter().map(|&input| &maps[input]).collect();
                Batch::concatenation(&parts)
            };
            let next = match layer {
                Layer::Conv(inputs, conv) => {
                    let input = all(inputs);
                    let kernel = conv.kernel;
                    let weights = take(&mut parameters, conv.channels * input.channels * kernel * kernel);
                    let window = (kernel, conv.stride, conv.padding);
                    let mut out = input.windows(conv.channels, window, |n, c, y, x| {
                        let mut sum = 0.0;
                        for from in 0..input.channels {
                            for i in 0..kernel {
                                for j in 0..kernel {
                                    let weight = weights[((c * input.channels + from) * kernel + i) * kernel + j];
                                    sum += weight * input.get(n, from, y + i, x + j, conv.padding).unwrap_or(0.0);
                                }
                            }
                        }
                        sum
                    });
                    out.normalize(&mut parameters, conv.clamp, &mut statistics);
                    out
                }
                Layer::Depthwise(input, conv) => {
                    let input = &maps[*input];
                    let weights = take(&mut parameters, input.channels * 9);
                    let mut out = input.windows(input.channels, (3, conv.stride, conv.padding), |n, c, y, x| {
                        let taps = (0..9).map(|tap| {
                            let value = input.get(n, c, y + tap / 3, x + tap % 3, conv.padding).unwrap_or(0.0);
                            weights[c * 9 + tap] * value
                        });
                        taps.sum()
                    });
                    out.normalize(&mut parameters, conv.clamp, &mut statistics);
                    out
                }
                Layer::Pool(input, pool) => {
                    let input = &maps[*input];
                    let side = pool.kernel;
                    input.windows(input.channels, (side, pool.stride, pool.padding), |n, c, y, x| {
                        let taps = (0..side * side)
                            .filter_map(|tap| input.get(n, c, y + tap / side, x + tap % side, pool.padding));
                        match pool.kind {
                            PoolKind::Max => taps.fold(f64::NEG_INFINITY, f64::max),
                            _ => taps.sum::<f64>() / (side * side) as f64,
                        }
                    })
                }
                Layer::Mean(input) => {
                    let input = &maps[*input];
                    let pixels = input.height * input.width;
                    let mut out = Batch::new(input.images, input.channels, 1, 1);
                    out.values =
                        input.values.chunks(pixels).map(|all| all.iter().sum::<f64>() / pixels as f64).collect();
                    out
                }
                Layer::Upsample(input, (height, width), alignment) => {
                    let input = &maps[*input];
                    let mut out = Batch::new(input.images, input.channels, *height, *width);
                    let planes = input.values.chunks(input.height * input.width);
                    for (plane, out) in planes.zip(out.values.chunks_mut(height * width)) {
                        for (at, out) in out.iter_mut().enumerate() {
                            let (y, x) = (at / width, at % width);
                            *out = plane.iter().enumerate().fold(0.0, |sum, (pixel, value)| {
                                let row = (pixel / input.width, input.height);
                                let column = (pixel % input.width, input.width);
                                sum + bilinear_weight(*alignment, (y, *height), row)
                                    * bilinear_weight(*alignment, (x, *width), column)
                                    * value
                            });
                        }
                    }
                    out
                }
                Layer::Dropout(inputs, probability) => {
                    let mut out = all(inputs);
                    for (at, value) in out.values.iter_mut().enumerate() {
                        let kept = dropout_keeps(seed, dropouts, at as u64, *probability);
                        *value = if kept { *value / (1.0 - probability) } else { 0.0 };
                    }
                    dropouts += 1;
                    out
                }
                Layer::Linear(input, channels) => {
                    let input = &maps[*input];
                    let weights = take(&mut parameters, channels * input.channels);
                    let biases = take(&mut parameters, *channels);
                    let mut out = Batch::new(input.images, *channels, 1, 1);
                    for n in 0..input.images {
                        for c in 0..*channels {
                            let products = (0..input.channels).map(|from| {
                                weights[c * input.channels + from] * input.values[n * input.channels + from]
                            });
                            out.values[n * channels + c] = biases[c] + products.sum::<f64>();
                        }
                    }
                    out
                }
            };
            maps.push(next);
        }
        let outputs: Vec<&Batch> = self.outputs.iter().map(|&output| &maps[output]).collect();
        let mut values = Vec::new();
        for n in 0..self.images {
            for output in &outputs {
                let image = output.channels * output.height * output.width;
                values.extend(&output.values[n * image..(n + 1) * image]);
            }
        }
        (values, statistics)
    }
}

/// Values in [-1, 1).
pub(crate) fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..8).for_each(|_| _ = next());
    (0..count).map(|_| next()).collect()
}

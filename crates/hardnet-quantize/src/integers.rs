//! A convolution in integers.

use hardnet_graph::{Conv, NodeId};
use hardnet_params::{QuantizedLayer, Result};

use crate::network::Network;
use crate::options::QuantizeOptions;
use crate::rounding;
use crate::statistics::{Statistics, concatenated};
use crate::units::{self, Units};

/// How much the square of a mean counts next to a variance where biases are corrected: maps have borders, and means are
/// not exact.
const MEAN_SHARE: f64 = 0.02;

/// A convolution in integers, and what this costs.
pub(crate) struct IntegerConv {
    pub(crate) layer: QuantizedLayer,
    pub(crate) clipped: usize,
    /// Expected squares of the results, and of their errors by rounded weights.
    pub(crate) signal: f64,
    pub(crate) noise: f64,
}

/// The convolution `id`, whose inputs have the scale `scale`.
pub(crate) fn conv(
    network: &Network<'_>,
    (id, conv): (NodeId, &Conv),
    scale: f32,
    statistics: &[Option<Statistics>],
    all: &[Units],
    options: &QuantizeOptions,
) -> Result<IntegerConv> {
    let layer = network.layers[id].as_ref().expect("a convolution has parameters");
    let stored = network.weights(id)?;
    let (inputs, outputs) = (units::read(network, id, all), &all[id]);
    // Mean and variance of the inputs in their units.
    let moments = concatenated(network, id, statistics).and_then(|statistics| statistics.moments);
    let moments: Option<Vec<(f64, f64)>> = moments.map(|moments| {
        let units = inputs.scale.iter().zip(&inputs.offset);
        let moments = moments.iter().zip(units);
        moments
            .map(|((mean, variance), (scale, offset))| ((mean - offset) / scale, variance / (scale * scale)))
            .collect()
    });
    let importance = |(mean, variance): &(f64, f64)| {
        let share = if options.correct_bias { MEAN_SHARE } else { 1.0 };
        variance + share * mean * mean + 1e-9
    };
    let taps = conv.kernel.0 * conv.kernel.1;
    let length = stored.len() / outputs.scale.len();
    let mut done = IntegerConv {
        layer: QuantizedLayer::new(Vec::with_capacity(stored.len()), Vec::new(), Vec::new()),
        clipped: 0,
        signal: 0.0,
        noise: 0.0,
    };
    for (output, stored) in stored.chunks_exact(length).enumerate() {
        let read = network.channels_read(id, conv, output);
        let (unit, factor) = (outputs.scale[output], layer.scale[output]);
        let channels = || read.clone().flat_map(|channel| std::iter::repeat_n(channel, taps));
        let original: Vec<f64> = stored.iter().map(|&weight| f64::from(weight) * factor / unit).collect();
        let weights: Vec<f64> = original.iter().zip(channels()).map(|(w, channel)| w * inputs.scale[channel]).collect();
        let importances: Vec<f64> = match &moments {
            Some(moments) => channels().map(|channel| importance(&moments[channel])).collect(),
            None => Vec::new(),
        };
        let row = rounding::row(&weights, &importances, options.clip_weights);
        let offsets: f64 = original.iter().zip(channels()).map(|(w, channel)| w * inputs.offset[channel]).sum();
        let mut bias = (layer.shift[output] - outputs.offset[output]) / unit + offsets;
        if let Some(moments) = moments.as_ref().filter(|_| options.correct_bias) {
            let pairs = weights.iter().zip(&row.integers).zip(channels());
            bias += pairs.map(|((w, &q), at)| (w - row.scale * f64::from(q)) * moments[at].0).sum::<f64>();
        }
        done.noise += rounding::error(&weights, &importances, row.scale);
        let square = |(w, at): (&f64, usize)| w * w * importances.get(at).copied().unwrap_or(1.0);
        done.signal += weights.iter().zip(0..).map(square).sum::<f64>();
        done.clipped += row.clipped;
        done.layer.weights.extend(row.integers);
        done.layer.scale.push((row.scale * f64::from(scale)) as f32);
        done.layer.bias.push(bias as f32);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use hardnet_graph::{Conv, Graph, GraphBuilder, ParamInfo, ParamKind, Pointwise};
    use hardnet_params::{Parameters, QuantizedParameters, synthetic};

    use crate::{QuantizeOptions, quantize};

    const INPUTS: usize = 6;
    const OUTPUTS: usize = 3;

    /// A 1x1 convolution of six channels that are normal variables cut off at 0 and 6, at most one of them far from it.
    struct Drawn;

    impl Parameters for Drawn {
        fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
            let values = synthetic::values(&param.name, &param.shape);
            Ok(match (param.node, param.kind) {
                (1, ParamKind::NormWeight) => vec![0.5, 1.0, 2.0, 0.1, 3.0, 1.5],
                (1, ParamKind::NormBias) => vec![1.0, -0.5, 4.0, 0.3, 1.0, 6.5],
                // Coarsely rounded, so that errors are large.
                (2, ParamKind::ConvWeight) => {
                    values.iter().map(|&value| value + if value > 0.6 { 30.0 } else { 0.0 }).collect()
                }
                _ => values,
            })
        }
    }

    fn graph() -> Graph {
        let mut builder = GraphBuilder::new("two", 3);
        let stem = builder.conv("stem", &[0], Conv::new(INPUTS, 1), Pointwise::NORM_RELU6);
        let conv = builder.conv("conv", &[stem], Conv::new(OUTPUTS, 1), Pointwise::NORM);
        builder.finish(&[conv]).unwrap()
    }

    /// Standard normal variables by Box and Muller from a linear congruential generator.
    fn normals() -> impl Iterator<Item = f64> {
        let mut state = 7_u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        std::iter::repeat_with(move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos())
    }

    /// The mean over many draws of the difference of the quantized and the original result, in deviations of that mean.
    fn offsets(options: &QuantizeOptions) -> Vec<f64> {
        let quantized = quantize(&graph(), &Drawn, options).unwrap();
        let params = graph().params();
        let value = |node, kind| {
            Drawn.values(params.iter().find(|param| (param.node, param.kind) == (node, kind)).unwrap()).unwrap()
        };
        let [gamma, beta, mean, variance] =
            [ParamKind::NormWeight, ParamKind::NormBias, ParamKind::RunningMean, ParamKind::RunningVar]
                .map(|kind| value(2, kind));
        let (scale, shift) = hardnet_graph::BatchNorm::DEFAULT.scale_and_shift(&gamma, &beta, &mean, &variance);
        let (weights, layer) = (value(2, ParamKind::ConvWeight), quantized.layer("conv").unwrap().unwrap());
        let (deviations, means) = (value(1, ParamKind::NormWeight), value(1, ParamKind::NormBias));
        let [inputs, outputs] = ["stem", "conv"].map(|name| {
            let channels = if name == "stem" { INPUTS } else { OUTPUTS };
            quantized.units(name).unwrap_or(hardnet_params::ChannelUnits::new(vec![1.0; channels], vec![0.0; channels]))
        });
        let step = f64::from(quantized.map("stem").unwrap().scale);
        let mut normals = normals();
        let draws = 200_000;
        let mut sums = [(0.0, 0.0); OUTPUTS];
        for _ in 0..draws {
            let channel = |at: usize| {
                (f64::from(means[at]) + f64::from(deviations[at]) * normals.next().unwrap()).clamp(0.0, 6.0)
            };
            let x: Vec<f64> = (0..INPUTS).map(channel).collect();
            for (output, (sum, square)) in sums.iter_mut().enumerate() {
                let products = |term: &dyn Fn(usize, usize) -> f64| {
                    (0..INPUTS).map(|at| term(output * INPUTS + at, at)).sum::<f64>()
                };
                let exact = scale[output] * products(&|w, at| f64::from(weights[w]) * x[at]) + shift[output];
                let rounded = f64::from(layer.scale[output]) / step
                    * products(&|w, at| f64::from(layer.weights[w]) * x[at] / f64::from(inputs.scale[at]))
                    + f64::from(layer.bias[output]);
                let rounded = f64::from(outputs.scale[output]) * rounded + f64::from(outputs.offset[output]);
                *sum += rounded - exact;
                *square += (rounded - exact).powi(2);
            }
        }
        let draws = f64::from(draws);
        sums.map(|(sum, square)| (sum / draws) / ((square / draws - (sum / draws).powi(2)) / draws).sqrt()).to_vec()
    }

    #[test]
    fn a_corrected_bias_leaves_no_mean_error_for_cut_off_normal_inputs() {
        for equalize in [false, true] {
            let options = QuantizeOptions::default().equalize(equalize).clip_weights(false);
            let (with, without) = (offsets(&options), offsets(&options.correct_bias(false)));
            assert!(with.iter().all(|offset| offset.abs() < 4.0), "{with:?}");
            assert!(without.iter().all(|offset| offset.abs() > 40.0), "{without:?}");
        }
    }
}

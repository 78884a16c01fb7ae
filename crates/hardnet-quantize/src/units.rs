//! Units of channels: cross-layer equalization.
//!
//! A channel `x` of a map is written as `x = scale * v + offset`, so that `v` uses all of the map's 256 values. The
//! layer that writes the map gives `v` instead of `x`, its readers' weights are multiplied by `scale`, and their biases
//! take the offsets. ReLU6 stays: a channel whose range ends below 6 is cut off at that end, as any 8-bit map would.
//!
//! Equal ranges make maps as exact as they can be, but rows of the readers' weights may become uneven, and these have
//! one scale for each row. So a channel that matters little, by its range times its readers' weights, may use fewer
//! values: its share to a power of 0 to 1, the one for which the expected error of all readers is least. None of this
//! depends on the units that the network came with. A depthwise convolution has a scale for each channel anyway: before
//! it, all channels use all values.

use hardnet_graph::{NodeId, Padding};
use hardnet_params::Result;

use crate::network::{Network, Role};
use crate::options::QuantizeOptions;
use crate::statistics::{Statistics, keeps_offsets};

/// The scale of all equalized maps: ReLU6's range in 255 steps.
pub(crate) const SCALE: f32 = 6.0 / 255.0;
/// The greatest value of a map of both signs, on both sides of its zero point.
const SIDE: f64 = 127.0 * SCALE as f64;
/// The greatest value of a map that is never negative.
const WHOLE: f64 = 255.0 * SCALE as f64;
/// The least share of a map's values that a channel uses.
const LEAST: f64 = 1.0 / 32.0;
/// The powers that are tried.
const POWERS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// The units of a map's channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Units {
    pub(crate) scale: Vec<f64>,
    pub(crate) offset: Vec<f64>,
}

impl Units {
    pub(crate) fn none(channels: usize) -> Self {
        Self { scale: vec![1.0; channels], offset: vec![0.0; channels] }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.scale.iter().all(|&scale| scale == 1.0) && self.offset.iter().all(|&offset| offset == 0.0)
    }
}

/// Powers of the shares, of maps with and without a bound below.
#[derive(Clone, Copy, Debug)]
struct Powers {
    positive: f64,
    signed: f64,
}

/// The units of every node.
pub(crate) fn choose(
    network: &Network<'_>,
    statistics: &[Option<Statistics>],
    options: &QuantizeOptions,
) -> Result<Vec<Units>> {
    if !options.equalize {
        return Ok(network.graph.nodes().iter().map(|node| Units::none(node.out_channels)).collect());
    }
    let chooser = Chooser { network, statistics, columns: columns(network)? };
    let mut best = (f64::INFINITY, Powers { positive: 0.0, signed: 0.0 });
    chooser.compare(POWERS.map(|positive| Powers { positive, ..best.1 }), &mut best)?;
    chooser.compare(POWERS.map(|signed| Powers { signed, ..best.1 }), &mut best)?;
    Ok(chooser.units(best.1))
}

struct Chooser<'a> {
    network: &'a Network<'a>,
    statistics: &'a [Option<Statistics>],
    /// Of each node.
    columns: Vec<Vec<f64>>,
}

impl Chooser<'_> {
    /// Keeps the powers that cause less noise.
    fn compare<const N: usize>(&self, candidates: [Powers; N], best: &mut (f64, Powers)) -> Result<()> {
        let noises = noises(self.network, self.statistics, &candidates.map(|powers| self.units(powers)))?;
        for (powers, noise) in candidates.into_iter().zip(noises) {
            if noise < best.0 {
                *best = (noise, powers);
            }
        }
        Ok(())
    }

    fn units(&self, powers: Powers) -> Vec<Units> {
        let mut all: Vec<Units> = Vec::with_capacity(self.network.roles.len());
        for (id, role) in self.network.roles.iter().enumerate() {
            all.push(match (role, &self.statistics[id]) {
                (Role::Integer(_) | Role::Float(_), Some(statistics)) => self.of_conv(id, statistics, powers),
                (Role::Pool(_) | Role::Upsample(_) | Role::Mean, _) => read(self.network, id, &all),
                _ => Units::none(self.network.node(id).out_channels),
            });
        }
        all
    }

    fn of_conv(&self, id: NodeId, statistics: &Statistics, powers: Powers) -> Units {
        let (least, most) = self.network.node(id).after.bounds().expect("a role has bounds");
        let (signed, most) = (least < 0.0, f64::from(most));
        let centered = signed && takes_offsets(self.network, id);
        let offset = |(&low, &high): (&f64, &f64)| if centered { 0.5 * (low + high) } else { 0.0 };
        let offsets: Vec<f64> = statistics.low.iter().zip(&statistics.high).map(offset).collect();
        let holds = if signed { SIDE } else { WHOLE };
        let ranges = statistics.low.iter().zip(&statistics.high).zip(&offsets);
        let ranges = ranges.map(|((low, high), offset)| (low - offset).abs().max((high - offset).abs()));
        let ranges: Vec<f64> = ranges.collect();
        let power = match (is_free(self.network, id), signed) {
            (true, _) => 0.0,
            (false, true) => powers.signed,
            (false, false) => powers.positive,
        };
        let weight = |channel: usize| ranges[channel] * self.columns[id][channel];
        let largest = (0..ranges.len()).map(weight).fold(0.0_f64, f64::max);
        let unit = |channel: usize| {
            let share = if largest > 0.0 { (weight(channel) / largest).powf(power).max(LEAST) } else { 1.0 };
            // A channel that is always zero fits any unit.
            if ranges[channel] > 0.0 { ranges[channel] / holds / share } else { 1.0 }
        };
        // A larger unit would leave a part of ReLU6's range unused.
        let bound = if signed { f64::INFINITY } else { most / WHOLE };
        Units { scale: (0..ranges.len()).map(|channel| unit(channel).min(bound)).collect(), offset: offsets }
    }
}

/// For each channel of each map, how much its dense readers make of it: the root of the sum of squares of its weights,
/// in deviations of the reader's results.
fn columns(network: &Network<'_>) -> Result<Vec<Vec<f64>>> {
    let mut squares: Vec<Vec<f64>> = network.graph.nodes().iter().map(|node| vec![0.0; node.out_channels]).collect();
    for (id, role) in network.roles.iter().enumerate() {
        let Role::Integer(conv) = role else { continue };
        let Some(layer) = network.layers[id].as_ref().filter(|_| !conv.is_depthwise()) else { continue };
        let node = network.node(id);
        let taps = conv.kernel.0 * conv.kernel.1;
        let mut sums = vec![0.0; node.in_channels];
        for (output, row) in network.weights(id)?.chunks_exact(node.in_channels * taps).enumerate() {
            let deviation = layer.normal.as_ref().map_or(1.0, |normal| normal[output].1);
            let factor = if deviation > 0.0 { layer.scale[output] / deviation } else { 0.0 };
            for (weights, sum) in row.chunks_exact(taps).zip(&mut sums) {
                *sum += weights.iter().map(|&weight| (f64::from(weight) * factor).powi(2)).sum::<f64>();
            }
        }
        let mut sums = &sums[..];
        for &input in &node.inputs {
            let (own, rest) = sums.split_at(squares[input].len());
            squares[input].iter_mut().zip(own).for_each(|(square, sum)| *square += sum / node.out_channels as f64);
            sums = rest;
        }
    }
    // The readers of a pool or an interpolation read its map.
    for (id, role) in network.roles.iter().enumerate().rev() {
        if let Role::Pool(_) | Role::Upsample(_) = role {
            let (before, after) = squares.split_at_mut(id);
            let map = before[network.node(id).inputs[0]].iter_mut();
            map.zip(&after[0]).for_each(|(square, read)| *square += read);
        }
    }
    Ok(squares.into_iter().map(|squares| squares.into_iter().map(f64::sqrt).collect()).collect())
}

/// The units of what the node `id` reads.
pub(crate) fn read(network: &Network<'_>, id: NodeId, all: &[Units]) -> Units {
    let inputs = || network.node(id).inputs.iter().map(|&input| &all[input]);
    let scale = inputs().flat_map(|units| units.scale.iter().copied()).collect();
    Units { scale, offset: inputs().flat_map(|units| units.offset.iter().copied()).collect() }
}

/// Whether no reader has one scale for several channels of the map.
fn is_free(network: &Network<'_>, id: NodeId) -> bool {
    network.readers[id].iter().all(|&reader| match &network.roles[reader] {
        Role::Integer(conv) => conv.is_depthwise(),
        Role::Pool(_) | Role::Upsample(_) | Role::Mean => is_free(network, reader),
        _ => true,
    })
}

/// Whether all readers' biases can take the offsets of the map's channels: the border around a map is zero, and not the
/// offset, so that there must be none.
fn takes_offsets(network: &Network<'_>, id: NodeId) -> bool {
    network.readers[id].iter().all(|&reader| match &network.roles[reader] {
        Role::Integer(conv) => conv.padding == Padding::default(),
        role @ (Role::Pool(_) | Role::Upsample(_)) => keeps_offsets(role) && takes_offsets(network, reader),
        Role::Mean => takes_offsets(network, reader),
        Role::Linear | Role::PixelLinear(_) => true,
        _ => false,
    })
}

/// The expected error of the results of all dense convolutions, as a share of their variance, where inputs are
/// independent and rounding errors are uniform: for each of several choices of units.
fn noises<const N: usize>(
    network: &Network<'_>,
    statistics: &[Option<Statistics>],
    candidates: &[Vec<Units>; N],
) -> Result<[f64; N]> {
    let mut sums = [0.0; N];
    for (id, role) in network.roles.iter().enumerate() {
        let Role::Integer(conv) = role else { continue };
        if conv.is_depthwise() {
            continue;
        }
        let weights = network.weights(id)?;
        let variances: Vec<f64> = variances(network, id, statistics);
        let taps = conv.kernel.0 * conv.kernel.1;
        for (units, sum) in candidates.iter().zip(&mut sums) {
            add_noise(&weights, taps, &variances, &read(network, id, units).scale, sum);
        }
    }
    Ok(sums)
}

/// Adds the expected error of the results of a dense convolution, whose inputs have these variances and units.
fn add_noise(weights: &[f32], taps: usize, variances: &[f64], scales: &[f64], sum: &mut f64) {
    let step = f64::from(SCALE).powi(2) / 12.0;
    let rows = weights.chunks_exact(variances.len() * taps);
    let count = rows.len() as f64;
    let spread: f64 = variances.iter().zip(scales).map(|(variance, scale)| variance / (scale * scale)).sum();
    for row in rows {
        let (mut signal, mut of_maps, mut largest) = (0.0, 0.0, 0.0_f64);
        for ((weights, variance), scale) in row.chunks_exact(taps).zip(variances).zip(scales) {
            let mut square = 0.0;
            for &weight in weights {
                let weight = f64::from(weight);
                square += weight * weight;
                largest = largest.max(weight.abs() * scale);
            }
            signal += square * variance;
            of_maps += square * scale * scale * step;
        }
        let of_weights = (largest / 127.0).powi(2) / 12.0 * spread * taps as f64;
        if signal > 0.0 {
            *sum += (of_maps + of_weights) / signal / count;
        }
    }
}

/// Variances of what the node `id` reads; those of even distributions over the range where nothing is known.
fn variances(network: &Network<'_>, id: NodeId, statistics: &[Option<Statistics>]) -> Vec<f64> {
    let read = crate::statistics::concatenated(network, id, statistics).expect("integer layers read known maps");
    match read.moments {
        Some(moments) => moments.iter().map(|(_, variance)| variance.max(1e-12)).collect(),
        None => read.low.iter().zip(&read.high).map(|(low, high)| (high - low).powi(2) / 12.0 + 1e-12).collect(),
    }
}

//! The quantized network.

use std::collections::HashMap;

use hardnet_graph::{Graph, NodeId, ParamInfo, ParamKind};
use hardnet_params::{ChannelUnits, MapQuantization, Parameters, QuantizedLayer, QuantizedParameters};

use crate::calibration::{Calibration, RangeMethod};
use crate::error::Result;
use crate::groups;
use crate::integers::{self, IntegerConv};
use crate::network::{Network, Role};
use crate::options::QuantizeOptions;
use crate::report::LayerReport;
use crate::statistics::{self, Statistics};
use crate::units::{self, SCALE, Units};

/// A network in 8-bit integers: maps, integer layers, and the parameters of the layers that stay in f32.
#[derive(Clone, Debug)]
pub struct Quantized {
    maps: HashMap<String, MapQuantization>,
    units: HashMap<String, ChannelUnits>,
    layers: HashMap<String, QuantizedLayer>,
    /// By the names of parameters.
    values: HashMap<String, Vec<f32>>,
    report: Vec<LayerReport>,
}

/// Quantizes the network of `graph` with its parameters from `parameters`, which are read once each.
///
/// # Errors
///
/// [`Error::Layer`](crate::Error::Layer) for a network with layers that have no form in integers,
/// [`Error::NoStatistics`](crate::Error::NoStatistics) where ranges are not known without images,
/// [`Error::Params`](crate::Error::Params) for parameters that cannot be read or are not finite.
pub fn quantize(graph: &Graph, parameters: &dyn Parameters, options: &QuantizeOptions) -> Result<Quantized> {
    let network = Network::new(graph, parameters, true)?;
    let statistics = statistics::without_images(&network, options)?;
    Ok(Assembly::new(network, statistics, options)?.quantized()?)
}

/// As [`quantize`], with ranges and means that were measured on images.
///
/// # Errors
///
/// As [`quantize`], [`Error::NoImages`](crate::Error::NoImages) for a calibration without any,
/// [`Error::OtherNetwork`](crate::Error::OtherNetwork) for one of another network.
pub fn quantize_calibrated(
    graph: &Graph,
    parameters: &dyn Parameters,
    calibration: &Calibration,
    method: RangeMethod,
    options: &QuantizeOptions,
) -> Result<Quantized> {
    let network = Network::new(graph, parameters, true)?;
    let statistics = calibration.statistics(&network, method)?;
    Ok(Assembly::new(network, statistics, options)?.quantized()?)
}

/// A network with all that its quantized layers follow from.
pub(crate) struct Assembly<'a> {
    pub(crate) network: Network<'a>,
    statistics: Vec<Option<Statistics>>,
    units: Vec<Units>,
    pub(crate) maps: Vec<Option<MapQuantization>>,
    options: QuantizeOptions,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(
        network: Network<'a>,
        statistics: Vec<Option<Statistics>>,
        options: &QuantizeOptions,
    ) -> hardnet_params::Result<Self> {
        let units = units::choose(&network, &statistics, options)?;
        let maps = maps(&network, &statistics, &units, options);
        Ok(Self { network, statistics, units, maps, options: *options })
    }

    /// The units of a map, if they are not the network's.
    pub(crate) fn units(&self, id: NodeId) -> Option<ChannelUnits> {
        let units = &self.units[id];
        let f32s = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        (!units.is_none()).then(|| ChannelUnits::new(f32s(&units.scale), f32s(&units.offset)))
    }

    /// A layer of integers; none if it is another one.
    pub(crate) fn integers(&self, id: NodeId) -> hardnet_params::Result<Option<IntegerConv>> {
        let Role::Integer(conv) = &self.network.roles[id] else { return Ok(None) };
        let scale = self.maps[self.network.node(id).inputs[0]].expect("integer layers read bytes").scale;
        integers::conv(&self.network, (id, conv), scale, &self.statistics, &self.units, &self.options).map(Some)
    }

    /// The parameters of a layer that stays in f32.
    pub(crate) fn floats(&self, id: NodeId) -> hardnet_params::Result<Vec<(&ParamInfo, Vec<f32>)>> {
        match &self.network.roles[id] {
            Role::Float(_) => float_conv(&self.network, id, &self.units[id]),
            Role::Linear | Role::PixelLinear(_) => {
                linear(&self.network, id, &units::read(&self.network, id, &self.units))
            }
            Role::Image | Role::Pool(_) | Role::Upsample(_) | Role::Mean | Role::Logits | Role::Integer(_) => {
                Ok(Vec::new())
            }
        }
    }

    /// All layers.
    fn quantized(&self) -> hardnet_params::Result<Quantized> {
        let mut quantized = Quantized {
            maps: HashMap::new(),
            units: HashMap::new(),
            layers: HashMap::new(),
            values: HashMap::new(),
            report: Vec::new(),
        };
        for (id, node) in self.network.graph.nodes().iter().enumerate() {
            if let Some(map) = self.maps[id] {
                quantized.maps.insert(node.name.clone(), map);
            }
            if let Some(units) = self.units(id) {
                quantized.units.insert(node.name.clone(), units);
            }
            let integers = self.integers(id)?;
            quantized.values.extend(self.floats(id)?.into_iter().map(|(param, values)| (param.name.clone(), values)));
            if let (Some(map), Some(statistics)) = (self.maps[id], &self.statistics[id]) {
                quantized.report.push(report(&self.network, id, map, statistics, integers.as_ref()));
            }
            if let Some(integers) = integers {
                quantized.layers.insert(node.name.clone(), integers.layer);
            }
        }
        Ok(quantized)
    }
}

/// How each node's map is read.
fn maps(
    network: &Network<'_>,
    statistics: &[Option<Statistics>],
    units: &[Units],
    options: &QuantizeOptions,
) -> Vec<Option<MapQuantization>> {
    let groups = groups::of(network);
    let mut zero_points: Vec<u8> = Vec::with_capacity(groups.len());
    // The least scale of each group by which it holds all of its maps.
    let mut scales = vec![0.0_f64; groups.len()];
    for (id, role) in network.roles.iter().enumerate() {
        let node = network.node(id);
        let signed = match role {
            Role::Pool(_) | Role::Upsample(_) => zero_points[node.inputs[0]] > 0,
            _ => node.after.bounds().is_some_and(|(least, _)| least < 0.0),
        };
        zero_points.push(if signed { 128 } else { 0 });
        if let Some(Statistics { low, high, .. }) = statistics[id].as_ref().filter(|_| role.writes_bytes()) {
            let channels = low.iter().zip(high).zip(units[id].scale.iter().zip(&units[id].offset));
            let reach = channels
                .map(|((low, high), (unit, offset))| ((low - offset) / unit).abs().max(((high - offset) / unit).abs()));
            let reach = reach.fold(0.0_f64, f64::max);
            let steps = if signed { 127.0 } else { 255.0 };
            scales[groups[id]] = scales[groups[id]].max(reach / steps);
        }
    }
    let map = |(id, role): (NodeId, &Role)| {
        let scale = if options.equalize { SCALE } else { (scales[groups[id]] as f32).max(1e-20) };
        role.writes_bytes().then(|| MapQuantization { scale, zero_point: zero_points[id] })
    };
    network.roles.iter().enumerate().map(map).collect()
}

/// The parameters of a convolution that stays in f32 and writes its map in `units`.
fn float_conv<'a>(
    network: &'a Network<'_>,
    id: NodeId,
    units: &Units,
) -> hardnet_params::Result<Vec<(&'a ParamInfo, Vec<f32>)>> {
    let layer = network.layers[id].as_ref().expect("a convolution has parameters");
    let in_units = |values: &[f32], offsets: &[f64]| {
        let values = values.iter().zip(&units.scale).zip(offsets);
        values.map(|((&value, scale), offset)| ((f64::from(value) - offset) / scale) as f32).collect()
    };
    let read = network.params.iter().filter(|param| param.node == id).map(|param| {
        let values = match param.kind {
            ParamKind::NormWeight => in_units(&layer.norm[0], &vec![0.0; units.scale.len()]),
            ParamKind::NormBias => in_units(&layer.norm[1], &units.offset),
            ParamKind::RunningMean => layer.norm[2].clone(),
            ParamKind::RunningVar => layer.norm[3].clone(),
            _ => network.weights(id)?.into_owned(),
        };
        Ok((param, values))
    });
    read.collect()
}

/// The parameters of the classifier, which reads a map in `units`.
fn linear<'a>(
    network: &'a Network<'_>,
    id: NodeId,
    units: &Units,
) -> hardnet_params::Result<Vec<(&'a ParamInfo, Vec<f32>)>> {
    let layer = network.layers[id].as_ref().expect("a linear layer has parameters");
    let weights = network.weights(id)?;
    let features = weights.len() / layer.shift.len();
    let pixels = (features / units.scale.len().max(1)).max(1);
    let own = network.params.iter().filter(|param| param.node == id);
    let read = own.map(|param| {
        let values = match param.kind {
            ParamKind::LinearWeight | ParamKind::ConvWeight => {
                let unit =
                    |(at, &weight): (usize, &f32)| (f64::from(weight) * units.scale[at % features / pixels]) as f32;
                weights.iter().enumerate().map(unit).collect()
            }
            _ => {
                let offset = |(at, &weight): (usize, &f32)| f64::from(weight) * units.offset[at / pixels];
                let rows = weights.chunks_exact(features).zip(&layer.shift);
                rows.map(|(row, bias)| (bias + row.iter().enumerate().map(offset).sum::<f64>()) as f32).collect()
            }
        };
        (param, values)
    });
    Ok(read.collect())
}

fn report(
    network: &Network<'_>,
    id: NodeId,
    map: MapQuantization,
    statistics: &Statistics,
    integers: Option<&IntegerConv>,
) -> LayerReport {
    let node = network.node(id);
    let widths = || statistics.low.iter().zip(&statistics.high).map(|(low, high)| high - low);
    let (narrowest, widest) = widths().fold((f64::INFINITY, 0.0_f64), |(a, b), width| (a.min(width), b.max(width)));
    LayerReport {
        name: node.name.clone(),
        op: node.op.to_string(),
        integer: integers.is_some(),
        scale: map.scale,
        zero_point: map.zero_point,
        range: [
            statistics.low.iter().copied().fold(f64::INFINITY, f64::min),
            statistics.high.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ],
        spread: widest / narrowest.max(1e-6),
        weights: network.weight_count(id),
        clipped: integers.map_or(0, |integers| integers.clipped),
        weights_db: integers
            .filter(|integers| integers.noise > 0.0 && integers.signal > 0.0)
            .map(|integers| 10.0 * (integers.signal / integers.noise).log10()),
    }
}

impl Quantized {
    /// The layers with maps of bytes, in the order of the graph.
    pub fn report(&self) -> &[LayerReport] {
        &self.report
    }
}

impl Parameters for Quantized {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        let values = self.values.get(&param.name).cloned();
        values.ok_or_else(|| hardnet_params::Error::Integers { name: param.name.clone() })
    }
}

impl QuantizedParameters for Quantized {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.maps.get(node).copied()
    }

    fn layer(&self, node: &str) -> hardnet_params::Result<Option<QuantizedLayer>> {
        Ok(self.layers.get(node).cloned())
    }

    fn units(&self, node: &str) -> Option<ChannelUnits> {
        self.units.get(node).cloned()
    }
}

//! A network quantized without any care, for tests and times: formula weights, rounded, and one scale for all maps.

use std::collections::HashMap;

use hardnet_engine::Result;
use hardnet_graph::{Config, Graph, Node, NodeId, Op, ParamInfo, ParamKind};
use hardnet_params::synthetic::Synthetic;
use hardnet_params::{MapQuantization, Parameters, QuantizedLayer, QuantizedParameters};

/// The quantized network: all convolutions but the first.
pub(crate) struct Naive {
    params: HashMap<String, Vec<ParamInfo>>,
    maps: HashMap<String, MapQuantization>,
    nodes: HashMap<String, Node>,
}

impl Naive {
    /// The network of `config` with [`Synthetic`] weights.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let graph = Graph::new(config)?.inference();
        // Maps that no activation bounds are of both signs.
        let bounded = |node: &Node| node.after.bounds().is_some_and(|(low, high)| (low, high) == (0.0, 6.0));
        let convs = || graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv(_)));
        let scale = if convs().all(bounded) { 6.0 / 255.0 } else { 12.0 / 255.0 };
        let mut maps: HashMap<NodeId, MapQuantization> = HashMap::new();
        for (id, node) in graph.nodes().iter().enumerate() {
            let zero_point = if bounded(node) { 0 } else { 128 };
            let map = match node.op {
                Op::Conv(_) => Some(MapQuantization { scale, zero_point }),
                Op::Pool(_) => maps.get(&node.inputs[0]).copied(),
                _ => None,
            };
            maps.extend(map.map(|map| (id, map)));
        }
        let name = |id: NodeId| graph.nodes()[id].name.clone();
        let mut params: HashMap<String, Vec<ParamInfo>> = HashMap::new();
        for param in graph.params() {
            params.entry(name(param.node)).or_default().push(param);
        }
        let quantized = |node: &&Node| matches!(node.op, Op::Conv(_)) && node.inputs != [0];
        let nodes = graph.nodes().iter().filter(quantized).map(|node| (node.name.clone(), node.clone()));
        Ok(Self { params, maps: maps.into_iter().map(|(id, map)| (name(id), map)).collect(), nodes: nodes.collect() })
    }

    fn read(&self, node: &str, kind: ParamKind) -> hardnet_params::Result<Vec<f32>> {
        let param = self.params[node].iter().find(|param| param.kind == kind);
        Synthetic.values(param.expect("a normalized convolution"))
    }
}

impl Parameters for Naive {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        Synthetic.values(param)
    }
}

impl QuantizedParameters for Naive {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.maps.get(node).copied()
    }

    fn layer(&self, node: &str) -> hardnet_params::Result<Option<QuantizedLayer>> {
        let Some(Node { after, .. }) = self.nodes.get(node) else { return Ok(None) };
        let norm = after.norm.expect("a normalized convolution");
        let read = |kind| self.read(node, kind);
        let (gamma, beta) = (read(ParamKind::NormWeight)?, read(ParamKind::NormBias)?);
        let (mean, variance) = (read(ParamKind::RunningMean)?, read(ParamKind::RunningVar)?);
        let (scale, bias) = norm.scale_and_shift(&gamma, &beta, &mean, &variance);
        let weights = read(ParamKind::ConvWeight)?;
        let per_output = weights.len() / scale.len();
        // All maps have one scale.
        let input = self.maps.values().next().expect("a map of bytes").scale;
        let (mut bytes, mut units) = (Vec::with_capacity(weights.len()), Vec::with_capacity(scale.len()));
        for (weights, &scale) in weights.chunks_exact(per_output).zip(&scale) {
            let most = weights.iter().map(|weight| weight.abs()).fold(f32::MIN_POSITIVE, f32::max);
            let unit = most / 127.0;
            bytes.extend(weights.iter().map(|weight| (weight / unit).round_ties_even() as i8));
            units.push((f64::from(unit) * scale * f64::from(input)) as f32);
        }
        let bias = bias.into_iter().map(|bias| bias as f32).collect();
        Ok(Some(QuantizedLayer::new(bytes, units, bias)))
    }
}

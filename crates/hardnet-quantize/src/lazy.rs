//! A quantization that computes each layer when it is read.

use std::collections::HashMap;

use hardnet_graph::{Graph, NodeId, ParamInfo};
use hardnet_params::{ChannelUnits, MapQuantization, Parameters, QuantizedLayer, QuantizedParameters};

use crate::error::Result;
use crate::network::{Network, Role};
use crate::options::QuantizeOptions;
use crate::quantized::Assembly;
use crate::statistics;

/// The network that [`quantize`](crate::quantize) makes, whose layers are computed each time they are read.
///
/// It holds no weights: these are read layer by layer, so that the parameters it is made from must be ones that can be
/// read several times.
pub struct LazyQuantized<'a> {
    assembly: Assembly<'a>,
    /// By the names of nodes.
    ids: HashMap<String, NodeId>,
}

/// Quantizes the network of `graph` as [`quantize`](crate::quantize) does, in the memory of one layer in f32: what all
/// layers depend on now, each layer when it is read.
///
/// Weights are read up to four times here, and once for each time that their layer is read.
///
/// # Errors
///
/// As [`quantize`](crate::quantize); reading a layer may fail, too.
pub fn quantize_lazily<'a>(
    graph: &Graph,
    parameters: &'a dyn Parameters,
    options: &QuantizeOptions,
) -> Result<LazyQuantized<'a>> {
    let network = Network::new(graph, parameters, false)?;
    let statistics = statistics::without_images(&network, options)?;
    let ids = network.graph.nodes().iter().zip(0..).map(|(node, id)| (node.name.clone(), id)).collect();
    Ok(LazyQuantized { assembly: Assembly::new(network, statistics, options)?, ids })
}

impl Parameters for LazyQuantized<'_> {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        let own = self.assembly.network.params.iter().find(|own| own.name == param.name);
        let values = own.map(|own| self.assembly.floats(own.node)).transpose()?.unwrap_or_default();
        let values = values.into_iter().find(|(own, _)| own.name == param.name).map(|(_, values)| values);
        values.ok_or_else(|| hardnet_params::Error::Integers { name: param.name.clone() })
    }
}

impl QuantizedParameters for LazyQuantized<'_> {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.assembly.maps[*self.ids.get(node)?]
    }

    fn layer(&self, node: &str) -> hardnet_params::Result<Option<QuantizedLayer>> {
        let Some(&id) = self.ids.get(node) else { return Ok(None) };
        Ok(self.assembly.integers(id)?.map(|integers| integers.layer))
    }

    fn has_integers(&self, node: &str) -> hardnet_params::Result<bool> {
        let role = self.ids.get(node).map(|&id| &self.assembly.network.roles[id]);
        Ok(matches!(role, Some(Role::Integer(_))))
    }

    fn units(&self, node: &str) -> Option<ChannelUnits> {
        self.assembly.units(*self.ids.get(node)?)
    }
}

//! A segmentation network on the native engine.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};

use hardnet_engine::{Plan, PlanOptions};
use hardnet_graph::{Alignment, Config, Graph, ParamInfo};
use hardnet_params::{ChannelUnits, MapQuantization, Parameters, QuantizedLayer, QuantizedParameters};

use crate::error::{Error, Result};
use crate::network::ComputeScores;
use crate::protocol::InputTensor;
use crate::scores::Scores;

/// Plans that are kept, one for each size of input: three scales are seen without planning any again.
const PLANS: usize = 3;

/// A network and its parameters, planned for each size of input when it comes.
///
/// The final interpolation is left out of the plans: classes follow from the logits at a fraction of the size, row by
/// row.
pub(crate) struct Native {
    graph: Graph,
    classes: usize,
    alignment: Alignment,
    parameters: Kept,
    options: PlanOptions,
    /// The last used comes last.
    plans: Mutex<Vec<Plan>>,
}

impl Native {
    /// The network of `config` with its parameters.
    ///
    /// # Errors
    ///
    /// [`Error::NoDecoder`] for a network that does not segment, [`Error::Params`] for parameters that cannot be read.
    pub(crate) fn new(config: &Config, parameters: Source<'_>, options: PlanOptions, weights: &str) -> Result<Self> {
        let decoder = config.decoder.as_ref().ok_or_else(|| Error::NoDecoder { weights: weights.into() })?;
        let graph = Graph::new(config)?.without_final_upsampling().inference();
        let parameters = match parameters {
            Source::Floats(parameters) => Kept::read(&graph, parameters)?,
            Source::Integers(parameters) => Kept::read_integers(&graph, parameters)?,
        };
        let (classes, alignment) = (decoder.classes, decoder.alignment());
        Ok(Self { graph, classes, alignment, parameters, options, plans: Mutex::default() })
    }

    /// The plan for inputs of a size, from those that are kept or a new one.
    fn plan(&self, plans: &mut Vec<Plan>, width: usize, height: usize) -> hardnet_engine::Result<Plan> {
        let has_size = |plan: &Plan| (plan.options().width, plan.options().height) == (width, height);
        if let Some(place) = plans.iter().position(has_size) {
            return Ok(plans.remove(place));
        }
        // An old plan's memory is given back before that of the new one is taken.
        if plans.len() >= PLANS {
            plans.remove(0);
        }
        let options = self.options.batch(1).size(height, width);
        match self.parameters.integers {
            None => Plan::from_graph(&self.graph, &self.parameters, &options),
            Some(_) => Plan::quantized_graph(&self.graph, &[], &self.parameters, &options),
        }
    }
}

impl ComputeScores for Native {
    fn classes(&self) -> usize {
        self.classes
    }

    fn alignment(&self) -> Alignment {
        self.alignment
    }

    fn scores(&self, input: &InputTensor) -> Result<Scores, Box<dyn StdError + Send + Sync>> {
        // A plan overwrites all that a run reads, so one that panicked half-way does no harm to the next.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut plan = self.plan(&mut plans, input.width, input.height)?;
        let shape = plan.output_shape();
        let values = plan.run(&[&input.values])?;
        plans.push(plan);
        Ok(Scores::new(shape.channels, shape.width, shape.height, values)?)
    }
}

/// Where the parameters of a network are read from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Floats(&'a dyn Parameters),
    Integers(&'a dyn QuantizedParameters),
}

/// Parameters in memory, which each size of input is planned from.
struct Kept {
    /// Of the layers in f32.
    values: HashMap<String, Vec<f32>>,
    /// Of a network in integers.
    integers: Option<Integers>,
}

/// Maps and layers in integers, by the names of nodes.
#[derive(Default)]
struct Integers {
    maps: HashMap<String, MapQuantization>,
    units: HashMap<String, ChannelUnits>,
    layers: HashMap<String, QuantizedLayer>,
}

impl Kept {
    fn read(graph: &Graph, parameters: &dyn Parameters) -> hardnet_params::Result<Self> {
        let values = graph.params().into_iter().map(|param| {
            let values = parameters.values(&param)?;
            Ok((param.name, values))
        });
        Ok(Self { values: values.collect::<hardnet_params::Result<_>>()?, integers: None })
    }

    fn read_integers(graph: &Graph, parameters: &dyn QuantizedParameters) -> hardnet_params::Result<Self> {
        let (mut values, mut integers, params) = (HashMap::new(), Integers::default(), graph.params());
        for (id, node) in graph.nodes().iter().enumerate() {
            let name = || node.name.clone();
            match parameters.layer(&node.name)? {
                Some(layer) => {
                    integers.layers.insert(name(), layer);
                }
                None => {
                    for param in params.iter().filter(|param| param.node == id) {
                        values.insert(param.name.clone(), parameters.values(param)?);
                    }
                }
            }
            integers.maps.extend(parameters.map(&node.name).map(|map| (name(), map)));
            integers.units.extend(parameters.units(&node.name).map(|units| (name(), units)));
        }
        Ok(Self { values, integers: Some(integers) })
    }
}

impl Parameters for Kept {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        Ok(self.values.get(&param.name).cloned().expect("the parameters of the graph were read"))
    }
}

impl QuantizedParameters for Kept {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.integers.as_ref()?.maps.get(node).copied()
    }

    fn layer(&self, node: &str) -> hardnet_params::Result<Option<QuantizedLayer>> {
        Ok(self.integers.as_ref().and_then(|integers| integers.layers.get(node).cloned()))
    }

    fn units(&self, node: &str) -> Option<ChannelUnits> {
        self.integers.as_ref()?.units.get(node).cloned()
    }
}

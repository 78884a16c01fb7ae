//! The outputs of a model, and names that must differ.

use std::collections::HashSet;

use hardnet_graph::Graph;

use super::attributes::int;
use super::nodes::{Exporter, is_linear};
use crate::error::{Error, Result};
use crate::model::Model;

/// Names of outputs.
const LOGITS: &str = "logits";
const PROBABILITIES: &str = "probabilities";
const FEATURES: &str = "features";

impl Exporter<'_> {
    /// Adds the outputs.
    pub(super) fn outputs(&mut self) -> Result<()> {
        let graph = self.graph;
        let mut outputs = Vec::new();
        if let Some(positions) = &self.options.features {
            if self.options.softmax {
                return Err(Error::NoLogits);
            }
            for &position in positions {
                let module = &graph.modules()[position];
                outputs.push(self.join(&module.outputs, &format!("{}.concat", module.name)));
            }
            // Two modules have one map where one of them is a dropout.
            let mut seen = HashSet::new();
            outputs.retain(|name| seen.insert(name.clone()));
        } else {
            // Of an image, or of each of its pixels.
            let linear = graph.outputs().iter().all(|&output| is_linear(graph, output));
            let gives_logits = linear || graph.final_upsampling().is_some();
            let name = if gives_logits { LOGITS } else { FEATURES };
            let map = self.join(graph.outputs(), "output.concat");
            self.rename(&map, name);
            outputs.push(name.to_owned());
            if self.options.softmax {
                let value = self.model.values.iter().find(|value| value.name == name && gives_logits).cloned();
                let value = value.ok_or(Error::NoLogits)?;
                let map = self.push("softmax", "Softmax", outputs, vec![int("axis", 1)], value);
                self.rename(&map, PROBABILITIES);
                outputs = vec![PROBABILITIES.into()];
            }
        }
        for name in outputs {
            let at = self.model.values.iter().position(|value| value.name == name);
            let at = at.ok_or(Error::Unsupported { layer: name, reason: "it is the image itself" })?;
            self.model.outputs.push(self.model.values.remove(at));
        }
        if self.options.dynamic_size {
            self.model.values.clear();
        }
        Ok(())
    }

    /// Checks that no two values, and no two nodes, have one name.
    pub(super) fn check_names(&self) -> Result<()> {
        let Model { nodes, initializers, inputs, .. } = &self.model;
        fn unique<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<()> {
            let mut seen = HashSet::new();
            match names.find(|name| !seen.insert(*name)) {
                Some(name) => Err(Error::Unsupported { layer: name.clone(), reason: "another layer has its name" }),
                None => Ok(()),
            }
        }
        unique(nodes.iter().map(|node| &node.name))?;
        let constants = initializers.iter().map(|tensor| &tensor.info.name);
        let written = nodes.iter().flat_map(|node| &node.outputs);
        unique(inputs.iter().map(|value| &value.name).chain(constants).chain(written))
    }

    /// Gives a value another name.
    fn rename(&mut self, from: &str, to: &str) {
        let values = self.model.values.iter_mut().map(|value| &mut value.name);
        let nodes = self.model.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().chain(&mut node.outputs));
        for name in values.chain(nodes).filter(|name| *name == from) {
            *name = to.into();
        }
    }
}

/// The graph up to the last of the modules at `positions`.
pub(super) fn part(graph: &Graph, positions: &[usize]) -> Result<Graph> {
    let modules = graph.modules().len();
    if let Some(&position) = positions.iter().find(|&&position| position >= modules) {
        return Err(Error::NoModule { position, modules });
    }
    let Some(&last) = positions.iter().max() else { return Err(Error::NoModule { position: 0, modules: 0 }) };
    Ok(graph.clone().truncated(last))
}

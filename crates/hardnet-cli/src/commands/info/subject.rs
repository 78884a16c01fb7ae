//! The network that `hardnet info` describes: a HarDNet, the network of a weights file, or one from the paper.

use std::str::FromStr;

use hardnet_complexity::Reference;
use hardnet_model::{Config, Graph, Variant};
use hardnet_weights::WeightsSource;

use crate::failure::{Failure, Result};
use crate::model::name_of;
use crate::printer::Printer;
use crate::weights::{FetchArgs, locate};

/// Name of a network.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Variant(Variant),
    Reference(Reference),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Ok(reference) = text.to_lowercase().parse() {
            return Ok(Self::Reference(reference));
        }
        text.parse().map(Self::Variant).map_err(|error| {
            let names = Reference::ALL.map(|reference| format!("`{}`", reference.name()));
            format!("{error}, {}", names.join(", "))
        })
    }
}

/// A network and its description.
#[derive(Debug)]
pub(super) struct Subject {
    graph: Graph,
    /// Configuration and graph of a HarDNet.
    config: Option<Config>,
}

impl Subject {
    pub(super) fn from_name(name: Name) -> Self {
        match name {
            Name::Variant(variant) => Self::from_variant(variant),
            Name::Reference(reference) => Self { graph: reference.graph(), config: None },
        }
    }

    pub(super) fn from_variant(variant: Variant) -> Self {
        let config = Config::from(variant);
        let graph = Graph::new(&config).expect("published configurations are valid");
        Self { graph, config: Some(config) }
    }

    pub(super) fn from_weights(
        source: &WeightsSource,
        name: Option<Name>,
        fetch: &FetchArgs,
        printer: &Printer,
    ) -> Result<Self> {
        let variant = match name {
            Some(Name::Reference(reference)) => {
                return Err(Failure::message(format!(
                    "weights of `{}` cannot be read, only those of HarDNets",
                    reference.name()
                )));
            }
            Some(Name::Variant(variant)) => Some(variant),
            None => None,
        };
        let config = locate(source, fetch, printer)?.open(variant)?.config().clone();
        let graph = Graph::new(&config)?.with_name(name_of(&config));
        Ok(Self { graph, config: Some(config) })
    }

    pub(super) fn name(&self) -> &str {
        self.graph.name()
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Whether images of this side survive the strides.
    pub(super) fn check_side(&self, side: usize) -> Result<()> {
        Ok(self.graph.shapes(side, side).map(|_| ())?)
    }
}

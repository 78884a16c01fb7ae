//! What `hardnet info` describes: one of our networks, what a file holds, or a network of the paper.

use std::str::FromStr;

use hardnet_metrics::{Network, Reference};
use hardnet_model::{Config, Graph, Variant};
use hardnet_weights::Source;

use crate::failure::{Failure, Result};
use crate::model::name_of;
use crate::printer::Printer;
use crate::weights::{FetchArgs, locate};

/// A network by name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Variant(Variant),
    Reference(Reference),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some(reference) = Reference::named(&text.to_lowercase()) {
            return Ok(Self::Reference(reference));
        }
        text.parse().map(Self::Variant).map_err(|error: hardnet_model::Error| {
            let names = Reference::ALL.map(|reference| format!("`{}`", reference.name()));
            format!("{error}, or of {}", names.join(", "))
        })
    }
}

/// A network and its description.
#[derive(Debug)]
pub(super) struct Subject {
    network: Network,
    /// Of a HarDNet.
    own: Option<(Config, Graph)>,
}

impl Subject {
    pub(super) fn named(name: Name) -> Self {
        match name {
            Name::Variant(variant) => Self::of_variant(variant),
            Name::Reference(reference) => Self { network: reference.network(), own: None },
        }
    }

    pub(super) fn of_variant(variant: Variant) -> Self {
        let config = Config::from(variant);
        let graph = Graph::new(&config).expect("published configurations are valid");
        Self { network: graph.describe(variant.name()), own: Some((config, graph)) }
    }

    pub(super) fn of_weights(
        source: &Source,
        name: Option<Name>,
        fetch: &FetchArgs,
        printer: &Printer,
    ) -> Result<Self> {
        let variant = match name {
            Some(Name::Reference(reference)) => {
                return Err(Failure::message(format!("`{}` has no weights here", reference.name())));
            }
            Some(Name::Variant(variant)) => Some(variant),
            None => None,
        };
        let config = locate(source, fetch, printer)?.open(variant)?.config().clone();
        let graph = Graph::new(&config)?;
        Ok(Self { network: graph.describe(name_of(&config)), own: Some((config, graph)) })
    }

    pub(super) fn name(&self) -> &str {
        self.network.name()
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    pub(super) fn config(&self) -> Option<&Config> {
        self.own.as_ref().map(|(config, _)| config)
    }

    pub(super) fn graph(&self) -> Option<&Graph> {
        self.own.as_ref().map(|(_, graph)| graph)
    }

    /// Whether images of this side survive the strides.
    pub(super) fn check_side(&self, side: usize) -> Result<()> {
        match self.graph() {
            Some(graph) => Ok(graph.shapes(side, side).map(|_| ())?),
            None => Ok(self.network.figures(side, side).map(|_| ())?),
        }
    }
}

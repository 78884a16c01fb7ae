//! The network that `hardnet info` describes: a HarDNet, the network of a weights file, or one from the paper.

use std::str::FromStr;

use hardnet_classifier::pipeline_of;
use hardnet_complexity::Reference;
use hardnet_model::{Config, Graph, Variant};
use hardnet_weights::{RegistryEntry, WeightsSource, find};

use crate::failure::{Failure, Result};
use crate::model::name_of;
use crate::network::{NetworkName, published, unknown};
use crate::printer::Printer;
use crate::size::ImageSize;
use crate::weights::{FetchArgs, PartArgs, locate, tell};

/// Name of a network.
#[derive(Clone, Debug)]
pub(super) enum Name {
    HarDNet(NetworkName),
    Reference(Reference),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Ok(reference) = text.to_lowercase().parse() {
            return Ok(Self::Reference(reference));
        }
        text.parse().map(Self::HarDNet).map_err(|_| {
            let others = Reference::ALL.into_iter().map(Reference::name);
            unknown(text, published().chain(others))
        })
    }
}

impl Name {
    /// The weights of a published HarDNet by its authors.
    pub(super) fn registered(&self) -> Option<&'static RegistryEntry> {
        match self {
            Self::HarDNet(NetworkName::Variant(variant)) => find(&format!("{variant}.upstream_in1k")),
            _ => None,
        }
    }
}

/// A network and its description.
#[derive(Debug)]
pub(super) struct Subject {
    graph: Graph,
    /// Configuration and graph of a HarDNet.
    config: Option<Config>,
    /// Side of the images that the weights file was trained for, if it says so.
    side: Option<usize>,
}

impl Subject {
    pub(super) fn from_name(name: &Name) -> Result<Self> {
        Ok(match name {
            Name::HarDNet(NetworkName::Variant(variant)) => Self::from_variant(*variant),
            Name::HarDNet(name) => Self::from_config(name.config()?)?,
            Name::Reference(reference) => Self { graph: reference.graph(), config: None, side: None },
        })
    }

    fn from_config(config: Config) -> Result<Self> {
        let graph = Graph::new(&config)?.with_name(name_of(&config));
        Ok(Self { graph, config: Some(config), side: None })
    }

    pub(super) fn from_variant(variant: Variant) -> Self {
        let config = Config::from(variant);
        let graph = Graph::new(&config).expect("published configurations are valid");
        Self { graph, config: Some(config), side: None }
    }

    pub(super) fn from_weights(
        source: &WeightsSource,
        name: Option<&Name>,
        (fetch, part): (&FetchArgs, &PartArgs),
        printer: &Printer,
    ) -> Result<Self> {
        let network = match name {
            Some(Name::Reference(reference)) => {
                return Err(Failure::message(format!(
                    "weights of `{}` cannot be read, only those of HarDNets",
                    reference.name()
                )));
            }
            Some(Name::HarDNet(name)) => Some(name),
            None => None,
        };
        let file = locate(source, fetch, printer)?.open(network, part)?;
        tell(&file, printer);
        let classifies = file.config().decoder.is_none();
        let pipeline = file.metadata().filter(|_| classifies).and_then(|metadata| metadata.pipeline.as_ref());
        let side = pipeline.map(|of_file| pipeline_of(Some(file.config()), Some(of_file))).transpose()?;
        let side = side.map(|(pipeline, _)| pipeline.crop as usize);
        Ok(Self { side, ..Self::from_config(file.config().clone())? })
    }

    /// Size of the images that the network is described for, unless the user names another: that of Cityscapes'
    /// pictures for segmentation.
    pub(super) fn size(&self) -> ImageSize {
        match self.side {
            Some(side) => ImageSize::square(side),
            None if self.graph.final_upsampling().is_some() => ImageSize { height: 1024, width: 2048 },
            None => ImageSize::square(hardnet_complexity::paper::IMAGE_SIDE),
        }
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

    /// Whether images of this size survive the strides.
    pub(super) fn check_size(&self, size: ImageSize) -> Result<()> {
        Ok(self.graph.shapes(size.height, size.width).map(|_| ())?)
    }
}

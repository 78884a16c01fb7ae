//! What a caller expects of a weights file.

use hardnet_checkpoint::ReadOptions;
use hardnet_graph::{Config, Variant};

/// What a weights file is read for. By default, the network that the file describes or that its tensors tell.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WeightsOptions {
    /// The network that the file must hold.
    pub network: Option<Expected>,
    /// The dictionary of the file to read, its keys joined by periods; by default the file's format tells.
    pub entry: Option<String>,
    /// What the names of the network's tensors begin with, such as `model.`: the rest of the file is left out. By
    /// default it is found out.
    pub prefix: Option<String>,
}

/// The network that a file must hold, with as many classes as the file has.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expected {
    /// A published one.
    Variant(Variant),
    /// One that the caller describes. It tells what shapes do not: activation, strides, kind of pool, padding.
    Config(Box<Config>),
}

impl Expected {
    /// Whether `found` is this network, whatever its classes and dropouts.
    pub(crate) fn is(&self, found: &Config) -> bool {
        match self {
            Self::Variant(variant) => found.variant() == Some(*variant),
            Self::Config(config) => without_dropout(config) == without_dropout(found),
        }
    }

    /// Its name in a message.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Variant(variant) => variant.to_string(),
            Self::Config(_) => "the network that was given".into(),
        }
    }
}

/// A network without its classifier and the probabilities of its dropouts.
fn without_dropout(config: &Config) -> Config {
    let mut config = config.clone().without_head();
    for block in &mut config.blocks {
        block.dropout = block.dropout.map(|_| 0.0);
    }
    config
}

impl WeightsOptions {
    /// How the file is opened.
    pub(crate) fn read(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.entry.clone_from(&self.entry);
        options
    }

    /// Requires a published network.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.network = Some(Expected::Variant(variant));
        self
    }

    /// Requires the network of `config`, which tells what shapes do not. The file's metadata must agree, unless they say
    /// that the network was assumed.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.network = Some(Expected::Config(Box::new(config)));
        self
    }

    /// Reads the dictionary `entry` of the file, such as `state_dict`; `.` is the top level.
    #[must_use]
    pub fn entry(mut self, entry: impl Into<String>) -> Self {
        self.entry = Some(entry.into());
        self
    }

    /// Reads the tensors whose names begin with `prefix`; its last period may be left out.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }
}

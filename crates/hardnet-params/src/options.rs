//! Options of reading a weights file.

use hardnet_checkpoint::ReadOptions;
use hardnet_graph::{Config, Decoder, Variant};
use serde_json::{Map, Value};

/// Options of reading a weights file. By default, it holds the network that it describes or that its tensors determine.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WeightsOptions {
    /// The network that the file must hold.
    pub network: Option<Expected>,
    /// The dictionary of the file to read, its keys joined by periods; by default the file's format tells.
    pub entry: Option<String>,
    /// The prefix of the names of the network's tensors, such as `model.`: the rest of the file is left out. By
    /// default it is found out.
    pub prefix: Option<String>,
    /// Whether the values stay on disk until they are read: see
    /// [`ReadOptions::streamed`](hardnet_checkpoint::ReadOptions::streamed).
    pub streamed: bool,
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

    /// Its name in a message on a file that holds `found`, with the first field that differs.
    pub(crate) fn instead_of(&self, found: &Config) -> String {
        let Self::Config(config) = self else { return self.name() };
        let [found, wanted] = [found, config].map(|config| serde_json::to_value(without_dropout(config)));
        let difference = found.ok().zip(wanted.ok()).and_then(|(found, wanted)| difference("", &found, &wanted));
        difference.map_or_else(|| self.name(), |difference| format!("{}: {difference}", self.name()))
    }
}

/// A network without its classifier, the number of a decoder's classes and the probabilities of its dropouts.
fn without_dropout(config: &Config) -> Config {
    let decoder = config.decoder.clone().map(|decoder| Decoder::new(1, decoder.align_corners));
    let mut config = config.clone().without_head();
    config.decoder = decoder;
    for block in &mut config.blocks {
        block.dropout = block.dropout.map(|_| 0.0);
    }
    config
}

/// The first field, named below `path`, that `found` and `wanted` do not have in common.
fn difference(path: &str, found: &Value, wanted: &Value) -> Option<String> {
    match (found, wanted) {
        _ if found == wanted => None,
        (Value::Object(found), Value::Object(wanted)) => {
            let dot = if path.is_empty() { "" } else { "." };
            let names = found.keys().chain(wanted.keys());
            let field = |table: &Map<String, Value>, name: &str| table.get(name).cloned().unwrap_or_default();
            let mut all = names.map(|name| (format!("{path}{dot}{name}"), field(found, name), field(wanted, name)));
            all.find_map(|(path, found, wanted)| difference(&path, &found, &wanted))
        }
        (Value::Array(found), Value::Array(wanted)) if found.len() == wanted.len() => {
            let mut pairs = found.iter().zip(wanted).enumerate();
            pairs.find_map(|(at, (found, wanted))| difference(&format!("{path}[{at}]"), found, wanted))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            Some(format!("`{path}` has {} entries, not {}", found.len(), wanted.len()))
        }
        _ => {
            let shown = |value: &Value| if value.is_null() { "left out".into() } else { value.to_string() };
            Some(format!("`{path}` is {}, not {}", shown(found), shown(wanted)))
        }
    }
}

impl WeightsOptions {
    /// How the file is opened.
    pub(crate) fn read(&self) -> ReadOptions {
        let mut options = ReadOptions::default().streamed(self.streamed);
        options.entry.clone_from(&self.entry);
        options
    }

    /// Requires a published network.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.network = Some(Expected::Variant(variant));
        self
    }

    /// Requires the network of `config`, which tells what shapes do not. The file's metadata must agree, unless they
    /// say that the network was assumed.
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

    /// Sets whether the values stay on disk until they are read: for a program that reads each once, in little memory.
    #[must_use]
    pub fn streamed(mut self, streamed: bool) -> Self {
        self.streamed = streamed;
        self
    }
}

#[cfg(test)]
mod tests {
    use hardnet_graph::{Activation, Downsample};

    use super::*;

    #[test]
    fn the_first_field_that_differs_is_named() {
        let wanted = Config::from(Variant::HarDNet68);
        let expected = Expected::Config(Box::new(wanted.clone()));
        assert!(expected.is(&wanted.clone().with_classes(7)) && expected.is(&wanted.clone().without_head()));
        type Change = fn(&mut Config);
        let cases: [(Change, &str); 4] = [
            (|c| c.activation = Activation::Relu, "`activation` is \"relu\", not \"relu6\""),
            (|c| c.downsample = Downsample::AveragePool, "`downsample` is \"average_pool\", not \"max_pool\""),
            (|c| c.blocks[2].growth = 3, "`blocks[2].growth` is 3, not 20"),
            (|c| c.blocks.truncate(2), "`blocks` has 2 entries, not 5"),
        ];
        for (change, message) in cases {
            let mut found = wanted.clone();
            change(&mut found);
            assert!(!expected.is(&found));
            assert_eq!(expected.instead_of(&found), format!("the network that was given: {message}"));
        }
        let mut stem = wanted;
        stem.stem.downsample = false;
        let message = expected.instead_of(&stem);
        assert!(message.ends_with("`stem.downsample` is false, not left out"), "{message}");
    }
}

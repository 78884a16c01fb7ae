//! Metadata of a weights file.

use std::collections::BTreeMap;

use hardnet_graph::Config;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::quantized::Quantization;

/// The key under which a safetensors file's metadata holds a [`Metadata`] as JSON.
pub(crate) const METADATA_KEY: &str = "hardnet";

/// The version of [`Metadata`] that this crate reads.
const SCHEMA: u32 = 1;

/// Description of a weights file, stored in it as JSON under the metadata key `hardnet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// Version of this table.
    pub schema: u32,
    /// The network.
    pub config: Config,
    /// Names of the classes in order, where they are not ImageNet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// How images are prepared for it: a name or a table, for whoever reads images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Value>,
    /// How the file that this one was converted from names parameters: the name of a [`Scheme`](crate::Scheme).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Assumptions about the network where the shapes of its tensors leave something open, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// How the network was quantized, where its weights are 8-bit integers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// The file that this one was converted from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Provenance>,
    /// The program that wrote the file, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
}

/// The file that weights were converted from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Provenance {
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
    /// Length.
    pub bytes: u64,
    /// Its format, as `PyTorch, legacy`.
    pub format: String,
}

impl Metadata {
    /// Metadata of a network without class names or a pipeline of its own.
    pub fn new(config: Config) -> Self {
        Self {
            schema: SCHEMA,
            config,
            labels: None,
            pipeline: None,
            scheme: None,
            assumed: Vec::new(),
            quantization: None,
            source: None,
            tool: None,
        }
    }

    /// Sets the names of the classes in order.
    #[must_use]
    pub fn labels(mut self, labels: Vec<String>) -> Self {
        self.labels = Some(labels);
        self
    }

    /// Sets how images are prepared: a name or a table.
    #[must_use]
    pub fn pipeline(mut self, pipeline: impl Into<Value>) -> Self {
        self.pipeline = Some(pipeline.into());
        self
    }

    /// Compact JSON with sorted keys: the same table gives the same bytes.
    pub fn to_json(&self) -> String {
        let value = serde_json::to_value(self).expect("every field is a JSON value");
        serde_json::to_string(&Sorted::from(value)).expect("every field is a JSON value")
    }

    /// Reads the table in `json`; the error says why it is none.
    pub(crate) fn from_json(json: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let failed = |error: serde_json::Error| format!("`{METADATA_KEY}`: {error}");
        let Schema { schema } = serde_json::from_str(json).map_err(failed)?;
        if schema != SCHEMA {
            return Err(format!("`{METADATA_KEY}` has schema {schema}, this version reads {SCHEMA}"));
        }
        serde_json::from_str(json).map_err(failed)
    }
}

/// A JSON value whose tables are sorted whatever features `serde_json` is built with.
#[derive(Serialize)]
#[serde(untagged)]
enum Sorted {
    Table(BTreeMap<String, Sorted>),
    List(Vec<Sorted>),
    Leaf(Value),
}

impl From<Value> for Sorted {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(table) => Self::Table(table.into_iter().map(|(key, value)| (key, value.into())).collect()),
            Value::Array(list) => Self::List(list.into_iter().map(Self::from).collect()),
            leaf => Self::Leaf(leaf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardnet_graph::Variant;

    #[test]
    fn json_is_sorted_at_every_depth_and_reads_back() {
        let mut metadata = Metadata::new(Config::from(Variant::HarDNet39Ds));
        metadata.pipeline = Some(serde_json::json!({"resize": 256, "crop": 224}));
        metadata.tool = Some("hardnet 1".into());
        let json = metadata.to_json();
        assert!(json.starts_with("{\"config\":{\"activation\":\"relu6\",\"blocks\":[{\"downsample\":true,"), "{json}");
        assert!(
            json.ends_with("\"pipeline\":{\"crop\":224,\"resize\":256},\"schema\":1,\"tool\":\"hardnet 1\"}"),
            "{json}"
        );
        assert_eq!(Metadata::from_json(&json), Ok(metadata));
    }
}

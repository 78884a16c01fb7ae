//! How a file's network was quantized, as its metadata say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MapQuantization;

/// How a file's network was quantized: a part of its [`Metadata`](crate::Metadata).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quantization {
    /// How ranges were found, in words: `without images`, `percentile 99.99`.
    pub method: String,
    /// Images whose maps were measured.
    #[serde(default)]
    pub images: usize,
    /// The nodes that write maps of bytes, with how these are read.
    #[serde(default)]
    pub maps: BTreeMap<String, MapQuantization>,
}

impl Quantization {
    /// A description of a network whose maps are not known yet; [`write_quantized`](crate::write_quantized) adds them.
    pub fn new(method: impl Into<String>, images: usize) -> Self {
        Self { method: method.into(), images, maps: BTreeMap::new() }
    }
}

/// An f32 as the f64 that it is: JSON then has all of its digits, and readers of f64 have the same value.
pub(super) mod as_f64 {
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(in crate::quantized) fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(*value))
    }

    pub(in crate::quantized) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        f64::deserialize(deserializer).map(|value| value as f32)
    }
}

//! Errors of reading and writing parameters.

use std::fmt;
use std::path::PathBuf;

use hardnet_base::excerpt;
use serde::Serialize;

use crate::convert::Precision;

/// Result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A tensor with another shape than the network needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShapeMismatch {
    /// Name of the tensor.
    pub name: String,
    /// Shape that the network needs.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

impl fmt::Display for ShapeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {:?}, not {:?}", excerpt(&self.name), self.found, self.expected)
    }
}

/// Differences between a file and a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Differences {
    /// Parameters of the network that are not in the file.
    pub missing: Vec<String>,
    /// Tensors of the file that are not parameters of the network.
    pub unexpected: Vec<String>,
    /// Tensors with another shape.
    pub misshaped: Vec<ShapeMismatch>,
    /// Tensors of a type that is not f64, f32, f16 or bf16, with that type.
    pub unreadable: Vec<(String, String)>,
    /// Tensors with a value that is infinite or NaN as f32.
    pub not_finite: Vec<String>,
    /// Running variances with a value below zero.
    pub negative: Vec<String>,
    /// Tensors and maps of a quantized network that cannot be, with what is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<(String, String)>,
}

impl Differences {
    /// Number of differences.
    pub fn count(&self) -> usize {
        let named = [&self.missing, &self.unexpected, &self.not_finite, &self.negative];
        named.map(Vec::len).iter().sum::<usize>() + self.misshaped.len() + self.unreadable.len() + self.invalid.len()
    }
}

impl fmt::Display for Differences {
    /// Each kind with its count and the first few names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unreadable = self
            .unreadable
            .iter()
            .map(|(name, dtype)| format!("`{}` is {dtype}, not f64, f32, f16 or bf16", excerpt(name)));
        let invalid = self.invalid.iter().map(|(name, reason)| format!("`{}` {reason}", excerpt(name)));
        let kinds = [
            ("missing", quoted(&self.missing)),
            ("unexpected", quoted(&self.unexpected)),
            ("with another shape", self.misshaped.iter().map(ShapeMismatch::to_string).collect()),
            ("with an unsupported type", unreadable.collect()),
            ("not finite", quoted(&self.not_finite)),
            ("with a negative variance", quoted(&self.negative)),
            ("invalid", invalid.collect()),
        ];
        for (at, (what, items)) in kinds.iter().filter(|(_, items)| !items.is_empty()).enumerate() {
            let separator = if at > 0 { "; " } else { "" };
            write!(f, "{separator}{} {what} ({})", items.len(), first_of(items))?;
        }
        Ok(())
    }
}

/// Number of names of each kind in a message.
const MAX_NAMES: usize = 3;

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("`{}`", excerpt(name))).collect()
}

fn in_parts(parts: &[(String, String)]) -> Vec<String> {
    parts.iter().map(|(prefix, network)| format!("{network} under `{}`", excerpt(prefix))).collect()
}

fn first_of(items: &[String]) -> String {
    let more = if items.len() > MAX_NAMES { ", ..." } else { "" };
    format!("{}{more}", items.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", "))
}

/// Error type of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that does not describe a network, or an unknown name of one.
    #[error(transparent)]
    Graph(#[from] hardnet_graph::Error),
    /// A weights file could not be read.
    #[error("cannot read weights `{path}`", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file of unknown format, or one that is damaged or refused.
    #[error("`{path}` is not a readable model file: {source}", path = .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The error of the format.
        source: Box<hardnet_checkpoint::Error>,
    },
    /// The graph of an ONNX model is not that of a network.
    #[error("`{path}` does not hold {network}: {source}", path = .path.display())]
    Layers {
        /// The file.
        path: PathBuf,
        /// The network that comes closest.
        network: String,
        /// The first difference.
        source: Box<hardnet_onnx::Error>,
    },
    /// The metadata of a file is invalid.
    #[error("`{path}` has invalid metadata: {reason}", path = .path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The expected and the found value, in words.
        reason: String,
    },
    /// The tensors of a weights file do not fit the network.
    #[error("`{path}` does not fit {network}: {differences}", path = .path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The network it was read for.
        network: String,
        /// The differences.
        differences: Box<Differences>,
    },
    /// A weights file holds another network than the expected one.
    #[error("`{path}` holds {found}, not {expected}", path = .path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The network it holds.
        found: String,
        /// The expected network.
        expected: String,
    },
    /// A file holds several networks, or one network with several sets of values.
    #[error(
        "`{path}` holds several networks: {parts}; expected one",
        path = .path.display(), parts = first_of(&in_parts(.parts))
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The prefix of each part's names, and its network, in the order of the file.
        parts: Vec<(String, String)>,
    },
    /// No name of a file begins with the prefix that was requested.
    #[error(
        "no tensor of `{path}` has a name that begins with `{prefix}`, expected one of {found}",
        path = .path.display(), found = first_of(&quoted(.found))
    )]
    NoPrefix {
        /// The file.
        path: PathBuf,
        /// The prefix.
        prefix: String,
        /// The modules that names of the file begin with.
        found: Vec<String>,
    },
    /// Values that are finite in f32 and overflow the requested type.
    #[error(
        "{count} tensors of `{path}` have values that overflow {precision} ({first})",
        count = .tensors.len(), path = .path.display(), first = first_of(&quoted(.tensors))
    )]
    Overflow {
        /// The file.
        path: PathBuf,
        /// The requested type.
        precision: Precision,
        /// The parameters, under their canonical names.
        tensors: Vec<String>,
    },
    /// The number of class names is not the number of classes.
    #[error("{found} class names for a network of {expected} classes")]
    ClassNames {
        /// Classes of the network.
        expected: usize,
        /// Names.
        found: usize,
    },
    /// A type name other than `f32`, `f16` and `bf16`.
    #[error("unknown type `{0}`, expected f32, f16 or bf16")]
    UnknownPrecision(String),
    /// A parameter to be written has an infinite or NaN value.
    #[error("`{name}` has values that are not finite")]
    NotFinite {
        /// Name of the parameter.
        name: String,
    },
    /// A weights file could not be written.
    #[error("cannot write the weights")]
    Write(#[source] std::io::Error),
    /// The number of values of a parameter does not match its shape.
    #[error("`{name}` has {found} values, expected {expected}")]
    Parameter {
        /// Name of the parameter.
        name: String,
        /// Number of values of its shape.
        expected: usize,
        /// Number of values found.
        found: usize,
    },
    /// A file lacks a parameter, because it holds another network.
    #[error("`{path}` has no parameter `{name}`", path = .path.display())]
    NoParameter {
        /// The file.
        path: PathBuf,
        /// Name of the parameter.
        name: String,
    },
    /// A file of 8-bit integers where weights in floating point are needed.
    #[error("the weights of `{path}` are 8-bit integers, expected floating point", path = .path.display())]
    Quantized {
        /// The file.
        path: PathBuf,
    },
    /// A parameter that a quantized network does not have in floating point.
    #[error("`{name}` is stored in 8-bit integers, expected floating point")]
    Integers {
        /// Name of the parameter.
        name: String,
    },
    /// Reading a parameter from a source that is not a file failed.
    #[error("cannot read the parameter `{name}`")]
    Source {
        /// Name of the parameter.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An unknown name of a [`Scheme`](crate::Scheme).
    #[error("unknown naming scheme `{0}`")]
    UnknownScheme(String),
}

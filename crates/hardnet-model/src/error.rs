//! What can go wrong in this crate.

use std::fmt;
use std::path::PathBuf;

use crate::config::Variant;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A tensor whose shape is not the network's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaped {
    /// Name of the tensor.
    pub name: String,
    /// Shape that the network needs.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

impl fmt::Display for Shaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {:?}, not {:?}", self.name, self.found, self.expected)
    }
}

/// All that keeps a file from fitting a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Differences {
    /// Parameters of the network that are not in the file.
    pub missing: Vec<String>,
    /// Tensors of the file that are no parameters of the network.
    pub unexpected: Vec<String>,
    /// Tensors of another shape.
    pub misshaped: Vec<Shaped>,
    /// Tensors of a type that is not f32, f16 or bf16, with that type.
    pub unreadable: Vec<(String, String)>,
}

impl Differences {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.missing.len() + self.unexpected.len() + self.misshaped.len() + self.unreadable.len()
    }
}

impl fmt::Display for Differences {
    /// Each kind with its count and the first few names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let unreadable =
            self.unreadable.iter().map(|(name, dtype)| format!("`{name}` is {dtype}, not f32, f16 or bf16"));
        let kinds = [
            ("missing", quoted(&self.missing)),
            ("unexpected", quoted(&self.unexpected)),
            ("of another shape", self.misshaped.iter().map(Shaped::to_string).collect()),
            ("of an unreadable type", unreadable.collect()),
        ];
        for (at, (what, items)) in kinds.iter().filter(|(_, items)| !items.is_empty()).enumerate() {
            let separator = if at > 0 { "; " } else { "" };
            let first = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            let more = if items.len() > SHOWN { ", ..." } else { "" };
            write!(f, "{separator}{} {what} ({first}{more})", items.len())?;
        }
        Ok(())
    }
}

/// Names that a message has of each kind.
const SHOWN: usize = 3;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of a [`Config`](crate::Config) or [`BlockSpec`](crate::BlockSpec) makes no network.
    #[error("{field} is {found}, expected {expected}")]
    Config {
        /// The field, as in `blocks[2].growth`.
        field: String,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// The input does not survive the strides of the network.
    #[error(
        "input of {height}x{width} pixels is too small: `{module}` would have no output; the shorter side needs at least {minimum}"
    )]
    InputTooSmall {
        /// Rows of the input.
        height: usize,
        /// Columns of the input.
        width: usize,
        /// The first module without an output.
        module: String,
        /// The smallest side of a square input that works.
        minimum: usize,
    },
    /// The input is larger than any map the crate computes with.
    #[error("input of {height}x{width} pixels is too large, at most {maximum} a side")]
    InputTooLarge {
        /// Rows of the input.
        height: usize,
        /// Columns of the input.
        width: usize,
        /// The largest side.
        maximum: usize,
    },
    /// No module of the network is what a tap asks for.
    #[error("no feature map at {wanted} in this network, which has {available}")]
    NoSuchTap {
        /// What was asked for: a stride or an index.
        wanted: String,
        /// What there is.
        available: String,
    },
    /// A name that is no published network.
    #[error("unknown model `{0}`, expected one of {names}", names = Variant::names())]
    UnknownVariant(String),
    /// A weights file could not be read.
    #[error("cannot read weights `{path}`", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not safetensors, or a broken one.
    #[error("`{path}` is not a whole safetensors file: {reason}", path = .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// A weights file holds other tensors than the network.
    #[error("`{path}` does not fit {network}: {differences}", path = .path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The network it was read for.
        network: String,
        /// All that differs.
        differences: Box<Differences>,
    },
    /// A weights file holds another network than the one asked for.
    #[error("`{path}` holds {found}, not {expected}", path = .path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The network it holds.
        found: String,
        /// The network asked for.
        expected: String,
    },
    /// An error of Candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

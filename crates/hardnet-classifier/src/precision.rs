//! Numbers that the native engine computes with.

use std::fmt;
use std::str::FromStr;

/// The numbers that the native engine computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Single precision.
    F32,
    /// Maps and weights of 8-bit integers, but for the first convolution and the classifier.
    Int8,
}

/// Error of a name that is not a precision's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown precision `{0}`, expected f32 or int8")]
pub struct UnknownPrecision(pub String);

impl Precision {
    /// Its name, which [`FromStr`] reads: `f32` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        let found = [Self::F32, Self::Int8].into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| UnknownPrecision(name.into()))
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

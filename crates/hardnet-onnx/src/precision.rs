//! The types that a network is written in.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::model::ElementType;

/// Type of the weights and of all maps: what the model computes in.
///
/// It is not the type that a weights file stores its values in, which may be bf16, too: `Conv` takes bf16 from opset 22
/// on, beyond what is written here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// IEEE 754 binary32.
    #[default]
    F32,
    /// IEEE 754 binary16.
    F16,
}

impl Precision {
    /// The type of a tensor.
    pub const fn element(self) -> ElementType {
        match self {
            Self::F32 => ElementType::F32,
            Self::F16 => ElementType::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.element().fmt(f)
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::F32, Self::F16]
            .into_iter()
            .find(|precision| precision.to_string() == text)
            .ok_or_else(|| Error::Precision(text.into()))
    }
}

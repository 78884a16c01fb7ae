//! The ways to compute a convolution.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::winograd::TileSide;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// As it is defined.
    Direct,
    /// By Winograd's filtering in tiles of 2x2 outputs; 3x3 kernels of stride 1 and padding 1 only.
    Winograd2,
    /// By Winograd's filtering in tiles of 4x4 outputs; the same kernels.
    Winograd4,
    /// As [`Algorithm::Winograd2`], with weights that are transformed as they are read: 16 values become 9.
    Winograd2Lean,
    /// As [`Algorithm::Winograd4`], with weights that are transformed as they are read: 36 values become 9, for layers whose
    /// weights are more than their maps.
    Winograd4Lean,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Direct, Self::Winograd2, Self::Winograd4, Self::Winograd2Lean, Self::Winograd4Lean];

    /// `direct`, `winograd-2x2`, `winograd-4x4`, `lean-2x2` or `lean-4x4`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Winograd2 => "winograd-2x2",
            Self::Winograd4 => "winograd-4x4",
            Self::Winograd2Lean => "lean-2x2",
            Self::Winograd4Lean => "lean-4x4",
        }
    }

    /// The side of Winograd's tiles, and whether weights are transformed as they are read.
    pub(crate) fn winograd(self) -> Option<(TileSide, bool)> {
        match self {
            Self::Direct => None,
            Self::Winograd2 => Some((TileSide::Two, false)),
            Self::Winograd4 => Some((TileSide::Four, false)),
            Self::Winograd2Lean => Some((TileSide::Two, true)),
            Self::Winograd4Lean => Some((TileSide::Four, true)),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    /// The algorithm of that [name](Algorithm::name).
    fn from_str(name: &str) -> Result<Self, Error> {
        let named = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        named.ok_or_else(|| Error::UnknownAlgorithm { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse::<Algorithm>().unwrap(), algorithm);
        }
        let message = "fast".parse::<Algorithm>().unwrap_err().to_string();
        assert!(message.contains("fast") && message.contains("lean-4x4"), "{message}");
    }
}

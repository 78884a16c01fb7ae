//! The algorithms of convolutions.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::ops::conv::winograd::TileSize;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// As it is defined.
    Direct,
    /// Winograd's F(2x2, 3x3), tiles of 2x2 outputs; 3x3 kernels of stride 1 and padding 1 only.
    Winograd2,
    /// Winograd's F(4x4, 3x3), tiles of 4x4 outputs; the same kernels.
    Winograd4,
    /// As [`Algorithm::Winograd2`], with filters that are transformed on the fly: 9 values are read instead of 16.
    Winograd2OnTheFly,
    /// As [`Algorithm::Winograd4`], with filters that are transformed on the fly: 9 values are read instead of 36, for
    /// layers whose weights are more than their maps.
    Winograd4OnTheFly,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Direct, Self::Winograd2, Self::Winograd4, Self::Winograd2OnTheFly, Self::Winograd4OnTheFly];

    /// Name of the algorithm, which [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Winograd2 => "winograd-2x2",
            Self::Winograd4 => "winograd-4x4",
            Self::Winograd2OnTheFly => "winograd-2x2-otf",
            Self::Winograd4OnTheFly => "winograd-4x4-otf",
        }
    }

    /// The size of Winograd's tiles, and whether filters are transformed on the fly.
    pub(crate) fn winograd(self) -> Option<(TileSize, bool)> {
        match self {
            Self::Direct => None,
            Self::Winograd2 => Some((TileSize::Two, false)),
            Self::Winograd4 => Some((TileSize::Four, false)),
            Self::Winograd2OnTheFly => Some((TileSize::Two, true)),
            Self::Winograd4OnTheFly => Some((TileSize::Four, true)),
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

    /// Reads a [name](Algorithm::name), or `lean-2x2` and `lean-4x4`, earlier names of those on the fly.
    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "lean-2x2" => return Ok(Self::Winograd2OnTheFly),
            "lean-4x4" => return Ok(Self::Winograd4OnTheFly),
            _ => {}
        }
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
        assert_eq!("lean-4x4".parse::<Algorithm>().unwrap(), Algorithm::Winograd4OnTheFly);
        let message = "fast".parse::<Algorithm>().unwrap_err().to_string();
        assert!(message.contains("fast") && message.contains("winograd-4x4-otf"), "{message}");
    }
}

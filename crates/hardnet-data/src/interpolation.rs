//! The filters of a resize, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The filter of a resize, by Pillow's names (`Image.Resampling`) in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Interpolation {
    /// Every input pixel under the output pixel counts alike.
    Box,
    /// Triangle of one pixel each side.
    Bilinear,
    /// Hamming-windowed sinc of one pixel each side.
    Hamming,
    /// Cubic convolution (a = -1/2) of two pixels each side.
    Bicubic,
    /// Sinc-windowed sinc of three pixels each side.
    Lanczos,
}

impl Interpolation {
    /// Every filter, narrowest first.
    pub const ALL: [Interpolation; 5] = [
        Interpolation::Box,
        Interpolation::Bilinear,
        Interpolation::Hamming,
        Interpolation::Bicubic,
        Interpolation::Lanczos,
    ];

    /// The name that [`FromStr`] and serde read: `"bilinear"`.
    pub const fn name(self) -> &'static str {
        match self {
            Interpolation::Box => "box",
            Interpolation::Bilinear => "bilinear",
            Interpolation::Hamming => "hamming",
            Interpolation::Bicubic => "bicubic",
            Interpolation::Lanczos => "lanczos",
        }
    }
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Interpolation {
    type Err = UnknownInterpolation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|interpolation| interpolation.name() == name);
        found.ok_or_else(|| UnknownInterpolation { name: name.to_owned() })
    }
}

/// Error of a name that is not that of an [`Interpolation`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown interpolation `{name}`, expected one of {}", Interpolation::ALL.map(Interpolation::name).join(", "))]
#[non_exhaustive]
pub struct UnknownInterpolation {
    /// The name given.
    pub name: String,
}

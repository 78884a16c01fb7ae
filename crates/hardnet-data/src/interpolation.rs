//! How images are resized, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::opencv;

/// Gives an enumeration `ALL`, `name`, `Display` and `FromStr`. Its names are those of serde.
macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal,)+ }) => {
        impl $type {
            /// Every value.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name that [`FromStr`](std::str::FromStr) and serde read.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::UnknownInterpolation;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.into_iter().find(|value| value.name() == name);
                found.ok_or_else(|| $crate::UnknownInterpolation::new(name, Self::ALL))
            }
        }
    };
}
pub(crate) use named;

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

named!(Interpolation {
    Box = "box",
    Bilinear = "bilinear",
    Hamming = "hamming",
    Bicubic = "bicubic",
    Lanczos = "lanczos",
});

/// How an image is resized: by a filter of Pillow or a method of OpenCV.
///
/// Names are those of the filters, and for OpenCV's methods `cv2-` before theirs: `"bilinear"`, `"cv2-linear"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Resampling {
    /// As Pillow's `Image.resize`, which antialiases.
    Pillow(Interpolation),
    /// As `cv2.resize`, which does not.
    Opencv(opencv::Interpolation),
}

impl Resampling {
    const OPENCV: &str = "cv2-";

    /// Every name.
    fn names() -> Vec<String> {
        let pillow = Interpolation::ALL.into_iter().map(Self::Pillow);
        pillow.chain(opencv::Interpolation::ALL.into_iter().map(Self::Opencv)).map(|each| each.to_string()).collect()
    }
}

impl fmt::Display for Resampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pillow(interpolation) => interpolation.fmt(f),
            Self::Opencv(interpolation) => write!(f, "{}{interpolation}", Self::OPENCV),
        }
    }
}

impl FromStr for Resampling {
    type Err = UnknownInterpolation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = match name.strip_prefix(Self::OPENCV) {
            Some(method) => method.parse().ok().map(Self::Opencv),
            None => name.parse().ok().map(Self::Pillow),
        };
        found.ok_or_else(|| UnknownInterpolation::new(name, Self::names()))
    }
}

impl From<Interpolation> for Resampling {
    fn from(interpolation: Interpolation) -> Self {
        Self::Pillow(interpolation)
    }
}

impl From<opencv::Interpolation> for Resampling {
    fn from(interpolation: opencv::Interpolation) -> Self {
        Self::Opencv(interpolation)
    }
}

impl From<Resampling> for String {
    fn from(resampling: Resampling) -> Self {
        resampling.to_string()
    }
}

impl TryFrom<String> for Resampling {
    type Error = UnknownInterpolation;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

/// Error of a name that is not that of an [`Interpolation`], an [`opencv::Interpolation`] or a [`Resampling`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown interpolation `{name}`, expected one of {}", expected.join(", "))]
#[non_exhaustive]
pub struct UnknownInterpolation {
    /// The name given.
    pub name: String,
    /// The names that are known.
    pub expected: Vec<String>,
}

impl UnknownInterpolation {
    pub(crate) fn new<T: ToString>(name: &str, expected: impl IntoIterator<Item = T>) -> Self {
        Self { name: name.to_owned(), expected: expected.into_iter().map(|name| name.to_string()).collect() }
    }
}

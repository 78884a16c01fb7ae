//! Differences between programs that evaluate image classifiers, other than the resize.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::decode::{Decoding, Exif};

/// Whose decoding, rounding, arithmetic and order of channels a [`Pipeline`](super::Pipeline) follows.
///
/// | | long side | crop starts at | values | channels |
/// |---|---|---|---|---|
/// | `torchvision` | `int(resize * long / short)` | `round((side - crop) / 2)` | `(x / 255 - mean) / std` | RGB |
/// | `paddleclas` | `round(long * (resize / short))` | `floor((side - crop) / 2)` | `(x * (1 / 255) - mean) / std` | RGB |
/// | `paddle-cv2` | as torchvision | as torchvision | as torchvision | BGR |
///
/// Files are decoded as Pillow does for `torchvision`, which ignores orientations in EXIF data, and as OpenCV does for
/// the others, which applies them.
///
/// Rounding is half to even; values are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Convention {
    /// torchvision's `Resize(int)`, `CenterCrop`, `ToTensor` and `Normalize`; timm's and Paddle's are the same.
    #[default]
    Torchvision,
    /// PaddleClas's `ResizeImage(resize_short=..)`, `CropImage` and `NormalizeImage` (PaddleClas 2.6.0,
    /// `deploy/python/preprocess.py`).
    #[serde(rename = "paddleclas")]
    PaddleClas,
    /// `paddle.vision.transforms` of an array that `cv2.imread` gives: its channels are blue, green and red, in the
    /// places of red, green and blue, and are normalized with the constants of those.
    #[serde(rename = "paddle-cv2")]
    PaddleCv2,
}

impl Convention {
    /// Every convention.
    pub const ALL: [Self; 3] = [Self::Torchvision, Self::PaddleClas, Self::PaddleCv2];

    /// The name that [`FromStr`] and serde read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Torchvision => "torchvision",
            Self::PaddleClas => "paddleclas",
            Self::PaddleCv2 => "paddle-cv2",
        }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether planes hold blue, green and red.
    pub fn is_bgr(self) -> bool {
        self == Self::PaddleCv2
    }

    /// Whose decoder gives the images.
    pub fn decoding(self) -> Decoding {
        match self {
            Self::Torchvision => Decoding::Pillow,
            Self::PaddleClas | Self::PaddleCv2 => Decoding::OpenCv,
        }
    }

    /// How the decoder treats the orientation in a file's EXIF data.
    pub fn exif(self) -> Exif {
        match self.decoding() {
            Decoding::Pillow => Exif::Ignore,
            Decoding::OpenCv => Exif::Apply,
        }
    }

    /// Width and height of an image resized to a short side of `resize`.
    pub(super) fn resized(self, (width, height): (u64, u64), resize: u64) -> (u64, u64) {
        if self == Self::PaddleClas {
            let ratio = resize as f64 / width.min(height) as f64;
            return (rounded(width, ratio), rounded(height, ratio));
        }
        // Python divides the two integers as if exactly and rounds once; below 2^53 an f64 division does the same.
        let long = |short: u64, long: u64| ((resize * long) as f64 / short as f64) as u64;
        if width <= height { (resize, long(width, height)) } else { (long(height, width), resize) }
    }

    /// The `crop` pixels from the middle of `size`.
    pub(super) fn centered(self, size: u64, crop: u64) -> Range<u64> {
        let margin = size - crop;
        let half = margin / 2;
        let start = match self {
            Self::PaddleClas => half,
            // Python's `round` of a half is even.
            _ => half + u64::from(margin % 2 == 1 && half % 2 == 1),
        };
        start..start + crop
    }

    /// The value of a sample.
    pub(crate) fn value(self, level: u8, mean: f32, std: f32) -> f32 {
        let level = f32::from(level);
        let scaled = match self {
            Self::PaddleClas => level * (1.0 / 255.0_f64) as f32,
            _ => level / 255.0,
        };
        (scaled - mean) / std
    }
}

fn rounded(side: u64, ratio: f64) -> u64 {
    (side as f64 * ratio).round_ties_even() as u64
}

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Convention {
    type Err = UnknownConvention;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|convention| convention.name() == name);
        found.ok_or_else(|| UnknownConvention { name: name.to_owned() })
    }
}

/// Error of a name that is not that of a [`Convention`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown convention `{name}`, expected one of {}", Convention::ALL.map(Convention::name).join(", "))]
#[non_exhaustive]
pub struct UnknownConvention {
    /// The name given.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn center_crop_rounds_halves_to_even_or_down() {
        // int(round((size - 224) / 2.0)) and (size - 224) // 2 in Python
        for (size, start, floor) in
            [(224, 0, 0), (225, 0, 0), (226, 1, 1), (227, 2, 1), (229, 2, 2), (231, 4, 3), (341, 58, 58), (343, 60, 59)]
        {
            assert_eq!(Convention::Torchvision.centered(size, 224), start..start + 224, "{size}");
            assert_eq!(Convention::PaddleClas.centered(size, 224), floor..floor + 224, "{size}");
        }
    }

    #[test]
    fn the_conventions_of_opencv_apply_exif() {
        assert_eq!(
            (Convention::Torchvision.decoding(), Convention::Torchvision.exif()),
            (Decoding::Pillow, Exif::Ignore)
        );
        for convention in [Convention::PaddleClas, Convention::PaddleCv2] {
            assert_eq!((convention.decoding(), convention.exif()), (Decoding::OpenCv, Exif::Apply));
        }
    }

    #[test]
    fn the_long_side_is_truncated_or_rounded() {
        for (size, truncated, rounded) in [
            ((500, 375), (341, 256), (341, 256)),
            ((375, 500), (256, 341), (256, 341)),
            ((256, 256), (256, 256), (256, 256)),
            ((1, 1), (256, 256), (256, 256)),
            ((3, 2), (384, 256), (384, 256)),
            ((500, 333), (384, 256), (384, 256)),
            ((500, 334), (383, 256), (383, 256)),
            ((500, 299), (428, 256), (428, 256)),
            ((640, 427), (383, 256), (384, 256)),
            ((30000, 2), (3_840_000, 256), (3_840_000, 256)),
            ((178_956_970, 1), (45_812_984_320, 256), (45_812_984_320, 256)),
        ] {
            assert_eq!(Convention::Torchvision.resized(size, 256), truncated, "{size:?}");
            assert_eq!(Convention::PaddleClas.resized(size, 256), rounded, "{size:?}");
        }
    }
}

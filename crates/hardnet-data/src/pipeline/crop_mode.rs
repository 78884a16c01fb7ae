//! How the square is taken from an image that is not square.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Pipeline;

/// How a [`Pipeline`] makes a square of an image, by timm's names (`crop_mode` of timm 1.0.29).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CropMode {
    /// The short side becomes `resize`; what the crop does not keep of the long side is lost.
    #[default]
    Center,
    /// Both sides become `resize`, whatever the ratio. Nothing is lost if `resize` is `crop`.
    Squash,
    /// The long side becomes `resize`. A side shorter than the crop gets borders of the mean color. Nothing is lost if
    /// `resize` is `crop`.
    Border,
}

impl CropMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Center, Self::Squash, Self::Border];

    /// The name that [`FromStr`] and serde read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::Squash => "squash",
            Self::Border => "border",
        }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for CropMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CropMode {
    type Err = UnknownCropMode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| UnknownCropMode { name: name.to_owned() })
    }
}

/// Error of a name that is not that of a [`CropMode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown crop mode `{name}`, expected one of {}", CropMode::ALL.map(CropMode::name).join(", "))]
#[non_exhaustive]
pub struct UnknownCropMode {
    /// The name given.
    pub name: String,
}

/// The part of an image that a network sees, in the image's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Region {
    /// Pixels from the left edge of the image; negative where the network sees a border there.
    pub left: f64,
    /// Pixels from the top edge of the image.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// From an image to the square, in pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Width and height of the resized image.
    pub(crate) size: (u64, u64),
    /// The columns and rows of it that the crop keeps.
    pub(crate) window: (Range<u64>, Range<u64>),
    /// Columns and rows of border at the left and at the top; there is as much or one more at the right and bottom.
    pub(crate) border: (u64, u64),
}

impl Geometry {
    /// How `pipeline` resizes and crops an image of `width` and `height`.
    pub(super) fn new(pipeline: &Pipeline, (width, height): (u64, u64)) -> Self {
        let (resize, crop) = (u64::from(pipeline.resize), u64::from(pipeline.crop));
        let size = match pipeline.crop_mode {
            CropMode::Center => pipeline.convention.resized((width, height), resize),
            CropMode::Squash => (resize, resize),
            CropMode::Border => {
                let ratio = |side: u64| side as f64 / resize as f64;
                let ratio = ratio(width).max(ratio(height));
                // Python's `round` of a half is even.
                let scaled = |side: u64| (side as f64 / ratio).round_ties_even() as u64;
                (scaled(width), scaled(height))
            }
        };
        let kept = |side: u64| match side.checked_sub(crop) {
            Some(_) => (pipeline.convention.centered(side, crop), 0),
            None => (0..side, (crop - side) / 2),
        };
        let ((columns, left), (rows, top)) = (kept(size.0), kept(size.1));
        Self { size, window: (columns, rows), border: (left, top) }
    }

    /// The part of an image of `width` and `height` that the square of side `crop` shows.
    pub(super) fn region(&self, (width, height): (u64, u64), crop: u32) -> Region {
        let (columns, rows) = &self.window;
        let place = |start: u64, border: u64, scale: f64| (start as f64 - border as f64) * scale;
        let (x, y) = (width as f64 / self.size.0 as f64, height as f64 / self.size.1 as f64);
        Region {
            left: place(columns.start, self.border.0, x),
            top: place(rows.start, self.border.1, y),
            width: f64::from(crop) * x,
            height: f64::from(crop) * y,
        }
    }

    /// Whether there is a border.
    pub(crate) fn has_border(&self, crop: u32) -> bool {
        let (columns, rows) = &self.window;
        columns.end - columns.start < crop.into() || rows.end - rows.start < crop.into()
    }
}

/// The level of the border in a channel whose samples have the mean `mean`: timm's `round(255 * v)`.
pub(crate) fn border_level(mean: f32) -> u8 {
    // The number as it is written, of which Python computes.
    let mean: f64 = mean.to_string().parse().expect("a number is written as a number");
    (255.0 * mean).round_ties_even().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(mode: CropMode, size: (u64, u64)) -> Geometry {
        Geometry::new(&Pipeline::pil_bilinear().with_crop_mode(mode), size)
    }

    #[test]
    fn sizes_and_borders_are_timms() {
        // `ResizeKeepRatio(256, longest=1.0)` and `CenterCropOrPad(224)` of timm 1.0.29
        for (size, resized, window, border) in [
            ((500, 375), (256, 192), (16..240, 0..192), (0, 16)),
            ((375, 500), (192, 256), (0..192, 16..240), (16, 0)),
            ((500, 330), (256, 169), (16..240, 0..169), (0, 27)),
            ((256, 256), (256, 256), (16..240, 16..240), (0, 0)),
            ((300, 290), (256, 247), (16..240, 12..236), (0, 0)),
            ((5, 2), (256, 102), (16..240, 0..102), (0, 61)),
        ] {
            assert_eq!(geometry(CropMode::Border, size), Geometry { size: resized, window, border }, "{size:?}");
        }
        let squashed = Geometry { size: (256, 256), window: (16..240, 16..240), border: (0, 0) };
        assert_eq!(geometry(CropMode::Squash, (500, 375)), squashed);
        assert_eq!(geometry(CropMode::Center, (500, 375)).size, (341, 256));
    }

    #[test]
    fn the_network_sees_the_middle_and_borders() {
        let region = |mode, size| Pipeline::pil_bilinear().with_crop_mode(mode).region(size);
        // The short side of 512 becomes 256, and 16 pixels are lost on each side.
        let found = region(CropMode::Center, (1024, 512));
        assert_eq!(found, Region { left: 288.0, top: 32.0, width: 448.0, height: 448.0 });
        let found = region(CropMode::Squash, (512, 256));
        assert_eq!(found, Region { left: 32.0, top: 16.0, width: 448.0, height: 224.0 });
        let found = region(CropMode::Border, (512, 256));
        assert_eq!(found, Region { left: 32.0, top: -96.0, width: 448.0, height: 448.0 });
    }

    #[test]
    fn borders_have_the_mean_as_written() {
        // round(255 * v) in Python; 0.3 as an f32 is above 0.3, and 255 times it above 76.5
        for (mean, level) in [
            (0.485, 124),
            (0.456, 116),
            (0.406, 104),
            (0.5, 128),
            (0.3, 76),
            (0.1, 26),
            (0.0, 0),
            (1.0, 255),
            (-1.0, 0),
        ] {
            assert_eq!(border_level(mean), level, "{mean}");
        }
    }

    #[test]
    fn modes_have_names() {
        for mode in CropMode::ALL {
            assert_eq!((mode.name().parse(), serde_json::to_string(&mode).unwrap()), (Ok(mode), format!("\"{mode}\"")));
        }
        let error = "crop".parse::<CropMode>().unwrap_err().to_string();
        assert_eq!(error, "unknown crop mode `crop`, expected one of center, squash, border");
    }
}

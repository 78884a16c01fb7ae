//! Errors of preprocessing.

use super::{Convention, CropMode, Pipeline};
use crate::ImageError;

/// Error of a [`Pipeline`](crate::Pipeline) or an [`Augmentation`](crate::Augmentation): a setting outside its range,
/// or a buffer or image that does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// `resize` or `crop` is outside the accepted range.
    #[error("`{name}` is {value}, expected 1..={max} pixels")]
    Side {
        /// `"resize"` or `"crop"`.
        name: &'static str,
        /// The requested size, in pixels.
        value: u64,
        /// The largest accepted size.
        max: u64,
    },
    /// The crop does not fit into the image it is cut from.
    #[error("`crop` of {crop} pixels is larger than `resize` of {resize}, expected crop <= resize")]
    CropTooLarge {
        /// Side of the crop in pixels.
        crop: u64,
        /// Side of the image it is cut from, in pixels.
        resize: u64,
    },
    /// A crop fraction outside 0 (exclusive) to 1.
    #[error("`crop_pct` is {value}, expected a number above 0 and at most 1, such as 0.875")]
    CropPct {
        /// The fraction given.
        value: f64,
    },
    /// A crop mode of timm with a convention that has none.
    #[error("`crop_mode` is {mode}, expected center, the only one of the convention `{convention}`")]
    CropMode {
        /// The mode given.
        mode: CropMode,
        /// The convention.
        convention: Convention,
    },
    /// A mean that is not finite, or a standard deviation that is not finite or not above 0.
    #[error("`{name}[{channel}]` is {value}, expected a finite number{}", if *.name == "std" { " above 0" } else { "" })]
    Normalization {
        /// `"mean"` or `"std"`.
        name: &'static str,
        /// 0 red, 1 green, 2 blue.
        channel: usize,
        /// The number given.
        value: f32,
    },
    /// A setting of an [`Augmentation`](crate::Augmentation) is outside its range.
    #[error("`{name}` is {value}, expected {expected}")]
    Augmentation {
        /// The field.
        name: &'static str,
        /// The number given.
        value: f64,
        /// The accepted values.
        expected: &'static str,
    },
    /// The caller's buffer has the wrong length.
    #[error("the output holds {found} values, expected 3 * crop * crop = {expected}")]
    OutputLength {
        /// Values needed.
        expected: usize,
        /// Values offered.
        found: usize,
    },
    /// The image cannot be resized.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Error of a name that is not that of a [`Pipeline`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown pipeline `{name}`, expected one of {}", Pipeline::NAMES.join(", "))]
#[non_exhaustive]
pub struct UnknownPipeline {
    /// The name given.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_is_expected() {
        let error = PipelineError::Normalization { name: "std", channel: 2, value: 0.0 };
        assert_eq!(error.to_string(), "`std[2]` is 0, expected a finite number above 0");
    }
}

//! Error of decoding.

use super::{ContentGuess, ImageFormat};

/// Error of [`decode`](crate::decode()): the bytes are not an image that can be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not of a format that [`decode`](crate::decode()) reads.
    #[error("not an image that can be read: {found}")]
    UnknownFormat {
        /// The content, judged by its first bytes.
        found: ContentGuess,
    },
    /// The bytes end before the image does.
    #[error("the {format} data is truncated: {len} bytes end before `{missing}`; fetch the file again")]
    Truncated {
        /// The format of the data.
        format: ImageFormat,
        /// Length of the data in bytes.
        len: usize,
        /// The part that was expected next.
        missing: &'static str,
    },
    /// The bytes contradict their format.
    #[error("the {format} data is malformed: {reason}; fetch or export the file again")]
    Malformed {
        /// The format of the data.
        format: ImageFormat,
        /// The decoder's reason.
        reason: String,
    },
    /// The bytes use a feature that is not supported.
    #[error("the {format} data uses `{feature}`, which is not supported; save it as a baseline jpeg or a png")]
    Unsupported {
        /// The format of the data.
        format: ImageFormat,
        /// The feature, as its standard calls it.
        feature: String,
    },
    /// The header announces more pixels than [`DecodeLimits::max_pixels`](crate::DecodeLimits::max_pixels).
    #[error(
        "`{width}x{height}` pixels are more than the limit of {max_pixels}; shrink the image or raise `max_pixels`"
    )]
    TooManyPixels {
        /// Announced columns.
        width: u64,
        /// Announced rows.
        height: u64,
        /// The limit in force.
        max_pixels: u64,
    },
}

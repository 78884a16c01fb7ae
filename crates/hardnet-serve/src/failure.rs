//! Why an image has no answer.

use std::time::Duration;

/// Why an image has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// More images wait than can be computed in time.
    #[error("too many images wait; try again in {} s", .retry_after.as_secs())]
    Overloaded {
        /// Time after which there should be room, in whole seconds.
        retry_after: Duration,
    },
    /// A request has more images than the queue ever holds.
    #[error("{found} images in one request, expected at most {limit}")]
    TooManyImages {
        /// Images of the request.
        found: usize,
        /// Images that the queue holds.
        limit: usize,
    },
    /// The deadline passed before the image was computed.
    #[error("the deadline passed before the image was computed")]
    Deadline,
    /// The server is about to stop.
    #[error("the server is stopping")]
    Stopping,
    /// The image cannot be decoded or prepared.
    #[error("{0}")]
    Image(String),
    /// A tensor has another length than the network's input.
    #[error("a tensor of {found} values, expected {expected}")]
    Length {
        /// Values of the network's input.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value of a tensor is infinite or NaN.
    #[error("value {position} of the tensor is not finite")]
    Value {
        /// Position of the first such value.
        position: usize,
    },
    /// The network's output for this image is infinite or NaN.
    #[error("the network's output for this image is not finite")]
    NotFinite,
    /// A fault of the server.
    #[error("the network failed: {0}")]
    Internal(String),
}

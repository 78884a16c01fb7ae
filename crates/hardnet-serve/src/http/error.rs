//! Errors as responses.

use hyper::StatusCode;

use crate::failure::Failure;

/// A response that is an error: `{"error": message}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// Headers in addition.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Whether the deadline passed, for which HTTP has no status of its own.
    pub(crate) is_late: bool,
}

pub(crate) type Result<T> = std::result::Result<T, HttpError>;

impl HttpError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), headers: Vec::new(), is_late: false }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        let is_late = failure == Failure::Deadline;
        let error = match failure {
            Failure::Overloaded { retry_after } => Self::new(StatusCode::TOO_MANY_REQUESTS, message)
                .header("retry-after", retry_after.as_secs().to_string()),
            Failure::TooManyImages { .. } => Self::too_large(message),
            Failure::Deadline | Failure::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message).header("retry-after", "1")
            }
            Failure::Image(_) | Failure::Length { .. } | Failure::Value { .. } | Failure::NotFinite => {
                Self::unprocessable(message)
            }
            Failure::Internal(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        };
        Self { is_late, ..error }
    }
}

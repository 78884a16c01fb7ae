//! Errors as responses.

use hyper::StatusCode;

use crate::failure::Failure;

/// Bytes of a message, or of each half of a longer one together.
const MAX_MESSAGE: usize = 1024;

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
        Self { status, message: one_line(message.into()), headers: Vec::new(), is_late: false }
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

/// `message`, which may quote a client, with escapes for control characters and without its middle if it is long. It
/// goes into logs and headers.
fn one_line(message: String) -> String {
    let message = if message.contains(char::is_control) {
        let escape = |character: char| match character.is_control() {
            true => character.escape_default().to_string(),
            false => character.to_string(),
        };
        // Escapes are at most eight characters each.
        shortened(message, MAX_MESSAGE).chars().map(escape).collect()
    } else {
        message
    };
    shortened(message, MAX_MESSAGE)
}

/// `text`, or its first and last part if it is longer than `bytes`.
fn shortened(text: String, bytes: usize) -> String {
    if text.len() <= bytes {
        return text;
    }
    let boundary = |at: &usize| text.is_char_boundary(*at);
    // The beginning and the end of a text are boundaries.
    let start = (0..=bytes / 2).rfind(boundary).unwrap_or(0);
    let end = (text.len() - bytes / 2..=text.len()).find(boundary).unwrap_or(text.len());
    format!("{} ... {}", &text[..start], &text[end..])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short_lines_whatever_they_quote() {
        let message = |text: &str| HttpError::bad_request(text).message;
        assert_eq!(message("the input `é`"), "the input `é`");
        assert_eq!(message("a\n\u{7f}b"), "a\\n\\u{7f}b");
        let long = message(&format!("the input `{}` is unknown", "é\n".repeat(1 << 20)));
        assert!(long.len() < 1100 && !long.contains(char::is_control), "{long}");
        assert!(long.starts_with("the input") && long.ends_with("is unknown"), "{long}");
    }
}

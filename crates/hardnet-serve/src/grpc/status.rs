//! The status of a call.

use std::fmt::Write;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};

use crate::http::error::HttpError;

/// gRPC's codes that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    /// The code of an error, whose status over HTTP says less.
    pub(crate) fn of(error: &HttpError) -> Self {
        match error.status {
            _ if error.is_late => Self::DeadlineExceeded,
            StatusCode::REQUEST_TIMEOUT => Self::DeadlineExceeded,
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => Self::ResourceExhausted,
            StatusCode::NOT_IMPLEMENTED => Self::Unimplemented,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::INTERNAL_SERVER_ERROR => Self::Internal,
            _ => Self::InvalidArgument,
        }
    }
}

/// Writes the status of a call that succeeds, or fails with `error`, into headers or trailers.
pub(crate) fn write(error: Option<&HttpError>, headers: &mut HeaderMap) {
    let code = error.map_or(Code::Ok, Code::of);
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(code as u16));
    let Some(error) = error else { return };
    if let Ok(message) = HeaderValue::from_str(&encode(&error.message)) {
        headers.insert(HeaderName::from_static("grpc-message"), message);
    }
    // Clients that retry wait this long; a negative time asks them not to.
    let retry = error.headers.iter().find(|(name, _)| *name == "retry-after");
    let retry = retry.and_then(|(_, seconds)| seconds.parse::<i64>().ok()).map(|seconds| seconds.saturating_mul(1000));
    if let Some(milliseconds) = retry.or((code == Code::ResourceExhausted).then_some(-1)) {
        headers.insert(HeaderName::from_static("grpc-retry-pushback-ms"), HeaderValue::from(milliseconds));
    }
}

/// `text` with all but printable ASCII as `%XX`.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            byte => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::Failure;

    #[test]
    fn errors_have_the_codes_of_grpc() {
        let overloaded = Failure::Overloaded { retry_after: Duration::from_secs(3) };
        let new = |status: u16| HttpError::new(StatusCode::from_u16(status).unwrap(), "a\n%é");
        for (error, code, pushback) in [
            (new(400), 3, None),
            (new(422), 3, None),
            (new(401), 16, None),
            (new(404), 5, None),
            (new(408), 4, None),
            (new(413), 8, Some("-1")),
            (new(500), 13, None),
            (new(501), 12, None),
            (Failure::Deadline.into(), 4, Some("1000")),
            (Failure::Stopping.into(), 14, Some("1000")),
            (overloaded.into(), 8, Some("3000")),
            (Failure::TooManyImages { found: 9, limit: 8 }.into(), 8, Some("-1")),
            (Failure::NotFinite.into(), 3, None),
        ] {
            let mut headers = HeaderMap::new();
            write(Some(&error), &mut headers);
            let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(text("grpc-status"), Some(code.to_string()), "{error:?}");
            assert_eq!(text("grpc-retry-pushback-ms").as_deref(), pushback, "{error:?}");
        }
        assert_eq!(encode("a\n%é"), "a%0A%25%C3%A9");
    }
}

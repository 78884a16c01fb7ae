//! Responses.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::error::HttpError;

pub(crate) type HttpResponse = Response<Full<Bytes>>;

/// A response of `content`.
pub(crate) fn content(content_type: &'static str, content: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Full::new(content.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A response of `value` as JSON.
pub(crate) fn json(value: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(value) {
        Ok(text) => content("application/json", text),
        Err(error) => self::error(&HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// The response of an error.
pub(crate) fn error(error: &HttpError) -> HttpResponse {
    let text = serde_json::json!({ "error": error.message }).to_string();
    let mut response = content("application/json", text);
    *response.status_mut() = error.status;
    for (name, value) in &error.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

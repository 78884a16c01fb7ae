//! Images as base64 in JSON.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hyper::body::Bytes;

use super::body::decoded_from;
use super::error::{HttpError, Result};

/// Decodes `text` of `body`, with or without padding and with or without the prefix of a `data:` URL.
pub(crate) fn decode(text: &str, body: &Bytes) -> Result<Bytes> {
    let text = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,").map_or(rest, |(_, data)| data),
        None => text,
    };
    let engine = if text.ends_with('=') { &STANDARD } else { &STANDARD_NO_PAD };
    let decoded = engine.decode(text).or_else(|_| STANDARD.decode(text));
    let not_base64 = |error| HttpError::unprocessable(format!("an image is not base64: {error}"));
    Ok(decoded_from(body, decoded.map_err(not_base64)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_the_prefix_of_a_url_are_optional() {
        for text in ["aGk=", "aGk", "data:image/png;base64,aGk="] {
            assert_eq!(decode(text, &Bytes::new()).unwrap(), "hi", "{text}");
        }
        for text in ["a", "aGk!", "data:image/png,hi"] {
            assert!(decode(text, &Bytes::new()).is_err(), "{text}");
        }
    }
}

//! Messages in bodies: five bytes, whether it is compressed and its length, then the message.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Bytes};
use tokio::time::timeout;

use crate::http::body::{BodyLimits, HeldBody};
use crate::http::error::{HttpError, Result};
use crate::http::request_body::RequestBody;

/// Length of what precedes a message.
const PREFIX: usize = 5;

/// Reads the one message of a call.
pub(crate) async fn read(limits: &BodyLimits, body: &mut RequestBody) -> Result<HeldBody> {
    let mut messages = Messages::new(body);
    let message = messages.next(limits).await?.ok_or_else(cut_off)?;
    match timeout(limits.time(), messages.more()).await {
        Ok(Ok(false)) => Ok(message),
        Ok(Ok(true)) => Err(HttpError::bad_request("more data than one message")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(limits.too_slow("the end of the message")),
    }
}

fn cut_off() -> HttpError {
    HttpError::bad_request("the message is cut off")
}

/// The messages of a body, one after another.
pub(crate) struct Messages<B> {
    body: B,
    /// Data that are not read yet.
    data: Bytes,
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Messages<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, data: Bytes::new() }
    }

    /// Reads the next one; `None` at the end of the body.
    pub(crate) async fn next(&mut self, limits: &BodyLimits) -> Result<Option<HeldBody>> {
        let read = timeout(limits.time(), self.read(limits)).await;
        read.unwrap_or_else(|_| Err(limits.too_slow("the message")))
    }

    async fn read(&mut self, limits: &BodyLimits) -> Result<Option<HeldBody>> {
        let (mut prefix, mut begun) = ([0; PREFIX], 0);
        while begun < PREFIX {
            if !self.more().await? {
                return if begun == 0 { Ok(None) } else { Err(cut_off()) };
            }
            let part = self.data.split_to(self.data.len().min(PREFIX - begun));
            prefix[begun..begun + part.len()].copy_from_slice(&part);
            begun += part.len();
        }
        let length = length(&prefix)?;
        let mut message = limits.growing(length)?;
        while message.len() < length {
            if !self.more().await? {
                return Err(cut_off());
            }
            let part = self.data.len().min(length - message.len());
            message.push(&self.data.split_to(part))?;
        }
        Ok(Some(message.finish()))
    }

    /// Whether there are data that are not read yet, for which it waits.
    async fn more(&mut self) -> Result<bool> {
        while self.data.is_empty() {
            match self.body.frame().await {
                None => return Ok(false),
                Some(Ok(frame)) => self.data = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    return Err(HttpError::bad_request(format!("the message cannot be read: {error}")));
                }
            }
        }
        Ok(true)
    }
}

/// The length of the message after `prefix`.
fn length(prefix: &[u8; PREFIX]) -> Result<usize> {
    match *prefix {
        [0, a, b, c, d] => Ok(u32::from_be_bytes([a, b, c, d]) as usize),
        [1, ..] => {
            let message = "the message is compressed, expected grpc-encoding identity";
            Err(HttpError::new(StatusCode::NOT_IMPLEMENTED, message))
        }
        _ => Err(HttpError::bad_request("a message does not begin with 0 or 1")),
    }
}

/// Decodes a message of a few short fields, which takes no more memory than its bytes.
pub(crate) fn decode<M: prost::Message + Default>(message: Bytes) -> Result<M> {
    M::decode(message).map_err(|error| HttpError::bad_request(format!("the message is not of the protocol: {error}")))
}

/// `message` after its prefix.
pub(crate) fn framed(message: &impl prost::Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PREFIX + message.encoded_len());
    bytes.resize(PREFIX, 0);
    // A vector grows as needed, so that encoding cannot fail.
    let _ = message.encode(&mut bytes);
    // An answer is far shorter than 4 GB.
    let length = (bytes.len() - PREFIX) as u32;
    bytes[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// The time of a header `grpc-timeout`: up to eight digits and a unit. `None` if it is not valid.
pub(crate) fn granted(header: &str) -> Option<Duration> {
    let (digits, unit) = header.split_at_checked(header.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_up_to_eight_digits_and_a_unit() {
        for (header, time) in [
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("5S", Some(Duration::from_secs(5))),
            ("100m", Some(Duration::from_millis(100))),
            ("1u", Some(Duration::from_micros(1))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("100000000S", None),
            ("-1S", None),
            ("1s", None),
            ("1é", None),
        ] {
            assert_eq!(granted(header), time, "{header}");
        }
    }

    #[test]
    fn a_prefix_is_uncompressed_and_has_a_length() {
        assert_eq!(length(&[0, 0, 0, 1, 2]).unwrap(), 258);
        assert_eq!(length(&[1, 0, 0, 0, 0]).unwrap_err().status, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(length(&[2, 0, 0, 0, 0]).unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}

//! Bodies of requests, within bounds of length, time and memory.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_ENCODING, EXPECT};
use hyper::{HeaderMap, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::{HttpError, Result};
use super::request_body::RequestBody;

/// The unit of the bound on memory, in bytes.
const UNIT: u64 = 1024;

/// Memory that the first bytes of a body take, in bytes, unless it is shorter.
const FIRST: usize = 16 << 10;

/// Time to wait for the rest of a body that nobody needs, so that its sender reads the answer.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Bounds on bodies.
#[derive(Debug)]
pub(crate) struct BodyLimits {
    /// Bytes of a body.
    length: usize,
    time: Duration,
    /// Memory of all bodies, and of answers of gRPC, in units: in all, and what is left.
    units: u64,
    memory: Arc<Semaphore>,
}

/// A body in memory.
#[derive(Debug)]
pub(crate) struct HeldBody {
    /// Its bytes, which give their share of the memory back when their last slice is dropped: images wait in a queue
    /// after their client is gone.
    pub(crate) content: Bytes,
}

/// Bytes, and what is dropped after them.
struct Kept<T> {
    content: Vec<u8>,
    _owner: T,
}

impl<T> AsRef<[u8]> for Kept<T> {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// `content`, decoded from `body`, whose share of the memory it keeps.
pub(crate) fn decoded_from(body: &Bytes, content: Vec<u8>) -> Bytes {
    Bytes::from_owner(Kept { content, _owner: body.clone() })
}

/// A body that arrives. It takes memory as it grows: a length is announced at no cost.
#[derive(Debug)]
pub(crate) struct GrowingBody<'a> {
    limits: &'a BodyLimits,
    /// Its length, or the most that it may have.
    expected: usize,
    content: Vec<u8>,
    memory: OwnedSemaphorePermit,
}

impl GrowingBody<'_> {
    pub(crate) fn len(&self) -> usize {
        self.content.len()
    }

    pub(crate) fn push(&mut self, data: &[u8]) -> Result<()> {
        let (length, capacity) = (self.content.len() + data.len(), self.content.capacity());
        if length > self.expected {
            return Err(self.limits.too_long());
        }
        if length > capacity {
            let grown = length.max(2 * capacity).max(FIRST).min(self.expected);
            self.memory.merge(self.limits.acquire(grown - capacity)?);
            self.content.reserve_exact(grown - self.content.len());
        }
        self.content.extend_from_slice(data);
        Ok(())
    }

    pub(crate) fn finish(self) -> HeldBody {
        HeldBody { content: Bytes::from_owner(Kept { content: self.content, _owner: self.memory }) }
    }
}

impl BodyLimits {
    pub(crate) fn new(length: usize, time: Duration, memory: usize) -> Self {
        let units = (memory.max(length) as u64).div_ceil(UNIT).min(Semaphore::MAX_PERMITS as u64);
        Self { length, time, units, memory: Arc::new(Semaphore::new(units as usize)) }
    }

    /// Memory that is taken, in bytes.
    pub(crate) fn taken(&self) -> u64 {
        (self.units - self.memory.available_permits() as u64) * UNIT
    }

    /// Time for a body, or a message of gRPC, to arrive.
    #[cfg(feature = "grpc")]
    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    /// A body of `length` bytes, which begins to arrive.
    pub(crate) fn growing(&self, length: usize) -> Result<GrowingBody<'_>> {
        if length > self.length {
            return Err(self.too_long());
        }
        Ok(GrowingBody { limits: self, expected: length, content: Vec::new(), memory: self.acquire(0)? })
    }

    /// An answer, which takes its share of the memory of bodies and keeps `guard` until all of it is sent.
    #[cfg(feature = "grpc")]
    pub(crate) fn hold<G: Send + 'static>(&self, content: Vec<u8>, guard: G) -> Result<Bytes> {
        let memory = self.acquire(content.capacity())?;
        Ok(Bytes::from_owner(Kept { content, _owner: (memory, guard) }))
    }

    fn acquire(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let units = (bytes as u64).div_ceil(UNIT) as u32;
        Arc::clone(&self.memory).try_acquire_many_owned(units).map_err(|_| {
            let message = "too many bodies are in memory; try again in 1 s";
            HttpError::new(StatusCode::TOO_MANY_REQUESTS, message).header("retry-after", "1")
        })
    }

    /// The error where `what` takes longer than it may.
    pub(crate) fn too_slow(&self, what: &str) -> HttpError {
        let seconds = self.time.as_secs_f64();
        HttpError::new(StatusCode::REQUEST_TIMEOUT, format!("{what} did not arrive within {seconds} s"))
    }

    fn too_long(&self) -> HttpError {
        HttpError::too_large(format!("the body is longer than {} bytes", self.length))
    }

    /// Reads a body.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: &mut RequestBody) -> Result<HeldBody> {
        if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
            return Err(HttpError::media_type(format!("content encoding {encoding:?}, expected none")));
        }
        let hint = body.size_hint();
        let least = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
        let most = hint.upper().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let mut growing = self.growing(most.min(self.length).max(least))?;
        let read = async {
            while let Some(frame) = body.frame().await {
                let unread = |error| HttpError::bad_request(format!("the body cannot be read: {}", root(&error)));
                if let Ok(data) = frame.map_err(unread)?.into_data() {
                    growing.push(&data)?;
                }
            }
            Ok(growing.finish())
        };
        match timeout(self.time, read).await {
            Ok(result) => result,
            Err(_) => Err(self.too_slow("the body").header("connection", "close")),
        }
    }

    /// Reads what is left of a body that is not needed, up to the limit of a body: a connection that is closed before
    /// may lose its answer.
    pub(crate) async fn discard(&self, headers: &HeaderMap, body: &mut RequestBody) {
        // A client that asks first has not sent it.
        if body.is_end_stream() || headers.contains_key(EXPECT) {
            return;
        }
        let read = async {
            let mut left = self.length;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        let _ = timeout(DISCARD_TIME, read).await;
    }
}

/// The innermost cause.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::base64_text;

    #[test]
    fn a_body_has_its_memory_until_its_last_image_is_dropped() {
        let limits = BodyLimits::new(1 << 20, Duration::ZERO, 1 << 20);
        let body = || {
            let mut growing = limits.growing(1 << 20)?;
            growing.push(&[b'a'; 1 << 20])?;
            Ok(growing.finish())
        };
        assert_eq!(limits.taken(), 0);
        let is_full = || body().is_err_and(|error: HttpError| error.status == StatusCode::TOO_MANY_REQUESTS);
        let held = body().unwrap();
        let image = held.content.slice(5..9);
        drop(held);
        assert!(is_full());
        assert_eq!(limits.taken(), 1 << 20);
        let decoded = base64_text::decode("aGk=", &image).unwrap();
        drop(image);
        assert!(is_full());
        drop(decoded);
        assert!(body().is_ok());
    }
}

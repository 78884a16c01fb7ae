//! Bodies of requests, within bounds of length, time and memory.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_ENCODING, EXPECT};
use hyper::{HeaderMap, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::{HttpError, Result};
use super::request_body::RequestBody;

/// The unit of the bound on memory, in bytes.
const UNIT: u64 = 1024;

/// Time to wait for the rest of a body that nobody needs, so that its sender reads the answer.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Bounds on bodies.
#[derive(Debug)]
pub(crate) struct BodyLimits {
    /// Bytes of a body.
    length: usize,
    time: Duration,
    /// Memory of all bodies, in units.
    memory: Arc<Semaphore>,
}

/// A body in memory.
#[derive(Debug)]
pub(crate) struct HeldBody {
    pub(crate) content: Bytes,
    /// Its share of the memory, given back when it is dropped.
    _memory: OwnedSemaphorePermit,
}

impl HeldBody {
    #[cfg(feature = "grpc")]
    pub(crate) fn new(content: Bytes, memory: OwnedSemaphorePermit) -> Self {
        Self { content, _memory: memory }
    }
}

impl BodyLimits {
    pub(crate) fn new(length: usize, time: Duration, memory: usize) -> Self {
        let units = (memory.max(length) as u64).div_ceil(UNIT).min(Semaphore::MAX_PERMITS as u64);
        Self { length, time, memory: Arc::new(Semaphore::new(units as usize)) }
    }

    /// Time for a body to arrive.
    #[cfg(feature = "grpc")]
    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    /// Takes a share of the memory for a body of `length` bytes.
    #[cfg(feature = "grpc")]
    pub(crate) fn reserve(&self, length: usize) -> Result<OwnedSemaphorePermit> {
        if length > self.length { Err(self.too_long()) } else { self.acquire(length as u64) }
    }

    fn acquire(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let units = bytes.div_ceil(UNIT) as u32;
        Arc::clone(&self.memory).try_acquire_many_owned(units).map_err(|_| {
            let message = "too many bodies are in memory; try again in 1 s";
            HttpError::new(StatusCode::TOO_MANY_REQUESTS, message).header("retry-after", "1")
        })
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
        let too_long = || self.too_long();
        if hint.lower() > self.length as u64 {
            return Err(too_long());
        }
        let memory = self.acquire(hint.upper().unwrap_or(self.length as u64))?;
        match timeout(self.time, Limited::new(body, self.length).collect()).await {
            Ok(Ok(collected)) => Ok(HeldBody { content: collected.to_bytes(), _memory: memory }),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
            Ok(Err(error)) => Err(HttpError::bad_request(format!("the body cannot be read: {}", root(&*error)))),
            Err(_) => {
                let seconds = self.time.as_secs_f64();
                let message = format!("the body did not arrive within {seconds} s");
                Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, message).header("connection", "close"))
            }
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

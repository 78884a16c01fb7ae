//! What logs and metrics say of a request.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::{HeaderMap, Method};
use tokio::time::Instant;

use super::{REQUEST_ID, Router};
use crate::http::log::{RequestRecord, trace};

/// The status in logs and metrics of a request whose client is gone before the answer.
const CLIENT_GONE: u16 = 499;

/// A number that begins the ids of a server's requests.
pub(crate) fn id_prefix() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A request that is logged and counted when this is dropped: answered, or because its client is gone.
pub(crate) struct Observed {
    router: Arc<Router>,
    start: Instant,
    time: f64,
    pub(crate) endpoint: &'static str,
    pub(crate) request_id: String,
    trace: Option<(String, String)>,
    method: String,
    path: String,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) error: Option<String>,
}

impl Observed {
    pub(crate) fn new(router: &Arc<Router>, headers: &HeaderMap, method: &Method, path: &str) -> Self {
        let own_id = || {
            let number = router.next_id.fetch_add(1, Ordering::Relaxed);
            format!("{:016x}-{number:x}", router.id_prefix)
        };
        let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let given = given.filter(|id| (1..=128).contains(&id.len()));
        let traced = headers.get("traceparent").and_then(|header| trace(header.to_str().ok()?));
        Self {
            router: Arc::clone(router),
            start: Instant::now(),
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            endpoint: "other",
            request_id: given.map_or_else(own_id, str::to_owned),
            trace: traced.map(|(trace, parent)| (trace.to_owned(), parent.to_owned())),
            method: method.to_string(),
            path: path.to_owned(),
            status: CLIENT_GONE,
            bytes: 0,
            error: None,
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.router.metrics.observe(self.endpoint, self.status, seconds);
        self.router.log.request(&RequestRecord {
            time: self.time,
            request_id: &self.request_id,
            trace_id: self.trace.as_ref().map(|(trace, _)| trace.as_str()),
            parent_id: self.trace.as_ref().map(|(_, parent)| parent.as_str()),
            method: &self.method,
            path: &self.path,
            status: self.status,
            seconds,
            bytes: self.bytes,
            error: self.error.as_deref(),
        });
    }
}

//! The calls of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// The times of silence after which a connection is closed that had calls before.
const PATIENCE: u32 = 10;

/// Counts the calls of a connection.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    begun: AtomicUsize,
    open: AtomicUsize,
}

impl Calls {
    /// Begins a call.
    pub(crate) fn begin(self: &Arc<Self>) -> OpenCall {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        OpenCall(Arc::clone(self))
    }

    /// Whether there was any.
    pub(crate) fn any(&self) -> bool {
        self.begun.load(Ordering::SeqCst) > 0
    }

    /// Ends when there was no call for a time, `time` before the first.
    pub(crate) async fn silence(&self, time: Duration) {
        let (mut begun, mut silent) = (0, 0);
        loop {
            sleep(time).await;
            let now = self.begun.load(Ordering::SeqCst);
            silent = if now == begun && self.open.load(Ordering::SeqCst) == 0 { silent + 1 } else { 0 };
            begun = now;
            if silent > 0 && (begun == 0 || silent == PATIENCE) {
                return;
            }
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<Calls>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

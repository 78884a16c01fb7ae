//! The body of a request, which tells its connection when it has come whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::connections::Activity;

/// A body; the request counts as waiting for its answer from its end until this is dropped.
#[derive(Debug)]
pub(crate) struct RequestBody {
    content: Incoming,
    activity: Arc<Activity>,
    is_whole: bool,
}

impl RequestBody {
    pub(crate) fn new(content: Incoming, activity: &Arc<Activity>) -> Self {
        let mut body = Self { content, activity: Arc::clone(activity), is_whole: false };
        if body.content.is_end_stream() {
            body.end();
        }
        body
    }

    fn end(&mut self) {
        if !self.is_whole {
            self.is_whole = true;
            self.activity.begin_answer();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.content).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.content.is_end_stream() {
            self.end();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.is_whole {
            self.activity.end_answer();
        }
    }
}

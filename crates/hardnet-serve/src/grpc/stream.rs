//! Calls whose client sends messages one after another, each of which has an answer.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout, timeout_at};

use super::calls::OpenCall;
use super::message::Messages;
use super::{reflection, status};
use crate::failure::Failure;
use crate::http::error::{HttpError, Result};
use crate::http::request_body::RequestBody;
use crate::http::router::{Observed, Router};

/// Time between looks at whether the server stops, while a message is awaited.
const LOOK: Duration = Duration::from_millis(250);

/// A call of reflection under way.
pub(crate) struct Stream {
    router: Arc<Router>,
    messages: Messages<RequestBody>,
    /// The client's deadline.
    end: Option<Instant>,
    observed: Observed,
    call: OpenCall,
}

/// The next event of an answer's body.
pub(crate) enum Step {
    Message(Bytes, Box<Stream>),
    /// The trailers.
    End(HeaderMap),
}

/// Reads a message and answers it.
pub(crate) type NextStep = Pin<Box<dyn Future<Output = Step> + Send>>;

impl Stream {
    pub(super) fn new(
        router: Arc<Router>,
        body: RequestBody,
        end: Option<Instant>,
        observed: Observed,
        call: OpenCall,
    ) -> Self {
        Self { router, messages: Messages::new(body), end, observed, call }
    }

    /// The next step.
    pub(crate) fn next(mut self: Box<Self>) -> NextStep {
        Box::pin(async move {
            let answered = match self.end {
                None => self.answer().await,
                Some(end) => timeout_at(end, self.answer()).await.unwrap_or_else(|_| Err(Failure::Deadline.into())),
            };
            let error = match answered {
                Ok(Some(message)) => {
                    self.observed.bytes += message.len() as u64;
                    return Step::Message(message, self);
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            Step::End(self.trailers(error))
        })
    }

    /// The trailers of a stream that ends, with `error` if there is one.
    fn trailers(&mut self, error: Option<HttpError>) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        status::write(error.as_ref(), &mut trailers);
        self.observed.status = error.as_ref().map_or(StatusCode::OK, |error| error.status).as_u16();
        self.observed.error = error.map(|error| error.message);
        trailers
    }

    /// The answer to the next message; `None` where the client has no more.
    async fn answer(&mut self) -> Result<Option<Bytes>> {
        let mut next = pin!(self.messages.next(&self.router.limits));
        let message = loop {
            match timeout(LOOK, next.as_mut()).await {
                Ok(message) => break message?,
                Err(_) if self.router.stopping.load(Ordering::SeqCst) => return Err(Failure::Stopping.into()),
                Err(_) => {}
            }
        };
        let Some(held) = message else { return Ok(None) };
        let answer = reflection::answer(held.content.clone())?;
        self.router.limits.hold(answer, self.call.unread()).map(Some)
    }
}

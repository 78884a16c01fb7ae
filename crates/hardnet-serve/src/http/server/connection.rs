//! A connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::http::connections::Activity;
use crate::http::request_body::RequestBody;
use crate::http::router::Router;

/// Length of a request's line and headers in bytes from which on they are refused; one read may exceed it.
const MAX_HEADER_BYTES: usize = 32 << 10;

/// Time in which the runtime takes notice of what has been received.
pub(super) const SETTLING: Duration = Duration::from_millis(2);

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    #[cfg(feature = "grpc")]
    Grpc,
}

#[cfg(feature = "tls")]
impl Protocol {
    /// Its name in ALPN.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            #[cfg(feature = "grpc")]
            Self::Grpc => "h2",
        }
    }
}

/// Answers the requests of a connection until its client ends it, or until `closing` and the requests under way are
/// answered.
pub(super) async fn serve(
    stream: impl Read + Write + Unpin + Send + 'static,
    protocol: Protocol,
    router: &Arc<Router>,
    activity: &Arc<Activity>,
    header_timeout: Duration,
    closing: watch::Receiver<bool>,
) {
    match protocol {
        Protocol::Http1 => http1(stream, router, activity, header_timeout, closing).await,
        #[cfg(feature = "grpc")]
        Protocol::Grpc => super::http2::serve(stream, router, activity, header_timeout, closing).await,
    }
}

async fn http1(
    stream: impl Read + Write + Unpin,
    router: &Arc<Router>,
    activity: &Arc<Activity>,
    header_timeout: Duration,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let router = Arc::clone(router);
        let request = request.map(|body| RequestBody::new(body, activity));
        async move { Ok::<_, Infallible>(router.respond(request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(stream, service)
    );
    let mut closed = pin!(async move {
        let _ = closing.wait_for(|closing| *closing).await;
        // What the system has received by now is known to the runtime then.
        sleep(SETTLING).await;
    });
    let mut told = false;
    // Errors of a connection are its client's.
    let _ = poll_fn(|context| {
        let closes = !told && closed.as_mut().poll(context).is_ready();
        // A request that has come is read before the connection is told to close: an idle one closes at once.
        let mut polled = connection.as_mut().poll(context);
        if closes && polled.is_pending() {
            told = true;
            connection.as_mut().graceful_shutdown();
            polled = connection.as_mut().poll(context);
        }
        polled
    })
    .await;
}

/// The output of `future`, if it is ready.
pub(super) async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

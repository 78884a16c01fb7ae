//! Connections of gRPC.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::grpc::{self, Calls};
use crate::http::connections::Activity;
use crate::http::request_body::RequestBody;
use crate::http::router::Router;

/// Calls of a connection at the same time.
const MAX_CALLS: u32 = 128;

/// Length of a call's headers in bytes.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// Bytes of messages that a connection may send ahead of their reader.
const WINDOW: u32 = 1 << 20;

/// Answers the calls of a connection until its client ends it, or until `closing` or a long silence.
pub(super) async fn serve(
    stream: impl Read + Write + Unpin + Send + 'static,
    router: &Arc<Router>,
    activity: &Arc<Activity>,
    time: Duration,
    mut closing: watch::Receiver<bool>,
) {
    let calls = Arc::new(Calls::default());
    let service = service_fn(|request: Request<Incoming>| {
        let request = request.map(|body| RequestBody::new(body, activity));
        let (router, call) = (Arc::clone(router), calls.begin());
        async move { Ok::<_, Infallible>(grpc::respond(router, request, call).await) }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_CALLS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .serve_connection(stream, service)
    );
    let mut closed = pin!(async move {
        let _ = closing.wait_for(|closing| *closing).await;
    });
    let mut silence = pin!(calls.silence(time));
    let mut stalls = pin!(calls.stalls(time + router.limits.time()));
    let mut told = false;
    // A client that was told to go, and does not, is cut off.
    let mut cut = pin!(async {
        calls.silence(time).await;
        if calls.any() {
            sleep(time).await;
        }
    });
    // Errors of a connection are its client's.
    poll_fn(|context| {
        if !told && (closed.as_mut().poll(context).is_ready() || silence.as_mut().poll(context).is_ready()) {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        if cut.as_mut().poll(context).is_ready() || stalls.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        connection.as_mut().poll(context).map(|_| ())
    })
    .await;
}

//! From a call to its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::answer::CallBody;
use super::calls::OpenCall;
use super::message::{decode, framed};
use super::protocol::health::health_check_response::ServingStatus;
use super::protocol::health::{HealthCheckRequest, HealthCheckResponse};
use super::protocol::{
    ModelMetadataRequest, ModelReadyRequest, ModelReadyResponse, ServerLiveResponse, ServerReadyResponse,
};
use super::stream::Stream;
use super::{infer, message, metadata, status};
use crate::failure::Failure;
use crate::http::error::{HttpError, Result};
use crate::http::infer::VERSION;
use crate::http::request_body::RequestBody;
use crate::http::router::{Observed, REQUEST_ID, Router, blocking, target};
use crate::model::Model;

const SERVICE: &str = "inference.GRPCInferenceService";

/// The longest time that a client may grant: more than the server ever does.
const LONGEST: Duration = Duration::from_secs(1 << 24);

/// Reflection, in its two versions. Its calls have any number of messages.
const STREAMS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// A method whose calls have one message and one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    ServerLive,
    ServerReady,
    ModelReady,
    ServerMetadata,
    ModelMetadata,
    ModelInfer,
    Check,
}

impl Method {
    const ALL: [(Self, &'static str); 7] = [
        (Self::ServerLive, "/inference.GRPCInferenceService/ServerLive"),
        (Self::ServerReady, "/inference.GRPCInferenceService/ServerReady"),
        (Self::ModelReady, "/inference.GRPCInferenceService/ModelReady"),
        (Self::ServerMetadata, "/inference.GRPCInferenceService/ServerMetadata"),
        (Self::ModelMetadata, "/inference.GRPCInferenceService/ModelMetadata"),
        (Self::ModelInfer, "/inference.GRPCInferenceService/ModelInfer"),
        (Self::Check, "/grpc.health.v1.Health/Check"),
    ];

    /// Whether it needs no key.
    fn is_open(self) -> bool {
        matches!(self, Self::ServerLive | Self::ServerReady | Self::Check)
    }
}

/// Answers a call. Its status is in the trailers, or in the headers of an error.
pub(crate) async fn respond(router: Arc<Router>, request: Request<RequestBody>, call: OpenCall) -> Response<CallBody> {
    let start = Instant::now();
    let (parts, mut body) = request.into_parts();
    let mut observed = Observed::new(&router, &parts.headers, &parts.method, parts.uri.path());
    let mut response = Response::new(CallBody::default());
    let content_type = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if parts.method != hyper::Method::POST || !is_grpc(content_type) {
        // The client does not speak gRPC, and would not read a gRPC status.
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        observed.status = response.status().as_u16();
        return response;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Ok(id) = HeaderValue::from_str(&observed.request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let result = match admit(&router, parts.uri.path(), &parts.headers, start, &mut observed.endpoint) {
        Ok((None, end)) => {
            let stream = Box::new(Stream::new(router, body, end, observed, call));
            *response.body_mut() = CallBody::Stream(stream.next());
            return response;
        }
        Ok((Some(method), None)) => answer(&router, method, &mut body, start, None).await,
        Ok((Some(method), Some(end))) => {
            let answer = timeout_at(end, answer(&router, method, &mut body, start, Some(end)));
            answer.await.unwrap_or_else(|_| Err(Failure::Deadline.into()))
        }
        Err(error) => Err(error),
    };
    match result.and_then(|message| router.limits.hold(message, call.unread())) {
        Ok(message) => {
            observed.bytes = message.len() as u64;
            observed.status = StatusCode::OK.as_u16();
            *response.body_mut() = CallBody::Message(message);
        }
        Err(error) => {
            status::write(Some(&error), response.headers_mut());
            let identity = HeaderValue::from_static("identity");
            response.headers_mut().insert(HeaderName::from_static("grpc-accept-encoding"), identity);
            observed.status = error.status.as_u16();
            observed.error = Some(error.message);
        }
    }
    response
}

/// Whether a content type is gRPC's with messages of protocol buffers. `application/grpc-web` is another protocol.
fn is_grpc(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"application/grpc"[..], b"application/grpc+proto"].iter().any(|known| media_type.eq_ignore_ascii_case(known))
}

/// The method of a call that came at `start`, `None` for [`STREAMS`], and its client's deadline.
fn admit(
    router: &Router,
    path: &str,
    headers: &HeaderMap,
    start: Instant,
    endpoint: &mut &'static str,
) -> Result<(Option<Method>, Option<Instant>)> {
    let methods = Method::ALL.iter().map(|&(method, name)| (Some(method), name));
    let mut all = methods.chain(STREAMS.map(|name| (None, name)));
    let Some((method, name)) = all.find(|(_, name)| *name == path) else {
        return Err(HttpError::new(StatusCode::NOT_IMPLEMENTED, format!("no such method `{path}`")));
    };
    *endpoint = name;
    if !method.is_some_and(Method::is_open) && !router.authorized(headers) {
        return Err(HttpError::new(StatusCode::UNAUTHORIZED, "the bearer key is missing or wrong"));
    }
    Ok((method, deadline(headers, start)?))
}

/// The deadline that a client sets by `grpc-timeout` for a call that came at `start`.
fn deadline(headers: &HeaderMap, start: Instant) -> Result<Option<Instant>> {
    let Some(header) = headers.get("grpc-timeout") else { return Ok(None) };
    let granted = header.to_str().ok().and_then(message::granted);
    let granted = granted.ok_or_else(|| HttpError::bad_request("the header `grpc-timeout` is malformed"))?;
    Ok(Some(start + granted.min(LONGEST)))
}

/// The message that answers a call to `method` which came at `start`; `end` is its client's deadline.
async fn answer(
    router: &Arc<Router>,
    method: Method,
    body: &mut RequestBody,
    start: Instant,
    end: Option<Instant>,
) -> Result<Vec<u8>> {
    let held = message::read(&router.limits, body).await?;
    let content = held.content.clone();
    Ok(match method {
        Method::ServerLive => framed(&ServerLiveResponse { live: true }),
        Method::ServerReady => framed(&ServerReadyResponse { ready: router.ready() }),
        Method::ServerMetadata => framed(&metadata::server()),
        Method::Check => {
            let HealthCheckRequest { service } = decode(content)?;
            let ready =
                if service.is_empty() || service == SERVICE { router.ready() } else { is_ready(router, &service)? };
            let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
            framed(&HealthCheckResponse { status: status.into() })
        }
        Method::ModelReady => {
            let ModelReadyRequest { name, version } = decode(content)?;
            check_version(&version)?;
            framed(&ModelReadyResponse { ready: is_ready(router, &name)? })
        }
        Method::ModelMetadata => {
            let ModelMetadataRequest { name, version } = decode(content)?;
            let model = model(router, &name, &version)?;
            framed(&metadata::model(&model, target(&model)?))
        }
        Method::ModelInfer => {
            let for_parsing = Arc::clone(router);
            let read = move || {
                let request = infer::Request::decode(content)?;
                let (name, version) = request.model();
                let model = model(&for_parsing, name, version)?;
                let raw = request.is_raw();
                let inference = request.read(target(&model)?)?;
                Ok((model, raw, inference))
            };
            let (model, raw, inference) = blocking(read).await?;
            let own = router.deadline(start, inference.timeout);
            // Images that cannot be computed before the client's deadline are refused at once, before they are queued.
            let deadline = end.map_or(own, |end| end.min(own));
            let (id, outputs) = inference.compute(target(&model)?, deadline).await?;
            framed(&infer::response(&model, id, outputs, raw))
        }
    })
}

/// The model of a request that names it by `name` and `version`.
fn model(router: &Router, name: &str, version: &str) -> Result<Arc<Model>> {
    check_version(version)?;
    router.model(name)
}

fn check_version(version: &str) -> Result<()> {
    match version {
        "" | VERSION => Ok(()),
        _ => Err(HttpError::not_found(format!("version `{version}`, expected `{VERSION}`"))),
    }
}

/// Whether the model called `name` is ready.
fn is_ready(router: &Router, name: &str) -> Result<bool> {
    match router.model(name) {
        Err(error) if error.status == StatusCode::NOT_FOUND => Err(error),
        model => Ok(model.is_ok() && !router.stopping.load(Ordering::SeqCst)),
    }
}

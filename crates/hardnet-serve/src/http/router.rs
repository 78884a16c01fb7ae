//! From a request to its response.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hardnet_web::page::SERVER_PAGE;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::body::BodyLimits;
use super::error::{HttpError, Result};
use super::infer::{Inference, JSON_LENGTH, VERSION};
use super::log::{Log, RequestRecord, trace};
use super::metrics::{self, RequestMetrics};
use super::request_images::{ImageRequest, Settings};
use super::response::{self, HttpResponse};
use super::{activation_map, classify, embed, metadata, query, segment};
use crate::model::{Model, Target};

/// The description of all routes.
const OPEN_API: &str = include_str!("openapi.json");

pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The status in logs and metrics of a request whose client is gone before the answer.
const CLIENT_GONE: u16 = 499;

/// All that requests share.
pub(crate) struct Router {
    /// Models by their names; `None` while they are loaded.
    pub(crate) models: RwLock<BTreeMap<String, Option<Arc<Model>>>>,
    /// The model of requests that name none.
    pub(crate) default_model: String,
    pub(crate) limits: BodyLimits,
    /// Time until a request's deadline, at most.
    pub(crate) timeout: Duration,
    pub(crate) api_key: Option<String>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: RequestMetrics,
    pub(crate) stopping: AtomicBool,
    pub(crate) connections: AtomicUsize,
    /// Begins the ids of this server's requests.
    pub(crate) id_prefix: u64,
    pub(crate) next_id: AtomicU64,
}

/// The resource that a path names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Route {
    /// A file of the page, by its place.
    Page(usize),
    ActivationMap,
    Classify,
    Embed,
    Segment,
    Infer(String),
    Live,
    Ready,
    Server,
    ModelReady(String),
    ModelMetadata(String),
    ModelConfig(String),
    Index,
    Metrics,
    OpenApi,
}

impl Route {
    /// The route of a path, its name in metrics and its method.
    pub(crate) fn of(path: &str) -> Result<(Self, &'static str, Method)> {
        let unknown = || HttpError::not_found(format!("no such path `{path}`; GET /openapi.json lists all"));
        let parts = path.strip_prefix('/').ok_or_else(unknown)?.split('/');
        let parts = parts.map(|part| query::decode(part, false)).collect::<Result<Vec<_>>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let model = |name: &&str| (*name).to_owned();
        let found = match &parts[..] {
            ["activation-map"] => (Self::ActivationMap, "/activation-map", Method::POST),
            ["classify"] => (Self::Classify, "/classify", Method::POST),
            ["embed"] => (Self::Embed, "/embed", Method::POST),
            ["segment"] => (Self::Segment, "/segment", Method::POST),
            ["metrics"] => (Self::Metrics, "/metrics", Method::GET),
            ["openapi.json"] => (Self::OpenApi, "/openapi.json", Method::GET),
            ["v2"] => (Self::Server, "/v2", Method::GET),
            ["v2", "health", "live"] => (Self::Live, "/v2/health/live", Method::GET),
            ["v2", "health", "ready"] => (Self::Ready, "/v2/health/ready", Method::GET),
            ["v2", "repository", "index"] => (Self::Index, "/v2/repository/index", Method::POST),
            ["v2", "models", name, rest @ ..] => {
                let rest = match rest {
                    ["versions", VERSION, rest @ ..] => rest,
                    ["versions", version, ..] => {
                        return Err(HttpError::not_found(format!("version `{version}`, expected `{VERSION}`")));
                    }
                    rest => rest,
                };
                match rest {
                    [] => (Self::ModelMetadata(model(name)), "/v2/models/{model}", Method::GET),
                    ["ready"] => (Self::ModelReady(model(name)), "/v2/models/{model}/ready", Method::GET),
                    ["config"] => (Self::ModelConfig(model(name)), "/v2/models/{model}/config", Method::GET),
                    ["infer"] => (Self::Infer(model(name)), "/v2/models/{model}/infer", Method::POST),
                    _ => return Err(unknown()),
                }
            }
            [path] => {
                let place = SERVER_PAGE.iter().position(|file| file.path == *path).ok_or_else(unknown)?;
                (Self::Page(place), "page", Method::GET)
            }
            _ => return Err(unknown()),
        };
        Ok(found)
    }
}

impl Router {
    /// A number that begins the ids of a server's requests.
    pub(crate) fn id_prefix() -> u64 {
        RandomState::new().build_hasher().finish()
    }

    /// Answers a request. The response is an error's where there is one.
    pub(crate) async fn respond(self: Arc<Self>, request: Request<Incoming>) -> HttpResponse {
        let (parts, mut body) = request.into_parts();
        let mut observed = Observed::new(&self, &parts.headers, &parts.method, parts.uri.path());
        let head = parts.method == Method::HEAD;
        let routed = match Route::of(parts.uri.path()) {
            Ok((route, endpoint, method)) => {
                observed.endpoint = endpoint;
                let allowed = parts.method == method || (head && method == Method::GET);
                // The page asks with a key of its own.
                let open = matches!(route, Route::Live | Route::Ready | Route::Page(_));
                if !open && !self.authorized(&parts.headers) {
                    Err(HttpError::new(StatusCode::UNAUTHORIZED, "the bearer key is missing or wrong")
                        .header("www-authenticate", "Bearer"))
                } else if !allowed {
                    let message = format!("method {}, expected {method}", parts.method);
                    Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, message).header(ALLOW.as_str(), method.as_str()))
                } else {
                    Ok(route)
                }
            }
            Err(error) => Err(error),
        };
        let result = match routed {
            Ok(route) => self.answer(route, parts.uri.query(), &parts.headers, &mut body).await,
            Err(error) => Err(error),
        };
        if !body.is_end_stream() {
            self.limits.discard(&parts.headers, &mut body).await;
        }
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                let response = response::error(&error);
                observed.error = Some(error.message);
                response
            }
        };
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&observed.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if self.stopping.load(Ordering::SeqCst) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        observed.bytes = response.body().size_hint().exact().unwrap_or_default();
        observed.status = response.status().as_u16();
        response
    }

    async fn answer(
        self: &Arc<Self>,
        route: Route,
        parameters: Option<&str>,
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Result<HttpResponse> {
        Ok(match route {
            Route::Page(place) => {
                let mut response = response::content(SERVER_PAGE[place].content_type, SERVER_PAGE[place].content);
                response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                response
            }
            Route::ActivationMap | Route::Classify | Route::Embed | Route::Segment => {
                return self.images(route, parameters, headers, body).await;
            }
            Route::Infer(name) => return self.infer(&name, headers, body).await,
            Route::Live => response::json(&json!({ "live": true })),
            Route::Ready => self.readiness(self.ready()),
            Route::Server => response::json(&metadata::server()),
            Route::ModelReady(name) => match self.model(&name) {
                Err(error) if error.status == StatusCode::NOT_FOUND => return Err(error),
                model => self.readiness(model.is_ok()),
            },
            Route::ModelMetadata(name) => {
                let model = self.model(&name)?;
                response::json(&metadata::model(&model, target(&model)?))
            }
            Route::ModelConfig(name) => {
                let model = self.model(&name)?;
                response::json(&metadata::config(&model, target(&model)?))
            }
            Route::Index => response::json(&self.index()),
            Route::Metrics => {
                let models: Vec<Arc<Model>> = self.loaded();
                let connections = self.connections.load(Ordering::SeqCst);
                let models = models.iter().map(AsRef::as_ref);
                response::content(
                    metrics::CONTENT_TYPE,
                    metrics::text(&self.metrics, models, self.ready(), connections),
                )
            }
            Route::OpenApi => response::content("application/json", OPEN_API),
        })
    }

    async fn images(
        self: &Arc<Self>,
        route: Route,
        parameters: Option<&str>,
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Result<HttpResponse> {
        let start = Instant::now();
        let parameters = query::parameters(parameters)?;
        let class = parameters.iter().find(|(name, _)| name == "class").and_then(|(_, class)| class.parse().ok());
        let settings = Settings::of_query(parameters)?;
        let held = self.limits.read(headers, body).await?;
        let content_type = match headers.get(CONTENT_TYPE).map(HeaderValue::to_str).transpose() {
            Ok(content_type) => content_type.map(str::to_owned),
            Err(_) => return Err(HttpError::media_type("the content type is not text")),
        };
        let content = held.content.clone();
        let request = parsed(move || ImageRequest::new(content_type.as_deref(), &content, settings)).await?;
        let model = self.model(request.settings.model.as_deref().unwrap_or(&self.default_model))?;
        let deadline = self.deadline(start, request.settings.timeout());
        match route {
            Route::Embed => embed::embed(&model, request, deadline).await,
            Route::Segment => segment::segment(&model, request, segment::Form::of(headers), deadline).await,
            Route::ActivationMap => activation_map::activation_map(&model, request, class, deadline).await,
            _ => classify::classify(&model, request, deadline).await,
        }
    }

    async fn infer(self: &Arc<Self>, name: &str, headers: &HeaderMap, body: &mut Incoming) -> Result<HttpResponse> {
        let start = Instant::now();
        let model = self.model(name)?;
        target(&model)?;
        let held = self.limits.read(headers, body).await?;
        let (content, json_length) = (held.content.clone(), headers.get(JSON_LENGTH).cloned());
        let for_parsing = Arc::clone(&model);
        let inference = parsed(move || Inference::read(target(&for_parsing)?, json_length.as_ref(), &content)).await?;
        let deadline = self.deadline(start, inference.timeout);
        inference.run(&model, target(&model)?, deadline).await
    }

    /// The deadline of a request that came at `start`, whose client grants `granted`.
    pub(crate) fn deadline(&self, start: Instant, granted: Option<Duration>) -> Instant {
        start + granted.map_or(self.timeout, |granted| granted.min(self.timeout))
    }

    /// The model called `name`, if it is ready.
    pub(crate) fn model(&self, name: &str) -> Result<Arc<Model>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        match models.get(name) {
            Some(Some(model)) => Ok(Arc::clone(model)),
            Some(None) => {
                let message = format!("model `{name}` is being loaded");
                Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, message).header(RETRY_AFTER.as_str(), "1"))
            }
            None => Err(HttpError::not_found(format!("unknown model `{name}`"))),
        }
    }

    fn loaded(&self) -> Vec<Arc<Model>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        models.values().flatten().cloned().collect()
    }

    pub(crate) fn ready(&self) -> bool {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        models.values().all(Option::is_some) && !self.stopping.load(Ordering::SeqCst)
    }

    /// KServe's client reads `ready`, the protocol names `live`, Triton's reads the status.
    fn readiness(&self, ready: bool) -> HttpResponse {
        let mut response = response::json(&json!({ "ready": ready, "live": true }));
        if !ready {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    }

    /// Triton's list of models.
    fn index(&self) -> serde_json::Value {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let state = |model: &Option<_>| if model.is_some() { "READY" } else { "LOADING" };
        models.iter().map(|(name, model)| json!({ "name": name, "version": VERSION, "state": state(model) })).collect()
    }

    pub(crate) fn authorized(&self, headers: &HeaderMap) -> bool {
        let Some(key) = &self.api_key else { return true };
        let Some(given) = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) else { return false };
        let Some((scheme, given)) = given.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && equal(given, key.as_bytes())
    }
}

/// What `model` answers inference with.
pub(crate) fn target(model: &Model) -> Result<Target<'_>> {
    let missing = || HttpError::not_found(format!("model `{}` neither classifies nor segments", model.name()));
    model.target().ok_or_else(missing)
}

/// Runs `parse` where it does not keep other connections waiting.
pub(crate) async fn parsed<T: Send + 'static>(parse: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let panicked = |_| HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "a panic while the request was read");
    tokio::task::spawn_blocking(parse).await.map_err(panicked)?
}

/// Whether `a` is `b`, in a time that depends on lengths only.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_routes() {
        let route = |path: &str| Route::of(path).map(|(route, ..)| route).map_err(|error| error.status);
        assert_eq!(route("/v2/models/a%2Fb/infer"), Ok(Route::Infer("a/b".into())));
        assert_eq!(route("/v2/models/m/versions/1/infer"), Ok(Route::Infer("m".into())));
        assert_eq!(route("/v2/models/m/versions/1"), Ok(Route::ModelMetadata("m".into())));
        assert_eq!(route("/"), Ok(Route::Page(0)));
        for path in ["/page", "*", "/v2/", "/v2/models", "/v2/models/m/versions/2/infer", "/classify/"] {
            assert_eq!(route(path), Err(StatusCode::NOT_FOUND), "{path}");
        }
        assert_eq!(route("/v2/models/%ff"), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn the_described_paths_are_those_that_are_answered() {
        let document: serde_json::Value = serde_json::from_str(OPEN_API).unwrap();
        let mut endpoints = std::collections::BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let filled = path.replace("{version}", VERSION);
            let (_, endpoint, method) = Route::of(&filled).unwrap_or_else(|error| panic!("{path}: {error:?}"));
            assert_eq!(endpoint, path.replace("/versions/{version}", ""));
            let described: Vec<&String> = operations.as_object().unwrap().keys().collect();
            assert_eq!(described, [&method.as_str().to_lowercase()], "{path}");
            endpoints.insert(endpoint);
        }
        assert_eq!(endpoints.len(), 14, "all routes are described: {endpoints:?}");
    }

    #[test]
    fn keys_are_compared_as_a_whole() {
        assert!(equal(b"key", b"key") && !equal(b"key", b"kez") && !equal(b"key", b"keys") && !equal(b"", b"k"));
    }
}

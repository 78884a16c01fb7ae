//! From a request to its response.

mod observed;
mod route;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hardnet_web::page::SERVER_PAGE;
use hyper::body::Body as _;
use hyper::header::{ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::body::BodyLimits;
use super::connections::Connections;
use super::error::{HttpError, Result};
use super::infer::{Inference, JSON_LENGTH, VERSION};
use super::log::Log;
use super::metrics::{self, RequestMetrics};
use super::request_body::RequestBody;
use super::request_images::{ImageRequest, Settings};
use super::response::{self, HttpResponse};
use super::server::ApiKey;
use super::{activation_map, classify, embed, metadata, query, request_images, segment};
use crate::model::{Model, Target};
pub(crate) use observed::{Observed, id_prefix};
pub(crate) use route::Route;

/// The description of all routes.
const OPEN_API: &str = include_str!("openapi.json");

pub(crate) const REQUEST_ID: &str = "x-request-id";

/// All that requests share.
pub(crate) struct Router {
    /// Models by their names; `None` while they are loaded.
    pub(crate) models: RwLock<BTreeMap<String, Option<Arc<Model>>>>,
    /// The model of requests that name none.
    pub(crate) default_model: String,
    pub(crate) limits: BodyLimits,
    /// Time until a request's deadline, at most.
    pub(crate) timeout: Duration,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) metrics: RequestMetrics,
    pub(crate) stopping: AtomicBool,
    pub(crate) connections: Arc<Connections>,
    /// Begins the ids of this server's requests.
    pub(crate) id_prefix: u64,
    pub(crate) next_id: AtomicU64,
}

impl Router {
    /// Answers a request. The response is an error's where there is one.
    pub(crate) async fn respond(self: Arc<Self>, request: Request<RequestBody>) -> HttpResponse {
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
        body: &mut RequestBody,
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
                let models = models.iter().map(AsRef::as_ref);
                response::content(
                    metrics::CONTENT_TYPE,
                    metrics::text(&self.metrics, models, self.ready(), &self.connections, &self.limits),
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
        body: &mut RequestBody,
    ) -> Result<HttpResponse> {
        let start = Instant::now();
        let parameters = query::parameters(parameters)?;
        let class = parameters.iter().find(|(name, _)| name == "class").and_then(|(_, class)| class.parse().ok());
        let settings = Settings::of_query(parameters)?;
        let content_type = match headers.get(CONTENT_TYPE).map(HeaderValue::to_str).transpose() {
            Ok(content_type) => content_type.map(str::to_owned),
            Err(_) => return Err(HttpError::media_type("the content type is not text")),
        };
        if request_images::is_raw(content_type.as_deref()) {
            let model = self.model(settings.model.as_deref().unwrap_or(&self.default_model))?;
            let batcher = match route {
                Route::Embed => model.vectors().map(|vectors| &vectors.batcher),
                Route::Segment => model.pixels().map(|pixels| &pixels.batcher),
                Route::ActivationMap => None,
                _ => model.classes().map(|classes| &classes.batcher),
            };
            // A refused body is not kept; clients that send `Expect: 100-continue` do not even send it.
            batcher
                .map_or(Ok(()), |batcher| batcher.check_room(self.deadline(start, settings.timeout()).into_std()))?;
        }
        let held = self.limits.read(headers, body).await?;
        let content = held.content.clone();
        let request = blocking(move || ImageRequest::new(content_type.as_deref(), &content, settings)).await?;
        let model = self.model(request.settings.model.as_deref().unwrap_or(&self.default_model))?;
        let deadline = self.deadline(start, request.settings.timeout());
        match route {
            Route::Embed => embed::embed(&model, request, deadline).await,
            Route::Segment => segment::segment(&model, request, segment::Form::of(headers), deadline).await,
            Route::ActivationMap => activation_map::activation_map(&model, request, class, deadline).await,
            _ => classify::classify(&model, request, deadline).await,
        }
    }

    async fn infer(self: &Arc<Self>, name: &str, headers: &HeaderMap, body: &mut RequestBody) -> Result<HttpResponse> {
        let start = Instant::now();
        let model = self.model(name)?;
        target(&model)?.batcher().check_room(self.deadline(start, None).into_std())?;
        let held = self.limits.read(headers, body).await?;
        let (content, json_length) = (held.content.clone(), headers.get(JSON_LENGTH).cloned());
        let for_parsing = Arc::clone(&model);
        let inference =
            blocking(move || Inference::read(target(&for_parsing)?, json_length.as_ref(), &content)).await?;
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

/// Runs `work` where it does not keep other connections waiting.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let panicked = |_| HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "a panic while the request was answered");
    tokio::task::spawn_blocking(work).await.map_err(panicked)?
}

/// Whether `a` is `b`, in a time that depends on lengths only.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_as_a_whole() {
        assert!(equal(b"key", b"key") && !equal(b"key", b"kez") && !equal(b"key", b"keys") && !equal(b"", b"k"));
    }
}

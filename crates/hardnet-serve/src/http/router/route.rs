//! From a path to what it names.

use hardnet_web::page::SERVER_PAGE;
use hyper::Method;

use crate::http::error::{HttpError, Result};
use crate::http::infer::VERSION;
use crate::http::query;

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

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::http::router::OPEN_API;

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
}

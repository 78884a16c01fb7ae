//! Downloads over HTTP, from the Hub and from other hosts.
//!
//! A download is written to a part file, which the next attempt resumes, also in a later run. The caller verifies the
//! content and gives it its final name. Redirects are followed here, not by the HTTP library, so that the token is sent
//! to the Hub's own origin and nowhere else.

mod body;
mod retry;
mod url;

use std::path::Path;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, LOCATION};
use ureq::http::{HeaderMap, Method, Request, Response};
use ureq::{Agent, Body, Proxy};

use super::event::Observer;
use super::options::{FetchOptions, Proxies, RetryPolicy};
use crate::error::DownloadError;
use retry::Failure;
use url::{UrlOrigin, join};

pub(super) use body::discard;
pub(super) use url::{escape, redact};

/// Value of the `User-Agent` header.
const USER_AGENT: &str = concat!("hardnet/", env!("CARGO_PKG_VERSION"));

/// Largest number of redirects of one request.
const MAX_REDIRECTS: usize = 10;

/// Sends requests with the proxies, timeouts and credentials of the options.
pub(super) struct HttpClient<'a> {
    options: &'a FetchOptions,
    hub: Option<UrlOrigin>,
    http: Agent,
    https: Agent,
}

/// A file to download.
pub(super) struct DownloadRequest<'a> {
    /// URL of the file.
    pub(super) url: &'a str,
    /// The part file to write.
    pub(super) part: &'a Path,
    /// Length in bytes, if it is known.
    pub(super) length: Option<u64>,
    /// Largest length that is accepted.
    pub(super) max_length: u64,
    /// Whether the name of the part is a hash of its content, so that it can always be resumed. Otherwise it is resumed
    /// only if a validator of the host shows that the file is still the same.
    pub(super) named_by_content: bool,
}

/// Headers of a file on the Hub.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RemoteInfo {
    /// Commit of the revision.
    pub(super) commit: String,
    /// Identifies the content: SHA-256 of a large file, git blob ID of a small one.
    pub(super) etag: String,
    /// Length in bytes.
    pub(super) length: Option<u64>,
}

/// The byte to resume from, and the validator of the file.
#[derive(Clone, Copy, Default)]
struct Resume<'a> {
    from: u64,
    validator: Option<&'a str>,
}

impl<'a> HttpClient<'a> {
    pub(super) fn new(options: &'a FetchOptions) -> Self {
        let Proxies { http, https, exceptions } = &options.proxies;
        let agent = |proxy: &Option<String>| agent(&options.retry, proxy.as_deref(), exceptions.as_deref());
        let (http, https) = (agent(http), agent(https));
        Self { options, hub: UrlOrigin::from_url(&options.endpoint), http, https }
    }

    /// Requests the headers of the file at `url` on the Hub.
    pub(super) fn describe(&self, url: &str, observer: &mut Observer) -> Result<RemoteInfo, DownloadError> {
        let response = self.with_retries(observer, |_| {
            let (response, origin) = self.request(&Method::HEAD, url, Resume::default())?;
            let status = response.status();
            if status.is_success() || status.is_redirection() {
                Ok(response)
            } else {
                Err(self.status_failure(&response, &origin))
            }
        })?;
        let header = |name: &str| text(response.headers(), name);
        let etag = header("x-linked-etag").or_else(|| header(ETAG.as_str())).ok_or(DownloadError::NotAHub("ETag"))?;
        let own_length = if response.status().is_redirection() { None } else { header(CONTENT_LENGTH.as_str()) };
        Ok(RemoteInfo {
            commit: header("x-repo-commit").ok_or(DownloadError::NotAHub("X-Repo-Commit"))?.into(),
            etag: etag.trim_start_matches("W/").trim_matches('"').into(),
            length: header("x-linked-size").or(own_length).and_then(|length| length.parse().ok()),
        })
    }

    /// Sends a request and follows its redirects. Returns the last response and its origin.
    ///
    /// A `HEAD` request ends at a redirect away from the Hub, whose own headers describe the file.
    fn request(&self, method: &Method, url: &str, resume: Resume) -> Result<(Response<Body>, UrlOrigin), Failure> {
        let mut url = url.to_string();
        for _ in 0..=MAX_REDIRECTS {
            let origin =
                UrlOrigin::from_url(&url).ok_or_else(|| Failure::permanent(DownloadError::InvalidUrl(redact(&url))))?;
            let response = self.send(method, &url, &origin, resume)?;
            let location = text(response.headers(), LOCATION.as_str());
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok((response, origin));
            };
            let next = follow(&origin, &url, location);
            if *method == Method::HEAD && next.as_ref().ok().and_then(|next| UrlOrigin::from_url(next)) != self.hub {
                return Ok((response, origin));
            }
            url = next.map_err(|why| Failure::permanent(DownloadError::Redirect(why)))?;
        }
        Err(Failure::permanent(DownloadError::Redirect(format!("more than {MAX_REDIRECTS} times"))))
    }

    fn send(&self, method: &Method, url: &str, origin: &UrlOrigin, resume: Resume) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(url).header(ACCEPT_ENCODING, "identity");
        if let Some(token) = self.options.token.as_ref().filter(|_| self.hub.as_ref() == Some(origin)) {
            request = request.header(AUTHORIZATION, token.authorization());
        }
        if resume.from > 0 {
            request = request.header("Range", format!("bytes={}-", resume.from));
            if let Some(validator) = resume.validator {
                request = request.header("If-Range", validator);
            }
        }
        // The builder's error is dropped, because it may quote a header.
        let request = request.body(()).map_err(|_| {
            Failure::permanent(DownloadError::Network(format!("`{}` or the token cannot be sent", redact(url))))
        })?;
        let agent = if origin.scheme == "https" { &self.https } else { &self.http };
        agent.run(request).map_err(|error| Failure::transient(DownloadError::Network(network_message(&error))))
    }

    /// The failure that a response without the file means.
    fn status_failure(&self, response: &Response<Body>, origin: &UrlOrigin) -> Failure {
        let status = response.status().as_u16();
        let hub = self.hub.as_ref() == Some(origin);
        let reason = DownloadError::Status {
            status,
            code: text(response.headers(), "x-error-code").map(Into::into),
            hub,
            with_token: hub && self.options.token.is_some(),
        };
        match status {
            408 | 429 | 500 | 502 | 503 | 504 => {
                Failure::transient(reason).after(retry::requested_pause(response.headers()))
            }
            _ => Failure::permanent(reason),
        }
    }
}

/// Returns the target of a redirect from `url`, whose origin is `origin`, or the reason not to follow it.
fn follow(origin: &UrlOrigin, url: &str, location: &str) -> Result<String, String> {
    let next = join(url, location).unwrap_or_default();
    match UrlOrigin::from_url(&next) {
        None => Err(format!("to `{}`, which is not an http:// or https:// URL", redact(&next))),
        Some(to) if origin.scheme == "https" && to.scheme != "https" => {
            Err(format!("to `{}`, which is not encrypted", redact(&next)))
        }
        Some(_) => Ok(next),
    }
}

/// Value of a header, if it is text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An agent that returns every response unchanged.
fn agent(retry: &RetryPolicy, proxy: Option<&str>, exceptions: Option<&str>) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(USER_AGENT)
        .timeout_resolve(Some(retry.connect_timeout))
        .timeout_connect(Some(retry.connect_timeout))
        .timeout_per_read(Some(retry.read_timeout))
        .proxy(proxy.and_then(|proxy| parse_proxy(proxy, exceptions)))
        .build()
        .into()
}

/// The proxy at `url`, which the hosts `exceptions` bypass.
fn parse_proxy(url: &str, exceptions: Option<&str>) -> Option<Proxy> {
    let proxy = Proxy::new(url).ok()?;
    let mut builder = Proxy::builder(proxy.protocol()).host(proxy.host()).port(proxy.port());
    if let Some(user) = proxy.username() {
        builder = builder.username(user);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    for host in exceptions.unwrap_or_default().split(',').map(str::trim).filter(|host| !host.is_empty()) {
        // A name includes its subdomains, as it does for curl and Python.
        builder = builder.no_proxy(host).no_proxy(&format!(".{}", host.trim_start_matches('.')));
    }
    builder.build().ok()
}

/// Message of a network error without the URL, which may be signed.
fn network_message(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "the host did not respond in time".into(),
        ureq::Error::HostNotFound => "the host name cannot be resolved".into(),
        ureq::Error::BadUri(_) => "the URL is invalid".into(),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_followed_unless_they_leave_encryption() {
        let follow = |from: &str, location| follow(&UrlOrigin::from_url(from).unwrap(), from, location);
        for (from, location, to) in [
            ("https://hub/a/b", "https://cdn/c?signature=s", "https://cdn/c?signature=s"),
            ("https://hub/a/b", "/c", "https://hub/c"),
            ("http://hub/a/b", "http://cdn/c", "http://cdn/c"),
            ("http://hub/a/b", "https://cdn/c", "https://cdn/c"),
        ] {
            assert_eq!(follow(from, location).as_deref(), Ok(to));
        }
        for (location, why) in
            [("http://cdn/c?signature=s", "not encrypted"), ("ftp://cdn/c?signature=s", "not an http://")]
        {
            let error = follow("https://hub/a/b", location).unwrap_err();
            assert!(error.contains(why) && !error.contains("signature"), "{error}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_not_shown() {
        let options = FetchOptions {
            token: crate::Token::new("hf_secret\u{7}"),
            endpoint: "http://127.0.0.1:1".into(),
            ..FetchOptions::default()
        };
        let error = HttpClient::new(&options).describe("http://127.0.0.1:1/a", &mut |_| {}).unwrap_err();
        let error = format!("{error} {error:?}");
        assert!(error.contains("token cannot be sent") && !error.contains("secret"), "{error}");
    }
}

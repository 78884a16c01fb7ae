//! Files over HTTP, from the Hub and every other host.
//!
//! A file arrives in a part file, which the next attempt, also of a later run, continues. Checking what arrived and giving
//! it its name is the caller's. Redirects are followed here, not by the HTTP library: the token goes to the Hub's own
//! origin and nowhere else.

mod body;
mod retry;

use std::path::Path;

use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, LOCATION};
use ureq::http::{HeaderMap, Method, Request, Response};
use ureq::{Agent, Body, Proxy};

use crate::address::{Origin, join, shown};
use crate::error::Reason;
use crate::event::Watch;
use crate::options::{FetchOptions, Patience};
use retry::Failure;

pub(crate) use body::discard;

/// Who asks.
const USER_AGENT: &str = concat!("hardnet/", env!("CARGO_PKG_VERSION"));

/// Redirects that are followed for one file.
const REDIRECTS: usize = 10;

/// Asks hosts as the options say.
pub(crate) struct Transfer<'a> {
    options: &'a FetchOptions,
    hub: Option<Origin>,
    http: Agent,
    https: Agent,
}

/// A file that is to arrive.
pub(crate) struct Order<'a> {
    /// Where it is.
    pub(crate) address: &'a str,
    /// Where it arrives.
    pub(crate) part: &'a Path,
    /// Its length in bytes, where that is known.
    pub(crate) length: Option<u64>,
    /// The most bytes that are taken, where it is not.
    pub(crate) longest: u64,
    /// Whether the name of the part stands for its content, so that any host may continue it. Otherwise it is continued
    /// only if the host says by a validator that its file is still the same.
    pub(crate) named_by_content: bool,
}

/// What the Hub says of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Description {
    /// The commit that the revision means.
    pub(crate) commit: String,
    /// The name of the content: SHA-256 of a large file, git's of a small one.
    pub(crate) etag: String,
    /// Length in bytes.
    pub(crate) length: Option<u64>,
}

/// What to send along.
#[derive(Clone, Copy, Default)]
struct Conditions<'a> {
    from: u64,
    validator: Option<&'a str>,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(options: &'a FetchOptions) -> Self {
        let agent =
            |proxy: &Option<String>| agent(&options.patience, proxy.as_deref(), options.proxies.none.as_deref());
        let (http, https) = (agent(&options.proxies.http), agent(&options.proxies.https));
        Self { options, hub: Origin::of(&options.endpoint), http, https }
    }

    /// What the Hub says of the file at `address`.
    pub(crate) fn describe(&self, address: &str, watch: &mut Watch) -> Result<Description, Reason> {
        let answer = self.patiently(watch, |_| {
            let (response, asked) = self.ask(&Method::HEAD, address, Conditions::default())?;
            let status = response.status();
            if status.is_success() || status.is_redirection() {
                Ok(response)
            } else {
                Err(self.refused(&response, &asked))
            }
        })?;
        let header = |name: &str| text(answer.headers(), name);
        let etag = header("x-linked-etag").or_else(|| header(ETAG.as_str())).ok_or(Reason::NoHub("ETag"))?;
        let own_length = if answer.status().is_redirection() { None } else { header(CONTENT_LENGTH.as_str()) };
        Ok(Description {
            commit: header("x-repo-commit").ok_or(Reason::NoHub("X-Repo-Commit"))?.into(),
            etag: etag.trim_start_matches("W/").trim_matches('"').into(),
            length: header("x-linked-size").or(own_length).and_then(|length| length.parse().ok()),
        })
    }

    /// Sends one request and follows its redirects; the last answer, and whom it is from.
    ///
    /// A `HEAD` request ends at a redirect away from the Hub, whose own headers describe the file.
    fn ask(&self, method: &Method, address: &str, conditions: Conditions) -> Result<(Response<Body>, Origin), Failure> {
        let mut address = address.to_string();
        for _ in 0..=REDIRECTS {
            let origin = Origin::of(&address).ok_or_else(|| Failure::final_(Reason::NoAddress(shown(&address))))?;
            let response = self.send(method, &address, &origin, conditions)?;
            let location = text(response.headers(), LOCATION.as_str());
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok((response, origin));
            };
            let next = follow(&origin, &address, location);
            if *method == Method::HEAD && next.as_ref().ok().and_then(|next| Origin::of(next)) != self.hub {
                return Ok((response, origin));
            }
            address = next.map_err(|why| Failure::final_(Reason::Redirect(why)))?;
        }
        Err(Failure::final_(Reason::Redirect(format!("more than {REDIRECTS} times"))))
    }

    fn send(
        &self,
        method: &Method,
        address: &str,
        origin: &Origin,
        conditions: Conditions,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(address).header(ACCEPT_ENCODING, "identity");
        if let Some(token) = self.options.token.as_ref().filter(|_| self.hub.as_ref() == Some(origin)) {
            request = request.header(AUTHORIZATION, token.authorization());
        }
        if conditions.from > 0 {
            request = request.header("Range", format!("bytes={}-", conditions.from));
            if let Some(validator) = conditions.validator {
                request = request.header("If-Range", validator);
            }
        }
        // The builder's error is not passed on: it might quote a header.
        let request = request.body(()).map_err(|_| {
            Failure::final_(Reason::Network(format!("`{}` or the token cannot be sent", shown(address))))
        })?;
        let agent = if origin.scheme == "https" { &self.https } else { &self.http };
        agent.run(request).map_err(|error| Failure::transient(Reason::Network(explain(&error))))
    }

    /// The failure that an answer other than the file is.
    fn refused(&self, response: &Response<Body>, asked: &Origin) -> Failure {
        let status = response.status().as_u16();
        let hub = self.hub.as_ref() == Some(asked);
        let reason = Reason::Status {
            status,
            code: text(response.headers(), "x-error-code").map(Into::into),
            hub,
            with_token: hub && self.options.token.is_some(),
        };
        match status {
            408 | 429 | 500 | 502 | 503 | 504 => {
                Failure::transient(reason).after(retry::asked_pause(response.headers()))
            }
            _ => Failure::final_(reason),
        }
    }
}

/// Where a redirect from `address`, which is of `origin`, leads; or where it must not be followed to.
fn follow(origin: &Origin, address: &str, location: &str) -> Result<String, String> {
    let next = join(address, location).unwrap_or_default();
    match Origin::of(&next) {
        None => Err(format!("to `{}`, which is no http:// or https:// address", shown(&next))),
        Some(to) if origin.scheme == "https" && to.scheme != "https" => {
            Err(format!("to `{}`, which is not encrypted", shown(&next)))
        }
        Some(_) => Ok(next),
    }
}

/// A header that is text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An agent that gives every answer as it is.
fn agent(patience: &Patience, proxy: Option<&str>, none: Option<&str>) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(USER_AGENT)
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_per_read(Some(patience.silence))
        .proxy(proxy.and_then(|proxy| proxy_of(proxy, none)))
        .build()
        .into()
}

/// The proxy at `address`, which is not asked for the hosts of `none`.
fn proxy_of(address: &str, none: Option<&str>) -> Option<Proxy> {
    let proxy = Proxy::new(address).ok()?;
    let mut builder = Proxy::builder(proxy.protocol()).host(proxy.host()).port(proxy.port());
    if let Some(user) = proxy.username() {
        builder = builder.username(user);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    for host in none.unwrap_or_default().split(',').map(str::trim).filter(|host| !host.is_empty()) {
        // A name stands for the hosts below it too, as it does for curl and Python.
        builder = builder.no_proxy(host).no_proxy(&format!(".{}", host.trim_start_matches('.')));
    }
    builder.build().ok()
}

/// What went wrong, without the address, which may be signed.
fn explain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "the host does not answer in time".into(),
        ureq::Error::HostNotFound => "the host's name is not known".into(),
        ureq::Error::BadUri(_) => "the address cannot be used".into(),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_followed_unless_they_leave_encryption() {
        let follow = |from: &str, location| follow(&Origin::of(from).unwrap(), from, location);
        for (from, location, to) in [
            ("https://hub/a/b", "https://cdn/c?signature=s", "https://cdn/c?signature=s"),
            ("https://hub/a/b", "/c", "https://hub/c"),
            ("http://hub/a/b", "http://cdn/c", "http://cdn/c"),
            ("http://hub/a/b", "https://cdn/c", "https://cdn/c"),
        ] {
            assert_eq!(follow(from, location).as_deref(), Ok(to));
        }
        for (location, why) in
            [("http://cdn/c?signature=s", "not encrypted"), ("ftp://cdn/c?signature=s", "no http://")]
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
        let error = Transfer::new(&options).describe("http://127.0.0.1:1/a", &mut |_| {}).unwrap_err();
        let error = format!("{error} {error:?}");
        assert!(error.contains("token cannot be sent") && !error.contains("secret"), "{error}");
    }
}

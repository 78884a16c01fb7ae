//! Options of downloads: folders, hosts, credentials, retries.

mod env;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// URL of the public Hub.
const ENDPOINT: &str = "https://huggingface.co";

/// Options of [`WeightsSource::fetch`](crate::WeightsSource::fetch) and its siblings.
///
/// [`FetchOptions::from_env`] is the usual start; [`FetchOptions::default`] knows no folder and no token.
///
/// ```
/// use hardnet_weights::{FetchOptions, RetryPolicy};
///
/// let options = FetchOptions::from_env().hub_owner("acme").retry(RetryPolicy::default().max_attempts(2));
/// assert_eq!(options.hub_owner.as_deref(), Some("acme"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchOptions {
    /// URL of the Hub without a trailing slash. It may have a path, as a mirror's has.
    pub endpoint: String,
    /// Folder of the Hub's cache, in the layout of Python's `huggingface_hub`.
    pub hub_cache: Option<PathBuf>,
    /// Folder of the weights that were downloaded by tag.
    pub weights_cache: Option<PathBuf>,
    /// Access token. It is sent to the Hub and to no other host.
    pub token: Option<Token>,
    /// The reason to make no request, such as "HF_HUB_OFFLINE is set"; `None` allows requests.
    pub offline: Option<String>,
    /// Owner of the repositories `{owner}/{tag}` on the Hub that are tried first for a tag.
    pub hub_owner: Option<String>,
    /// SHA-256 of a file that the user trusts although its hash is unknown or differs from its name.
    pub accept_sha256: Option<String>,
    /// Whether to download even a file that is cached.
    pub force: bool,
    /// Timeouts and retries.
    pub retry: RetryPolicy,
    /// Proxies by scheme.
    pub proxies: Proxies,
}

impl Default for FetchOptions {
    /// The public Hub without a token, and no cache folder.
    fn default() -> Self {
        Self {
            endpoint: ENDPOINT.into(),
            hub_cache: None,
            weights_cache: None,
            token: None,
            offline: None,
            hub_owner: None,
            accept_sha256: None,
            force: false,
            retry: RetryPolicy::default(),
            proxies: Proxies::default(),
        }
    }
}

impl FetchOptions {
    /// Sets the URL of the Hub; trailing slashes are removed.
    pub fn endpoint(mut self, url: &str) -> Self {
        self.endpoint = url.trim_end_matches('/').into();
        self
    }

    /// Sets the folder of the Hub's cache.
    pub fn hub_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.hub_cache = Some(folder.into());
        self
    }

    /// Sets the folder of weights that are downloaded by tag.
    pub fn weights_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.weights_cache = Some(folder.into());
        self
    }

    /// Sets the access token.
    pub fn token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Forbids requests; `why` is quoted in errors, as in "... and HF_HUB_OFFLINE is set".
    pub fn offline(mut self, why: impl Into<String>) -> Self {
        self.offline = Some(why.into());
        self
    }

    /// Sets the owner of the repositories that are tried first for a tag.
    pub fn hub_owner(mut self, owner: impl Into<String>) -> Self {
        self.hub_owner = Some(owner.into());
        self
    }

    /// Accepts a file with this SHA-256 although its hash is unknown or differs from its name.
    pub fn accept_sha256(mut self, digest: impl Into<String>) -> Self {
        self.accept_sha256 = Some(digest.into());
        self
    }

    /// Sets whether to download even a file that is cached.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Sets timeouts and retries.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the proxies.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }
}

/// Timeouts of a connection, and how often a failed request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Consecutive attempts without progress before giving up.
    pub max_attempts: u32,
    /// Pause after the first failure; it doubles with each further one.
    pub initial_backoff: Duration,
    /// Upper bound of a pause, also of one that the host asks for.
    pub max_backoff: Duration,
    /// Timeout of name resolution and of connecting.
    pub connect_timeout: Duration,
    /// Timeout of each read.
    pub read_timeout: Duration,
}

impl Default for RetryPolicy {
    /// Five attempts with pauses of 1, 2, 4 and 8 seconds, timeouts of 10 seconds, pauses of at most 5 minutes.
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// Sets the number of consecutive attempts without progress.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets the pause after the first failure.
    pub fn initial_backoff(mut self, pause: Duration) -> Self {
        self.initial_backoff = pause;
        self
    }

    /// Sets the upper bound of a pause.
    pub fn max_backoff(mut self, pause: Duration) -> Self {
        self.max_backoff = pause;
        self
    }

    /// Sets the timeout of name resolution and of connecting.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the timeout of each read.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }
}

/// Proxies, as `http://[user:password@]host:port` or `socks5://...`.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Proxies {
    /// Proxy for `http://`.
    pub http: Option<String>,
    /// Proxy for `https://`.
    pub https: Option<String>,
    /// Hosts that are contacted directly, separated by commas.
    pub exceptions: Option<String>,
}

impl Proxies {
    /// Sets the proxy for `http://`.
    pub fn http(mut self, url: impl Into<String>) -> Self {
        self.http = Some(url.into());
        self
    }

    /// Sets the proxy for `https://`.
    pub fn https(mut self, url: impl Into<String>) -> Self {
        self.https = Some(url.into());
        self
    }

    /// Sets the hosts that are contacted directly, separated by commas.
    pub fn exceptions(mut self, hosts: impl Into<String>) -> Self {
        self.exceptions = Some(hosts.into());
        self
    }
}

impl fmt::Debug for Proxies {
    /// Shows whether proxies are set, not their URLs, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (http, https) = (self.http.is_some(), self.https.is_some());
        f.debug_struct("Proxies")
            .field("http", &http)
            .field("https", &https)
            .field("exceptions", &self.exceptions)
            .finish()
    }
}

/// Access token of the Hub. Its `Debug` output hides the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text` without its white space, or `None` if nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        (!text.is_empty()).then_some(Self(text))
    }

    /// Value of the `Authorization` header.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

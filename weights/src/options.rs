//! Where files are kept, whom to ask and how patiently.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The public Hub.
const ENDPOINT: &str = "https://huggingface.co";

/// How fetching behaves; [`FetchOptions::from_env`] is what a program usually wants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchOptions {
    /// Address of the Hub without a final slash; it may have a path, as a mirror's has.
    pub endpoint: String,
    /// Folder of the Hub's cache, laid out as Python's `huggingface_hub` does.
    pub hub_cache: Option<PathBuf>,
    /// Folder of the weights that were fetched by tag.
    pub store: Option<PathBuf>,
    /// What is shown to the Hub, and to no other host.
    pub token: Option<Token>,
    /// Why no request may be made, as "HF_HUB_OFFLINE is set"; `None` allows them.
    pub offline: Option<String>,
    /// Owner of the repositories on the Hub that tags are asked of first, `{owner}/{tag}`.
    pub hub_owner: Option<String>,
    /// The SHA-256 of a file that is taken though nobody vouches for it.
    pub accept_sha256: Option<String>,
    /// Ask even where the cache has the file.
    pub force: bool,
    /// How long and how often a host is asked.
    pub patience: Patience,
    /// Proxies by scheme.
    pub proxies: Proxies,
}

/// How long and how often a host is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// Attempts in a row that bring nothing new before giving up.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each.
    pub first_pause: Duration,
    /// The longest pause, also one that a host asks for.
    pub longest_pause: Duration,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long a host may be silent.
    pub silence: Duration,
}

impl Default for Patience {
    /// Five attempts with pauses of 1, 2, 4 and 8 seconds; 10 seconds of silence; a host may ask for 5 minutes.
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(300),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(10),
        }
    }
}

/// Addresses of proxies, as `http://[user:password@]host:port` or `socks5://...`.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<String>,
    /// For `https://`.
    pub https: Option<String>,
    /// Hosts that are asked directly, separated by commas.
    pub none: Option<String>,
}

impl fmt::Debug for Proxies {
    /// Whether there are any: an address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (http, https) = (self.http.is_some(), self.https.is_some());
        f.debug_struct("Proxies").field("http", &http).field("https", &https).field("none", &self.none).finish()
    }
}

/// A secret of the Hub. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text`, without the blanks and line ends around and in it; `None` where nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        (!text.is_empty()).then_some(Self(text))
    }

    /// The value of the header `Authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl Default for FetchOptions {
    /// The public Hub without a token, and no folder to keep anything in.
    fn default() -> Self {
        Self {
            endpoint: ENDPOINT.into(),
            hub_cache: None,
            store: None,
            token: None,
            offline: None,
            hub_owner: None,
            accept_sha256: None,
            force: false,
            patience: Patience::default(),
            proxies: Proxies::default(),
        }
    }
}

impl FetchOptions {
    /// What the environment says, by the variables of Python's `huggingface_hub` and two of our own.
    ///
    /// The cache is HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or
    /// ~/.cache/huggingface/hub; the token HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH or HF_HOME/token,
    /// unless HF_HUB_DISABLE_IMPLICIT_TOKEN is set; further HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT in
    /// seconds, and HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY in either case. Weights fetched by tag are kept in
    /// `weights` of HARDNET_CACHE, XDG_CACHE_HOME/hardnet or ~/.cache/hardnet; HARDNET_HUB_OWNER is [`FetchOptions::hub_owner`].
    pub fn from_env() -> Self {
        Self::resolve(&|name| env::var_os(name), env::home_dir())
    }

    /// The same with another environment and home folder.
    pub(crate) fn resolve(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let home = home.filter(|home| !home.as_os_str().is_empty());
        let any = |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let text = |names: &[&str]| any(names).and_then(|value| value.into_string().ok());
        let folder = |names: &[&str]| any(names).map(|value| expand(value, home.as_deref()));
        let caches = || folder(&["XDG_CACHE_HOME"]).or_else(|| Some(home.as_ref()?.join(".cache")));
        let is_set = |name| text(&[name]).is_some_and(|value| is_true(&value));

        let hub_home = folder(&["HF_HOME"]).or_else(|| Some(caches()?.join("huggingface")));
        let token_file = folder(&["HF_TOKEN_PATH"]).or_else(|| Some(hub_home.as_ref()?.join("token")));
        let token = text(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
            .as_deref()
            .and_then(Token::new)
            .or_else(|| Token::new(&fs::read_to_string(token_file?).ok()?));
        let mut patience = Patience::default();
        if let Some(seconds) = text(&["HF_HUB_DOWNLOAD_TIMEOUT"]).and_then(|value| value.trim().parse().ok()) {
            patience.silence = Duration::from_secs(seconds);
        }
        Self {
            endpoint: text(&["HF_ENDPOINT"]).unwrap_or(ENDPOINT.into()).trim_end_matches('/').into(),
            hub_cache: folder(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).or_else(|| Some(hub_home?.join("hub"))),
            store: folder(&["HARDNET_CACHE"])
                .or_else(|| Some(caches()?.join("hardnet")))
                .map(|cache| cache.join("weights")),
            token: token.filter(|_| !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            offline: is_set("HF_HUB_OFFLINE").then(|| "HF_HUB_OFFLINE is set".into()),
            hub_owner: text(&["HARDNET_HUB_OWNER"]),
            accept_sha256: None,
            force: false,
            patience,
            proxies: Proxies {
                http: text(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
                https: text(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
                none: text(&["no_proxy", "NO_PROXY"]),
            },
        }
    }
}

/// What Python's `huggingface_hub` takes for yes.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}

/// A path, with `~` for the home folder.
fn expand(value: OsString, home: Option<&Path>) -> PathBuf {
    let path = PathBuf::from(value);
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], home: Option<&str>) -> FetchOptions {
        let find = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into());
        FetchOptions::resolve(&find, home.map(Into::into))
    }

    #[test]
    fn caches_are_where_python_has_them() {
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
        let cases: [Case; 8] = [
            (&[], Some("/home/a"), Some("/home/a/.cache/huggingface/hub")),
            (&[("XDG_CACHE_HOME", "/x")], Some("/home/a"), Some("/x/huggingface/hub")),
            (&[("HF_HOME", "~/hf")], Some("/home/a"), Some("/home/a/hf/hub")),
            (&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/hf")], None, Some("/old")),
            (&[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")], None, Some("/new")),
            (&[("HF_HUB_CACHE", "")], Some("/home/a"), Some("/home/a/.cache/huggingface/hub")),
            (&[], None, None),
            (&[], Some(""), None),
        ];
        for (variables, home, expected) in cases {
            assert_eq!(
                resolve(variables, home).hub_cache.as_deref(),
                expected.map(Path::new),
                "{variables:?} {home:?}"
            );
        }
        assert_eq!(resolve(&[("HARDNET_CACHE", "/w")], None).store, Some("/w/weights".into()));
        assert_eq!(resolve(&[], Some("/home/a")).store, Some("/home/a/.cache/hardnet/weights".into()));
    }

    #[test]
    fn offline_is_what_python_takes_for_yes() {
        for (value, offline) in [("1", true), ("true", true), ("ON", true), ("0", false), ("", false), ("no", false)] {
            let why = resolve(&[("HF_HUB_OFFLINE", value)], None).offline;
            assert_eq!(why.is_some(), offline, "{value}");
        }
    }

    #[test]
    fn tokens_come_from_variables_then_from_the_file_and_are_not_printed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| resolve(&[variables, &[("HF_HOME", home)]].concat(), None).token;
        assert_eq!(token(&[]), Token::new("hf_file"));
        assert_eq!(token(&[("HF_TOKEN", " hf_set\r\n")]), Token::new("hf_set"));
        assert_eq!(token(&[("HF_TOKEN", "hf_set"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(token(&[("HF_TOKEN_PATH", "/nowhere/token")]), None);
        let options = resolve(&[("HF_TOKEN", "hf_set"), ("HTTPS_PROXY", "http://u:secret@proxy:1")], None);
        let printed = format!("{options:?}");
        assert!(!printed.contains("hf_set") && !printed.contains("secret"), "{printed}");
    }

    #[test]
    fn an_endpoint_keeps_its_path_and_loses_its_slash() {
        assert_eq!(resolve(&[("HF_ENDPOINT", "http://mirror:1/hf/")], None).endpoint, "http://mirror:1/hf");
        assert_eq!(resolve(&[], None).endpoint, "https://huggingface.co");
    }
}

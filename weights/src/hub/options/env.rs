//! [`FetchOptions`] from environment variables.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ENDPOINT, FetchOptions, Proxies, RetryPolicy, Token};

impl FetchOptions {
    /// Options from the environment: the variables of Python's `huggingface_hub`, and two of this project.
    ///
    /// No other function of this crate reads a variable; [`open`](crate::open) calls this one.
    ///
    /// | option | variables, the first that is set |
    /// |---|---|
    /// | `hub_cache` | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME`/hub, `XDG_CACHE_HOME`/huggingface/hub, ~/.cache/huggingface/hub |
    /// | `weights_cache` | `HARDNET_CACHE`/weights, `XDG_CACHE_HOME`/hardnet/weights, ~/.cache/hardnet/weights |
    /// | `hub_owner` | `HARDNET_HUB_OWNER` |
    /// | `endpoint` | `HF_ENDPOINT` |
    /// | `token` | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH` or `HF_HOME`/token; none if `HF_HUB_DISABLE_IMPLICIT_TOKEN` |
    /// | `offline` | `HF_HUB_OFFLINE` |
    /// | `retry.read_timeout` | `HF_HUB_DOWNLOAD_TIMEOUT` in seconds |
    /// | `proxies` | `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, in either case |
    pub fn from_env() -> Self {
        Self::resolve(&|name| env::var_os(name), env::home_dir())
    }

    /// Options from the variables that `variable` looks up, and from a home folder.
    fn resolve(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let home = home.filter(|home| !home.as_os_str().is_empty());
        let first_set = |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let text = |names: &[&str]| first_set(names).and_then(|value| value.into_string().ok());
        let folder = |names: &[&str]| first_set(names).map(|value| expand(value, home.as_deref()));
        let caches = || folder(&["XDG_CACHE_HOME"]).or_else(|| Some(home.as_ref()?.join(".cache")));
        let is_set = |name| text(&[name]).is_some_and(|value| is_true(&value));

        let hub_home = folder(&["HF_HOME"]).or_else(|| Some(caches()?.join("huggingface")));
        let token_file = folder(&["HF_TOKEN_PATH"]).or_else(|| Some(hub_home.as_ref()?.join("token")));
        let token = text(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
            .as_deref()
            .and_then(Token::new)
            .or_else(|| Token::new(&fs::read_to_string(token_file?).ok()?));
        let mut retry = RetryPolicy::default();
        if let Some(seconds) = text(&["HF_HUB_DOWNLOAD_TIMEOUT"]).and_then(|value| value.trim().parse().ok()) {
            retry.read_timeout = Duration::from_secs(seconds);
        }
        Self {
            endpoint: text(&["HF_ENDPOINT"]).unwrap_or(ENDPOINT.into()).trim_end_matches('/').into(),
            hub_cache: folder(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).or_else(|| Some(hub_home?.join("hub"))),
            weights_cache: folder(&["HARDNET_CACHE"])
                .or_else(|| Some(caches()?.join("hardnet")))
                .map(|cache| cache.join("weights")),
            token: token.filter(|_| !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            offline: is_set("HF_HUB_OFFLINE").then(|| "HF_HUB_OFFLINE is set".into()),
            hub_owner: text(&["HARDNET_HUB_OWNER"]),
            accept_sha256: None,
            force: false,
            retry,
            proxies: Proxies {
                http: text(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
                https: text(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
                exceptions: text(&["no_proxy", "NO_PROXY"]),
            },
        }
    }
}

/// Whether Python's `huggingface_hub` takes `value` for true.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}

/// `value` as a path, with a leading `~` replaced by the home folder.
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
        assert_eq!(resolve(&[("HARDNET_CACHE", "/w")], None).weights_cache, Some("/w/weights".into()));
        assert_eq!(resolve(&[], Some("/home/a")).weights_cache, Some("/home/a/.cache/hardnet/weights".into()));
    }

    #[test]
    fn offline_takes_the_same_values_as_python() {
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

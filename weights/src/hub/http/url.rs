//! URLs: origin, redirects, redaction, escaping.

use ureq::http::Uri;

/// Scheme, host and port of a URL. A secret of one origin must not be sent to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UrlOrigin {
    pub(super) scheme: String,
    host: String,
    port: u16,
}

impl UrlOrigin {
    /// The origin of an `http` or `https` URL.
    pub(super) fn from_url(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let scheme = url.scheme_str()?.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = url.host()?.to_ascii_lowercase();
        Some(Self { host, port: url.port_u16().unwrap_or(default), scheme })
    }
}

/// The URL that the `Location` header of a response from `base` means.
pub(super) fn join(base: &str, location: &str) -> Option<String> {
    let location = location.split('#').next()?;
    if location.contains("://") {
        return Some(location.into());
    }
    let (scheme, rest) = base.split_once("://")?;
    if location.starts_with("//") {
        return Some(format!("{scheme}:{location}"));
    }
    let path = rest.split(['?', '#']).next()?;
    let authority = path.split('/').next()?;
    if location.starts_with('/') {
        return Some(format!("{scheme}://{authority}{location}"));
    }
    let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
    Some(format!("{scheme}://{folder}/{location}"))
}

/// The URL without the parts that may be secret: user, password, query.
pub(crate) fn redact(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Percent-encodes the characters of a path that have a meaning in a URL.
pub(crate) fn escape(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => escaped.push(byte.into()),
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let same = |a, b| UrlOrigin::from_url(a) == UrlOrigin::from_url(b);
        assert!(same("https://HOST/a", "https://host:443/b"));
        assert!(!same("https://host/a", "http://host/a"));
        assert!(!same("https://host/", "https://host.evil/"));
        assert!(!same("http://host:80/", "http://host:81/"));
        assert!(!same("https://host@evil/", "https://host/"));
        assert_eq!(
            (UrlOrigin::from_url("ftp://host/"), UrlOrigin::from_url("/path"), UrlOrigin::from_url("")),
            (None, None, None)
        );
    }

    #[test]
    fn locations_are_joined_as_browsers_do() {
        let base = "https://host:1/a/b?q=/x/y";
        for (location, expected) in [
            ("http://other/c?d", "http://other/c?d"),
            ("//other/c", "https://other/c"),
            ("/c#part", "https://host:1/c"),
            ("c", "https://host:1/a/c"),
        ] {
            assert_eq!(join(base, location).as_deref(), Some(expected), "{location}");
        }
        assert_eq!(join("https://host", "c").as_deref(), Some("https://host/c"));
    }

    #[test]
    fn redacted_urls_hold_no_secret() {
        assert_eq!(redact("https://u:p@host:1/a/b?X-Signature=s#f"), "https://host:1/a/b");
        assert_eq!(redact("https://u:p@host"), "https://host");
        assert_eq!(escape("f16/a b%?#ü.bin"), "f16/a%20b%25%3F%23%C3%BC.bin");
    }
}

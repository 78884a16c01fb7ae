//! Addresses of files on web servers.

use ureq::http::Uri;

/// Scheme, host and port: who is asked. A secret for one origin is not for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an `http` or `https` address.
    pub(crate) fn of(address: &str) -> Option<Self> {
        let address: Uri = address.parse().ok()?;
        let scheme = address.scheme_str()?.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = address.host()?.to_ascii_lowercase();
        Some(Self { host, port: address.port_u16().unwrap_or(default), scheme })
    }
}

/// The address that `location` means in an answer from `base`.
pub(crate) fn join(base: &str, location: &str) -> Option<String> {
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

/// The address without what may be secret: user, password, query.
pub(crate) fn shown(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = address.split_once("://") else { return address.into() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// A path with everything escaped that an address gives a meaning to.
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
        let same = |a, b| Origin::of(a) == Origin::of(b);
        assert!(same("https://HOST/a", "https://host:443/b"));
        assert!(!same("https://host/a", "http://host/a"));
        assert!(!same("https://host/", "https://host.evil/"));
        assert!(!same("http://host:80/", "http://host:81/"));
        assert!(!same("https://host@evil/", "https://host/"));
        assert_eq!((Origin::of("ftp://host/"), Origin::of("/path"), Origin::of("")), (None, None, None));
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
    fn what_is_shown_holds_no_secret() {
        assert_eq!(shown("https://u:p@host:1/a/b?X-Signature=s#f"), "https://host:1/a/b");
        assert_eq!(shown("https://u:p@host"), "https://host");
        assert_eq!(escape("f16/a b%?#ü.bin"), "f16/a%20b%25%3F%23%C3%BC.bin");
    }
}

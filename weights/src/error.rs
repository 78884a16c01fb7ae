//! Errors between the name of weights and a file on disk.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error type of this crate.
///
/// Messages name the URL and the folder that the file was meant for. They never contain a token or the query of a URL,
/// which may be a signature. Remedies are left to the program, which knows its own flags.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An `hf://` address that is not one of a file in a model repository.
    #[error(
        "`{address}` is not the address of weights on the Hub: {reason}, expected hf://owner/name[@revision][/file]"
    )]
    InvalidUri {
        /// The address.
        address: String,
        /// The problem.
        reason: String,
    },
    /// Neither a file, nor a tag of the registry, nor an address.
    #[error(
        "no file and no weights named `{name}`, expected a path, hf://owner/name[@revision][/file] or one of {tags}"
    )]
    UnknownName {
        /// The name that was given.
        name: String,
        /// The known tags.
        tags: String,
    },
    /// The crate was built without the feature `hub`.
    #[error("cannot download `{0}`: this build lacks the feature `hub`")]
    HubDisabled(String),
    /// Embedded weights, without the feature that embeds them.
    #[error("`{tag}` is not part of this build, which lacks the feature `demo`")]
    NotBundled {
        /// Tag of the weights.
        tag: String,
    },
    /// Neither a cache folder nor a home folder is known.
    #[error("no cache folder for `{address}`: neither {variable} nor HOME is set")]
    NoCacheDir {
        /// The tag or address that was requested.
        address: String,
        /// The environment variable that names the folder.
        variable: &'static str,
    },
    /// The file is not cached and the network must not be used.
    #[error("`{address}` is not in the cache `{cache}` and {why}", cache = .cache.display())]
    Offline {
        /// The tag or address that was requested.
        address: String,
        /// The cache folder.
        cache: PathBuf,
        /// The setting that forbids network requests, such as "HF_HUB_OFFLINE is set".
        why: String,
    },
    /// A host did not deliver the file.
    #[error("cannot download `{address}` to `{cache}`: {reason}", cache = .cache.display())]
    Download {
        /// The address, without its query.
        address: String,
        /// The cache folder.
        cache: PathBuf,
        /// The failure.
        reason: DownloadError,
    },
    /// The downloaded file does not have the hash that its name states.
    #[error(
        "`{address}` has the SHA-256 {found}, but its name states {expected}; the file was not used and is kept as `{kept}`",
        kept = .kept.display()
    )]
    Quarantined {
        /// The address, without its query.
        address: String,
        /// The hash that the name states.
        expected: String,
        /// SHA-256 of the downloaded file.
        found: String,
        /// Where the file is kept.
        kept: PathBuf,
    },
    /// Every source failed.
    #[error("cannot download `{tag}` from any source:{}", list(.failures))]
    AllSourcesFailed {
        /// Tag of the weights.
        tag: String,
        /// The failure of each source, in order.
        failures: Vec<Error>,
    },
    /// The registry lists no source for these weights.
    #[error("no public source of `{tag}` is known")]
    NoKnownSource {
        /// Tag of the weights.
        tag: String,
    },
    /// A folder or file of the cache cannot be used.
    #[error("cannot use `{path}`: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The accepted hash is not a SHA-256.
    #[error("`{0}` is not a SHA-256, expected 64 hexadecimal digits")]
    InvalidSha256(String),
    /// The file exists but does not hold these weights.
    #[cfg(feature = "hub")]
    #[error("cannot use `{name}`: {source}")]
    Weights {
        /// The name that was given.
        name: String,
        /// The problem.
        source: Box<hardnet_params::Error>,
    },
}

/// Why a host did not deliver a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The connection failed in every attempt.
    #[error("{0}")]
    Network(String),
    /// A response other than the file.
    #[error("the host answered {status}{}", diagnosis(*.status, .code.as_deref(), *.hub, *.with_token))]
    Status {
        /// HTTP status.
        status: u16,
        /// The Hub's error code, such as `GatedRepo`.
        code: Option<String>,
        /// Whether the host is the Hub.
        hub: bool,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The host asks for a longer pause than the retry policy allows.
    #[error("the host asks to retry after {} seconds", .0.as_secs())]
    RetryLater(Duration),
    /// Not a URL that can be requested.
    #[error("`{0}` is not an http:// or https:// URL")]
    InvalidUrl(String),
    /// A redirect that is not followed.
    #[error("the host redirects {0}")]
    Redirect(String),
    /// The response lacks the headers of a Hub.
    #[error("the response has no {0}: the host is not a Hub, or a proxy intervenes")]
    NotAHub(&'static str),
    /// The file ends too early or too late.
    #[error("received {found} bytes, expected {expected}")]
    LengthMismatch {
        /// Announced length.
        expected: u64,
        /// Received length.
        found: u64,
    },
    /// The file is longer than any weights file.
    #[error("the file has more than {0} bytes, the most that a file of these weights can have")]
    TooLarge(u64),
    /// The content does not have the expected hash; it was removed.
    #[error("the downloaded file has the hash {found}, expected {expected}; it was removed")]
    HashMismatch {
        /// Expected hash.
        expected: String,
        /// Hash of the downloaded file.
        found: String,
    },
    /// The file cannot be written.
    #[error("cannot write `{path}`: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file does not hold the requested weights.
    #[error("the downloaded file does not hold these weights and is not used: {0}")]
    WrongContent(String),
    /// Not requested, because an earlier source's file is quarantined and this source's file cannot be verified.
    #[error("skipped: its file cannot be verified, and the file of an earlier source is quarantined")]
    Skipped,
}

/// The meaning of an HTTP status.
fn diagnosis(status: u16, code: Option<&str>, hub: bool, with_token: bool) -> &'static str {
    match (status, code) {
        (_, Some("GatedRepo")) => ": the repository is gated",
        (404, Some("EntryNotFound")) => ": the repository has no such file",
        (404, Some("RepoNotFound")) => ": the repository does not exist or is private",
        (404, Some("RevisionNotFound")) => ": the repository has no such revision",
        (401, _) if hub && with_token => ": the token was rejected, or the repository does not exist",
        (401, _) if hub => ": the repository does not exist or is private",
        (403, _) if hub => ": this account may not read the repository",
        (404, _) => ": no such file",
        _ => "",
    }
}

fn list(failures: &[Error]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}

//! What can go wrong on the way to a weights file.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
///
/// Messages name the address, the folder that was to hold the file, and the remedy where one is known. They never hold a
/// token, nor the query of an address, which may be a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An `hf://` address without a repository or a file.
    #[error("`{0}` is no address on the Hub, expected hf://owner/name[@revision][/file]")]
    Address(String),
    /// Neither a file, nor a tag of the registry, nor an address.
    #[error(
        "no file or weights are called `{name}`, expected a path, hf://owner/name[@revision][/file] or one of {tags}"
    )]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The known tags.
        tags: String,
    },
    /// The crate was built without the feature `hub`.
    #[error("cannot fetch `{0}`: this build has no feature `hub`; download the file and pass its path")]
    NoHub(String),
    /// Weights that come with the program, without the feature that carries them.
    #[error("`{tag}` is not part of this build, which lacks the feature `demo`")]
    NotBundled {
        /// The weights.
        tag: String,
    },
    /// Neither a cache folder nor a home folder is known.
    #[error("no folder to keep `{address}` in: set {variable} or HOME")]
    NoCache {
        /// What was asked for.
        address: String,
        /// The variable that names the folder.
        variable: &'static str,
    },
    /// The file is not in the cache and the network may not be used.
    #[error("`{address}` is not in the cache `{cache}` and {why}; fetch it once with the network", cache = .cache.display())]
    Offline {
        /// What was asked for.
        address: String,
        /// The folder looked in.
        cache: PathBuf,
        /// What forbids the network, as "HF_HUB_OFFLINE is set".
        why: String,
    },
    /// A host did not give the file.
    #[error("cannot fetch `{address}` into `{cache}`: {reason}", cache = .cache.display())]
    Fetch {
        /// The address, without its query.
        address: String,
        /// The cache folder.
        cache: PathBuf,
        /// What happened.
        reason: Reason,
    },
    /// What arrived is not what the name of the file promised.
    #[error(
        "`{address}` arrived with the SHA-256 {found}, its name promised {expected}; it was kept as `{kept}` and is not used: \
         if you trust it, accept exactly this file (--accept-sha256 {found})",
        kept = .kept.display()
    )]
    Unaccepted {
        /// The address.
        address: String,
        /// The hash that was inferred.
        expected: String,
        /// The SHA-256 of what arrived.
        found: String,
        /// Where it is kept.
        kept: PathBuf,
    },
    /// No source gave the weights.
    #[error("no source gave `{tag}`:{}", list(.failures))]
    NoSource {
        /// The weights.
        tag: String,
        /// What each source failed with, in order.
        failures: Vec<Error>,
    },
    /// The registry knows no place of these weights.
    #[error("no public address of `{tag}` is known; pass the path of a file or set HARDNET_HUB_OWNER")]
    NowhereKnown {
        /// The weights.
        tag: String,
    },
    /// A folder or file of the cache cannot be used.
    #[error("cannot use `{path}`: {source}{}", disk_remedy(.source), path = .path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An accepted hash that is none.
    #[error("`{0}` is no SHA-256, expected 64 hexadecimal digits")]
    NoDigest(String),
    /// The file is on this machine, but holds no such weights.
    #[cfg(feature = "hub")]
    #[error("cannot use `{name}`: {source}")]
    Weights {
        /// What was asked for.
        name: String,
        /// What is wrong with the file.
        source: Box<hardnet_params::Error>,
    },
}

/// Why a host did not give a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The connection failed or broke off, as often as it was tried.
    #[error("{0}; check the connection and the proxy, then run again: what has arrived is kept")]
    Network(String),
    /// An answer other than the file.
    #[error("the host answered {status}{}", remedy(*.status, .code.as_deref(), *.hub, *.with_token))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The Hub's word for it, as `GatedRepo`.
        code: Option<String>,
        /// Whether the host is the Hub.
        hub: bool,
        /// Whether a token was shown.
        with_token: bool,
    },
    /// The host asks for a longer pause than is waited.
    #[error("the host asks to wait {} seconds; run again later", .0.as_secs())]
    Busy(Duration),
    /// The address cannot be asked.
    #[error("`{0}` is no http:// or https:// address; check HF_ENDPOINT")]
    NoAddress(String),
    /// A redirect that is not followed.
    #[error("the host redirects {0}")]
    Redirect(String),
    /// The answer is none of a Hub.
    #[error("the answer has no {0}: this is no Hub, or a proxy is in between; check HF_ENDPOINT")]
    NoHub(&'static str),
    /// The file ends too early or too late.
    #[error("{found} bytes arrived, expected {expected}")]
    Length {
        /// The length that was announced.
        expected: u64,
        /// The length that arrived.
        found: u64,
    },
    /// The file is longer than any that could be read.
    #[error("the file has more than {0} bytes, which no weights have")]
    TooLong(u64),
    /// The content is another than was announced; it was removed.
    #[error("what arrived has the hash {found}, expected {expected}; it was removed")]
    Digest {
        /// The hash that was announced.
        expected: String,
        /// The hash of what arrived.
        found: String,
    },
    /// The file cannot be stored.
    #[error("cannot write `{path}`: {source}{}", disk_remedy(.source), path = .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What arrived cannot be read as these weights.
    #[error("what arrived holds no such weights and is not used: {0}")]
    Content(String),
    /// It was not asked, because another source's file is in doubt and this one's cannot be checked.
    #[error("not tried: its file could not be checked, and that of another source is in doubt")]
    Skipped,
}

impl Reason {
    /// What happened, without what its user may do: the program is about to try again.
    #[cfg(feature = "hub")]
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Network(what) => what.clone(),
            Self::Status { status, .. } => format!("the host answered {status}"),
            other => other.to_string(),
        }
    }
}

/// What to do about an HTTP status.
fn remedy(status: u16, code: Option<&str>, hub: bool, with_token: bool) -> &'static str {
    match (status, code) {
        (_, Some("GatedRepo")) => {
            ": the repository is gated; accept its licence on its page, and set HF_TOKEN to a token of that account"
        }
        (404, Some("EntryNotFound")) => ": the repository has no such file",
        (404, Some("RepoNotFound")) => {
            ": there is no such repository, or it is private; check the name, or set HF_TOKEN"
        }
        (404, Some("RevisionNotFound")) => ": the repository has no such revision",
        (401, _) if hub && with_token => {
            ": the token is refused, or there is no such repository; check the name and HF_TOKEN"
        }
        (401, _) if hub => ": there is no such repository, or it is private; check the name, or set HF_TOKEN",
        (403, _) if hub => ": this account may not read the repository; check HF_TOKEN and the licence on its page",
        (404, _) => ": there is no such file",
        _ => "",
    }
}

/// What to do about a file that cannot be written.
fn disk_remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => "; make room there, or set HF_HOME and HARDNET_CACHE to folders of another disk",
        PermissionDenied | ReadOnlyFilesystem => "; set HF_HOME and HARDNET_CACHE to folders that you may write to",
        _ => "",
    }
}

fn list(failures: &[Error]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}

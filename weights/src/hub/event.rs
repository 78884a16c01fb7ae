//! Progress of a download.

use std::path::Path;
use std::time::Duration;

use crate::error::Error;

/// An event between the request for weights and the file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A source is about to be requested; nothing has been sent yet.
    Requesting {
        /// The tag or `hf://` address.
        wanted: &'a str,
        /// URL of the source, without its query.
        address: &'a str,
        /// Approximate size in bytes, where it is known beforehand.
        size: Option<u64>,
        /// A remark for users of this source.
        note: Option<&'a str>,
    },
    /// The transfer of the file begins.
    Started {
        /// Length in bytes, if the host states it.
        size: Option<u64>,
        /// Bytes that an earlier attempt received.
        resumed_from: u64,
    },
    /// Bytes received so far, including those of earlier attempts.
    Received(u64),
    /// An attempt failed and is repeated after a pause.
    Retrying {
        /// The failure.
        why: &'a str,
        /// Length of the pause.
        pause: Duration,
    },
    /// Another process holds the lock file at this path.
    WaitingForLock(&'a Path),
    /// A source failed; the next one follows.
    SourceFailed(&'a Error),
    /// The downloaded file is being converted to safetensors.
    Converting,
}

/// Callback that receives [`Event`]s.
pub type Observer<'a> = dyn FnMut(Event<'_>) + 'a;

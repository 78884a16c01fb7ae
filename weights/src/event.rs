//! What a program may tell its user while a file is fetched.

use std::path::Path;
use std::time::Duration;

use crate::error::Error;

/// Something that happens on the way to a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A place is about to be asked; nothing has been sent yet.
    Asking {
        /// The tag or `hf://` address that is wanted.
        wanted: &'a str,
        /// The place, without its query.
        address: &'a str,
        /// About how many bytes are to come, where that is known beforehand.
        size: Option<u64>,
        /// What a user of this place should know.
        note: Option<&'a str>,
    },
    /// The file begins to arrive.
    Started {
        /// Its length in bytes, if the host says it.
        size: Option<u64>,
        /// Bytes that an earlier attempt has left.
        kept: u64,
    },
    /// So many bytes are here, of those that were kept and those that arrived.
    Received(u64),
    /// An attempt failed; another follows after a pause.
    Waiting {
        /// What happened.
        why: &'a str,
        /// How long is waited.
        pause: Duration,
    },
    /// Another process holds the lock of this file and is waited for.
    Locked(&'a Path),
    /// A place did not give the file; the next one is asked.
    Failed(&'a Error),
    /// What arrived is now turned into safetensors.
    Converting,
}

/// Who is told of events.
pub type Watch<'a> = dyn FnMut(Event<'_>) + 'a;

//! Everything that needs the network or its caches: the feature `hub`.
//!
//! ```text
//! fetch, preview, pretrained      what a caller may ask of a WeightsSource
//! tagged/                         weights of the registry: sources in order, verification, conversion, cache
//! repository/                     files of the Hugging Face Hub, in the cache that its Python library shares
//! http/                           downloads over HTTP: redirects, retries, partial files
//! options, event                  configuration and progress
//! ```

mod convert;
mod digests;
mod event;
mod fetch;
mod http;
mod lock;
mod options;
mod pretrained;
mod preview;
mod repository;
mod tagged;

pub use event::{Event, Observer};
pub use fetch::Fetched;
pub use options::{FetchOptions, Proxies, RetryPolicy, Token};
pub use pretrained::{open, open_with};
pub use preview::{Candidate, Preview};
pub use tagged::{Provenance, Verification};

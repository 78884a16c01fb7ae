//! Where HarDNet weights are, and what is known of them.
//!
//! [`registry`] lists the known weights by tag; those of the demonstration come with the feature `demo`. A [`Source`] is what a user may name: a path, a tag, or a file of the
//! Hugging Face Hub. With the feature `hub` a source is fetched, once, into a cache; a run that finds its file there makes
//! no request. `open` is all of that in one line.

#[cfg(feature = "hub")]
mod address;
mod bundled;
mod digest;
mod error;
#[cfg(feature = "hub")]
mod event;
#[cfg(feature = "hub")]
mod fetch;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "hub")]
mod hub_cache;
#[cfg(feature = "hub")]
mod keep;
#[cfg(feature = "hub")]
mod lock;
#[cfg(feature = "hub")]
mod options;
#[cfg(feature = "hub")]
mod pretrained;
#[cfg(feature = "hub")]
mod preview;
mod registry;
mod source;
#[cfg(feature = "hub")]
mod store;
#[cfg(feature = "hub")]
mod tag;
#[cfg(feature = "hub")]
mod transfer;

pub use digest::sha256;
pub use error::{Error, Reason, Result};
#[cfg(feature = "hub")]
pub use event::{Event, Watch};
#[cfg(feature = "hub")]
pub use fetch::Fetched;
#[cfg(feature = "hub")]
pub use options::{FetchOptions, Patience, Proxies, Token};
#[cfg(feature = "hub")]
pub use pretrained::open;
#[cfg(feature = "hub")]
pub use preview::{Place, Preview};
pub use registry::{Entry, Hash, HashKind, Published, RemoteFile, find, published, registry};
pub use source::{HubFile, Source};
#[cfg(feature = "hub")]
pub use store::{Check, Origin};

//! Weights by name: the registry of published HarDNet weights, and the Hugging Face Hub.
//!
//! [`registry`] lists the published weights by tag; the feature `demo` embeds those of the demonstration. A
//! [`WeightsSource`] is parsed from what a user types: a path, a tag, or an `hf://` address.
//!
//! The feature `hub` adds everything that uses the network: `WeightsSource::fetch` downloads a file once into a cache,
//! later runs find it there without a request, and `open` goes from a name to an open file in one line.

mod bundled;
mod error;
#[cfg(feature = "hub")]
mod hub;
mod registry;
mod source;

pub use error::{DownloadError, Error, Result};
#[cfg(feature = "hub")]
pub use hub::*;
pub use registry::{
    Hash, HashKind, PublishedAccuracy, PublishedMiou, RegisteredPipeline, RegistryEntry, RemoteFile, find,
    find_by_sha256, published, registry,
};
pub use source::{HubFile, WeightsSource};

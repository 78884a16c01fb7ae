//! Where HarDNet weights are, and what is known of them.

mod digest;
mod error;
#[cfg(feature = "hub")]
mod hub;
mod published;
mod source;

pub use digest::sha256;
pub use error::{Error, Result};
pub use published::{PUBLISHED, Published};
pub use source::{HubFile, Source};

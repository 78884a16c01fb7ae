//! Requests and responses.

mod activation_map;
mod base64_text;
pub(crate) mod body;
mod classify;
pub(crate) mod connections;
mod embed;
pub(crate) mod error;
pub(crate) mod infer;
mod log;
pub(crate) mod metadata;
mod metrics;
mod multipart;
pub(crate) mod query;
pub(crate) mod request_body;
pub(crate) mod request_images;
mod response;
pub(crate) mod router;
mod segment;
mod server;
mod whole_number;

pub use log::{Log, RequestRecord};
pub use server::{ApiKey, Server, ServerOptions};

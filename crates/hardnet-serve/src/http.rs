//! Requests and responses.

mod base64_text;
mod body;
mod classify;
mod embed;
mod error;
mod infer;
mod log;
mod metadata;
mod metrics;
mod multipart;
mod query;
mod request_images;
mod response;
mod router;
mod server;
mod whole_number;

pub use log::{Log, RequestRecord};
pub use server::{Server, ServerOptions};

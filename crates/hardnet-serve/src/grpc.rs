//! The Open Inference Protocol over gRPC, and gRPC's health protocol.
//!
//! A call is an HTTP/2 request whose body is one message after five bytes, and whose status is in trailers. hyper has
//! the former, and the latter is what this module adds: no framework for gRPC is needed. Calls share models, limits,
//! logs and metrics with HTTP, and images are read by the same code.

mod bounds;
mod call;
mod infer;
mod message;
mod metadata;
mod protocol;
mod status;

pub(crate) use call::respond;
pub(crate) use infer::Request;

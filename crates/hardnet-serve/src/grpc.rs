//! The Open Inference Protocol over gRPC, and gRPC's protocols of health and reflection.
//!
//! A call is an HTTP/2 request whose body is one message after five bytes, and whose status is in trailers. hyper has
//! the former, and the latter is what this module adds: no framework for gRPC is needed. Calls share models, limits,
//! logs and metrics with HTTP, and images are read by the same code.

mod answer;
mod bounds;
mod call;
mod calls;
mod infer;
mod message;
mod metadata;
mod protocol;
mod reflection;
mod status;
mod stream;

pub(crate) use call::respond;
pub(crate) use calls::Calls;
pub(crate) use infer::Request;

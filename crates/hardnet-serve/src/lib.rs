//! A server for HarDNet over HTTP and gRPC.
//!
//! A [`Server`] speaks the Open Inference Protocol, with the feature `grpc` over gRPC too, and simpler ways to classify
//! an image, for several [`Model`]s. Each has a [`Batcher`], which decodes and computes images for many callers: as
//! soon as the network is free, it takes the waiting images, no more than its best throughput needs, and it refuses at
//! once what it cannot compute in time. An image's answer does not depend on the other images of its batch.

mod batcher;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
mod measures;
mod model;
mod network;
#[cfg(feature = "tls")]
mod tls;
mod workers;

pub use batcher::{Answer, Batcher, BatcherOptions, Input, Reply, StartError, Statistics};
pub use failure::Failure;
pub use http::{ApiKey, Log, RequestRecord, Server, ServerOptions};
pub use measures::{Counter, Histogram};
pub use model::Model;
pub use network::{ComputeError, ImageNetwork, Prepared};
#[cfg(feature = "tls")]
pub use tls::{TlsError, TlsIdentity};
pub use workers::Workers;

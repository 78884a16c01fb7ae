//! Batching for servers of HarDNet.
//!
//! A [`Batcher`] decodes and computes images for many callers: it takes what waits, without delay, in batches no larger
//! than pay, and refuses at once what it cannot compute in time. An image's answer does not depend on the others of its
//! batch.

mod batcher;
mod failure;
mod measures;
mod network;
mod workers;

pub use batcher::{Answer, Batcher, BatcherOptions, Input, Reply, StartError, Statistics};
pub use failure::Failure;
pub use measures::{Counter, Histogram};
pub use network::{ComputeError, ImageNetwork, Prepared};
pub use workers::Workers;

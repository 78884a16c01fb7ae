//! `hardnet serve`: models over HTTP and gRPC, with the feature `serve`.

#[cfg(not(feature = "serve"))]
#[path = "serve/not_built.rs"]
mod server;
#[cfg(feature = "serve")]
mod server;

pub(crate) use server::{ServeArgs, run};

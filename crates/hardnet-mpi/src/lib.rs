//! Ranks of a training run over MPI.
//!
//! [`Mpi`] is a [`Communicator`](hardnet_train::Communicator) over Open MPI or over MPICH and the libraries with its
//! binary interface, such as Intel MPI. The library is opened at run time: building needs none, and one program runs
//! with any of them.
//!
//! All calls of MPI are made by one thread, which sends and receives while others compute. It also sends signs of life,
//! which tell a rank that was killed or stopped from one that takes long to compute.

#[cfg(unix)]
mod binary_interface;
mod calls;
mod engine;
mod error;
mod library;
mod mpi;

pub use error::{Error, Result};
pub use library::MpiLibrary;
pub use mpi::{Mpi, MpiOptions};

//! Images and weights of HarDNet's demonstration, inside the crate: nothing is fetched, and nothing needs to be
//! installed.
//!
//! It is a crate of its own, so programs that do not use the files neither download nor carry them. They take 6 MB,
//! packed 5 MB.

pub mod fashion_mnist;

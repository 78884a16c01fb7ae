//! Images and weights of HarDNet's demonstration, inside the crate: nothing is fetched, and nothing needs to be
//! installed.
//!
//! It is a crate of its own, so programs that do not use the files neither download nor carry them. They have 6 MB, and
//! 5 MB packed.

pub mod fashion_mnist;

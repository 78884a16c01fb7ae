//! Images and weights of HarDNet's demonstration, inside the crate: nothing is fetched, and nothing needs to be
//! installed.
//!
//! A crate of its own, so that who does not ask for the files neither downloads them (5 MB packed) nor has them in a
//! program (6 MB).

pub mod fashion_mnist;

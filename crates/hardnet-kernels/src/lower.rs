//! Lowering: from layers to steps.
//!
//! ```text
//! Builder        checks each layer                             layers.rs, and inference.rs or training.rs
//!   halo           zeros that readers need around each map     halo.rs
//!   commute      interpolation after 1x1 convolutions          commute.rs
//!   fuse           layers that are computed together           fuse.rs
//!   outputs        how results leave their maps                outputs.rs
//!   arena          the place of each map in memory             arena.rs
//! Program        steps with layouts and packed weights
//! ```

pub(crate) mod arena;
mod commute;
pub(crate) mod fuse;
pub(crate) mod halo;
pub(crate) mod inference;
pub(crate) mod layers;
mod outputs;
mod quantized;
pub(crate) mod training;

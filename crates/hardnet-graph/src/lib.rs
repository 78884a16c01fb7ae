//! One language of layers: what a convolution, a pool or a normalization is, and what size of map it writes.
//!
//! Everything that describes, counts or computes a network uses these types. The crate computes nothing itself and knows
//! neither tensors nor kernels.

mod op;

pub use op::{Activation, BatchNorm, Conv, Grouping, Padding, Pointwise, Pool, PoolKind, output_size};

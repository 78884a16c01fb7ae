//! The operations that layers are made of.

mod conv;
mod pointwise;
mod pool;
mod window;

pub use conv::{Conv, Grouping};
pub use pointwise::{Activation, BatchNorm, Pointwise};
pub use pool::{Pool, PoolKind};
pub use window::{Padding, output_size};

//! Implementations of [`Simd`](crate::Simd), a file a processor.

pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

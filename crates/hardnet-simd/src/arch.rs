//! Implementations of [`Simd`](crate::Simd) and [`Dot`](crate::Dot), a file a processor.

mod dot_portable;
#[cfg(target_arch = "x86_64")]
mod dot_x86_64;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

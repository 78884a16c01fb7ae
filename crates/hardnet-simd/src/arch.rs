//! Implementations of [`Simd`](crate::Simd) and [`Dot`](crate::Dot), a file a processor.

#[cfg(target_arch = "aarch64")]
mod dot_neon;
mod dot_portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod dot_wasm32;
#[cfg(target_arch = "x86_64")]
mod dot_x86_64;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) mod wasm32;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;

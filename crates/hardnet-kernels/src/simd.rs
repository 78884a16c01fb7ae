//! Eight lanes of f32, whatever the processor has for them.
//!
//! Kernels are written once, generic over [`Simd`], whose implementations are tokens: a value proves that the processor
//! has the instructions. [`Simd::call`] compiles a [`Kernel`] as a function of its own with those instructions enabled;
//! everything that it calls must be `#[inline(always)]`, or it is compiled for the least processor.
#![allow(unsafe_code)]

mod avx2;
mod portable;

use hardnet_isa::Isa;

pub(crate) use avx2::Avx2Lanes;
pub(crate) use portable::PortableLanes;

/// Lanes of a vector, and channels of a block of a map.
pub(crate) const LANES: usize = 8;

/// The operations on vectors of [`LANES`] f32.
pub(crate) trait Simd: Copy + Send + Sync {
    /// A vector.
    type V: Copy;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;

    /// # Safety
    /// `from` is valid for reading [`LANES`] values.
    unsafe fn load(self, from: *const f32) -> Self::V;

    /// # Safety
    /// `to` is valid for writing [`LANES`] values.
    unsafe fn store(self, to: *mut f32, value: Self::V);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;

    fn sub(self, a: Self::V, b: Self::V) -> Self::V;

    fn mul(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a * b + c`, rounded once where the processor can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// `c - a * b`, rounded once where the processor can.
    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// The larger; `b` where either is not a number.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;

    /// The smaller; `b` where either is not a number.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;

    /// The lanes of `x` where `value` lies between the bounds and is neither, 0 elsewhere.
    fn between(self, value: Self::V, low: Self::V, high: Self::V, x: Self::V) -> Self::V;

    /// The lanes of `x` where `a` equals `b`, 0 elsewhere.
    fn where_equal(self, a: Self::V, b: Self::V, x: Self::V) -> Self::V;

    /// Runs `kernel` compiled for this set.
    fn call<K: Kernel>(self, kernel: K) -> K::Output;

    /// Asks for the cache line at `at`, which may be any address, in a level 2 cache.
    fn prefetch(self, at: *const f32);
}

/// A computation compiled once for each instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;

    /// Computes with the vectors of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` on the vectors of `isa`; sets without vectors of their own use the portable ones.
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        Isa::Avx2(token) => Avx2Lanes::new(token).call(kernel),
        _ => PortableLanes.call(kernel),
    }
}

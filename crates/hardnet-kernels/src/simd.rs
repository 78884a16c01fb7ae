//! Vectors of f32, whatever the processor has for them.
//!
//! Kernels are written once, generic over [`Simd`], whose implementations are tokens: a value proves that the processor
//! has the instructions. [`Simd::call`] compiles a [`Kernel`] as a function of its own with those instructions enabled;
//! everything that it calls must be `#[inline(always)]`, or it is compiled for the least processor.
//!
//! A kernel is given vectors of one block of a map. Where it has several blocks or neighbouring pixels to work on, it takes
//! the [wide](Simd::wide) ones, which have one block or two.
#![allow(unsafe_code)]

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use hardnet_isa::Isa;

pub(crate) use portable::PortableLanes;
#[cfg(target_arch = "x86_64")]
use x86_64::{Avx2Lanes, Avx512Lanes};

/// A loop of at most 14 turns that the compiler has no choice but to unroll: vectors that were ever taken from an array by an index
/// would stay in memory.
macro_rules! unrolled {
    ($i:ident in $count:ident, $body:block) => {
        unrolled!($i in $count, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    ($i:ident in $count:ident, $body:block, $($turn:literal)*) => {
        $(if $turn < $count {
            let $i: usize = $turn;
            $body
        })*
    };
}
pub(crate) use unrolled;

/// Channels of a block of a map.
pub(crate) const LANES: usize = 8;

/// The operations on vectors of [`BLOCKS`](Simd::BLOCKS) times [`LANES`] f32.
pub(crate) trait Simd: Copy + Send + Sync {
    /// A vector.
    type V: Copy;

    /// Which blocks of a vector are meant.
    type Mask: Copy;

    /// The set's widest vectors.
    type Wide: Simd;

    /// Blocks of a vector, 1 or 2.
    const BLOCKS: usize;

    /// The token of the set's widest vectors.
    fn wide(self) -> Self::Wide;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;

    /// # Safety
    /// `from` is valid for reading all lanes.
    unsafe fn load(self, from: *const f32) -> Self::V;

    /// The first `blocks` blocks.
    fn mask(self, blocks: usize) -> Self::Mask;

    /// The lanes of the blocks in `mask`, zeros in the others.
    ///
    /// # Safety
    /// `from` is valid for reading the lanes of so many blocks, which are at least one.
    unsafe fn load_masked(self, from: *const f32, mask: Self::Mask) -> Self::V;

    /// The first `blocks` blocks, `step` values apart, zeros in the others.
    ///
    /// # Safety
    /// `from` and `step` values behind it, for each block, are valid for reading [`LANES`] values; there is at least one block.
    #[inline(always)]
    unsafe fn gather(self, from: *const f32, step: usize, blocks: usize) -> Self::V {
        debug_assert!(Self::BLOCKS == 1 && blocks == 1, "{step}");
        // SAFETY: the caller's promise.
        unsafe { self.load(from) }
    }

    /// The same [`LANES`] values in every block.
    ///
    /// # Safety
    /// `from` is valid for reading them.
    #[inline(always)]
    unsafe fn repeat(self, from: *const f32) -> Self::V {
        debug_assert!(Self::BLOCKS == 1);
        // SAFETY: the caller's promise.
        unsafe { self.load(from) }
    }

    /// # Safety
    /// `to` is valid for writing all lanes.
    unsafe fn store(self, to: *mut f32, value: Self::V);

    /// Stores the lanes of the blocks in `mask`.
    ///
    /// # Safety
    /// `to` is valid for writing the lanes of so many blocks, which are at least one.
    unsafe fn store_masked(self, to: *mut f32, mask: Self::Mask, value: Self::V);

    /// Stores the first `blocks` blocks, `step` values apart.
    ///
    /// # Safety
    /// `to` and `step` values behind it, for each block, are valid for writing [`LANES`] values; there is at least one block.
    #[inline(always)]
    unsafe fn scatter(self, to: *mut f32, step: usize, blocks: usize, value: Self::V) {
        debug_assert!(Self::BLOCKS == 1 && blocks == 1, "{step}");
        // SAFETY: the caller's promise.
        unsafe { self.store(to, value) };
    }

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
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => Avx2Lanes::new(token).call(kernel),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(token) => Avx512Lanes::new(token).call(kernel),
        _ => PortableLanes.call(kernel),
    }
}

/// Blocks of the widest vectors of `isa`.
pub(crate) fn wide_blocks(isa: Isa) -> usize {
    struct Blocks;
    impl Kernel for Blocks {
        type Output = usize;

        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> usize {
            S::Wide::BLOCKS
        }
    }
    dispatch(isa, Blocks)
}

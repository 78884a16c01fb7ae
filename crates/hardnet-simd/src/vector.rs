//! The vector trait, and dispatch to its implementations.
#![allow(unsafe_code)]

use crate::arch::portable::Portable;
use crate::detect::Isa;
#[cfg(target_arch = "aarch64")]
use crate::detect::Neon;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
use crate::detect::RelaxedSimd;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use crate::detect::Simd128;
#[cfg(target_arch = "x86_64")]
use crate::detect::{Avx2, Avx512};

/// A loop of at most 14 turns, `unrolled!(i in COUNT, { .. })`, that is unrolled in the source: the compiler keeps an
/// array of vectors in memory where a loop that it did not unroll takes one by an index.
#[macro_export]
macro_rules! unrolled {
    ($i:ident in $count:ident, $body:block) => {
        $crate::unrolled!($i in $count, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    ($i:ident in $count:ident, $body:block, $($turn:literal)*) => {
        $(if $turn < $count {
            let $i: usize = $turn;
            $body
        })*
    };
}

/// Lanes of a block, the unit that kernels lay channels out in: a narrow vector has one block, a wide one has more.
pub const LANES: usize = 8;

/// Keeps implementations in this crate, whose kernels' soundness depends on them.
pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The operations on vectors of [`BLOCKS`](Simd::BLOCKS) times [`LANES`] f32.
///
/// Implementations are tokens: a value proves that the processor has the instructions. A set whose registers are
/// smaller than a block, as NEON's of four lanes are, takes several registers for a vector.
///
/// [`Simd::call`] compiles a [`Kernel`] as a function of its own with the set's instructions enabled. All that it calls
/// must be `#[inline(always)]`, or it is compiled for the least processor of the target; so are closures.
///
/// A kernel is given vectors of one block. Where it has several blocks or neighboring pixels to work on, it takes the
/// [widest](Simd::widest) vectors.
pub trait Simd: Copy + Send + Sync + sealed::Sealed {
    /// A vector.
    type V: Copy;

    /// A choice of the first blocks of a vector.
    type Mask: Copy;

    /// The set's widest vectors.
    type Widest: Simd;

    /// Blocks of a vector, 1 or 2.
    const BLOCKS: usize;

    /// Most pixels of a tile of 1, 2 and 3 vectors of output channels: sums, weights and a value fill the registers. 0
    /// where there are no such tiles.
    const TILES: [usize; 3];

    /// Whether a tile that fills the registers may unroll its loop. Tiles of two blocks are long enough without.
    const UNROLL: bool = Self::BLOCKS == 1;

    /// The token of the set's widest vectors.
    fn widest(self) -> Self::Widest;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;

    /// Loads all lanes.
    ///
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
    /// `from` and `step` values after it, for each block, are valid for reading [`LANES`] values; there is at least
    /// one block.
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

    /// Stores all lanes.
    ///
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
    /// `to` and `step` values after it, for each block, are valid for writing [`LANES`] values; there is at least one
    /// block.
    #[inline(always)]
    unsafe fn scatter(self, to: *mut f32, step: usize, blocks: usize, value: Self::V) {
        debug_assert!(Self::BLOCKS == 1 && blocks == 1, "{step}");
        // SAFETY: the caller's promise.
        unsafe { self.store(to, value) };
    }

    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;

    /// `a * b + c`, rounded once where the set has fused multiply-add, twice elsewhere.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// `c - a * b`, rounded as by [`fma`](Simd::fma).
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

    /// Prefetches the cache line at `at`, which may be any address, into a level 2 cache.
    fn prefetch(self, at: *const f32);
}

/// A computation compiled once for each instruction set. `run` must be `#[inline(always)]`.
pub trait Kernel {
    /// Result of the computation.
    type Output;

    /// Computes with the vectors of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` on the vectors of `isa`; sets without vectors of their own use the portable ones.
pub fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(token) = isa.avx512() {
            return Avx512::call(token, kernel);
        }
        if let Some(token) = isa.avx2() {
            return Avx2::call(token, kernel);
        }
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(token) = isa.neon() {
        return Neon::call(token, kernel);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    if let Isa::RelaxedSimd(token) = isa {
        return RelaxedSimd::call(token, kernel);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if let Some(token) = isa.simd128() {
        return Simd128::call(token, kernel);
    }
    let _ = isa;
    Portable.call(kernel)
}

/// Blocks of the [widest](Simd::widest) vectors of `isa`.
pub fn widest_blocks(isa: Isa) -> usize {
    widest(isa).0
}

/// [`TILES`](Simd::TILES) of the [widest](Simd::widest) vectors of `isa`.
pub fn widest_tiles(isa: Isa) -> [usize; 3] {
    widest(isa).1
}

fn widest(isa: Isa) -> (usize, [usize; 3]) {
    struct Widest;
    impl Kernel for Widest {
        type Output = (usize, [usize; 3]);

        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> Self::Output {
            (S::Widest::BLOCKS, S::Widest::TILES)
        }
    }
    dispatch(isa, Widest)
}

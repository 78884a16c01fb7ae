//! Vectors of WebAssembly: two of 128 bits for a block.
//!
//! The plain instructions have no fused multiply-add: a product is rounded before it is added, as in portable code.
//! With the relaxed ones, multiply-add is the machine's own, which rounds once on most: then results are those of AVX2
//! to the last bit.
//!
//! `pmin` and `pmax` are the minimum and maximum of x86-64 with their operands exchanged.
#![allow(unsafe_code)]

use std::arch::wasm32::{
    f32x4_add, f32x4_eq, f32x4_gt, f32x4_lt, f32x4_mul, f32x4_pmax, f32x4_pmin, f32x4_splat, f32x4_sub, v128, v128_and,
    v128_load, v128_store,
};
#[cfg(target_feature = "relaxed-simd")]
use std::arch::wasm32::{f32x4_extract_lane, f32x4_relaxed_madd, f32x4_relaxed_nmadd};

#[cfg(target_feature = "relaxed-simd")]
use crate::detect::RelaxedSimd;
use crate::detect::Simd128;
use crate::vector::sealed::Sealed;
use crate::vector::{Kernel, Simd};

/// A block: its first and last four lanes.
pub(super) type Block = (v128, v128);

/// An operation on both halves of a vector.
macro_rules! halves {
    ($operation:ident($($operand:expr),*)) => {
        ($operation($($operand.0),*), $operation($($operand.1),*))
    };
}
pub(super) use halves;

/// The operations that both sets share.
macro_rules! lanes_8 {
    ($name:ident) => {
        type V = Block;
        type Mask = ();
        type Widest = Self;
        const BLOCKS: usize = 1;
        /// A browser on x86-64 has 15 registers of half a vector: 12 sums, 2 weights and a value.
        const TILES: [usize; 3] = [6, 0, 0];

        #[inline(always)]
        fn widest(self) -> Self {
            self
        }

        #[inline(always)]
        fn mask(self, _blocks: usize) {}

        #[inline(always)]
        unsafe fn load_masked(self, from: *const f32, _mask: ()) -> Block {
            // SAFETY: the caller's promise.
            unsafe { self.load(from) }
        }

        #[inline(always)]
        unsafe fn store_masked(self, to: *mut f32, _mask: (), value: Block) {
            // SAFETY: the caller's promise.
            unsafe { self.store(to, value) };
        }

        #[inline(always)]
        fn splat(self, value: f32) -> Block {
            let value = f32x4_splat(value);
            (value, value)
        }

        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Block {
            // SAFETY: the caller gives 8 readable values; vectors may lie anywhere.
            unsafe { load_8(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32, value: Block) {
            // SAFETY: the caller gives 8 writable values; vectors may lie anywhere.
            unsafe { store_8(to, value) };
        }

        #[inline(always)]
        fn add(self, a: Block, b: Block) -> Block {
            halves!(f32x4_add(a, b))
        }

        #[inline(always)]
        fn sub(self, a: Block, b: Block) -> Block {
            halves!(f32x4_sub(a, b))
        }

        #[inline(always)]
        fn mul(self, a: Block, b: Block) -> Block {
            halves!(f32x4_mul(a, b))
        }

        #[inline(always)]
        fn max(self, a: Block, b: Block) -> Block {
            halves!(f32x4_pmax(b, a))
        }

        #[inline(always)]
        fn min(self, a: Block, b: Block) -> Block {
            halves!(f32x4_pmin(b, a))
        }

        #[inline(always)]
        fn between(self, value: Block, low: Block, high: Block, x: Block) -> Block {
            let (above, below) = (halves!(f32x4_gt(value, low)), halves!(f32x4_lt(value, high)));
            let both = halves!(v128_and(above, below));
            halves!(v128_and(both, x))
        }

        #[inline(always)]
        fn where_equal(self, a: Block, b: Block, x: Block) -> Block {
            let equal = halves!(f32x4_eq(a, b));
            halves!(v128_and(equal, x))
        }

        #[inline(always)]
        fn call<K: Kernel>(self, kernel: K) -> K::Output {
            /// A function of its own, so that a kernel's code exists once.
            #[inline(never)]
            fn call<K: Kernel>(lanes: $name, kernel: K) -> K::Output {
                kernel.run(lanes)
            }
            call(self, kernel)
        }

        #[inline(always)]
        fn prefetch(self, _at: *const f32) {}
    };
}

impl Sealed for Simd128 {}

impl Simd for Simd128 {
    #[inline(always)]
    fn fma(self, a: Block, b: Block, c: Block) -> Block {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn fnma(self, a: Block, b: Block, c: Block) -> Block {
        self.sub(c, self.mul(a, b))
    }

    lanes_8!(Simd128);
}

#[cfg(target_feature = "relaxed-simd")]
impl Sealed for RelaxedSimd {}

#[cfg(target_feature = "relaxed-simd")]
impl Simd for RelaxedSimd {
    #[inline(always)]
    fn fma(self, a: Block, b: Block, c: Block) -> Block {
        halves!(f32x4_relaxed_madd(a, b, c))
    }

    #[inline(always)]
    fn fnma(self, a: Block, b: Block, c: Block) -> Block {
        halves!(f32x4_relaxed_nmadd(a, b, c))
    }

    lanes_8!(RelaxedSimd);
}

/// Loads eight values.
///
/// # Safety
/// `from` is valid for reading them.
#[inline(always)]
pub(super) unsafe fn load_8(from: *const f32) -> Block {
    // SAFETY: the caller's promise.
    unsafe { (v128_load(from.cast()), v128_load(from.add(4).cast())) }
}

/// Stores eight values.
///
/// # Safety
/// `to` is valid for writing them.
#[inline(always)]
pub(super) unsafe fn store_8(to: *mut f32, value: Block) {
    // SAFETY: the caller's promise.
    unsafe {
        v128_store(to.cast(), value.0);
        v128_store(to.add(4).cast(), value.1);
    }
}

/// Whether this machine's multiply-add rounds once: the square of `1 + 2^-12` is `1 + 2^-11 + 2^-24`, whose last term
/// is lost if the product is rounded.
#[cfg(target_feature = "relaxed-simd")]
pub(crate) fn madd_rounds_once() -> bool {
    use std::hint::black_box;

    // The compiler must not compute it.
    let a = f32x4_splat(black_box(1.0 + 1.0 / 4096.0));
    let rest = f32x4_relaxed_madd(a, a, f32x4_splat(black_box(-1.0 - 1.0 / 2048.0)));
    let negated = f32x4_relaxed_nmadd(a, a, f32x4_splat(black_box(1.0 + 1.0 / 2048.0)));
    (f32x4_extract_lane::<0>(rest), f32x4_extract_lane::<0>(negated)) == (1.0 / 16_777_216.0, -1.0 / 16_777_216.0)
}

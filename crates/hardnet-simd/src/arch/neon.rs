//! Vectors of 64-bit ARM processors: two 128-bit registers for a block.
//!
//! Comparisons and selections stand for `fmax` and `fmin`, whose results for zeros of both signs and for NaN are not
//! those of x86-64.
#![allow(unsafe_code)]

use std::arch::aarch64::{
    float32x4_t, uint32x4_t, vaddq_f32, vandq_u32, vbslq_f32, vceqq_f32, vcgtq_f32, vcltq_f32, vdupq_n_f32, vfmaq_f32,
    vfmsq_f32, vld1q_f32, vmulq_f32, vreinterpretq_f32_u32, vreinterpretq_u32_f32, vst1q_f32, vsubq_f32,
};
use std::arch::asm;

use crate::detect::Neon;
use crate::vector::sealed::Sealed;
use crate::vector::{Kernel, Simd};

/// A block: its first and last four lanes.
type Block = (float32x4_t, float32x4_t);

/// An operation on both halves of a vector, under the proof of [`Neon`].
macro_rules! halves {
    ($operation:ident($($operand:expr),*)) => {
        // SAFETY: a token of the set was given, the proof that the processor has it.
        unsafe { ($operation($($operand.0),*), $operation($($operand.1),*)) }
    };
}
pub(super) use halves;

impl Sealed for Neon {}

impl Simd for Neon {
    type V = Block;
    type Mask = ();
    type Widest = Self;
    const BLOCKS: usize = 1;
    const TILES: [usize; 3] = [8, 6, 3];
    /// The compiler reorders an unrolled loop's loads, and then lacks registers for the 24 sums of a tile.
    const UNROLL: bool = false;

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
        let value = (value, value);
        halves!(vdupq_n_f32(value))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Block {
        // SAFETY: the caller gives 8 readable values.
        unsafe { (vld1q_f32(from), vld1q_f32(from.add(4))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Block) {
        // SAFETY: the caller gives 8 writable values.
        unsafe {
            vst1q_f32(to, value.0);
            vst1q_f32(to.add(4), value.1);
        }
    }

    #[inline(always)]
    fn add(self, a: Block, b: Block) -> Block {
        halves!(vaddq_f32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Block, b: Block) -> Block {
        halves!(vsubq_f32(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Block, b: Block) -> Block {
        halves!(vmulq_f32(a, b))
    }

    #[inline(always)]
    fn fma(self, a: Block, b: Block, c: Block) -> Block {
        halves!(vfmaq_f32(c, a, b))
    }

    #[inline(always)]
    fn fnma(self, a: Block, b: Block, c: Block) -> Block {
        halves!(vfmsq_f32(c, a, b))
    }

    #[inline(always)]
    fn max(self, a: Block, b: Block) -> Block {
        halves!(larger(a, b))
    }

    #[inline(always)]
    fn min(self, a: Block, b: Block) -> Block {
        halves!(smaller(a, b))
    }

    #[inline(always)]
    fn between(self, value: Block, low: Block, high: Block, x: Block) -> Block {
        let (above, below) = (halves!(vcgtq_f32(value, low)), halves!(vcltq_f32(value, high)));
        let both = halves!(vandq_u32(above, below));
        halves!(masked(both, x))
    }

    #[inline(always)]
    fn where_equal(self, a: Block, b: Block, x: Block) -> Block {
        let equal = halves!(vceqq_f32(a, b));
        halves!(masked(equal, x))
    }

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        call(self, kernel)
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        prefetch(at.cast());
    }
}

/// A function of its own, so that a kernel's code exists once.
#[inline(never)]
fn call<K: Kernel>(lanes: Neon, kernel: K) -> K::Output {
    kernel.run(lanes)
}

/// The larger; `b` where either is not a number, or both are zeros.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn larger(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    vbslq_f32(vcgtq_f32(a, b), a, b)
}

/// The smaller; `b` where either is not a number, or both are zeros.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn smaller(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    vbslq_f32(vcltq_f32(a, b), a, b)
}

/// The lanes of `x` whose bits are set in `mask`, 0 elsewhere.
#[inline]
#[target_feature(enable = "neon")]
fn masked(mask: uint32x4_t, x: float32x4_t) -> float32x4_t {
    vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(x)))
}

/// Prefetches the cache line at `at` into a level 2 cache.
#[inline(always)]
pub(super) fn prefetch(at: *const u8) {
    // SAFETY: a prefetch has no effect on memory and registers, and none at all where the address is not mapped.
    unsafe { asm!("prfm pldl2keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly)) };
}

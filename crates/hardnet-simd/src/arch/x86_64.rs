//! Vectors of x86-64 processors: 256-bit registers of one block, 512-bit ones of two.
//!
//! AVX-512 has both: with it, loops over a single block have 32 registers of 256 bits, and those over several blocks
//! have the [widest](Simd::widest) ones.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256, __m512, __mmask16, _CMP_EQ_OQ, _CMP_GT_OQ, _CMP_LT_OQ, _MM_HINT_T1, _mm_prefetch, _mm256_add_ps,
    _mm256_and_ps, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps,
    _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_ps, _mm512_broadcast_f32x8,
    _mm512_castps512_ps256, _mm512_cmp_ps_mask, _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps,
    _mm512_insertf32x8, _mm512_loadu_ps, _mm512_mask_cmp_ps_mask, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_maskz_mov_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_storeu_ps, _mm512_sub_ps,
    _mm512_zextps256_ps512,
};

use crate::detect::{Avx2, Avx512};
use crate::vector::sealed::Sealed;
use crate::vector::{Kernel, Simd};

/// One intrinsic of the sets that `self` proves.
macro_rules! intrinsic {
    ($($call:tt)*) => {
        // SAFETY: `self` holds the proof that the processor has the intrinsic's set.
        unsafe { $($call)* }
    };
}

/// Implements [`Simd`] in 256-bit registers, in functions compiled for `$features`.
macro_rules! lanes_256 {
    ($name:ident, $features:literal, $widest:ty, $token:ident => $widen:expr) => {
        impl Sealed for $name {}

        impl Simd for $name {
            type V = __m256;
            type Mask = ();
            type Widest = $widest;
            const BLOCKS: usize = 1;
            const TILES: [usize; 3] = [8, 6, 3];

            #[inline(always)]
            fn widest(self) -> $widest {
                let $token = self;
                $widen
            }

            #[inline(always)]
            fn mask(self, _blocks: usize) {}

            #[inline(always)]
            unsafe fn load_masked(self, from: *const f32, _mask: ()) -> __m256 {
                // SAFETY: the caller's promise.
                unsafe { self.load(from) }
            }

            #[inline(always)]
            unsafe fn store_masked(self, to: *mut f32, _mask: (), value: __m256) {
                // SAFETY: the caller's promise.
                unsafe { self.store(to, value) };
            }

            #[inline(always)]
            fn splat(self, value: f32) -> __m256 {
                intrinsic!(_mm256_set1_ps(value))
            }

            #[inline(always)]
            unsafe fn load(self, from: *const f32) -> __m256 {
                // SAFETY: the caller gives 8 readable values; `self` proves AVX.
                unsafe { _mm256_loadu_ps(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32, value: __m256) {
                // SAFETY: the caller gives 8 writable values; `self` proves AVX.
                unsafe { _mm256_storeu_ps(to, value) };
            }

            #[inline(always)]
            fn add(self, a: __m256, b: __m256) -> __m256 {
                intrinsic!(_mm256_add_ps(a, b))
            }

            #[inline(always)]
            fn sub(self, a: __m256, b: __m256) -> __m256 {
                intrinsic!(_mm256_sub_ps(a, b))
            }

            #[inline(always)]
            fn mul(self, a: __m256, b: __m256) -> __m256 {
                intrinsic!(_mm256_mul_ps(a, b))
            }

            #[inline(always)]
            fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
                intrinsic!(_mm256_fmadd_ps(a, b, c))
            }

            #[inline(always)]
            fn fnma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
                intrinsic!(_mm256_fnmadd_ps(a, b, c))
            }

            #[inline(always)]
            fn max(self, a: __m256, b: __m256) -> __m256 {
                intrinsic!(_mm256_max_ps(a, b))
            }

            #[inline(always)]
            fn min(self, a: __m256, b: __m256) -> __m256 {
                intrinsic!(_mm256_min_ps(a, b))
            }

            #[inline(always)]
            fn between(self, value: __m256, low: __m256, high: __m256, x: __m256) -> __m256 {
                let above = intrinsic!(_mm256_cmp_ps::<_CMP_GT_OQ>(value, low));
                let below = intrinsic!(_mm256_cmp_ps::<_CMP_LT_OQ>(value, high));
                intrinsic!(_mm256_and_ps(_mm256_and_ps(above, below), x))
            }

            #[inline(always)]
            fn where_equal(self, a: __m256, b: __m256, x: __m256) -> __m256 {
                intrinsic!(_mm256_and_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(a, b), x))
            }

            #[inline(always)]
            fn call<K: Kernel>(self, kernel: K) -> K::Output {
                #[inline(never)]
                #[target_feature(enable = $features)]
                fn call<K: Kernel>(lanes: $name, kernel: K) -> K::Output {
                    kernel.run(lanes)
                }
                intrinsic!(call(self, kernel))
            }

            #[inline(always)]
            fn prefetch(self, at: *const f32) {
                intrinsic!(_mm_prefetch::<_MM_HINT_T1>(at.cast()))
            }
        }
    };
}

lanes_256!(Avx2, "avx2,fma", Avx2, token => token);

lanes_256!(Avx512, "avx512f,avx512vl,avx512dq,avx2,fma", Avx512Wide, token => Avx512Wide(token));

/// The token of AVX-512 for its 512-bit registers, of two blocks.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Wide(Avx512);

/// The lanes of the first block.
const FIRST: __mmask16 = 0xff;

impl Sealed for Avx512Wide {}

impl Simd for Avx512Wide {
    type V = __m512;
    type Mask = __mmask16;
    type Widest = Self;
    const BLOCKS: usize = 2;
    const TILES: [usize; 3] = [14, 14, 9];

    #[inline(always)]
    fn widest(self) -> Self {
        self
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        intrinsic!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the caller gives 16 readable values; `self` proves AVX-512.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    fn mask(self, blocks: usize) -> __mmask16 {
        if blocks == 1 { FIRST } else { __mmask16::MAX }
    }

    #[inline(always)]
    unsafe fn load_masked(self, from: *const f32, mask: __mmask16) -> __m512 {
        // SAFETY: the caller gives as many readable values as the mask has lanes; others are not read.
        unsafe { _mm512_maskz_loadu_ps(mask, from) }
    }

    #[inline(always)]
    unsafe fn store_masked(self, to: *mut f32, mask: __mmask16, value: __m512) {
        // SAFETY: the caller gives as many writable values as the mask has lanes; others are not written.
        unsafe { _mm512_mask_storeu_ps(to, mask, value) };
    }

    #[inline(always)]
    unsafe fn gather(self, from: *const f32, step: usize, blocks: usize) -> __m512 {
        // SAFETY: the caller gives 8 readable values for each block.
        unsafe {
            let first = _mm512_zextps256_ps512(_mm256_loadu_ps(from));
            if blocks == 1 { first } else { _mm512_insertf32x8::<1>(first, _mm256_loadu_ps(from.add(step))) }
        }
    }

    #[inline(always)]
    unsafe fn repeat(self, from: *const f32) -> __m512 {
        // SAFETY: the caller gives 8 readable values.
        unsafe { _mm512_broadcast_f32x8(_mm256_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m512) {
        // SAFETY: the caller gives 16 writable values; `self` proves AVX-512.
        unsafe { _mm512_storeu_ps(to, value) };
    }

    #[inline(always)]
    unsafe fn scatter(self, to: *mut f32, step: usize, blocks: usize, value: __m512) {
        // SAFETY: the caller gives 8 writable values for each block.
        unsafe {
            _mm256_storeu_ps(to, _mm512_castps512_ps256(value));
            if blocks > 1 {
                _mm256_storeu_ps(to.add(step), _mm512_extractf32x8_ps::<1>(value));
            }
        }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn fnma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_fnmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn between(self, value: __m512, low: __m512, high: __m512, x: __m512) -> __m512 {
        let above = intrinsic!(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(value, low));
        let both = intrinsic!(_mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, value, high));
        intrinsic!(_mm512_maskz_mov_ps(both, x))
    }

    #[inline(always)]
    fn where_equal(self, a: __m512, b: __m512, x: __m512) -> __m512 {
        let equal = intrinsic!(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b));
        intrinsic!(_mm512_maskz_mov_ps(equal, x))
    }

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
        fn call<K: Kernel>(lanes: Avx512Wide, kernel: K) -> K::Output {
            kernel.run(lanes)
        }
        intrinsic!(call(self, kernel))
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T1>(at.cast()))
    }
}

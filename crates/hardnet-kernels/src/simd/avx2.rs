//! Lanes as a 256-bit register, with fused multiply-add.
#![allow(unsafe_code)]

use hardnet_isa::Avx2;

use super::{Kernel, Simd};

/// The token of AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2Lanes(Avx2);

impl Avx2Lanes {
    pub(crate) fn new(token: Avx2) -> Self {
        Self(token)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::{
        __m256, _CMP_EQ_OQ, _CMP_GT_OQ, _CMP_LT_OQ, _MM_HINT_T1, _mm_prefetch, _mm256_add_ps, _mm256_and_ps,
        _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
        _mm256_set1_ps, _mm256_storeu_ps, _mm256_sub_ps,
    };

    use super::{Avx2Lanes, Kernel, Simd};

    /// One intrinsic of AVX2 or FMA.
    macro_rules! intrinsic {
        ($($call:tt)*) => {
            // SAFETY: `self` holds the proof that the processor has AVX2 and FMA.
            unsafe { $($call)* }
        };
    }

    impl Simd for Avx2Lanes {
        type V = __m256;

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
            intrinsic!(call(self, kernel))
        }

        #[inline(always)]
        fn prefetch(self, at: *const f32) {
            intrinsic!(_mm_prefetch::<_MM_HINT_T1>(at.cast()))
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    fn call<K: Kernel>(lanes: Avx2Lanes, kernel: K) -> K::Output {
        kernel.run(lanes)
    }
}

/// Elsewhere no value of the token exists; the portable lanes stand in for it.
#[cfg(not(target_arch = "x86_64"))]
impl Simd for Avx2Lanes {
    type V = <super::PortableLanes as Simd>::V;

    fn splat(self, value: f32) -> Self::V {
        super::PortableLanes.splat(value)
    }

    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's promise is the same.
        unsafe { super::PortableLanes.load(from) }
    }

    unsafe fn store(self, to: *mut f32, value: Self::V) {
        // SAFETY: the caller's promise is the same.
        unsafe { super::PortableLanes.store(to, value) };
    }

    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        super::PortableLanes.add(a, b)
    }

    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        super::PortableLanes.sub(a, b)
    }

    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        super::PortableLanes.mul(a, b)
    }

    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        super::PortableLanes.fma(a, b, c)
    }

    fn fnma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        super::PortableLanes.fnma(a, b, c)
    }

    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        super::PortableLanes.max(a, b)
    }

    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        super::PortableLanes.min(a, b)
    }

    fn between(self, value: Self::V, low: Self::V, high: Self::V, x: Self::V) -> Self::V {
        super::PortableLanes.between(value, low, high, x)
    }

    fn where_equal(self, a: Self::V, b: Self::V, x: Self::V) -> Self::V {
        super::PortableLanes.where_equal(a, b, x)
    }

    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        super::PortableLanes.call(kernel)
    }

    fn prefetch(self, _at: *const f32) {}
}

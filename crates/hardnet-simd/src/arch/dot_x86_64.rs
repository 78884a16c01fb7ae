//! 8-bit products of x86-64 processors.
//!
//! `vpdpbusd` adds four products to a lane. AVX2 has no exact form of it: `vpmaddubsw` adds two products of bytes in 16
//! bits and saturates. Here, AVX2 multiplies 16-bit values: `vpmaddwd` adds the products of even bytes, and another one
//! those of odd bytes. Weights are packed as 16-bit values in that order.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::{
    __m128i, __m256, __m256i, __m512, __m512i, _MM_HINT_T1, _mm_loadl_epi64, _mm_loadu_si128, _mm_packus_epi16,
    _mm_packus_epi32, _mm_prefetch, _mm_setr_epi8, _mm_storel_epi64, _mm_storeu_si128, _mm_unpackhi_epi16,
    _mm_unpacklo_epi8, _mm_unpacklo_epi16, _mm256_add_epi16, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256,
    _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16, _mm256_cvtepu8_epi32,
    _mm256_cvtps_epi32, _mm256_dpbusd_avx_epi32, _mm256_extracti128_si256, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_mullo_epi32, _mm256_set_m128i,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_si256, _mm256_srai_epi32, _mm256_srli_epi16,
    _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi16, _mm256_sub_epi32, _mm512_add_epi16, _mm512_add_epi32,
    _mm512_add_ps, _mm512_broadcast_i32x4, _mm512_castps512_ps256, _mm512_cvtepi8_epi16, _mm512_cvtepi32_epi8,
    _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtps_epi32, _mm512_dpbusd_epi32, _mm512_extractf32x8_ps,
    _mm512_insertf32x8, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_mullo_epi32, _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_srai_epi32, _mm512_storeu_si512, _mm512_sub_epi16,
    _mm512_sub_epi32, _mm512_zextps256_ps512,
};

use crate::detect::{Avx2, Avx512Vnni, AvxVnni};
use crate::dot::{BYTE_LANES, Dot, DotKernel};
use crate::vector::sealed::Sealed;
use crate::words::{NINTH, Words, WordsKernel};

/// One intrinsic of the sets that `self` proves.
macro_rules! intrinsic {
    ($($call:tt)*) => {
        // SAFETY: `self` holds the proof that the processor has the intrinsic's set.
        unsafe { $($call)* }
    };
}

/// The operations that AVX2 and AVX-VNNI share.
macro_rules! lanes_256 {
    ($name:ident, $features:literal) => {
        type Sums = __m256i;
        type Floats = __m256;
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn load_sums(self, from: *const i32) -> __m256i {
            // SAFETY: the caller gives 8 readable values.
            unsafe { _mm256_loadu_si256(from.cast()) }
        }

        #[inline(always)]
        fn floats(self, sums: __m256i) -> __m256 {
            intrinsic!(_mm256_cvtepi32_ps(sums))
        }

        #[inline(always)]
        fn splat(self, value: f32) -> __m256 {
            intrinsic!(_mm256_set1_ps(value))
        }

        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> __m256 {
            // SAFETY: the caller gives 8 readable values.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn gather(self, from: *const f32, _step: usize, _blocks: usize) -> __m256 {
            // SAFETY: the caller gives one block.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_bytes(self, from: *const u8) -> __m256 {
            // SAFETY: the caller gives 8 readable bytes.
            unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast()))) }
        }

        #[inline(always)]
        fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            intrinsic!(_mm256_add_ps(_mm256_mul_ps(a, b), c))
        }

        #[inline(always)]
        fn clamp(self, value: __m256, low: __m256, high: __m256) -> __m256 {
            intrinsic!(_mm256_min_ps(_mm256_max_ps(value, low), high))
        }

        #[inline(always)]
        unsafe fn store_bytes(self, to: *mut u8, value: __m256) {
            // SAFETY: the caller gives 8 writable bytes.
            unsafe {
                let words = _mm256_cvtps_epi32(value);
                let words = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
                _mm_storel_epi64(to.cast(), _mm_packus_epi16(words, words));
            }
        }

        #[inline(always)]
        unsafe fn scatter(self, to: *mut f32, _step: usize, _blocks: usize, value: __m256) {
            // SAFETY: the caller gives one writable block.
            unsafe { _mm256_storeu_ps(to, value) };
        }

        #[inline(always)]
        fn call<K: DotKernel>(self, kernel: K) -> K::Output {
            #[inline(never)]
            #[target_feature(enable = $features)]
            fn call<K: DotKernel>(dot: $name, kernel: K) -> K::Output {
                kernel.run(dot)
            }
            intrinsic!(call(self, kernel))
        }

        #[inline(always)]
        fn prefetch(self, at: *const u8) {
            intrinsic!(_mm_prefetch::<_MM_HINT_T1>(at.cast()))
        }
    };
}

/// Eight channels of four pixels, a channel in each lane.
///
/// # Safety
/// The processor has AVX2; `from` is valid for reading four pixels, eight bytes of the last.
#[inline(always)]
unsafe fn pixels_256(from: *const u8) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let pixel = |at: usize| -> __m128i { _mm_loadl_epi64(from.add(at * BYTE_LANES).cast()) };
        let (first, second) = (_mm_unpacklo_epi8(pixel(0), pixel(1)), _mm_unpacklo_epi8(pixel(2), pixel(3)));
        _mm256_set_m128i(_mm_unpackhi_epi16(first, second), _mm_unpacklo_epi16(first, second))
    }
}

impl Dot for Avx2 {
    /// Even and odd weights.
    type Weights = (__m256i, __m256i);
    type Inputs = (__m256i, __m256i);
    const WEIGHT_BYTES: usize = 2;
    const TILES: [usize; 3] = [4, 0, 0];

    fn pack(weights: &[[i8; 4]], packed: &mut [u8]) {
        let pairs = [0, 1].into_iter().flat_map(|odd| weights.iter().map(move |four| [four[odd], four[odd + 2]]));
        for (to, weight) in packed.chunks_exact_mut(2).zip(pairs.flatten()) {
            to.copy_from_slice(&i16::from(weight).to_le_bytes());
        }
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> (__m256i, __m256i) {
        // SAFETY: the caller gives 64 readable bytes.
        unsafe { (_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())) }
    }

    #[inline(always)]
    unsafe fn inputs(self, from: *const u8) -> (__m256i, __m256i) {
        // SAFETY: the caller gives four readable bytes.
        even_and_odd(self, intrinsic!(_mm256_set1_epi32(from.cast::<i32>().read_unaligned())))
    }

    #[inline(always)]
    unsafe fn pixels(self, from: *const u8) -> (__m256i, __m256i) {
        // SAFETY: the caller's promise; `self` proves AVX2.
        even_and_odd(self, unsafe { pixels_256(from) })
    }

    #[inline(always)]
    fn dot(self, sums: __m256i, inputs: (__m256i, __m256i), weights: (__m256i, __m256i)) -> __m256i {
        intrinsic!({
            let sums = _mm256_add_epi32(sums, _mm256_madd_epi16(inputs.0, weights.0));
            _mm256_add_epi32(sums, _mm256_madd_epi16(inputs.1, weights.1))
        })
    }

    lanes_256!(Avx2, "avx2,fma");
}

/// Even and odd bytes as 16-bit values.
#[inline(always)]
fn even_and_odd(_proof: Avx2, bytes: __m256i) -> (__m256i, __m256i) {
    intrinsic!((_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(bytes)))
}

impl Sealed for AvxVnni {}

impl Dot for AvxVnni {
    type Weights = __m256i;
    type Inputs = __m256i;
    const WEIGHT_BYTES: usize = 1;
    const TILES: [usize; 3] = [6, 0, 0];

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> __m256i {
        // SAFETY: the caller gives 32 readable bytes.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn inputs(self, from: *const u8) -> __m256i {
        // SAFETY: the caller gives four readable bytes.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn pixels(self, from: *const u8) -> __m256i {
        // SAFETY: the caller's promise; `self` proves AVX2.
        unsafe { pixels_256(from) }
    }

    #[inline(always)]
    fn dot(self, sums: __m256i, inputs: __m256i, weights: __m256i) -> __m256i {
        intrinsic!(_mm256_dpbusd_avx_epi32(sums, inputs, weights))
    }

    lanes_256!(AvxVnni, "avxvnni,avx2,fma");
}

impl Sealed for Avx512Vnni {}

impl Dot for Avx512Vnni {
    type Sums = __m512i;
    type Weights = __m512i;
    type Inputs = __m512i;
    type Floats = __m512;
    const LANES: usize = 16;
    const WEIGHT_BYTES: usize = 1;
    const TILES: [usize; 3] = [14, 14, 9];

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> __m512i {
        // SAFETY: the caller gives 64 readable bytes.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn inputs(self, from: *const u8) -> __m512i {
        // SAFETY: the caller gives four readable bytes.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn pixels(self, from: *const u8) -> __m512i {
        // SAFETY: the caller gives four readable pixels.
        intrinsic!({
            let pixels = _mm512_loadu_si512(from.cast());
            // Four channels of all pixels in every 128 bits, then their bytes by channel.
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let bytes = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_shuffle_epi8(_mm512_permutexvar_epi32(order, pixels), _mm512_broadcast_i32x4(bytes))
        })
    }

    #[inline(always)]
    unsafe fn load_sums(self, from: *const i32) -> __m512i {
        // SAFETY: the caller gives 16 readable values.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: __m512i, inputs: __m512i, weights: __m512i) -> __m512i {
        intrinsic!(_mm512_dpbusd_epi32(sums, inputs, weights))
    }

    #[inline(always)]
    fn floats(self, sums: __m512i) -> __m512 {
        intrinsic!(_mm512_cvtepi32_ps(sums))
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        intrinsic!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the caller gives 16 readable values.
        unsafe { _mm512_loadu_ps(from) }
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
    unsafe fn load_bytes(self, from: *const u8) -> __m512 {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_add_ps(_mm512_mul_ps(a, b), c))
    }

    #[inline(always)]
    fn clamp(self, value: __m512, low: __m512, high: __m512) -> __m512 {
        intrinsic!(_mm512_min_ps(_mm512_max_ps(value, low), high))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, value: __m512) {
        // SAFETY: the caller gives 16 writable bytes.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value))) };
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
    fn call<K: DotKernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512vnni,avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
        fn call<K: DotKernel>(dot: Avx512Vnni, kernel: K) -> K::Output {
            kernel.run(dot)
        }
        intrinsic!(call(self, kernel))
    }

    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T1>(at.cast()))
    }
}

/// `vpdpwssd`, written out: compilers take its intrinsic for a product and a sum, two instructions, in order to shorten
/// chains of sums, which tiles have enough of.
#[inline]
#[target_feature(enable = "avx512vnni,avx512f")]
fn dpwssd(mut sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: the instruction reads and writes these registers alone.
    unsafe {
        asm!(
            "vpdpwssd {sums}, {a}, {b}",
            sums = inout(zmm_reg) sums,
            a = in(zmm_reg) a,
            b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

impl Words for Avx2 {
    type W = __m256i;
    type Pairs = __m256i;

    #[inline(always)]
    unsafe fn widen(self, from: *const u8) -> __m256i {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    fn add_words(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_add_epi16(a, b))
    }

    #[inline(always)]
    fn sub_words(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_sub_epi16(a, b))
    }

    #[inline(always)]
    unsafe fn load_pairs(self, from: *const i16) -> __m256i {
        // SAFETY: the caller gives 16 readable values.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn widen_pairs(self, from: *const i8) -> __m256i {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    fn add_pairs(self, a: __m256i, b: __m256i) -> __m256i {
        self.add_words(a, b)
    }

    #[inline(always)]
    fn sub_pairs(self, a: __m256i, b: __m256i) -> __m256i {
        self.sub_words(a, b)
    }

    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut i16, value: __m256i) {
        // SAFETY: the caller's promise.
        unsafe { self.store_words(to, value) };
    }

    #[inline(always)]
    unsafe fn store_words(self, to: *mut i16, value: __m256i) {
        // SAFETY: the caller gives 16 writable values.
        unsafe { _mm256_storeu_si256(to.cast(), value) };
    }

    #[inline(always)]
    unsafe fn pair(self, from: *const i16) -> __m256i {
        // SAFETY: the caller gives two readable values.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot_words(self, sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_add_epi32(sums, _mm256_madd_epi16(a, b)))
    }

    #[inline(always)]
    fn no_sums(self) -> __m256i {
        intrinsic!(_mm256_setzero_si256())
    }

    #[inline(always)]
    fn add_sums(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub_sums(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_sub_epi32(a, b))
    }

    #[inline(always)]
    fn quarter(self, sums: __m256i) -> __m256i {
        intrinsic!(_mm256_srai_epi32::<2>(sums))
    }

    #[inline(always)]
    fn part_of_576(self, sums: __m256i) -> __m256i {
        intrinsic!(_mm256_srai_epi32::<6>(_mm256_mullo_epi32(sums, _mm256_set1_epi32(NINTH))))
    }

    #[inline(always)]
    unsafe fn store_sums(self, to: *mut i32, value: __m256i) {
        // SAFETY: the caller gives 8 writable values.
        unsafe { _mm256_storeu_si256(to.cast(), value) };
    }

    #[inline(always)]
    fn call_words<K: WordsKernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        fn call<K: WordsKernel>(words: Avx2, kernel: K) -> K::Output {
            kernel.run(words)
        }
        intrinsic!(call(self, kernel))
    }
}

impl Words for Avx512Vnni {
    type W = __m256i;
    type Pairs = __m512i;

    #[inline(always)]
    unsafe fn widen(self, from: *const u8) -> __m256i {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    fn add_words(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_add_epi16(a, b))
    }

    #[inline(always)]
    fn sub_words(self, a: __m256i, b: __m256i) -> __m256i {
        intrinsic!(_mm256_sub_epi16(a, b))
    }

    #[inline(always)]
    unsafe fn load_pairs(self, from: *const i16) -> __m512i {
        // SAFETY: the caller gives 32 readable values.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn widen_pairs(self, from: *const i8) -> __m512i {
        // SAFETY: the caller gives 32 readable bytes.
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    fn add_pairs(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_add_epi16(a, b))
    }

    #[inline(always)]
    fn sub_pairs(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_sub_epi16(a, b))
    }

    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut i16, value: __m512i) {
        // SAFETY: the caller gives 32 writable values.
        unsafe { _mm512_storeu_si512(to.cast(), value) };
    }

    #[inline(always)]
    unsafe fn store_words(self, to: *mut i16, value: __m256i) {
        // SAFETY: the caller gives 16 writable values.
        unsafe { _mm256_storeu_si256(to.cast(), value) };
    }

    #[inline(always)]
    unsafe fn pair(self, from: *const i16) -> __m512i {
        // SAFETY: the caller gives two readable values.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot_words(self, sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(dpwssd(sums, a, b))
    }

    #[inline(always)]
    fn no_sums(self) -> __m512i {
        intrinsic!(_mm512_setzero_si512())
    }

    #[inline(always)]
    fn add_sums(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub_sums(self, a: __m512i, b: __m512i) -> __m512i {
        intrinsic!(_mm512_sub_epi32(a, b))
    }

    #[inline(always)]
    fn quarter(self, sums: __m512i) -> __m512i {
        intrinsic!(_mm512_srai_epi32::<2>(sums))
    }

    #[inline(always)]
    fn part_of_576(self, sums: __m512i) -> __m512i {
        intrinsic!(_mm512_srai_epi32::<6>(_mm512_mullo_epi32(sums, _mm512_set1_epi32(NINTH))))
    }

    #[inline(always)]
    unsafe fn store_sums(self, to: *mut i32, value: __m512i) {
        // SAFETY: the caller gives 16 writable values.
        unsafe { _mm512_storeu_si512(to.cast(), value) };
    }

    #[inline(always)]
    fn call_words<K: WordsKernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512vnni,avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
        fn call<K: WordsKernel>(words: Avx512Vnni, kernel: K) -> K::Output {
            kernel.run(words)
        }
        intrinsic!(call(self, kernel))
    }
}

//! Functions shared by the kernels for 256-bit vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use hardnet_simd::Avx2;

/// Samples after a row that storing pixels may overwrite.
pub(super) const PADDING: usize = 16;

/// Rounds `values`, four a pixel, three of them colors, half to even and clips them to 0..=255; writes up to
/// [`PADDING`] samples after the last.
pub(super) fn round(_: Avx2, values: &[f32], output: &mut [u8]) {
    assert!(values.len() / 4 * 3 + PADDING <= output.len());
    let (whole, rest) = values.as_chunks::<16>();
    let mut last = [0.0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let parts = whole.iter().chain((!rest.is_empty()).then_some(&last));
    for (part, values) in parts.enumerate() {
        // SAFETY: the token proves AVX2. Parts have 16 values, and the output has room for 12 samples of each, of the
        // last for those of its pixels and padding.
        unsafe {
            let load = |at: usize| _mm256_loadu_ps(values.as_ptr().add(at));
            store(output.as_mut_ptr().add(12 * part), load(0), load(8));
        }
    }
}

/// Stores four pixels, 12 samples and 4 of any value, of 16 values.
///
/// # Safety
/// `to` is valid for writing 16 samples.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn store(to: *mut u8, first: __m256, second: __m256) {
    let colors = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    let words = _mm256_packs_epi32(_mm256_cvtps_epi32(first), _mm256_cvtps_epi32(second));
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
    let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    // SAFETY: the caller's promise.
    unsafe { _mm_storeu_si128(to.cast(), _mm_shuffle_epi8(bytes, colors)) };
}

/// Stores eight pixels, 24 samples and 8 of any value, of 32 numbers of 16 bits, four a pixel.
///
/// # Safety
/// `to` is valid for writing 32 samples.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn store_words(to: *mut u8, first: __m256i, second: __m256i) {
    let colors = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    let together = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(first, second));
    let samples = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(bytes, colors), together);
    // SAFETY: the caller's promise.
    unsafe { _mm256_storeu_si256(to.cast(), samples) };
}

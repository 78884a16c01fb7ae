//! Cubic interpolation of RGB rows on 256-bit vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::ops::Range;

use hardnet_simd::Avx2;

use super::{Arithmetic, PADDING};
use crate::opencv::avx2::store;
use crate::opencv::positions::{Groups, Taps};

/// Interpolates columns of the row that `input` begins with, those done: the pairs whose loads lie in `input`.
pub(super) fn horizontal(_: Avx2, columns: &Taps<4, f32>, input: &[u8], values: &mut [f32]) -> Range<usize> {
    let Groups { starts, weights, columns } = columns.groups(input.len(), 16);
    let values = &mut values[4 * columns.start..4 * columns.end];
    // SAFETY: the token proves AVX2 and FMA; `groups` gives columns from whose first samples on 16 can be read.
    unsafe { interpolate(starts, weights, input, values.as_chunks_mut().0) };
    columns
}

/// # Safety
/// 16 samples of `input` can be read from each of `starts` on.
#[target_feature(enable = "avx2,fma")]
unsafe fn interpolate(starts: &[[u32; 2]], weights: &[[[f32; 4]; 2]], input: &[u8], values: &mut [[f32; 8]]) {
    // The samples of one pixel as 32-bit numbers.
    let pixel = |tap: i8| {
        let at = 3 * tap;
        let half = _mm_setr_epi8(at, -1, -1, -1, at + 1, -1, -1, -1, at + 2, -1, -1, -1, -1, -1, -1, -1);
        _mm256_broadcastsi128_si256(half)
    };
    let taps = [pixel(0), pixel(1), pixel(2), pixel(3)];
    for ((&[a, b], weights), values) in starts.iter().zip(weights).zip(values) {
        // SAFETY: the caller's promise; weights and values are eight.
        unsafe {
            let (a, b) = (input.as_ptr().add(a as usize), input.as_ptr().add(b as usize));
            let samples = _mm256_loadu2_m128i(b.cast(), a.cast());
            let weights = _mm256_loadu_ps(weights.as_ptr().cast());
            let sample = |tap: usize| _mm256_cvtepi32_ps(_mm256_shuffle_epi8(samples, taps[tap]));
            let sum = _mm256_mul_ps(sample(0), _mm256_permute_ps::<0b00_00_00_00>(weights));
            let sum = _mm256_fmadd_ps(sample(1), _mm256_permute_ps::<0b01_01_01_01>(weights), sum);
            let sum = _mm256_fmadd_ps(sample(2), _mm256_permute_ps::<0b10_10_10_10>(weights), sum);
            let sum = _mm256_fmadd_ps(sample(3), _mm256_permute_ps::<0b11_11_11_11>(weights), sum);
            _mm256_storeu_ps(values.as_mut_ptr(), sum);
        }
    }
}

/// Interpolates between four rows of four values a pixel; writes up to [`PADDING`] samples after the last.
pub(super) fn vertical(_: Avx2, arithmetic: Arithmetic, rows: [&[f32]; 4], weights: [f32; 4], output: &mut [u8]) {
    let length = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == length) && length / 4 * 3 + PADDING <= output.len());
    // SAFETY: the token proves AVX2 and FMA; the rows are as long, and the output has room.
    unsafe {
        match arithmetic {
            Arithmetic::Own => blend::<false>(rows, weights, output),
            Arithmetic::Ipp => blend::<true>(rows, weights, output),
        }
    }
}

/// Adds products, fused or rounded.
///
/// # Safety
/// All rows are as long, a multiple of four; `output` has three samples for each four values and [`PADDING`] more.
#[target_feature(enable = "avx2,fma")]
unsafe fn blend<const FUSED: bool>(rows: [&[f32]; 4], weights: [f32; 4], output: &mut [u8]) {
    const VALUES: usize = 16;
    let weights = weights.map(|weight| _mm256_set1_ps(weight));
    let sum = |rows: [__m256; 4]| {
        let add = |sum: __m256, row: usize| {
            if FUSED {
                _mm256_fmadd_ps(rows[row], weights[row], sum)
            } else {
                _mm256_add_ps(_mm256_mul_ps(rows[row], weights[row]), sum)
            }
        };
        add(add(add(_mm256_mul_ps(rows[3], weights[3]), 2), 1), 0)
    };
    let length = rows[0].len();
    let whole = length / VALUES * VALUES;
    for at in (0..whole).step_by(VALUES) {
        // SAFETY: 16 values from `at` on lie in all rows.
        unsafe {
            let first = sum(rows.map(|row| _mm256_loadu_ps(row.as_ptr().add(at))));
            let second = sum(rows.map(|row| _mm256_loadu_ps(row.as_ptr().add(at + 8))));
            store(output.as_mut_ptr().add(at / 4 * 3), first, second);
        }
    }
    if whole < length {
        let rest = rows.map(|row| {
            let mut rest = [0.0; VALUES];
            rest[..length - whole].copy_from_slice(&row[whole..]);
            rest
        });
        // SAFETY: the arrays have 16 values; after the samples of whole groups there is room for the padding.
        unsafe {
            let first = sum(rest.each_ref().map(|row| _mm256_loadu_ps(row.as_ptr())));
            let second = sum(rest.each_ref().map(|row| _mm256_loadu_ps(row.as_ptr().add(8))));
            store(output.as_mut_ptr().add(whole / 4 * 3), first, second);
        }
    }
}

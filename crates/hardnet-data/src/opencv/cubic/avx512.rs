//! Cubic interpolation of RGB rows on 512-bit vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::ops::Range;

use hardnet_simd::Avx512;

use super::{Arithmetic, PADDING};
use crate::opencv::positions::{Groups, Taps};

/// Interpolates columns of the row that `input` begins with, those done: the groups whose loads lie in `input`.
pub(super) fn horizontal(_: Avx512, columns: &Taps<4, f32>, input: &[u8], values: &mut [f32]) -> Range<usize> {
    let Groups { starts, weights, columns } = columns.groups(input.len(), 16);
    let values = &mut values[4 * columns.start..4 * columns.end];
    // SAFETY: the token proves F and BW of AVX-512; `groups` gives columns from whose first samples on 16 can be read.
    unsafe { interpolate(starts, weights, input, values.as_chunks_mut().0) };
    columns
}

/// # Safety
/// 16 samples of `input` can be read from each of `starts` on.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn interpolate(starts: &[[u32; 4]], weights: &[[[f32; 4]; 4]], input: &[u8], values: &mut [[f32; 16]]) {
    // The samples of one pixel as 32-bit numbers.
    let pixel = |tap: i8| {
        let at = 3 * tap;
        let quarter = _mm_setr_epi8(at, -1, -1, -1, at + 1, -1, -1, -1, at + 2, -1, -1, -1, -1, -1, -1, -1);
        _mm512_broadcast_i32x4(quarter)
    };
    let taps = [pixel(0), pixel(1), pixel(2), pixel(3)];
    for ((starts, weights), values) in starts.iter().zip(weights).zip(values) {
        // SAFETY: the caller's promise; weights and values are 16.
        unsafe {
            let load = |column: usize| _mm_loadu_si128(input.as_ptr().add(starts[column] as usize).cast());
            let samples = _mm512_castsi128_si512(load(0));
            let samples = _mm512_inserti32x4::<1>(samples, load(1));
            let samples = _mm512_inserti32x4::<2>(samples, load(2));
            let samples = _mm512_inserti32x4::<3>(samples, load(3));
            let weights = _mm512_loadu_ps(weights.as_ptr().cast());
            let sample = |tap: usize| _mm512_cvtepi32_ps(_mm512_shuffle_epi8(samples, taps[tap]));
            let sum = _mm512_mul_ps(sample(0), _mm512_permute_ps::<0b00_00_00_00>(weights));
            let sum = _mm512_fmadd_ps(sample(1), _mm512_permute_ps::<0b01_01_01_01>(weights), sum);
            let sum = _mm512_fmadd_ps(sample(2), _mm512_permute_ps::<0b10_10_10_10>(weights), sum);
            let sum = _mm512_fmadd_ps(sample(3), _mm512_permute_ps::<0b11_11_11_11>(weights), sum);
            _mm512_storeu_ps(values.as_mut_ptr(), sum);
        }
    }
}

/// Interpolates between four rows of four values a pixel; writes up to [`PADDING`] samples after the last.
pub(super) fn vertical(_: Avx512, arithmetic: Arithmetic, rows: [&[f32]; 4], weights: [f32; 4], output: &mut [u8]) {
    let length = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == length) && length / 4 * 3 + PADDING <= output.len());
    // SAFETY: the token proves F and BW of AVX-512; the rows are as long, and the output has room.
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn blend<const FUSED: bool>(rows: [&[f32]; 4], weights: [f32; 4], output: &mut [u8]) {
    const VALUES: usize = 16;
    let weights = weights.map(|weight| _mm512_set1_ps(weight));
    let colors = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    // Four pixels, 12 samples and 4 of any value.
    let samples = |rows: [__m512; 4]| {
        let add = |sum: __m512, row: usize| {
            if FUSED {
                _mm512_fmadd_ps(rows[row], weights[row], sum)
            } else {
                _mm512_add_ps(_mm512_mul_ps(rows[row], weights[row]), sum)
            }
        };
        let sum = add(add(add(_mm512_mul_ps(rows[3], weights[3]), 2), 1), 0);
        let whole = _mm512_max_epi32(_mm512_cvtps_epi32(sum), _mm512_setzero_si512());
        _mm_shuffle_epi8(_mm512_cvtusepi32_epi8(whole), colors)
    };
    let length = rows[0].len();
    let whole = length / VALUES * VALUES;
    for at in (0..whole).step_by(VALUES) {
        // SAFETY: 16 values from `at` on lie in all rows; there is room for 12 samples and 4 of padding.
        unsafe {
            let samples = samples(rows.map(|row| _mm512_loadu_ps(row.as_ptr().add(at))));
            _mm_storeu_si128(output.as_mut_ptr().add(at / 4 * 3).cast(), samples);
        }
    }
    if whole < length {
        let mask = (1_u16 << (length - whole)) - 1;
        // SAFETY: the mask has the values that are left; there is room for their samples and the padding.
        unsafe {
            let samples = samples(rows.map(|row| _mm512_maskz_loadu_ps(mask, row.as_ptr().add(whole))));
            _mm_storeu_si128(output.as_mut_ptr().add(whole / 4 * 3).cast(), samples);
        }
    }
}

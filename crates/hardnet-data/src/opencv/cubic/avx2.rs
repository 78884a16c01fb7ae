//! Cubic interpolation of RGB rows on 256-bit vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::ops::Range;

use hardnet_simd::Avx2;

use super::PADDING;
use crate::opencv::avx2::store;
use crate::opencv::positions::Taps;

/// Pairs of columns whose pixels follow each other, prepared for [`horizontal`].
#[derive(Debug, Default)]
pub(super) struct Pairs {
    range: Range<usize>,
    /// A vector of weights for each tap.
    weights: Vec<[[f32; 8]; 4]>,
}

impl Pairs {
    pub(super) fn plan(&mut self, columns: &Taps<4, f32>) {
        let Range { start, end } = columns.consecutive();
        self.range = start..start + (end - start) / 2 * 2;
        self.weights.clear();
        let pairs = columns.weights[self.range.clone()].as_chunks::<2>().0;
        let vector = |pair: &[[f32; 4]; 2], tap: usize| std::array::from_fn(|lane| pair[lane / 4][tap]);
        self.weights.extend(pairs.iter().map(|pair| std::array::from_fn(|tap| vector(pair, tap))));
    }
}

/// Interpolates columns of the row that `input` begins with, those done: the pairs whose loads lie in `input`.
pub(super) fn horizontal(
    _: Avx2,
    columns: &Taps<4, f32>,
    pairs: &Pairs,
    input: &[u8],
    values: &mut [f32],
) -> Range<usize> {
    let pixels = columns.pixels[pairs.range.clone()].as_chunks::<2>().0;
    let count = pixels.partition_point(|pair| 3 * pair[1][0] + 16 <= input.len());
    let range = pairs.range.start..pairs.range.start + count * 2;
    let values = &mut values[4 * range.start..4 * range.end];
    // SAFETY: the token proves AVX2. Pixels ascend, so 16 samples can be read from each of these pairs' on.
    unsafe { interpolate(&pixels[..count], &pairs.weights, input, values.as_chunks_mut().0) };
    range
}

/// # Safety
/// 16 samples of `input` can be read from the first pixel of each column of `pixels` on.
#[target_feature(enable = "avx2")]
unsafe fn interpolate(pixels: &[[[usize; 4]; 2]], weights: &[[[f32; 8]; 4]], input: &[u8], values: &mut [[f32; 8]]) {
    // The samples of one pixel as 32-bit numbers.
    let pixel = |tap: i8| {
        let at = 3 * tap;
        let half = _mm_setr_epi8(at, -1, -1, -1, at + 1, -1, -1, -1, at + 2, -1, -1, -1, -1, -1, -1, -1);
        _mm256_broadcastsi128_si256(half)
    };
    let taps = [pixel(0), pixel(1), pixel(2), pixel(3)];
    for (([a, b], weights), values) in pixels.iter().zip(weights).zip(values) {
        // SAFETY: the caller's promise; weights and values are eight.
        unsafe {
            let (a, b) = (input.as_ptr().add(3 * a[0]), input.as_ptr().add(3 * b[0]));
            let samples = _mm256_loadu2_m128i(b.cast(), a.cast());
            let product = |tap: usize| {
                let samples = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(samples, taps[tap]));
                _mm256_mul_ps(samples, _mm256_loadu_ps(weights[tap].as_ptr()))
            };
            let sum = _mm256_add_ps(product(0), product(1));
            let sum = _mm256_add_ps(_mm256_add_ps(sum, product(2)), product(3));
            _mm256_storeu_ps(values.as_mut_ptr(), sum);
        }
    }
}

/// Interpolates between four rows of four values a pixel; writes up to [`PADDING`] samples after the last.
pub(super) fn vertical(_: Avx2, rows: [&[f32]; 4], weights: [f32; 4], output: &mut [u8]) {
    let length = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == length) && length / 4 * 3 + PADDING <= output.len());
    // SAFETY: the token proves AVX2; the rows are as long, and the output has room.
    unsafe { blend(rows, weights, output) };
}

/// # Safety
/// All rows are as long, a multiple of four; `output` has three samples for each four values and [`PADDING`] more.
#[target_feature(enable = "avx2")]
unsafe fn blend(rows: [&[f32]; 4], weights: [f32; 4], output: &mut [u8]) {
    const VALUES: usize = 16;
    let weights = weights.map(|weight| _mm256_set1_ps(weight));
    let round = |rows: [__m256; 4]| {
        let product = |row: usize| _mm256_mul_ps(rows[row], weights[row]);
        let sum = _mm256_add_ps(product(1), _mm256_add_ps(product(2), product(3)));
        _mm256_add_ps(product(0), sum)
    };
    let length = rows[0].len();
    let whole = length / VALUES * VALUES;
    for at in (0..whole).step_by(VALUES) {
        // SAFETY: 16 values from `at` on lie in all rows.
        unsafe {
            let first = round(rows.map(|row| _mm256_loadu_ps(row.as_ptr().add(at))));
            let second = round(rows.map(|row| _mm256_loadu_ps(row.as_ptr().add(at + 8))));
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
            let first = round(rest.each_ref().map(|row| _mm256_loadu_ps(row.as_ptr())));
            let second = round(rest.each_ref().map(|row| _mm256_loadu_ps(row.as_ptr().add(8))));
            store(output.as_mut_ptr().add(whole / 4 * 3), first, second);
        }
    }
}

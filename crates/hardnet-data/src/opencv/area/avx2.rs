//! Averages of parts of RGB pixels on vectors of four and eight values.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use hardnet_simd::Avx2;

use super::Table;

/// Averages leading columns of the row that `input` begins with; returns their number, all whose loads lie in `input`.
pub(super) fn average(_: Avx2, columns: &Table, input: &[u8], values: &mut [f32]) -> usize {
    assert!(4 * columns.ends.len() <= values.len());
    let inside = columns.entries.partition_point(|(pixel, _)| 3 * pixel + 4 <= input.len());
    let count = columns.ends.partition_point(|&end| end <= inside);
    // SAFETY: the token proves AVX2. The entries of these columns are those before `inside`, from whose pixels 4
    // samples can be read, and there is room for 4 values of each column.
    unsafe { pixels(columns, count, input, values) };
    count
}

/// # Safety
/// From the pixel of each entry of the first `count` columns 4 samples of `input` can be read; 4 values for each column
/// can be written.
#[target_feature(enable = "avx2")]
unsafe fn pixels(columns: &Table, count: usize, input: &[u8], values: &mut [f32]) {
    let mut start = 0;
    for (column, &end) in columns.ends[..count].iter().enumerate() {
        let mut sum = _mm_setzero_ps();
        for &(pixel, weight) in &columns.entries[start..end] {
            // SAFETY: the caller's promise.
            let samples = unsafe { input.as_ptr().add(3 * pixel).cast::<i32>().read_unaligned() };
            let samples = _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(samples)));
            sum = _mm_add_ps(sum, _mm_mul_ps(samples, _mm_set1_ps(weight)));
        }
        // SAFETY: the caller's promise.
        unsafe { _mm_storeu_ps(values.as_mut_ptr().add(4 * column), sum) };
        start = end;
    }
}

/// `sums = weight * row`, or where `add`, `sums += weight * row`.
pub(super) fn accumulate(_: Avx2, weight: f32, row: &[f32], add: bool, sums: &mut [f32]) {
    // SAFETY: the token proves AVX2.
    unsafe {
        if add {
            add_scaled(weight, row, sums);
        } else {
            set_scaled(weight, row, sums);
        }
    }
}

#[target_feature(enable = "avx2")]
fn add_scaled(weight: f32, row: &[f32], sums: &mut [f32]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += weight * value;
    }
}

#[target_feature(enable = "avx2")]
fn set_scaled(weight: f32, row: &[f32], sums: &mut [f32]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum = weight * value;
    }
}

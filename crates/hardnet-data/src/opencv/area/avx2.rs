//! Averages of parts of RGB pixels on vectors of four and eight values.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use hardnet_simd::Avx2;

use super::{PADDING, Table};
use crate::opencv::avx2::store_words;

/// Averages leading blocks of 2x2 pixels of the rows that `upper` and `lower` begin with; returns their number, all
/// whose loads lie in both. Writes up to [`PADDING`] samples after the last of `count` pixels.
pub(super) fn halve(_: Avx2, [upper, lower]: [&[u8]; 2], count: usize, output: &mut [u8]) -> usize {
    assert!(3 * count + PADDING <= output.len());
    let readable = upper.len().min(lower.len());
    let groups = (count / PIXELS).min(readable.saturating_sub(4) / (6 * PIXELS));
    // SAFETY: the token proves AVX2. From the samples of each group on, 4 more can be read from both rows, and there is
    // room for the pixels of all groups and the padding.
    unsafe { halve_groups([upper, lower], groups, output) };
    groups * PIXELS
}

/// Pixels that [`halve`] makes together.
const PIXELS: usize = 8;

/// # Safety
/// `6 * PIXELS` samples for each group and 4 more can be read from both rows, `3 * PIXELS` for each group and 8 more
/// written.
#[target_feature(enable = "avx2")]
unsafe fn halve_groups(rows: [&[u8]; 2], groups: usize, output: &mut [u8]) {
    // Both samples of each channel side by side, of two pairs of pixels.
    let pairs = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 3, 1, 4, 2, 5, -1, -1, 6, 9, 7, 10, 8, 11, -1, -1));
    let (one, two) = (_mm256_set1_epi8(1), _mm256_set1_epi16(2));
    let average = |at: usize| {
        let [upper, lower] = rows.map(|row| {
            // SAFETY: 28 samples from `at` on, of which the last of a group ends 4 after it.
            let samples = unsafe { _mm256_loadu2_m128i(row.as_ptr().add(at + 12).cast(), row.as_ptr().add(at).cast()) };
            _mm256_maddubs_epi16(_mm256_shuffle_epi8(samples, pairs), one)
        });
        _mm256_srli_epi16::<2>(_mm256_add_epi16(_mm256_add_epi16(upper, lower), two))
    };
    for group in 0..groups {
        let at = 6 * PIXELS * group;
        // SAFETY: 24 samples of the group, and 8 after it.
        unsafe { store_words(output.as_mut_ptr().add(3 * PIXELS * group), average(at), average(at + 24)) };
    }
}

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

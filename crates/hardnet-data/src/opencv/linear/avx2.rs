//! Linear interpolation of RGB rows on 256-bit vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::ops::Range;

use hardnet_simd::Avx2;

use super::{Arithmetic, PADDING};
use crate::opencv::avx2::store_words;
use crate::opencv::positions::{Groups, Taps};

/// Columns that are made together.
const COLUMNS: usize = 4;

/// Weights of consecutive columns as vectors.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    /// Two vectors for each group of [`COLUMNS`]: of columns 0 and 2, and of 1 and 3.
    weights: Vec<[[i16; 16]; 2]>,
}

impl Vectors {
    pub(super) fn plan(&mut self, columns: &Taps<2, i16>) {
        self.weights.clear();
        let groups = columns.weights[columns.consecutive.clone()].as_chunks::<COLUMNS>().0;
        self.weights.extend(
            groups
                .iter()
                .map(|weights| [0, 1].map(|first| std::array::from_fn(|lane| weights[first + lane / 8 * 2][lane % 2]))),
        );
    }
}

/// Interpolates columns of the row that `input` begins with, those done: the groups whose loads lie in `input`.
pub(super) fn horizontal(
    _: Avx2,
    arithmetic: Arithmetic,
    columns: &Taps<2, i16>,
    vectors: &Vectors,
    input: &[u8],
    values: &mut [u16],
) -> Range<usize> {
    let Groups { starts, columns, .. } = columns.groups::<COLUMNS>(input.len(), 16);
    let values = values[4 * columns.start..4 * columns.end].as_chunks_mut().0;
    // SAFETY: the token proves AVX2; `groups` gives columns from whose first samples on 16 can be read.
    unsafe {
        match arithmetic {
            Arithmetic::Short => interpolate::<4>(starts, &vectors.weights, input, values),
            Arithmetic::Exact => interpolate::<0>(starts, &vectors.weights, input, values),
        }
    }
    columns
}

/// Makes sums without their low `DROPPED` bits.
///
/// # Safety
/// 16 samples of `input` can be read from each of `starts` on.
#[target_feature(enable = "avx2")]
unsafe fn interpolate<const DROPPED: i32>(
    starts: &[[u32; COLUMNS]],
    weights: &[[[i16; 16]; 2]],
    input: &[u8],
    values: &mut [[u16; 4 * COLUMNS]],
) {
    // Both pixels' samples of each channel side by side, as 16-bit numbers.
    let pairs = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    let pair = |a: u32, b: u32, weights: &[i16; 16]| {
        // SAFETY: the caller's promise; weights are 16.
        unsafe {
            let (a, b) = (input.as_ptr().add(a as usize), input.as_ptr().add(b as usize));
            let samples = _mm256_shuffle_epi8(_mm256_loadu2_m128i(b.cast(), a.cast()), pairs);
            let sums = _mm256_madd_epi16(samples, _mm256_loadu_si256(weights.as_ptr().cast()));
            _mm256_srai_epi32::<DROPPED>(sums)
        }
    };
    for ((&[a, b, c, d], weights), values) in starts.iter().zip(weights).zip(values) {
        // Halves of the packed vector: columns 0 and 1, 2 and 3.
        let sums = _mm256_packus_epi32(pair(a, c, &weights[0]), pair(b, d, &weights[1]));
        // SAFETY: values are 16.
        unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), sums) };
    }
}

/// Interpolates between two rows of four values a pixel; writes up to [`PADDING`] samples after the last.
pub(super) fn vertical(_: Avx2, rows: [&[u16]; 2], weights: [i16; 2], output: &mut [u8]) {
    check(rows, output);
    // SAFETY: the token proves AVX2; the rows are as long, and the output has room.
    unsafe { short(rows, weights, output) };
}

/// The same for [`Arithmetic::Exact`].
pub(super) fn vertical_exact(_: Avx2, rows: [&[u16]; 2], weights: [i16; 2], output: &mut [u8]) {
    check(rows, output);
    // SAFETY: the token proves AVX2; the rows are as long, and the output has room.
    unsafe { exact(rows, weights, output) };
}

fn check([upper, lower]: [&[u16]; 2], output: &[u8]) {
    assert!(upper.len() == lower.len() && upper.len() / 4 * 3 + PADDING <= output.len());
}

/// # Safety
/// As [`blend`].
#[target_feature(enable = "avx2")]
unsafe fn short(rows: [&[u16]; 2], weights: [i16; 2], output: &mut [u8]) {
    let [a, b] = weights.map(|weight| _mm256_set1_epi16(weight));
    let two = _mm256_set1_epi16(2);
    let sums = |upper: __m256i, lower: __m256i| {
        let sum = _mm256_add_epi16(_mm256_mulhi_epi16(upper, a), _mm256_mulhi_epi16(lower, b));
        _mm256_srai_epi16::<2>(_mm256_add_epi16(sum, two))
    };
    // SAFETY: the caller's promise.
    unsafe { blend(rows, sums, output) };
}

/// # Safety
/// As [`blend`].
#[target_feature(enable = "avx2")]
unsafe fn exact(rows: [&[u16]; 2], weights: [i16; 2], output: &mut [u8]) {
    // Products of signed numbers: values less 2^15 times weights whose sum is 2^8.
    let sign = _mm256_set1_epi16(i16::MIN);
    let weights = _mm256_set1_epi32(i32::from(weights[1]) << 16 | i32::from(weights[0]));
    let rest = _mm256_set1_epi32((1 << 23) + (1 << 15));
    let sum = |pairs: __m256i| _mm256_srli_epi32::<16>(_mm256_add_epi32(_mm256_madd_epi16(pairs, weights), rest));
    let sums = |upper: __m256i, lower: __m256i| {
        let (upper, lower) = (_mm256_xor_si256(upper, sign), _mm256_xor_si256(lower, sign));
        let (first, second) = (_mm256_unpacklo_epi16(upper, lower), _mm256_unpackhi_epi16(upper, lower));
        _mm256_packs_epi32(sum(first), sum(second))
    };
    // SAFETY: the caller's promise.
    unsafe { blend(rows, sums, output) };
}

/// Makes samples by `sums` of 16 values of each row.
///
/// # Safety
/// The rows are as long, a multiple of four; `output` has three samples for each four values and [`PADDING`] more.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn blend([upper, lower]: [&[u16]; 2], sums: impl Fn(__m256i, __m256i) -> __m256i, output: &mut [u8]) {
    const VALUES: usize = 32;
    let whole = upper.len() / VALUES * VALUES;
    for at in (0..whole).step_by(VALUES) {
        // SAFETY: 32 values from `at` on lie in both rows; there is room for their samples and the padding.
        unsafe {
            let load = |row: &[u16], at: usize| _mm256_loadu_si256(row.as_ptr().add(at).cast());
            let first = sums(load(upper, at), load(lower, at));
            let second = sums(load(upper, at + 16), load(lower, at + 16));
            store_words(output.as_mut_ptr().add(at / 4 * 3), first, second);
        }
    }
    if whole < upper.len() {
        let mut rest = [[0_u16; VALUES]; 2];
        rest[0][..upper.len() - whole].copy_from_slice(&upper[whole..]);
        rest[1][..lower.len() - whole].copy_from_slice(&lower[whole..]);
        // SAFETY: the arrays have 32 values; after the samples of whole groups there is room for 32 of padding.
        unsafe {
            let load = |row: usize, at: usize| _mm256_loadu_si256(rest[row].as_ptr().add(at).cast());
            let (first, second) = (sums(load(0, 0), load(1, 0)), sums(load(0, 16), load(1, 16)));
            store_words(output.as_mut_ptr().add(whole / 4 * 3), first, second);
        }
    }
}

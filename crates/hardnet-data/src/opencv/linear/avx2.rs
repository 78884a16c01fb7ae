//! Linear interpolation of RGB rows on 256-bit vectors.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::ops::Range;

use hardnet_simd::Avx2;

use super::PADDING;
use crate::opencv::positions::Taps;

/// Columns that are made together.
const COLUMNS: usize = 4;

/// Columns whose pixels follow each other, prepared for [`horizontal`].
#[derive(Debug, Default)]
pub(super) struct Groups {
    range: Range<usize>,
    /// Two vectors of weights for each group of [`COLUMNS`]: of columns 0 and 2, and of 1 and 3.
    weights: Vec<[[i16; 16]; 2]>,
}

impl Groups {
    pub(super) fn plan(&mut self, columns: &Taps<2, i16>) {
        let Range { start, end } = columns.consecutive();
        self.range = start..start + (end - start) / COLUMNS * COLUMNS;
        self.weights.clear();
        let groups = columns.weights[self.range.clone()].as_chunks::<COLUMNS>().0;
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
    columns: &Taps<2, i16>,
    groups: &Groups,
    input: &[u8],
    values: &mut [i16],
) -> Range<usize> {
    let pixels = columns.pixels[groups.range.clone()].as_chunks::<COLUMNS>().0;
    let count = pixels.partition_point(|group| 3 * group[COLUMNS - 1][0] + 16 <= input.len());
    let range = groups.range.start..groups.range.start + count * COLUMNS;
    let values = &mut values[4 * range.start..4 * range.end];
    // SAFETY: the token proves AVX2. Pixels ascend, so 16 samples can be read from each of these groups' on.
    unsafe { interpolate(&pixels[..count], &groups.weights, input, values.as_chunks_mut().0) };
    range
}

/// # Safety
/// 16 samples of `input` can be read from the first pixel of each column of `pixels` on.
#[target_feature(enable = "avx2")]
unsafe fn interpolate(
    pixels: &[[[usize; 2]; COLUMNS]],
    weights: &[[[i16; 16]; 2]],
    input: &[u8],
    values: &mut [[i16; 4 * COLUMNS]],
) {
    // Both pixels' samples of each channel side by side, as 16-bit numbers.
    let pairs = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    let pair = |[a, b]: [[usize; 2]; 2], weights: &[i16; 16]| {
        // SAFETY: the caller's promise; weights are 16.
        unsafe {
            let (a, b) = (input.as_ptr().add(3 * a[0]), input.as_ptr().add(3 * b[0]));
            let samples = _mm256_shuffle_epi8(_mm256_loadu2_m128i(b.cast(), a.cast()), pairs);
            _mm256_srai_epi32::<4>(_mm256_madd_epi16(samples, _mm256_loadu_si256(weights.as_ptr().cast())))
        }
    };
    for ((&[a, b, c, d], weights), values) in pixels.iter().zip(weights).zip(values) {
        // Halves of the packed vector: columns 0 and 1, 2 and 3.
        let sums = _mm256_packs_epi32(pair([a, c], &weights[0]), pair([b, d], &weights[1]));
        // SAFETY: values are 16.
        unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), sums) };
    }
}

/// Interpolates between two rows of four values a pixel; writes up to [`PADDING`] samples after the last.
pub(super) fn vertical(_: Avx2, [upper, lower]: [&[i16]; 2], weights: [i16; 2], output: &mut [u8]) {
    assert!(upper.len() == lower.len() && upper.len() / 4 * 3 + PADDING <= output.len());
    // SAFETY: the token proves AVX2; the rows are as long, and the output has room.
    unsafe { rows(upper, lower, weights, output) };
}

/// # Safety
/// `lower` is as long as `upper`, a multiple of four; `output` has three samples for each four values and [`PADDING`]
/// more.
#[target_feature(enable = "avx2")]
unsafe fn rows(upper: &[i16], lower: &[i16], weights: [i16; 2], output: &mut [u8]) {
    const VALUES: usize = 32;
    let [a, b] = weights.map(|weight| _mm256_set1_epi16(weight));
    let two = _mm256_set1_epi16(2);
    let colors = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    let together = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    let blend = |upper: __m256i, lower: __m256i| {
        let sum = _mm256_add_epi16(_mm256_mulhi_epi16(upper, a), _mm256_mulhi_epi16(lower, b));
        _mm256_srai_epi16::<2>(_mm256_add_epi16(sum, two))
    };
    let store = |to: *mut u8, first: __m256i, second: __m256i| {
        let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(first, second));
        let samples = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(bytes, colors), together);
        // SAFETY: the caller's promise: 24 samples, and 8 of padding.
        unsafe { _mm256_storeu_si256(to.cast(), samples) };
    };
    let whole = upper.len() / VALUES * VALUES;
    for at in (0..whole).step_by(VALUES) {
        // SAFETY: 32 values from `at` on lie in both rows.
        unsafe {
            let load = |row: &[i16], at: usize| _mm256_loadu_si256(row.as_ptr().add(at).cast());
            let first = blend(load(upper, at), load(lower, at));
            let second = blend(load(upper, at + 16), load(lower, at + 16));
            store(output.as_mut_ptr().add(at / 4 * 3), first, second);
        }
    }
    if whole < upper.len() {
        let mut rest = [[0_i16; VALUES]; 2];
        rest[0][..upper.len() - whole].copy_from_slice(&upper[whole..]);
        rest[1][..lower.len() - whole].copy_from_slice(&lower[whole..]);
        // SAFETY: the arrays have 32 values; after the samples of whole groups there is room for 32 of padding.
        unsafe {
            let load = |row: usize, at: usize| _mm256_loadu_si256(rest[row].as_ptr().add(at).cast());
            let (first, second) = (blend(load(0, 0), load(1, 0)), blend(load(0, 16), load(1, 16)));
            store(output.as_mut_ptr().add(whole / 4 * 3), first, second);
        }
    }
}

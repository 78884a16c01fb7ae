//! The two passes on 256-bit vectors.
//!
//! A vector holds four taps in each of eight 32-bit lanes. What the lanes are differs: eight samples of a row in the
//! vertical pass, the channels of a pixel in two rows or one gray sample in eight rows in the horizontal one. What is
//! done with them does not: [`Sums::add`].
//!
//! Loads of taps with weight 0 change no result, so comparing results cannot show that one leaves its slice: debug
//! assertions at the loads and stores do.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use hardnet_simd::Avx2;

use super::quads::{Quad, Quads, TAPS};
use super::{BATCH, HALF, PADDING, SampleRows};
use crate::image::Channels;
use crate::resize::weights::PRECISION_BITS;

/// Samples that [`vertical`] computes together, and the least that it can compute.
pub(super) const SAMPLES: usize = 32;

/// Rows whose RGB pixels are made together: their sums and the operands of one step fill the sixteen registers.
const RGB_ROWS: usize = 4;

/// Resamples `count` rows, at most [`BATCH`], to those leading columns whose loads stay inside `input`: the number of
/// columns done. Row `i` goes to `output[i * stride..]`, with [`PADDING`] samples after it overwritten.
#[expect(clippy::too_many_arguments, reason = "the arguments of a loop")]
pub(super) fn horizontal(
    _: Avx2,
    channels: Channels,
    input: SampleRows<'_>,
    count: usize,
    starts: &[usize],
    quads: &Quads,
    output: &mut [u8],
    stride: usize,
) -> usize {
    let samples = channels.count();
    // A column's loads in one row: its quads, and one sample more per missing channel of the last 16-byte load.
    let span = quads.per_window() * TAPS * samples + if samples == 3 { 16 - 3 * TAPS } else { 0 };
    let Some(room) = input.samples.len().checked_sub((count - 1) * input.stride + span) else { return 0 };
    let columns = starts.partition_point(|start| start * samples <= room);
    let starts = &starts[..columns];
    assert!((1..=BATCH).contains(&count) && columns * quads.per_window() <= quads.all().len());
    assert!(columns * samples + PADDING <= stride && count * stride <= output.len());
    match channels {
        // SAFETY: the token proves AVX2. In the last row, and so in all, `span` samples from each start lie in `input`
        // by the choice of `columns`; there are quads for each column and room for the results by the assertions.
        Channels::Gray => unsafe { gray(input, count, starts, quads, output, stride) },
        Channels::Rgb => {
            for first in (0..count).step_by(RGB_ROWS) {
                let rows = RGB_ROWS.min(count - first);
                let output = &mut output[first * stride..];
                // SAFETY: as above, for `rows` rows from `first` on.
                unsafe { rgb(input.from(first), rows, starts, quads, output, stride) }
            }
        }
    }
    columns
}

/// The weighted sum of `taps` rows of `input` into the whole of `output`, which has at least [`SAMPLES`] samples.
pub(super) fn vertical(_: Avx2, input: SampleRows<'_>, taps: usize, quads: &[Quad], output: &mut [u8]) {
    assert!(taps > 0 && output.len() >= SAMPLES);
    assert!((taps - 1) * input.stride + output.len() <= input.samples.len());
    // The last block may overlap the one before and then makes the same samples again.
    let last = output.len() - SAMPLES;
    for at in (0..last).step_by(SAMPLES).chain([last]) {
        // SAFETY: the token proves AVX2. `at + SAMPLES` samples lie in `output` and, by the second assertion, in every
        // row of `input` before row `taps`.
        unsafe { block(input, at, taps, quads, output) }
    }
}

/// Eight weighted sums in the making.
#[derive(Clone, Copy)]
struct Sums {
    /// Sums of products with low parts, and the half that rounds.
    low: __m256i,
    /// Two sums a lane of products with high parts, modulo 2^16.
    high: __m256i,
}

impl Sums {
    #[target_feature(enable = "avx2")]
    fn new() -> Sums {
        Sums { low: _mm256_set1_epi32(HALF), high: _mm256_setzero_si256() }
    }

    /// Adds the products of four bytes a lane with their weights.
    #[target_feature(enable = "avx2")]
    fn add(&mut self, samples: __m256i, quad: &Quad) {
        let even = _mm256_and_si256(samples, _mm256_set1_epi16(0xff));
        let odd = _mm256_srli_epi16::<8>(samples);
        let even = _mm256_madd_epi16(even, _mm256_set1_epi32(quad.even));
        let odd = _mm256_madd_epi16(odd, _mm256_set1_epi32(quad.odd));
        self.low = _mm256_add_epi32(self.low, _mm256_add_epi32(even, odd));
        let high = _mm256_maddubs_epi16(samples, _mm256_set1_epi32(quad.high));
        self.high = _mm256_add_epi16(self.high, high);
    }

    /// The sums in units of a sample, not yet clipped.
    #[target_feature(enable = "avx2")]
    fn samples(self) -> __m256i {
        let high = _mm256_slli_epi32::<16>(_mm256_madd_epi16(self.high, _mm256_set1_epi16(1)));
        _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm256_add_epi32(self.low, high))
    }
}

/// One block of the vertical pass: the [`SAMPLES`] samples from `at` on.
///
/// # Safety
/// That many samples from `at` on lie in `output` and in each of the first `taps` rows of `input`.
#[target_feature(enable = "avx2")]
unsafe fn block(input: SampleRows<'_>, at: usize, taps: usize, quads: &[Quad], output: &mut [u8]) {
    let mut sums = [Sums::new(); 4];
    for (index, quad) in quads[..taps.div_ceil(TAPS)].iter().enumerate() {
        let row = |tap: usize| {
            // The taps after the last one have weights 0; any row will do for them.
            let start = (index * TAPS + tap).min(taps - 1) * input.stride + at;
            debug_assert!(start + SAMPLES <= input.samples.len());
            // SAFETY: 32 samples from `at` on in one of the first `taps` rows.
            unsafe { _mm256_loadu_si256(input.samples.as_ptr().add(start).cast()) }
        };
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        // Interleaved within each half of the vectors: lane i of sums[k] is sample 4 k + i, of the upper half 16 more.
        let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
        sums[0].add(_mm256_unpacklo_epi16(ab, cd), quad);
        sums[1].add(_mm256_unpackhi_epi16(ab, cd), quad);
        let (ab, cd) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
        sums[2].add(_mm256_unpacklo_epi16(ab, cd), quad);
        sums[3].add(_mm256_unpackhi_epi16(ab, cd), quad);
    }
    let [a, b, c, d] = sums.map(|sums| sums.samples());
    let samples = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    debug_assert!(at + SAMPLES <= output.len());
    // SAFETY: 32 samples from `at` on.
    unsafe { _mm256_storeu_si256(output.as_mut_ptr().add(at).cast(), samples) };
}

/// The columns of [`horizontal`] in at most [`RGB_ROWS`] rows; the missing rows repeat the last.
///
/// # Safety
/// From each of `starts`, in pixels, `12 * quads.per_window() + 4` samples can be read in each of `rows` (at least 1)
/// rows of `input`. There are quads for each start, and `3 * starts.len() + 1` samples can be written to each row of
/// `output`.
#[target_feature(enable = "avx2")]
unsafe fn rgb(input: SampleRows<'_>, rows: usize, starts: &[usize], quads: &Quads, output: &mut [u8], stride: usize) {
    // From four pixels, the four bytes of red, then of green, then of blue.
    let by_channel = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    let pointers: [*const u8; RGB_ROWS] =
        std::array::from_fn(|row| input.samples[row.min(rows - 1) * input.stride..].as_ptr());
    for (column, (&start, quads)) in starts.iter().zip(quads.all().chunks_exact(quads.per_window())).enumerate() {
        let mut sums = [Sums::new(); RGB_ROWS / 2];
        for (index, quad) in quads.iter().enumerate() {
            let at = 3 * start + 3 * TAPS * index;
            debug_assert!((rows - 1) * input.stride + at + 16 <= input.samples.len());
            for (pair, sums) in sums.iter_mut().enumerate() {
                // SAFETY: 16 samples from `at` on end `12 * index + 16` after the start, at most
                // `12 * per_window + 4`.
                let pixels = unsafe { load_halves(pointers[2 * pair].add(at), pointers[2 * pair + 1].add(at)) };
                sums.add(_mm256_shuffle_epi8(pixels, by_channel), quad);
            }
        }
        let [a, b] = sums.map(|sums| sums.samples());
        // In the lower half the pixels of rows 0 and 2, four bytes each, in the upper those of rows 1 and 3.
        let words = _mm256_packs_epi32(a, b);
        let bytes = _mm256_packus_epi16(words, words);
        let (lower, upper) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
        let pixels = [
            _mm_cvtsi128_si32(lower),
            _mm_cvtsi128_si32(upper),
            _mm_extract_epi32::<1>(lower),
            _mm_extract_epi32::<1>(upper),
        ];
        for (row, pixel) in pixels.into_iter().enumerate() {
            let at = row.min(rows - 1) * stride + 3 * column;
            debug_assert!(at + 4 <= output.len());
            // SAFETY: the four bytes from `3 * column` on end at most one after the last column of an existing row.
            unsafe { output.as_mut_ptr().add(at).cast::<i32>().write_unaligned(pixel) };
        }
    }
}

/// The 16 bytes at `lower` and at `upper` as the halves of a vector.
///
/// # Safety
/// 16 bytes can be read from each.
#[target_feature(enable = "avx2")]
unsafe fn load_halves(lower: *const u8, upper: *const u8) -> __m256i {
    // SAFETY: promised by the caller.
    unsafe { _mm256_loadu2_m128i(upper.cast(), lower.cast()) }
}

/// The columns of [`horizontal`] in at most [`BATCH`] rows; the missing rows repeat the last.
///
/// # Safety
/// From each of `starts`, `4 * quads.per_window()` samples can be read in each of `rows` (at least 1) rows of `input`.
/// There are quads for each start, and `starts.len()` samples can be written to each row of `output`.
#[target_feature(enable = "avx2")]
unsafe fn gray(input: SampleRows<'_>, rows: usize, starts: &[usize], quads: &Quads, output: &mut [u8], stride: usize) {
    let pointers: [*const u8; BATCH] =
        std::array::from_fn(|row| input.samples[row.min(rows - 1) * input.stride..].as_ptr());
    for (column, (&start, quads)) in starts.iter().zip(quads.all().chunks_exact(quads.per_window())).enumerate() {
        let mut sums = Sums::new();
        for (index, quad) in quads.iter().enumerate() {
            let at = start + TAPS * index;
            debug_assert!((rows - 1) * input.stride + at + TAPS <= input.samples.len());
            // SAFETY: the four samples end `4 * index + 4` after the start, at most `4 * per_window`.
            let taps = pointers.map(|pointer| unsafe { pointer.add(at).cast::<i32>().read_unaligned() });
            let [a, b, c, d, e, f, g, h] = taps;
            sums.add(_mm256_setr_epi32(a, b, c, d, e, f, g, h), quad);
        }
        let words = _mm256_packs_epi32(sums.samples(), _mm256_setzero_si256());
        let bytes = _mm256_packus_epi16(words, words);
        let lower = _mm_cvtsi128_si32(_mm256_castsi256_si128(bytes)).to_le_bytes();
        let upper = _mm_cvtsi128_si32(_mm256_extracti128_si256::<1>(bytes)).to_le_bytes();
        for (row, sample) in lower.into_iter().chain(upper).enumerate() {
            let at = row.min(rows - 1) * stride + column;
            debug_assert!(at < output.len());
            // SAFETY: one sample in column `column` of an existing row.
            unsafe { output.as_mut_ptr().add(at).write(sample) };
        }
    }
}

//! The trait of 16-bit products, and dispatch to its implementations.
#![allow(unsafe_code)]

use crate::arch::portable::Portable;
use crate::detect::Isa;
#[cfg(target_arch = "aarch64")]
use crate::detect::Neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use crate::detect::Simd128;
#[cfg(target_arch = "x86_64")]
use crate::detect::{Avx2, Avx512Vnni};
use crate::dot::Dot;

/// Vectors of 16-bit values: sixteen channels of a pixel, and pairs of values for each of [`LANES`](Dot::LANES) sums of
/// products. All operations wrap around.
pub trait Words: Dot {
    /// Sixteen values.
    type W: Copy;

    /// Two values in each lane of sums.
    type Pairs: Copy;

    /// Loads sixteen bytes.
    ///
    /// # Safety
    /// `from` is valid for reading them.
    unsafe fn widen(self, from: *const u8) -> Self::W;

    /// `a + b`.
    fn add_words(self, a: Self::W, b: Self::W) -> Self::W;

    /// `a - b`.
    fn sub_words(self, a: Self::W, b: Self::W) -> Self::W;

    /// Loads two values for each lane.
    ///
    /// # Safety
    /// `from` is valid for reading them.
    unsafe fn load_pairs(self, from: *const i16) -> Self::Pairs;

    /// Loads two bytes with signs for each lane.
    ///
    /// # Safety
    /// `from` is valid for reading them.
    unsafe fn widen_pairs(self, from: *const i8) -> Self::Pairs;

    /// `a + b`.
    fn add_pairs(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs;

    /// `a - b`.
    fn sub_pairs(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs;

    /// Stores two values for each lane.
    ///
    /// # Safety
    /// `to` is valid for writing them.
    unsafe fn store_pairs(self, to: *mut i16, value: Self::Pairs);

    /// Stores sixteen values.
    ///
    /// # Safety
    /// `to` is valid for writing them.
    unsafe fn store_words(self, to: *mut i16, value: Self::W);

    /// The same two values in every lane.
    ///
    /// # Safety
    /// `from` is valid for reading two values.
    unsafe fn pair(self, from: *const i16) -> Self::Pairs;

    /// Adds the two products of every lane.
    fn dot_words(self, sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums;

    /// Zeros.
    fn no_sums(self) -> Self::Sums;

    /// `a + b`.
    fn add_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// `a - b`.
    fn sub_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// A quarter of every sum, rounded down.
    fn quarter(self, sums: Self::Sums) -> Self::Sums;

    /// `x` where a sum is `576 * x` modulo 2^32 and `x` has less than 26 bits with its sign.
    fn part_of_576(self, sums: Self::Sums) -> Self::Sums;

    /// Stores sums.
    ///
    /// # Safety
    /// `to` is valid for writing all lanes.
    unsafe fn store_sums(self, to: *mut i32, value: Self::Sums);

    /// Runs `kernel` compiled for this set.
    fn call_words<K: WordsKernel>(self, kernel: K) -> K::Output;
}

/// A computation compiled once for each implementation of [`Words`]. `run` must be `#[inline(always)]`.
pub trait WordsKernel {
    /// Result of the computation.
    type Output;

    /// Computes with the vectors of `words`.
    fn run<D: Words>(self, words: D) -> Self::Output;
}

/// The inverse of 9 modulo 2^32.
pub(crate) const NINTH: i32 = 0x38E3_8E39;

/// Runs `kernel` on AVX-512 VNNI, AVX2, NEON or 128-bit vectors of WebAssembly where `isa` includes them, on portable
/// vectors elsewhere.
pub fn dispatch_words<K: WordsKernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let Isa::Avx512Vnni(token) = isa {
        return Avx512Vnni::call_words(token, kernel);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = isa.avx2() {
        return Avx2::call_words(token, kernel);
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(token) = isa.neon() {
        return Neon::call_words(token, kernel);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if let Some(token) = isa.simd128() {
        return Simd128::call_words(token, kernel);
    }
    let _ = isa;
    Portable.call_words(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Check;

    impl WordsKernel for Check {
        type Output = ();

        #[inline(always)]
        fn run<D: Words>(self, d: D) {
            let bytes: Vec<u8> = (0..32).map(|at| 255 - at * 7).collect();
            let words: Vec<i16> = (0..32).map(|at| at * 1000 - 8000).collect();
            let mut found = [0_i16; 16];
            let mut sums = [[0_i32; 16]; 2];
            // SAFETY: the lists have sixteen values, or as many sums.
            unsafe {
                let (a, b) = (d.widen(bytes.as_ptr()), d.widen(bytes.as_ptr().add(16)));
                d.store_words(found.as_mut_ptr(), d.sub_words(d.add_words(a, a), b));
                let product = d.dot_words(d.no_sums(), d.pair(words.as_ptr().add(2)), d.load_pairs(words.as_ptr()));
                let value = d.sub_sums(d.add_sums(product, product), d.quarter(product));
                d.store_sums(sums[0].as_mut_ptr(), value);
                let multiples: Vec<i32> = (0..16).map(|at| ((at - 8) * 4_194_303_i32).wrapping_mul(576)).collect();
                d.store_sums(sums[1].as_mut_ptr(), d.part_of_576(d.load_sums(multiples.as_ptr())));
            }
            let mut pairs = vec![0_i16; 2 * D::LANES];
            // SAFETY: the lists have two values for each lane.
            unsafe {
                let (a, b) = (d.widen_pairs(bytes.as_ptr().cast()), d.load_pairs(words.as_ptr()));
                d.store_pairs(pairs.as_mut_ptr(), d.sub_pairs(d.add_pairs(a, a), b));
            }
            for at in 0..2 * D::LANES {
                assert_eq!(pairs[at], 2 * i16::from(bytes[at].cast_signed()) - words[at], "{at}");
            }
            for at in 0..16 {
                assert_eq!(found[at], 2 * i16::from(bytes[at]) - i16::from(bytes[at + 16]), "{at}");
            }
            for lane in 0..D::LANES {
                let product = |at: usize| i32::from(words[2 + at]) * i32::from(words[2 * lane + at]);
                let product = product(0) + product(1);
                assert_eq!(sums[0][lane], 2 * product - (product >> 2), "{lane}");
                assert_eq!(sums[1][lane], (lane as i32 - 8) * 4_194_303, "{lane}");
            }
        }
    }

    #[test]
    fn words_are_exact_on_every_set() {
        for isa in Isa::available() {
            dispatch_words(isa, Check);
        }
    }
}

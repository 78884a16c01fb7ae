//! The trait of 16-bit products, and dispatch to its implementations.
#![allow(unsafe_code)]

use crate::arch::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::detect::Avx2;
use crate::detect::Isa;
use crate::dot::Dot;

/// Sixteen 16-bit values in a vector, and sums of their products, where [`LANES`](Dot::LANES) is 8. All operations wrap
/// around.
pub trait Words: Dot {
    /// Sixteen values.
    type W: Copy;

    /// Loads sixteen bytes.
    ///
    /// # Safety
    /// `from` is valid for reading them.
    unsafe fn widen(self, from: *const u8) -> Self::W;

    /// `a + b`.
    fn add_words(self, a: Self::W, b: Self::W) -> Self::W;

    /// `a - b`.
    fn sub_words(self, a: Self::W, b: Self::W) -> Self::W;

    /// Loads sixteen values.
    ///
    /// # Safety
    /// `from` is valid for reading them.
    unsafe fn load_words(self, from: *const i16) -> Self::W;

    /// Stores sixteen values.
    ///
    /// # Safety
    /// `to` is valid for writing them.
    unsafe fn store_words(self, to: *mut i16, value: Self::W);

    /// The same two values in every lane of 32 bits.
    ///
    /// # Safety
    /// `from` is valid for reading two values.
    unsafe fn pair(self, from: *const i16) -> Self::W;

    /// Adds the two products of every lane.
    fn dot_words(self, sums: Self::Sums, a: Self::W, b: Self::W) -> Self::Sums;

    /// Zeros.
    fn no_sums(self) -> Self::Sums;

    /// `a + b`.
    fn add_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// `a - b`.
    fn sub_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// A quarter of every sum, rounded down.
    fn quarter(self, sums: Self::Sums) -> Self::Sums;

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

/// Runs `kernel` on AVX2 where `isa` includes it, on portable vectors elsewhere.
pub fn dispatch_words<K: WordsKernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = isa.avx2() {
        return Avx2::call_words(token, kernel);
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
            let words: Vec<i16> = (0..16).map(|at| at * 1000 - 8000).collect();
            let mut found = [0_i16; 16];
            let mut sums = [0_i32; 8];
            // SAFETY: the lists have sixteen values, or eight sums.
            unsafe {
                let (a, b) = (d.widen(bytes.as_ptr()), d.load_words(words.as_ptr()));
                d.store_words(found.as_mut_ptr(), d.sub_words(d.add_words(a, b), d.widen(bytes.as_ptr().add(16))));
                let product = d.dot_words(d.no_sums(), d.pair(words.as_ptr().add(2)), b);
                let value = d.sub_sums(d.add_sums(product, product), d.quarter(product));
                d.store_sums(sums.as_mut_ptr(), value);
            }
            for at in 0..16 {
                assert_eq!(found[at], i16::from(bytes[at]) + words[at] - i16::from(bytes[at + 16]), "{at}");
            }
            for lane in 0..8 {
                let product = |at: usize| i32::from(words[2 + at]) * i32::from(words[2 * lane + at]);
                let product = product(0) + product(1);
                assert_eq!(sums[lane], 2 * product - (product >> 2), "{lane}");
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

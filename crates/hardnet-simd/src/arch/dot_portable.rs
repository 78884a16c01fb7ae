//! 8-bit products in arrays, for any processor.
#![allow(unsafe_code)]

use super::portable::Portable;
use crate::dot::{BYTE_LANES, Dot, DotKernel};
use crate::words::{NINTH, Words, WordsKernel};

/// Lanes of a vector.
const LANES: usize = 8;

impl Dot for Portable {
    type Sums = [i32; LANES];
    type Weights = [[i8; 4]; LANES];
    type Inputs = [[u8; 4]; LANES];
    type Floats = [f32; LANES];
    const LANES: usize = LANES;
    const WEIGHT_BYTES: usize = 1;
    const TILES: [usize; 3] = [4, 0, 0];

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> [[i8; 4]; LANES] {
        // SAFETY: the caller gives four bytes for each lane.
        unsafe { from.cast::<[[i8; 4]; LANES]>().read() }
    }

    #[inline(always)]
    unsafe fn inputs(self, from: *const u8) -> [[u8; 4]; LANES] {
        // SAFETY: the caller gives four bytes.
        [unsafe { from.cast::<[u8; 4]>().read() }; LANES]
    }

    #[inline(always)]
    unsafe fn pixels(self, from: *const u8) -> [[u8; 4]; LANES] {
        // SAFETY: the caller gives the lanes of four pixels.
        std::array::from_fn(|lane| std::array::from_fn(|pixel| unsafe { *from.add(pixel * BYTE_LANES + lane) }))
    }

    #[inline(always)]
    unsafe fn load_sums(self, from: *const i32) -> [i32; LANES] {
        // SAFETY: the caller gives a sum for each lane.
        unsafe { from.cast::<[i32; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    fn dot(self, mut sums: [i32; LANES], inputs: [[u8; 4]; LANES], weights: [[i8; 4]; LANES]) -> [i32; LANES] {
        for lane in 0..LANES {
            for k in 0..4 {
                let product = i32::from(inputs[lane][k]) * i32::from(weights[lane][k]);
                sums[lane] = sums[lane].wrapping_add(product);
            }
        }
        sums
    }

    #[inline(always)]
    fn floats(self, sums: [i32; LANES]) -> [f32; LANES] {
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> [f32; LANES] {
        // SAFETY: the caller gives a value for each lane.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn gather(self, from: *const f32, _step: usize, _blocks: usize) -> [f32; LANES] {
        // SAFETY: the caller gives one block.
        unsafe { Dot::load(self, from) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> [f32; LANES] {
        // SAFETY: the caller gives a byte for each lane.
        unsafe { from.cast::<[u8; LANES]>().read() }.map(f32::from)
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn clamp(self, value: [f32; LANES], low: [f32; LANES], high: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|lane| {
            let value = if value[lane] > low[lane] { value[lane] } else { low[lane] };
            if value < high[lane] { value } else { high[lane] }
        })
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, value: [f32; LANES]) {
        let bytes = value.map(|value| value.round_ties_even() as u8);
        // SAFETY: the caller gives a byte for each lane.
        unsafe { to.cast::<[u8; LANES]>().write(bytes) };
    }

    #[inline(always)]
    unsafe fn scatter(self, to: *mut f32, _step: usize, _blocks: usize, value: [f32; LANES]) {
        // SAFETY: the caller gives one block.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(value) };
    }

    #[inline(always)]
    fn call<K: DotKernel>(self, kernel: K) -> K::Output {
        call(kernel)
    }

    #[inline(always)]
    fn prefetch(self, _at: *const u8) {}
}

/// A function of its own, so that a kernel's code exists once.
#[inline(never)]
fn call<K: DotKernel>(kernel: K) -> K::Output {
    kernel.run(Portable)
}

impl Words for Portable {
    type W = [i16; 2 * LANES];
    type Pairs = [i16; 2 * LANES];

    #[inline(always)]
    unsafe fn widen(self, from: *const u8) -> Self::W {
        // SAFETY: the caller gives sixteen bytes.
        unsafe { from.cast::<[u8; 2 * LANES]>().read() }.map(i16::from)
    }

    #[inline(always)]
    fn add_words(self, a: Self::W, b: Self::W) -> Self::W {
        std::array::from_fn(|at| a[at].wrapping_add(b[at]))
    }

    #[inline(always)]
    fn sub_words(self, a: Self::W, b: Self::W) -> Self::W {
        std::array::from_fn(|at| a[at].wrapping_sub(b[at]))
    }

    #[inline(always)]
    unsafe fn load_pairs(self, from: *const i16) -> Self::Pairs {
        // SAFETY: the caller gives sixteen values.
        unsafe { from.cast::<Self::W>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn widen_pairs(self, from: *const i8) -> Self::Pairs {
        // SAFETY: the caller gives sixteen bytes.
        unsafe { from.cast::<[i8; 2 * LANES]>().read() }.map(i16::from)
    }

    #[inline(always)]
    fn add_pairs(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs {
        self.add_words(a, b)
    }

    #[inline(always)]
    fn sub_pairs(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs {
        self.sub_words(a, b)
    }

    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut i16, value: Self::Pairs) {
        // SAFETY: the caller's promise.
        unsafe { self.store_words(to, value) };
    }

    #[inline(always)]
    unsafe fn store_words(self, to: *mut i16, value: Self::W) {
        // SAFETY: the caller gives sixteen values.
        unsafe { to.cast::<Self::W>().write_unaligned(value) };
    }

    #[inline(always)]
    unsafe fn pair(self, from: *const i16) -> Self::W {
        // SAFETY: the caller gives two values.
        let pair = unsafe { from.cast::<[i16; 2]>().read_unaligned() };
        std::array::from_fn(|at| pair[at % 2])
    }

    #[inline(always)]
    fn dot_words(self, sums: [i32; LANES], a: Self::W, b: Self::W) -> [i32; LANES] {
        let product = |at: usize| i32::from(a[at]) * i32::from(b[at]);
        std::array::from_fn(|lane| sums[lane].wrapping_add(product(2 * lane)).wrapping_add(product(2 * lane + 1)))
    }

    #[inline(always)]
    fn no_sums(self) -> [i32; LANES] {
        [0; LANES]
    }

    #[inline(always)]
    fn add_sums(self, a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    fn sub_sums(self, a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        std::array::from_fn(|lane| a[lane].wrapping_sub(b[lane]))
    }

    #[inline(always)]
    fn quarter(self, sums: [i32; LANES]) -> [i32; LANES] {
        sums.map(|sum| sum >> 2)
    }

    #[inline(always)]
    fn part_of_576(self, sums: [i32; LANES]) -> [i32; LANES] {
        sums.map(|sum| sum.wrapping_mul(NINTH) >> 6)
    }

    #[inline(always)]
    unsafe fn store_sums(self, to: *mut i32, value: [i32; LANES]) {
        // SAFETY: the caller gives a value for each lane.
        unsafe { to.cast::<[i32; LANES]>().write_unaligned(value) };
    }

    #[inline(always)]
    fn call_words<K: WordsKernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        fn call<K: WordsKernel>(kernel: K) -> K::Output {
            kernel.run(Portable)
        }
        call(kernel)
    }
}

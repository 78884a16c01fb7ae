//! 8-bit products of WebAssembly.
//!
//! `i32x4.dot_i16x8_s` adds two products of 16-bit values: those of even bytes, and another one those of odd bytes, as
//! with AVX2. Relaxed instructions have a dot product of bytes, but one of its operands has seven bits, one less than
//! inputs and weights.
#![allow(unsafe_code)]

use std::arch::wasm32::{
    f32x4_add, f32x4_convert_i32x4, f32x4_mul, f32x4_pmax, f32x4_pmin, f32x4_splat, i8x16_shuffle, i16x8_add,
    i16x8_extend_high_i8x16, i16x8_extend_low_i8x16, i16x8_extend_low_u8x16, i16x8_splat, i16x8_sub, i32x4_add,
    i32x4_dot_i16x8, i32x4_extend_high_u16x8, i32x4_extend_low_u16x8, i32x4_mul, i32x4_shr, i32x4_splat, i32x4_sub,
    u16x8_shr, v128, v128_and, v128_load, v128_load32_splat, v128_load64_zero, v128_store, v128_store64_lane,
};

use super::wasm32::{Block, halves, load_8, store_8};
use crate::detect::Simd128;
use crate::dot::{BYTE_LANES, Dot, DotKernel};
use crate::words::{NINTH, Words, WordsKernel};

/// `1.5 * 2^23`: added to a value between 0 and 255 it leaves the nearest integer, half to even, in the lowest byte.
const ROUNDER: f32 = 12_582_912.0;

/// Even and odd bytes of both halves as 16-bit values, a pair in each lane.
type EvenAndOdd = (Block, Block);

impl Dot for Simd128 {
    type Sums = Block;
    type Weights = EvenAndOdd;
    type Inputs = EvenAndOdd;
    type Floats = Block;
    const LANES: usize = 8;
    const WEIGHT_BYTES: usize = 2;
    const TILES: [usize; 3] = [4, 0, 0];

    fn pack(weights: &[[i8; 4]], packed: &mut [u8]) {
        let pairs = [0, 1].into_iter().flat_map(|odd| weights.iter().map(move |four| [four[odd], four[odd + 2]]));
        for (to, weight) in packed.chunks_exact_mut(2).zip(pairs.flatten()) {
            to.copy_from_slice(&i16::from(weight).to_le_bytes());
        }
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> EvenAndOdd {
        // SAFETY: the caller gives 64 readable bytes.
        unsafe {
            let at = |place: usize| v128_load(from.add(16 * place).cast());
            ((at(0), at(1)), (at(2), at(3)))
        }
    }

    #[inline(always)]
    unsafe fn inputs(self, from: *const u8) -> EvenAndOdd {
        // SAFETY: the caller gives four readable bytes.
        let four = unsafe { v128_load32_splat(from.cast()) };
        let (even, odd) = (v128_and(four, i16x8_splat(0xff)), u16x8_shr(four, 8));
        ((even, even), (odd, odd))
    }

    #[inline(always)]
    unsafe fn pixels(self, from: *const u8) -> EvenAndOdd {
        // SAFETY: the caller gives four pixels, eight bytes of the last.
        let pixel = |at: usize| i16x8_extend_low_u8x16(unsafe { v128_load64_zero(from.add(at * BYTE_LANES).cast()) });
        (pairs(pixel(0), pixel(2)), pairs(pixel(1), pixel(3)))
    }

    #[inline(always)]
    unsafe fn load_sums(self, from: *const i32) -> Block {
        // SAFETY: the caller gives 8 readable values.
        unsafe { load_8(from.cast()) }
    }

    #[inline(always)]
    fn dot(self, sums: Block, inputs: EvenAndOdd, weights: EvenAndOdd) -> Block {
        let sums = self.dot_words(sums, inputs.0, weights.0);
        self.dot_words(sums, inputs.1, weights.1)
    }

    #[inline(always)]
    fn floats(self, sums: Block) -> Block {
        halves!(f32x4_convert_i32x4(sums))
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Block {
        let value = f32x4_splat(value);
        (value, value)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Block {
        // SAFETY: the caller gives 8 readable values.
        unsafe { load_8(from) }
    }

    #[inline(always)]
    unsafe fn gather(self, from: *const f32, _step: usize, _blocks: usize) -> Block {
        // SAFETY: the caller gives one block.
        unsafe { load_8(from) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> Block {
        // SAFETY: the caller gives 8 readable bytes.
        let words = i16x8_extend_low_u8x16(unsafe { v128_load64_zero(from.cast()) });
        let integers = (i32x4_extend_low_u16x8(words), i32x4_extend_high_u16x8(words));
        halves!(f32x4_convert_i32x4(integers))
    }

    #[inline(always)]
    fn mul_add(self, a: Block, b: Block, c: Block) -> Block {
        let product = halves!(f32x4_mul(a, b));
        halves!(f32x4_add(product, c))
    }

    #[inline(always)]
    fn clamp(self, value: Block, low: Block, high: Block) -> Block {
        let value = halves!(f32x4_pmax(low, value));
        halves!(f32x4_pmin(high, value))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, value: Block) {
        let rounder = Dot::splat(self, ROUNDER);
        let rounded = halves!(f32x4_add(value, rounder));
        let bytes = i8x16_shuffle::<0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28>(rounded.0, rounded.1);
        // SAFETY: the caller gives 8 writable bytes.
        unsafe { v128_store64_lane::<0>(bytes, to.cast()) };
    }

    #[inline(always)]
    unsafe fn scatter(self, to: *mut f32, _step: usize, _blocks: usize, value: Block) {
        // SAFETY: the caller gives one writable block.
        unsafe { store_8(to, value) };
    }

    #[inline(always)]
    fn call<K: DotKernel>(self, kernel: K) -> K::Output {
        /// A function of its own, so that a kernel's code exists once.
        #[inline(never)]
        fn call<K: DotKernel>(dot: Simd128, kernel: K) -> K::Output {
            kernel.run(dot)
        }
        call(self, kernel)
    }

    #[inline(always)]
    fn prefetch(self, _at: *const u8) {}
}

/// The pairs of eight values of `a` and `b`.
#[inline(always)]
fn pairs(a: v128, b: v128) -> Block {
    (
        i8x16_shuffle::<0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23>(a, b),
        i8x16_shuffle::<8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31>(a, b),
    )
}

impl Words for Simd128 {
    type W = Block;
    type Pairs = Block;

    #[inline(always)]
    unsafe fn widen(self, from: *const u8) -> Block {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe {
            let (low, high) = (v128_load64_zero(from.cast()), v128_load64_zero(from.add(8).cast()));
            (i16x8_extend_low_u8x16(low), i16x8_extend_low_u8x16(high))
        }
    }

    #[inline(always)]
    fn add_words(self, a: Block, b: Block) -> Block {
        halves!(i16x8_add(a, b))
    }

    #[inline(always)]
    fn sub_words(self, a: Block, b: Block) -> Block {
        halves!(i16x8_sub(a, b))
    }

    #[inline(always)]
    unsafe fn load_pairs(self, from: *const i16) -> Block {
        // SAFETY: the caller gives 16 readable values.
        unsafe { (v128_load(from.cast()), v128_load(from.add(8).cast())) }
    }

    #[inline(always)]
    unsafe fn widen_pairs(self, from: *const i8) -> Block {
        // SAFETY: the caller gives 16 readable bytes.
        let bytes = unsafe { v128_load(from.cast()) };
        (i16x8_extend_low_i8x16(bytes), i16x8_extend_high_i8x16(bytes))
    }

    #[inline(always)]
    fn add_pairs(self, a: Block, b: Block) -> Block {
        self.add_words(a, b)
    }

    #[inline(always)]
    fn sub_pairs(self, a: Block, b: Block) -> Block {
        self.sub_words(a, b)
    }

    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut i16, value: Block) {
        // SAFETY: the caller's promise.
        unsafe { self.store_words(to, value) };
    }

    #[inline(always)]
    unsafe fn store_words(self, to: *mut i16, value: Block) {
        // SAFETY: the caller gives 16 writable values.
        unsafe {
            v128_store(to.cast(), value.0);
            v128_store(to.add(8).cast(), value.1);
        }
    }

    #[inline(always)]
    unsafe fn pair(self, from: *const i16) -> Block {
        // SAFETY: the caller gives two readable values.
        let pair = unsafe { v128_load32_splat(from.cast()) };
        (pair, pair)
    }

    #[inline(always)]
    fn dot_words(self, sums: Block, a: Block, b: Block) -> Block {
        let products = halves!(i32x4_dot_i16x8(a, b));
        halves!(i32x4_add(sums, products))
    }

    #[inline(always)]
    fn no_sums(self) -> Block {
        (i32x4_splat(0), i32x4_splat(0))
    }

    #[inline(always)]
    fn add_sums(self, a: Block, b: Block) -> Block {
        halves!(i32x4_add(a, b))
    }

    #[inline(always)]
    fn sub_sums(self, a: Block, b: Block) -> Block {
        halves!(i32x4_sub(a, b))
    }

    #[inline(always)]
    fn quarter(self, sums: Block) -> Block {
        (i32x4_shr(sums.0, 2), i32x4_shr(sums.1, 2))
    }

    #[inline(always)]
    fn part_of_576(self, sums: Block) -> Block {
        let ninth = i32x4_splat(NINTH);
        (i32x4_shr(i32x4_mul(sums.0, ninth), 6), i32x4_shr(i32x4_mul(sums.1, ninth), 6))
    }

    #[inline(always)]
    unsafe fn store_sums(self, to: *mut i32, value: Block) {
        // SAFETY: the caller gives 8 writable values.
        unsafe { store_8(to.cast(), value) };
    }

    #[inline(always)]
    fn call_words<K: WordsKernel>(self, kernel: K) -> K::Output {
        /// A function of its own, so that a kernel's code exists once.
        #[inline(never)]
        fn call<K: WordsKernel>(words: Simd128, kernel: K) -> K::Output {
            kernel.run(words)
        }
        call(self, kernel)
    }
}

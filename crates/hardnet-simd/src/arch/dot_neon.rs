//! 8-bit products of 64-bit ARM processors.
//!
//! `usdot` (i8mm) adds four products of unsigned and signed bytes to a lane. `sdot` (dotprod) takes signed bytes alone:
//! inputs less 128 are signed, and what is missing from sums is the same for all pixels, see
//! [`INPUT_OFFSET`](Dot::INPUT_OFFSET). Processors with neither multiply 16-bit values: weights are packed as such,
//! four vectors of one weight for every lane.
//!
//! Rust has no stable intrinsics for both instructions.
#![allow(unsafe_code)]

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int16x8_t, int32x4_t, uint8x16_t, vaddq_f32, vaddq_s16, vaddq_s32, vcombine_u8,
    vcombine_u16, vcvtnq_s32_f32, vcvtq_f32_s32, vcvtq_f32_u32, vdup_n_u8, vdupq_n_f32, vdupq_n_s16, vdupq_n_s32,
    vdupq_n_u8, vdupq_n_u32, veorq_u8, vget_high_u16, vget_low_s16, vget_low_u16, vld1_s8, vld1_u8, vld1q_f32,
    vld1q_s8, vld1q_s16, vld1q_s32, vmlal_high_s16, vmlal_s16, vmovl_s8, vmovl_u8, vmovl_u16, vmovn_u16,
    vmull_high_s16, vmull_s16, vmulq_f32, vmulq_s32, vpaddq_s32, vqmovun_s32, vreinterpretq_s16_s32,
    vreinterpretq_s16_u16, vreinterpretq_u8_u16, vreinterpretq_u8_u32, vreinterpretq_u16_u8, vshrq_n_s32, vst1_u8,
    vst1q_f32, vst1q_s16, vst1q_s32, vsubq_s16, vsubq_s32, vzip1q_u8, vzip1q_u16, vzip2q_u16,
};
use std::arch::asm;

use super::neon::{halves, larger, prefetch, smaller};
use crate::detect::{Neon, NeonDotprod, NeonI8mm};
use crate::dot::{BYTE_LANES, Dot, DotKernel};
use crate::vector::sealed::Sealed;
use crate::words::{NINTH, Words, WordsKernel};

/// Intrinsics of the sets that `self` proves.
macro_rules! intrinsic {
    ($($call:tt)*) => {
        // SAFETY: `self` holds the proof that the processor has the intrinsics' set.
        unsafe { $($call)* }
    };
}

/// The operations that all sets share.
macro_rules! lanes_8 {
    ($name:ident, $features:literal) => {
        type Sums = (int32x4_t, int32x4_t);
        type Floats = (float32x4_t, float32x4_t);
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn load_sums(self, from: *const i32) -> Self::Sums {
            // SAFETY: the caller gives 8 readable values.
            unsafe { (vld1q_s32(from), vld1q_s32(from.add(4))) }
        }

        #[inline(always)]
        fn floats(self, sums: Self::Sums) -> Self::Floats {
            halves!(vcvtq_f32_s32(sums))
        }

        #[inline(always)]
        fn splat(self, value: f32) -> Self::Floats {
            let value = (value, value);
            halves!(vdupq_n_f32(value))
        }

        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Self::Floats {
            // SAFETY: the caller gives 8 readable values.
            unsafe { (vld1q_f32(from), vld1q_f32(from.add(4))) }
        }

        #[inline(always)]
        unsafe fn gather(self, from: *const f32, _step: usize, _blocks: usize) -> Self::Floats {
            // SAFETY: the caller gives one block.
            unsafe { (vld1q_f32(from), vld1q_f32(from.add(4))) }
        }

        #[inline(always)]
        unsafe fn load_bytes(self, from: *const u8) -> Self::Floats {
            // SAFETY: the caller gives 8 readable bytes.
            unsafe {
                let words = vmovl_u8(vld1_u8(from));
                (vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(words))))
            }
        }

        #[inline(always)]
        fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
            let product = halves!(vmulq_f32(a, b));
            halves!(vaddq_f32(product, c))
        }

        #[inline(always)]
        fn clamp(self, value: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats {
            let value = halves!(larger(value, low));
            halves!(smaller(value, high))
        }

        #[inline(always)]
        unsafe fn store_bytes(self, to: *mut u8, value: Self::Floats) {
            let integers = halves!(vcvtnq_s32_f32(value));
            // SAFETY: the caller gives 8 writable bytes.
            unsafe {
                let words = vcombine_u16(vqmovun_s32(integers.0), vqmovun_s32(integers.1));
                vst1_u8(to, vmovn_u16(words));
            }
        }

        #[inline(always)]
        unsafe fn scatter(self, to: *mut f32, _step: usize, _blocks: usize, value: Self::Floats) {
            // SAFETY: the caller gives one writable block.
            unsafe {
                vst1q_f32(to, value.0);
                vst1q_f32(to.add(4), value.1);
            }
        }

        #[inline(always)]
        fn call<K: DotKernel>(self, kernel: K) -> K::Output {
            #[inline(never)]
            #[target_feature(enable = $features)]
            fn call<K: DotKernel>(dot: $name, kernel: K) -> K::Output {
                kernel.run(dot)
            }
            // SAFETY: `self` holds the proof that the processor has the set.
            unsafe { call(self, kernel) }
        }

        #[inline(always)]
        fn prefetch(self, at: *const u8) {
            prefetch(at);
        }
    };
}

/// Products of 16-bit values.
impl Dot for Neon {
    /// A weight of every lane, four times.
    type Weights = [int16x8_t; 4];
    type Inputs = [int16x8_t; 4];
    const WEIGHT_BYTES: usize = 2;
    const TILES: [usize; 3] = [5, 0, 0];

    fn pack(weights: &[[i8; 4]], packed: &mut [u8]) {
        let by_place = (0..4).flat_map(|place| weights.iter().map(move |four| four[place]));
        for (to, weight) in packed.chunks_exact_mut(2).zip(by_place) {
            to.copy_from_slice(&i16::from(weight).to_le_bytes());
        }
    }

    #[inline(always)]
    unsafe fn weights(self, from: *const u8) -> [int16x8_t; 4] {
        // SAFETY: the caller gives 64 readable bytes.
        std::array::from_fn(|place| unsafe { vld1q_s16(from.add(16 * place).cast()) })
    }

    #[inline(always)]
    unsafe fn inputs(self, from: *const u8) -> [int16x8_t; 4] {
        // SAFETY: the caller gives four readable bytes.
        std::array::from_fn(|place| unsafe { vdupq_n_s16(i16::from(*from.add(place))) })
    }

    #[inline(always)]
    unsafe fn pixels(self, from: *const u8) -> [int16x8_t; 4] {
        // SAFETY: the caller's promise for eight lanes.
        std::array::from_fn(|pixel| unsafe { vreinterpretq_s16_u16(vmovl_u8(vld1_u8(from.add(pixel * BYTE_LANES)))) })
    }

    #[inline(always)]
    fn dot(self, mut sums: Self::Sums, inputs: [int16x8_t; 4], weights: [int16x8_t; 4]) -> Self::Sums {
        for (input, weight) in inputs.into_iter().zip(weights) {
            sums.0 = intrinsic!(vmlal_s16(sums.0, vget_low_s16(weight), vget_low_s16(input)));
            sums.1 = intrinsic!(vmlal_high_s16(sums.1, weight, input));
        }
        sums
    }

    lanes_8!(Neon, "neon");
}

/// Two vectors of four bytes in each lane.
macro_rules! bytes_in_lanes {
    () => {
        type Weights = (int8x16_t, int8x16_t);
        type Inputs = (uint8x16_t, uint8x16_t);
        const WEIGHT_BYTES: usize = 1;
        const TILES: [usize; 3] = [6, 0, 0];

        #[inline(always)]
        unsafe fn weights(self, from: *const u8) -> Self::Weights {
            // SAFETY: the caller gives 32 readable bytes.
            unsafe { (vld1q_s8(from.cast()), vld1q_s8(from.add(16).cast())) }
        }
    };
}

/// Eight channels of four pixels, a channel in each lane.
///
/// # Safety
/// The processor has NEON; `from` is valid for reading four pixels, eight bytes of the last.
#[inline(always)]
unsafe fn channels(from: *const u8) -> (uint8x16_t, uint8x16_t) {
    // SAFETY: the caller's promise.
    unsafe {
        let pixel = |at: usize| vcombine_u8(vld1_u8(from.add(at * BYTE_LANES)), vdup_n_u8(0));
        let first = vreinterpretq_u16_u8(vzip1q_u8(pixel(0), pixel(1)));
        let second = vreinterpretq_u16_u8(vzip1q_u8(pixel(2), pixel(3)));
        (vreinterpretq_u8_u16(vzip1q_u16(first, second)), vreinterpretq_u8_u16(vzip2q_u16(first, second)))
    }
}

/// The sign bit of four bytes: exclusive or with it is a difference of 128.
const SIGNS: u32 = 0x8080_8080;

impl Sealed for NeonDotprod {}

impl Dot for NeonDotprod {
    const INPUT_OFFSET: i32 = 128;

    bytes_in_lanes!();

    #[inline(always)]
    unsafe fn inputs(self, from: *const u8) -> Self::Inputs {
        // SAFETY: the caller gives four readable bytes.
        let four = unsafe { vreinterpretq_u8_u32(vdupq_n_u32(from.cast::<u32>().read_unaligned() ^ SIGNS)) };
        (four, four)
    }

    #[inline(always)]
    unsafe fn pixels(self, from: *const u8) -> Self::Inputs {
        // SAFETY: the caller's promise.
        unsafe {
            let (channels, signs) = (channels(from), vdupq_n_u8(0x80));
            (veorq_u8(channels.0, signs), veorq_u8(channels.1, signs))
        }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        intrinsic!((sdot(sums.0, inputs.0, weights.0), sdot(sums.1, inputs.1, weights.1)))
    }

    lanes_8!(NeonDotprod, "neon,dotprod");
}

/// Adds four products of signed bytes to each lane.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sums: int32x4_t, inputs: uint8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes these registers alone.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {inputs:v}.16b, {weights:v}.16b",
            sums = inout(vreg) sums,
            inputs = in(vreg) inputs,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

impl Sealed for NeonI8mm {}

impl Dot for NeonI8mm {
    bytes_in_lanes!();

    #[inline(always)]
    unsafe fn inputs(self, from: *const u8) -> Self::Inputs {
        // SAFETY: the caller gives four readable bytes.
        let four = unsafe { vreinterpretq_u8_u32(vdupq_n_u32(from.cast::<u32>().read_unaligned())) };
        (four, four)
    }

    #[inline(always)]
    unsafe fn pixels(self, from: *const u8) -> Self::Inputs {
        // SAFETY: the caller's promise.
        unsafe { channels(from) }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums {
        intrinsic!((usdot(sums.0, inputs.0, weights.0), usdot(sums.1, inputs.1, weights.1)))
    }

    lanes_8!(NeonI8mm, "neon,i8mm");
}

/// Adds four products of unsigned and signed bytes to each lane.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn usdot(mut sums: int32x4_t, inputs: uint8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes these registers alone.
    unsafe {
        asm!(
            "usdot {sums:v}.4s, {inputs:v}.16b, {weights:v}.16b",
            sums = inout(vreg) sums,
            inputs = in(vreg) inputs,
            weights = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Two vectors of eight 16-bit values.
type SixteenWords = (int16x8_t, int16x8_t);

impl Words for Neon {
    type W = SixteenWords;
    type Pairs = SixteenWords;

    #[inline(always)]
    unsafe fn widen(self, from: *const u8) -> SixteenWords {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe {
            let (low, high) = (vld1_u8(from), vld1_u8(from.add(8)));
            (vreinterpretq_s16_u16(vmovl_u8(low)), vreinterpretq_s16_u16(vmovl_u8(high)))
        }
    }

    #[inline(always)]
    fn add_words(self, a: SixteenWords, b: SixteenWords) -> SixteenWords {
        halves!(vaddq_s16(a, b))
    }

    #[inline(always)]
    fn sub_words(self, a: SixteenWords, b: SixteenWords) -> SixteenWords {
        halves!(vsubq_s16(a, b))
    }

    #[inline(always)]
    unsafe fn load_pairs(self, from: *const i16) -> SixteenWords {
        // SAFETY: the caller gives 16 readable values.
        unsafe { (vld1q_s16(from), vld1q_s16(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn widen_pairs(self, from: *const i8) -> SixteenWords {
        // SAFETY: the caller gives 16 readable bytes.
        unsafe { (vmovl_s8(vld1_s8(from)), vmovl_s8(vld1_s8(from.add(8)))) }
    }

    #[inline(always)]
    fn add_pairs(self, a: SixteenWords, b: SixteenWords) -> SixteenWords {
        self.add_words(a, b)
    }

    #[inline(always)]
    fn sub_pairs(self, a: SixteenWords, b: SixteenWords) -> SixteenWords {
        self.sub_words(a, b)
    }

    #[inline(always)]
    unsafe fn store_pairs(self, to: *mut i16, value: SixteenWords) {
        // SAFETY: the caller's promise.
        unsafe { self.store_words(to, value) };
    }

    #[inline(always)]
    unsafe fn store_words(self, to: *mut i16, value: SixteenWords) {
        // SAFETY: the caller gives 16 writable values.
        unsafe {
            vst1q_s16(to, value.0);
            vst1q_s16(to.add(8), value.1);
        }
    }

    #[inline(always)]
    unsafe fn pair(self, from: *const i16) -> SixteenWords {
        // SAFETY: the caller gives two readable values.
        let pair = unsafe { vreinterpretq_s16_s32(vdupq_n_s32(from.cast::<i32>().read_unaligned())) };
        (pair, pair)
    }

    #[inline(always)]
    fn dot_words(self, sums: Self::Sums, a: SixteenWords, b: SixteenWords) -> Self::Sums {
        let products = halves!(products(a, b));
        halves!(vaddq_s32(sums, products))
    }

    #[inline(always)]
    fn no_sums(self) -> Self::Sums {
        let zero = (0, 0);
        halves!(vdupq_n_s32(zero))
    }

    #[inline(always)]
    fn add_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        halves!(vaddq_s32(a, b))
    }

    #[inline(always)]
    fn sub_sums(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        halves!(vsubq_s32(a, b))
    }

    #[inline(always)]
    fn quarter(self, sums: Self::Sums) -> Self::Sums {
        intrinsic!((vshrq_n_s32::<2>(sums.0), vshrq_n_s32::<2>(sums.1)))
    }

    #[inline(always)]
    fn part_of_576(self, sums: Self::Sums) -> Self::Sums {
        intrinsic!({
            let ninth = vdupq_n_s32(NINTH);
            (vshrq_n_s32::<6>(vmulq_s32(sums.0, ninth)), vshrq_n_s32::<6>(vmulq_s32(sums.1, ninth)))
        })
    }

    #[inline(always)]
    unsafe fn store_sums(self, to: *mut i32, value: Self::Sums) {
        // SAFETY: the caller gives 8 writable values.
        unsafe {
            vst1q_s32(to, value.0);
            vst1q_s32(to.add(4), value.1);
        }
    }

    #[inline(always)]
    fn call_words<K: WordsKernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        fn call<K: WordsKernel>(words: Neon, kernel: K) -> K::Output {
            kernel.run(words)
        }
        call(self, kernel)
    }
}

/// The sums of pairs of products.
#[inline]
#[target_feature(enable = "neon")]
fn products(a: int16x8_t, b: int16x8_t) -> int32x4_t {
    vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b))
}

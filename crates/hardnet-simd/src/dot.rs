//! The trait of 8-bit products, and dispatch to its implementations.
#![allow(unsafe_code)]

use crate::arch::portable::Portable;
use crate::detect::Isa;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use crate::detect::Simd128;
#[cfg(target_arch = "x86_64")]
use crate::detect::{Avx2, Avx512Vnni, AvxVnni};
#[cfg(target_arch = "aarch64")]
use crate::detect::{Neon, NeonDotprod, NeonI8mm};
use crate::vector::sealed::Sealed;

/// Channels of a block of a map of bytes.
pub const BYTE_LANES: usize = 16;

/// Sums of products of unsigned and signed bytes in vectors of [`LANES`](Dot::LANES) i32.
///
/// The unit of work is four products in each lane, as in Intel's `vpdpbusd`. Sums wrap around, and nothing saturates:
/// all implementations agree to the last bit. What is done to sums is in f32, each operation rounded.
///
/// Implementations are tokens, and kernels are compiled for them, as those of [`Simd`](crate::Simd).
pub trait Dot: Copy + Send + Sync + Sealed {
    /// A sum in each lane.
    type Sums: Copy;

    /// Four weights in each lane.
    type Weights: Copy;

    /// Four inputs in each lane.
    type Inputs: Copy;

    /// An f32 in each lane.
    type Floats: Copy;

    /// Lanes of a vector, 8 or 16.
    const LANES: usize;

    /// Bytes of a packed weight: 1, or 2 where products are of 16 bits.
    const WEIGHT_BYTES: usize;

    /// Pixels of a tile of sums in registers, by its blocks of [`BYTE_LANES`] channels less one; 0 for none.
    const TILES: [usize; 3];

    /// Subtracted from every input of a product, on sets whose products are of signed bytes. Sums begin with it times
    /// their weights.
    const INPUT_OFFSET: i32 = 0;

    /// Packs the four weights of every lane of a vector to `LANES * 4 * WEIGHT_BYTES` bytes.
    fn pack(weights: &[[i8; 4]], packed: &mut [u8]) {
        packed.iter_mut().zip(weights.as_flattened()).for_each(|(to, &weight)| *to = weight.cast_unsigned());
    }

    /// Loads the weights of a vector.
    ///
    /// # Safety
    /// `from` is valid for reading a packed vector.
    unsafe fn weights(self, from: *const u8) -> Self::Weights;

    /// The same four inputs in every lane.
    ///
    /// # Safety
    /// `from` is valid for reading four bytes.
    unsafe fn inputs(self, from: *const u8) -> Self::Inputs;

    /// Four pixels side by side: in each lane, a channel of all of them.
    ///
    /// # Safety
    /// `from` is valid for reading four pixels of [`BYTE_LANES`] bytes, the last of which may end with the lanes of
    /// the vector.
    unsafe fn pixels(self, from: *const u8) -> Self::Inputs;

    /// Loads sums.
    ///
    /// # Safety
    /// `from` is valid for reading all lanes.
    unsafe fn load_sums(self, from: *const i32) -> Self::Sums;

    /// Adds the four products of every lane: inputs less [`INPUT_OFFSET`](Dot::INPUT_OFFSET) times weights.
    fn dot(self, sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums;

    /// The nearest f32 of each sum.
    fn floats(self, sums: Self::Sums) -> Self::Floats;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::Floats;

    /// Loads all lanes.
    ///
    /// # Safety
    /// `from` is valid for reading them.
    unsafe fn load(self, from: *const f32) -> Self::Floats;

    /// Loads `blocks` blocks of eight lanes, `step` values apart; others are 0.
    ///
    /// # Safety
    /// `from` and `step` values after it, for each block, are valid for reading eight values; there is at least one
    /// block.
    unsafe fn gather(self, from: *const f32, step: usize, blocks: usize) -> Self::Floats;

    /// Loads a byte for every lane.
    ///
    /// # Safety
    /// `from` is valid for reading them.
    unsafe fn load_bytes(self, from: *const u8) -> Self::Floats;

    /// `a * b + c`, rounded twice.
    fn mul_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;

    /// The lanes of `value` within the bounds.
    fn clamp(self, value: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats;

    /// Stores every lane as a byte, rounded half to even.
    ///
    /// # Safety
    /// `to` is valid for writing a byte for each lane, and lanes lie between 0 and 255.
    unsafe fn store_bytes(self, to: *mut u8, value: Self::Floats);

    /// Stores `blocks` blocks of eight lanes, `step` values apart.
    ///
    /// # Safety
    /// `to` and `step` values after it, for each block, are valid for writing eight values; there is at least one
    /// block.
    unsafe fn scatter(self, to: *mut f32, step: usize, blocks: usize, value: Self::Floats);

    /// Runs `kernel` compiled for this set.
    fn call<K: DotKernel>(self, kernel: K) -> K::Output;

    /// Prefetches the cache line at `at`, which may be any address, into a level 2 cache.
    fn prefetch(self, at: *const u8);
}

/// A computation compiled once for each implementation of [`Dot`]. `run` must be `#[inline(always)]`.
pub trait DotKernel {
    /// Result of the computation.
    type Output;

    /// Computes with the vectors of `dot`.
    fn run<D: Dot>(self, dot: D) -> Self::Output;
}

/// Runs `kernel` on the vectors of `isa`: those with dot products of bytes, where it has some.
pub fn dispatch_dot<K: DotKernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni(token) => AvxVnni::call(token, kernel),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni(token) => Avx512Vnni::call(token, kernel),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) | Isa::Avx512(_) => match isa.avx2() {
            Some(token) => <Avx2 as Dot>::call(token, kernel),
            None => Dot::call(Portable, kernel),
        },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => <Neon as Dot>::call(token, kernel),
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDotprod(token) => NeonDotprod::call(token, kernel),
        #[cfg(target_arch = "aarch64")]
        Isa::NeonI8mm(token) => NeonI8mm::call(token, kernel),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::Simd128(token) => <Simd128 as Dot>::call(token, kernel),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::RelaxedSimd(token) => <Simd128 as Dot>::call(token.into(), kernel),
        _ => Dot::call(Portable, kernel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Products at the bounds of their types, which saturating instructions get wrong.
    struct Extremes;

    impl DotKernel for Extremes {
        type Output = ();

        #[inline(always)]
        fn run<D: Dot>(self, d: D) {
            let weights: Vec<[i8; 4]> =
                (0..D::LANES).map(|lane| [127, if lane % 2 == 0 { 127 } else { -127 }, -128, 3]).collect();
            let mut packed = vec![0; D::LANES * 4 * D::WEIGHT_BYTES];
            D::pack(&weights, &mut packed);
            let start: Vec<i32> = (0..D::LANES as i32).collect();
            let inputs: Vec<u8> = (0..64).map(|at| 255 - (at % 5) as u8 * 60).collect();
            let mut found = vec![0.0; D::LANES];
            let mut bytes = vec![0; D::LANES];
            // SAFETY: the lists have the lanes of a vector; the inputs are four pixels.
            unsafe {
                let weights = d.weights(packed.as_ptr());
                let sums = d.dot(d.load_sums(start.as_ptr()), d.inputs(inputs.as_ptr()), weights);
                let sums = d.dot(sums, d.pixels(inputs.as_ptr()), weights);
                d.scatter(found.as_mut_ptr(), 8, D::LANES / 8, d.floats(sums));
                let value = d.clamp(
                    d.mul_add(d.load(found.as_ptr()), d.splat(0.001), d.splat(0.5)),
                    d.splat(0.0),
                    d.splat(255.0),
                );
                d.store_bytes(bytes.as_mut_ptr(), value);
                let read = d.load_bytes(bytes.as_ptr());
                let mut back = vec![0.0; D::LANES];
                d.scatter(back.as_mut_ptr(), 8, D::LANES / 8, read);
                assert!(bytes.iter().zip(back).all(|(&byte, back)| f32::from(byte) == back));
                let half = d.gather(found.as_ptr(), 8, 1);
                d.scatter(found.as_mut_ptr(), 8, 1, half);
            }
            for lane in 0..D::LANES {
                let product =
                    |at: usize, k: usize| (i32::from(inputs[at]) - D::INPUT_OFFSET) * i32::from(weights[lane][k]);
                let same = (0..4).map(|k| product(k, k)).sum::<i32>();
                let pixels = (0..4).map(|k| product(k * BYTE_LANES + lane, k)).sum::<i32>();
                let expected = (lane as i32 + same + pixels) as f32;
                assert_eq!(found[lane], expected, "lane {lane}");
                assert_eq!(
                    bytes[lane],
                    (expected * 0.001 + 0.5).clamp(0.0, 255.0).round_ties_even() as u8,
                    "lane {lane}"
                );
            }
        }
    }

    #[test]
    fn products_are_exact_on_every_set() {
        for isa in Isa::available() {
            dispatch_dot(isa, Extremes);
        }
    }
}

//! Sums over the pixels of a block of an image's map.
//!
//! They run in f32 over some hundred pixels at most and in f64 beyond.
#![allow(unsafe_code)]

use hardnet_simd::{LANES, Simd};

use crate::exec::context::Context;
use crate::map::Layout;

/// Pixels that are summed in f32.
const PIXELS: usize = 128;

/// Terms of sums over the pixels of two planes. A trait, since a closure is not a part of the function that it stands
/// in and would be compiled for the least processor.
pub(super) trait Terms<S: Simd, const N: usize> {
    /// The inputs of the pixel at these addresses.
    ///
    /// # Safety
    /// Both are valid for reading [`LANES`] values.
    unsafe fn at(&self, s: S, one: *const f32, two: *const f32) -> [S::V; N];
}

/// The values of the first plane.
pub(super) struct Values;

impl<S: Simd> Terms<S, 1> for Values {
    #[inline(always)]
    unsafe fn at(&self, s: S, one: *const f32, _: *const f32) -> [S::V; 1] {
        // SAFETY: the caller's promise.
        [unsafe { s.load(one) }]
    }
}

/// The squares of the first plane's distances from the mean.
pub(super) struct Squares<S: Simd> {
    pub(super) mean: S::V,
}

impl<S: Simd> Terms<S, 1> for Squares<S> {
    #[inline(always)]
    unsafe fn at(&self, s: S, one: *const f32, _: *const f32) -> [S::V; 1] {
        // SAFETY: the caller's promise.
        let difference = s.sub(unsafe { s.load(one) }, self.mean);
        [s.mul(difference, difference)]
    }
}

/// The gradients of the second plane where the first is within its bounds, and their products with its distances from
/// the mean.
pub(super) struct GradientProducts<S: Simd> {
    pub(super) mean: S::V,
    pub(super) scale: S::V,
    pub(super) bias: S::V,
    pub(super) low: S::V,
    pub(super) high: S::V,
}

impl<S: Simd> Terms<S, 2> for GradientProducts<S> {
    #[inline(always)]
    unsafe fn at(&self, s: S, one: *const f32, two: *const f32) -> [S::V; 2] {
        // SAFETY: the caller's promise.
        let (pre_norm, gradient) = unsafe { (s.load(one), s.load(two)) };
        let distance = s.sub(pre_norm, self.mean);
        let gradient = s.between(s.fma(distance, self.scale, self.bias), self.low, self.high, gradient);
        [gradient, s.mul(gradient, distance)]
    }
}

/// One block of one image's map.
pub(super) struct Plane {
    origin: *mut f32,
    row: usize,
    pub(super) height: usize,
    width: usize,
}

impl Plane {
    pub(super) fn new(layout: &Layout, task: usize, blocks: usize, context: &Context<'_>) -> Self {
        let (image, block) = (task / blocks, task % blocks);
        Self {
            origin: context.memory(image).wrapping_add(layout.origin() + block * layout.plane()),
            row: layout.row(),
            height: layout.size.height,
            width: layout.size.width,
        }
    }

    /// The first value of a row.
    pub(super) fn at(&self, y: usize) -> *mut f32 {
        self.origin.wrapping_add(y * self.row)
    }

    /// The sums over all pixels of `inputs` of the pixel in both planes.
    ///
    /// # Safety
    /// The pixels of both planes are valid for reading.
    #[inline(always)]
    pub(super) unsafe fn sums<S: Simd, T: Terms<S, N>, const N: usize>(
        &self,
        other: &Self,
        s: S,
        inputs: &T,
    ) -> [[f64; LANES]; N] {
        let mut totals = [[0.0; LANES]; N];
        // Two sums in turns, since one would wait for its own last addition.
        let mut parts = [[s.splat(0.0); N]; 2];
        let mut count = 0;
        for y in 0..self.height {
            let (one, two) = (self.at(y), other.at(y));
            for x in (1..self.width).step_by(2) {
                for (part, x) in [x - 1, x].into_iter().enumerate() {
                    // SAFETY: a pixel of each plane.
                    let values = unsafe { inputs.at(s, one.add(x * LANES), two.add(x * LANES)) };
                    add(s, &mut parts[part], values);
                }
            }
            if self.width % 2 == 1 {
                let last = (self.width - 1) * LANES;
                // SAFETY: a pixel of each plane.
                let values = unsafe { inputs.at(s, one.add(last), two.add(last)) };
                add(s, &mut parts[0], values);
            }
            count += self.width;
            if count >= PIXELS || y + 1 == self.height {
                for n in 0..N {
                    let mut lanes = [0.0f32; LANES];
                    let sum = s.add(parts[0][n], parts[1][n]);
                    // SAFETY: an array of all lanes.
                    unsafe { s.store(lanes.as_mut_ptr(), sum) };
                    for (total, lane) in totals[n].iter_mut().zip(lanes) {
                        *total += f64::from(lane);
                    }
                }
                parts = [[s.splat(0.0); N]; 2];
                count = 0;
            }
        }
        totals
    }
}

/// Adds `values` to `sums`.
#[inline(always)]
fn add<S: Simd, const N: usize>(s: S, sums: &mut [S::V; N], values: [S::V; N]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = s.add(*sum, value);
    }
}

//! Lanes as an array, for any processor.
#![allow(unsafe_code)]

use crate::vector::sealed::Sealed;
use crate::vector::{Kernel, LANES, Simd};

/// The token of plain Rust, for any processor.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

/// Aligned like the vector that it stands for, so that the compiler may use what vectors there are.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub struct Lanes([f32; LANES]);

impl Lanes {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out.0[lane] = f(self.0[lane], other.0[lane]);
        }
        out
    }
}

impl Sealed for Portable {}

impl Simd for Portable {
    type V = Lanes;
    type Mask = ();
    type Widest = Self;
    const BLOCKS: usize = 1;
    const TILES: [usize; 3] = [8, 6, 3];

    #[inline(always)]
    fn widest(self) -> Self {
        self
    }

    #[inline(always)]
    fn mask(self, _blocks: usize) {}

    #[inline(always)]
    unsafe fn load_masked(self, from: *const f32, _mask: ()) -> Lanes {
        // SAFETY: the caller's promise.
        unsafe { self.load(from) }
    }

    #[inline(always)]
    unsafe fn store_masked(self, to: *mut f32, _mask: (), value: Lanes) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to, value) };
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Lanes {
        Lanes([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Lanes {
        // SAFETY: the caller gives LANES readable values; an array of f32 has the alignment of f32.
        Lanes(unsafe { *from.cast::<[f32; LANES]>() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Lanes) {
        // SAFETY: the caller gives LANES writable values; an array of f32 has the alignment of f32.
        unsafe { *to.cast::<[f32; LANES]>() = value.0 };
    }

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| a * b)
    }

    #[inline(always)]
    fn fma(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn fnma(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        self.sub(c, self.mul(a, b))
    }

    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn between(self, value: Lanes, low: Lanes, high: Lanes, x: Lanes) -> Lanes {
        let mut out = x;
        for lane in 0..LANES {
            if !(value.0[lane] > low.0[lane] && value.0[lane] < high.0[lane]) {
                out.0[lane] = 0.0;
            }
        }
        out
    }

    #[inline(always)]
    fn where_equal(self, a: Lanes, b: Lanes, x: Lanes) -> Lanes {
        let mut out = x;
        for lane in 0..LANES {
            if a.0[lane] != b.0[lane] {
                out.0[lane] = 0.0;
            }
        }
        out
    }

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        call(kernel)
    }

    #[inline(always)]
    fn prefetch(self, _at: *const f32) {}
}

/// A function of its own, so that a kernel's code exists once.
#[inline(never)]
fn call<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable)
}

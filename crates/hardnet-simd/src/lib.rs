//! Vectors for HarDNet's kernels: detection of instruction sets, a vector trait of f32 and one of 8-bit products,
//! dispatch.
//!
//! [`Isa`] names what the processor has and carries the proof of it. A kernel is written once, generic over [`Simd`],
//! and [`dispatch`] runs it compiled for a set:
//!
//! ```
//! use hardnet_simd::{Isa, Kernel, LANES, Simd, dispatch};
//!
//! /// Doubles every value.
//! struct Double<'a>(&'a mut [[f32; LANES]]);
//!
//! impl Kernel for Double<'_> {
//!     type Output = ();
//!
//!     #[inline(always)]
//!     fn run<S: Simd>(self, s: S) {
//!         for block in self.0 {
//!             // SAFETY: a block has the lanes of a vector of one block.
//!             unsafe {
//!                 let value = s.load_masked(block.as_ptr(), s.mask(1));
//!                 s.store_masked(block.as_mut_ptr(), s.mask(1), s.add(value, value));
//!             }
//!         }
//!     }
//! }
//!
//! for isa in Isa::available() {
//!     let mut values = [[1.5; LANES]; 3];
//!     dispatch(isa, Double(&mut values));
//!     assert_eq!(values, [[3.0; LANES]; 3], "{isa}");
//! }
//! ```
//!
//! Integer kernels have a trait of their own, [`Dot`], and [`dispatch_dot`].
//!
//! A new instruction set is a file in `arch`, a token and a name in `detect`, and an arm of [`dispatch`] or
//! [`dispatch_dot`].

mod arch;
mod detect;
mod dot;
mod vector;
mod words;

pub use arch::portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use arch::x86_64::Avx512Wide;
pub use detect::{
    Avx2, Avx512, Avx512Vnni, AvxVnni, ISA_ENV_VAR, Isa, Neon, NeonDotprod, NeonI8mm, RelaxedSimd, Simd128, Unavailable,
};
pub use dot::{BYTE_LANES, Dot, DotKernel, dispatch_dot};
pub use vector::{Kernel, LANES, Simd, dispatch, widest_blocks, widest_tiles};
pub use words::{Words, WordsKernel, dispatch_words};

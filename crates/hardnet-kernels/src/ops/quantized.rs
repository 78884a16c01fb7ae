//! Layers of maps of bytes: 8-bit inputs and weights, 32-bit sums.
//!
//! | operation | file |
//! |---|---|
//! | the register tile of dense convolutions | [`tile`] |
//! | dense convolutions, to maps of bytes or of f32 | [`conv`] |
//! | 3x3 convolutions of many pixels and channels, and all without dot products of bytes | [`winograd`] |
//! | depthwise convolutions | [`depthwise`] |
//! | pools, the mean of a map | [`pool`] |
//! | bilinear interpolation | [`upsample`] |
//! | from f32 to bytes and back | [`convert`] |
//! | packing of weights | [`pack`] |
//!
//! Sums are exact, so that neither the order of products nor the instruction set changes a bit.
//! [`quantization`](crate::quantization) has the arithmetic from sums to results.

pub(crate) mod conv;
pub(crate) mod convert;
pub(crate) mod depthwise;
pub(crate) mod pack;
pub(crate) mod pool;
mod tile;
pub(crate) mod upsample;
pub(crate) mod winograd;

/// The maps of one image as bytes.
#[inline(always)]
fn bytes(memory: *mut f32) -> *mut u8 {
    memory.cast()
}

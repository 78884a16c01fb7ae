//! The gradient of a strided convolution's output, spread out.
//!
//! A convolution of stride `s` is every `s`-th row and column of one of stride 1. The gradient of that one's output has
//! those of the strided one's at these places and zeros elsewhere, and the gradient of the input follows as from any
//! other convolution ([`input_gradient`](super::input_gradient)).
#![allow(unsafe_code)]

use hardnet_simd::{LANES, Simd};

use crate::exec::context::Context;
use crate::map::{ChannelBlocks, Layout};

/// The step that spreads a gradient, ready to run.
#[derive(Debug)]
pub(crate) struct Spread {
    pub(crate) from: Layout,
    /// At least `stride` times as many rows and columns, but for the last.
    pub(crate) to: Layout,
    pub(crate) stride: usize,
}

impl Spread {
    /// Tasks of a pass over `images` images: blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.from.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let Self { from, to, stride } = self;
        let blocks = from.size.blocks();
        let (image, block) = (task / blocks, task % blocks);
        let memory = context.memory(image);
        // SAFETY: the plane of this block with its halo, which is this task's; `(size - 1) * stride` is within it.
        unsafe {
            memory.add(to.offset + block * to.plane()).write_bytes(0, to.plane());
            for y in 0..from.size.height {
                let row = memory.add(from.origin() + block * from.plane() + y * from.row());
                let out = memory.add(to.origin() + block * to.plane() + y * stride * to.row());
                for x in 0..from.size.width {
                    s.store(out.add(x * stride * LANES), s.load(row.add(x * LANES)));
                }
            }
        }
    }
}

//! Dropout whose choices depend on a seed and the position of a value alone, not on threads. Its gradient is the same
//! operation.
#![allow(unsafe_code)]

use hardnet_simd::LANES;

use crate::exec::context::Context;
use crate::map::{ChannelBlocks, Layout};

/// Whether a value is kept by dropout with `probability` of dropping it. `layer` tells the dropouts of a network apart,
/// `at` is the value's position in `[N, C, H, W]`.
pub fn dropout_keeps(seed: u64, layer: u64, at: u64, probability: f64) -> bool {
    let mix = |x: u64| {
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    };
    const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
    let stream = mix(seed.wrapping_add(GAMMA.wrapping_mul(layer + 1)));
    let bits = mix(stream.wrapping_add(GAMMA.wrapping_mul(at + 1)));
    (bits >> 11) as f64 >= probability * (1_u64 << 53) as f64
}

/// A dropout, or its gradient, ready to run.
#[derive(Debug)]
pub(crate) struct Dropout {
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    /// Whether results are added to what is there.
    pub(crate) add: bool,
    pub(crate) layer: u64,
    /// The first of this map's channels in the layer's, and how many the layer has.
    pub(crate) first: usize,
    pub(crate) channels: usize,
    pub(crate) probability: f64,
}

impl Dropout {
    /// Tasks of a pass over `images` images: blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.from.size.blocks()
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let size = self.from.size;
        let (image, block) = (task / size.blocks(), task % size.blocks());
        let memory = context.memory(image);
        let scale = (1.0 / (1.0 - self.probability)) as f32;
        let plane = |layout: &Layout| memory.wrapping_add(layout.origin() + block * layout.plane());
        let (from, to) = (plane(&self.from), plane(&self.to));
        // SAFETY: pixels of this task's planes, and the halo of one that no other thread has.
        unsafe {
            if !self.add {
                self.to.clear_halo(memory, block);
            }
            for y in 0..size.height {
                for x in 0..size.width {
                    for lane in 0..LANES {
                        let channel = self.first + block * LANES + lane;
                        let at = ((image * self.channels + channel) * size.height + y) * size.width + x;
                        let value = *from.add(y * self.from.row() + x * LANES + lane);
                        let kept = dropout_keeps(context.lists.seed, self.layer, at as u64, self.probability);
                        let value = if kept { value * scale } else { 0.0 };
                        let to = to.add(y * self.to.row() + x * LANES + lane);
                        *to = if self.add { *to + value } else { value };
                    }
                }
            }
        }
    }
}

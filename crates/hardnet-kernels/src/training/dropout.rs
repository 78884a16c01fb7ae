//! Dropout whose choices follow from a seed and the place of a value, not from who computes it when.
#![allow(unsafe_code)]

use super::context::Context;
use crate::map::Layout;
use hardnet_simd::LANES;

/// Whether a value is kept by dropout with `probability` of dropping it. `layer` tells the dropouts of a network apart, `at` is
/// the value's position in `[N, C, H, W]`.
pub fn kept(seed: u64, layer: u64, at: u64, probability: f64) -> bool {
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
pub(super) struct Dropout {
    pub(super) from: Layout,
    pub(super) to: Layout,
    /// Whether results are added to what is there.
    pub(super) add: bool,
    pub(super) layer: u64,
    /// The first of this map's channels in the layer's, and how many the layer has.
    pub(super) first: usize,
    pub(super) channels: usize,
    pub(super) probability: f64,
}

impl Dropout {
    /// Units of a pass over `images` images: blocks.
    pub(super) fn units(&self, images: usize) -> usize {
        images * self.from.size.blocks()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, and no other thread has this unit of this step.
    pub(super) unsafe fn run(&self, unit: usize, context: &Context<'_>) {
        let size = self.from.size;
        let (image, block) = (unit / size.blocks(), unit % size.blocks());
        let memory = context.memory(image);
        let scale = (1.0 / (1.0 - self.probability)) as f32;
        let plane = |layout: &Layout| memory.wrapping_add(layout.origin() + block * layout.plane());
        let (from, to) = (plane(&self.from), plane(&self.to));
        // SAFETY: pixels of this unit's planes, and the border of one that no other thread has.
        unsafe {
            if !self.add {
                self.to.clear_border(memory, block);
            }
            for y in 0..size.height {
                for x in 0..size.width {
                    for lane in 0..LANES {
                        let channel = self.first + block * LANES + lane;
                        let at = ((image * self.channels + channel) * size.height + y) * size.width + x;
                        let value = *from.add(y * self.from.row() + x * LANES + lane);
                        let kept = kept(context.seed, self.layer, at as u64, self.probability);
                        let value = if kept { value * scale } else { 0.0 };
                        let to = to.add(y * self.to.row() + x * LANES + lane);
                        *to = if self.add { *to + value } else { value };
                    }
                }
            }
        }
    }
}

//! Filters of convolutions, as given and as packed.
//!
//! The packed form is a sequence of panels of output channels, each `[K, blocks, 8]` with zeros in the lanes past the last
//! channel. Scales are multiplied in f64 and every packed value is [rounded] once.

use hardnet_simd::Isa;

use crate::gemm::panels;
use crate::memory::{Piece, Store};
use hardnet_simd::LANES;

/// The parameters of a convolution with batch normalisation folded into them.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Filter<'a> {
    /// `[out, in, kernel, kernel]`, `[channels, 1, kernel, kernel]` where depthwise, `[out, in]` where linear.
    pub weights: &'a [f32],
    /// What the weights of each output channel are multiplied by, `[out]`.
    pub scale: &'a [f64],
    /// What is added to each output channel, `[out]`.
    pub bias: &'a [f64],
}

impl Filter<'_> {
    /// The bias of every lane of `blocks` blocks.
    pub(crate) fn pack_bias(&self, store: &mut Store) -> Piece {
        store.push(self.bias.len().next_multiple_of(LANES), |lanes| {
            for (lane, &bias) in lanes.iter_mut().zip(self.bias) {
                *lane = rounded(bias);
            }
        })
    }

    /// Panels of `[taps, in, blocks, 8]` for a direct convolution of `inputs` channels, by up to `threads` threads.
    pub(crate) fn pack_direct(
        &self,
        inputs: usize,
        taps: usize,
        (isa, threads): (Isa, usize),
        store: &mut Store,
    ) -> Piece {
        let outputs = self.bias.len();
        let lanes = outputs.next_multiple_of(LANES);
        store.push(taps * inputs * lanes, |packed| {
            for_each_panel(packed, outputs, (taps * inputs, 1), (isa, threads), &|first, lanes, panel| {
                for lane in 0..lanes.min(outputs - first) {
                    let channel = first + lane;
                    let scale = self.scale[channel];
                    let weights = &self.weights[channel * inputs * taps..][..inputs * taps];
                    for (input, weights) in weights.chunks_exact(taps).enumerate() {
                        for (tap, &weight) in weights.iter().enumerate() {
                            panel[(tap * inputs + input) * lanes + lane] = rounded(f64::from(weight) * scale);
                        }
                    }
                }
            });
        })
    }
}

/// The nearest f32, or zero where that is too small to be a normal number, with which some processors take a hundred times as long.
#[inline(always)]
pub(crate) fn rounded(value: f64) -> f32 {
    flushed(value as f32)
}

/// Zero in place of a value too small to be a normal number.
#[inline(always)]
pub(crate) fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

/// Calls `fill(first channel, lanes, values)` for every panel of `outputs` channels that are sums of as many products, at as many
/// frequencies, on up to `threads` threads.
pub(crate) fn for_each_panel(
    packed: &mut [f32],
    outputs: usize,
    (products, frequencies): (usize, usize),
    (isa, threads): (Isa, usize),
    fill: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
) {
    let depth = products * frequencies;
    let mut rest = packed;
    let mut first = 0;
    let mut pieces = Vec::new();
    for blocks in panels(isa, outputs.div_ceil(LANES), products) {
        let lanes = blocks * LANES;
        let (panel, others) = rest.split_at_mut(depth * lanes);
        pieces.push((first, lanes, panel));
        rest = others;
        first += lanes;
    }
    // A thread costs more than the packing of a small filter.
    let small = outputs * depth < 1 << 16;
    let share = if small { pieces.len() } else { pieces.len().div_ceil(threads.max(1)) };
    std::thread::scope(|scope| {
        let mut shares = pieces.chunks_mut(share.max(1));
        let own = shares.next();
        let run = |pieces: &mut [(usize, usize, &mut [f32])]| {
            for (first, lanes, panel) in pieces {
                fill(*first, *lanes, panel);
            }
        };
        for pieces in shares {
            scope.spawn(move || run(pieces));
        }
        own.map(run);
    });
}

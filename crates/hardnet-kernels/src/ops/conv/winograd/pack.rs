//! Packing of filters, transformed unless they are on the fly.

use std::marker::PhantomData;

use hardnet_simd::{Isa, Kernel, LANES, Simd, dispatch};

use super::{F2x2_3x3, F4x4_3x3, TileSize, WinogradTransform, on_the_fly, transforms};
use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::filter::Filter;
use crate::ops::conv::pack::for_each_panel;

/// Packs panels of `[position, in, blocks, 8]`, or of `[in, blocks, 9, 8]` where `on_the_fly`.
pub(crate) fn pack(
    (tile, on_the_fly): (TileSize, bool),
    filter: &Filter<'_>,
    inputs: usize,
    (isa, threads): (Isa, usize),
    packed_weights: &mut PackedWeights,
) -> PackedSlice {
    if on_the_fly {
        return on_the_fly::pack(filter, inputs, (isa, threads), packed_weights);
    }
    let lanes = filter.bias.len().next_multiple_of(LANES);
    packed_weights.push(tile.positions() * inputs * lanes, |packed| {
        let outputs = filter.bias.len();
        for_each_panel(
            packed,
            outputs,
            (inputs, tile.positions()),
            (isa, threads),
            &|first, lanes, panel| match tile {
                TileSize::Two => dispatch(
                    isa,
                    PackPanel::<F2x2_3x3, 4, 2> { filter, inputs, first, lanes, panel, transform: PhantomData },
                ),
                TileSize::Four => dispatch(
                    isa,
                    PackPanel::<F4x4_3x3, 6, 4> { filter, inputs, first, lanes, panel, transform: PhantomData },
                ),
            },
        );
    })
}

/// Packs the panel of the output channels from `first` on, in arithmetic that the compiler makes vectors of.
struct PackPanel<'a, P: WinogradTransform<A, M>, const A: usize, const M: usize> {
    filter: &'a Filter<'a>,
    inputs: usize,
    first: usize,
    lanes: usize,
    panel: &'a mut [f32],
    transform: PhantomData<P>,
}

impl<P: WinogradTransform<A, M>, const A: usize, const M: usize> Kernel for PackPanel<'_, P, A, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { filter, inputs, first, lanes, panel, .. } = self;
        let outputs = filter.bias.len();
        for input in 0..inputs {
            for block in 0..lanes / LANES {
                let mut taps = [[0.0; LANES]; 9];
                let from = first + block * LANES;
                for lane in 0..LANES.min(outputs.saturating_sub(from)) {
                    let channel = from + lane;
                    let weights = &filter.weights[(channel * inputs + input) * 9..][..9];
                    for (tap, &weight) in taps.iter_mut().zip(weights) {
                        tap[lane] = f64::from(weight) * filter.scale[channel];
                    }
                }
                let transformed = transforms::weights::<P, A, M>(&taps);
                for (position, values) in transformed.iter().flatten().enumerate() {
                    let at = (position * inputs + input) * lanes + block * LANES;
                    panel[at..at + LANES].copy_from_slice(values);
                }
            }
        }
    }
}

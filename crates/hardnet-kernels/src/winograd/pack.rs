//! Filters, transformed unless they are when they are read.

use std::marker::PhantomData;

use hardnet_simd::Isa;

use super::{Four, Points, TileSide, Two, lean, transform};
use crate::filter::{Filter, for_each_panel};
use crate::memory::{Piece, Store};
use hardnet_simd::{Kernel, LANES, Simd, dispatch};

/// Packs panels of `[frequency, in, blocks, 8]`, or of `[in, blocks, 9, 8]` where `lean`.
pub(crate) fn pack(
    (side, lean): (TileSide, bool),
    filter: &Filter<'_>,
    inputs: usize,
    (isa, threads): (Isa, usize),
    store: &mut Store,
) -> Piece {
    if lean {
        return lean::pack(filter, inputs, (isa, threads), store);
    }
    let lanes = filter.bias.len().next_multiple_of(LANES);
    store.push(side.frequencies() * inputs * lanes, |packed| {
        let outputs = filter.bias.len();
        for_each_panel(
            packed,
            outputs,
            (inputs, side.frequencies()),
            (isa, threads),
            &|first, lanes, panel| match side {
                TileSide::Two => {
                    dispatch(isa, PackPanel::<Two, 4, 2> { filter, inputs, first, lanes, panel, points: PhantomData })
                }
                TileSide::Four => {
                    dispatch(isa, PackPanel::<Four, 6, 4> { filter, inputs, first, lanes, panel, points: PhantomData })
                }
            },
        );
    })
}

/// Packs the panel of the output channels from `first` on, in arithmetic that the compiler makes vectors of.
struct PackPanel<'a, P: Points<A, M>, const A: usize, const M: usize> {
    filter: &'a Filter<'a>,
    inputs: usize,
    first: usize,
    lanes: usize,
    panel: &'a mut [f32],
    points: PhantomData<P>,
}

impl<P: Points<A, M>, const A: usize, const M: usize> Kernel for PackPanel<'_, P, A, M> {
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
                let transformed = transform::weights::<P, A, M>(&taps);
                for (frequency, values) in transformed.iter().flatten().enumerate() {
                    let at = (frequency * inputs + input) * lanes + block * LANES;
                    panel[at..at + LANES].copy_from_slice(values);
                }
            }
        }
    }
}

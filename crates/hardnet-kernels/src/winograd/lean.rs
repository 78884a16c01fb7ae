//! Products whose weights are kept as they are and transformed when they are read.
//!
//! Transformed weights are four times as many as the filter's, or 1.8 times: deep layers, whose maps are small, then spend
//! their time and most of the memory on them. Here one unit has some panels of output channels at all frequencies. It takes some
//! input channels, and for each panel their weights, transforms these into its thread's own memory, multiplies all tiles by
//! them there, and goes on with the next input channels, so that every weight comes from memory once for a group of tiles, and
//! inputs once for a unit. A transform costs about as much as the products of three tiles.
#![allow(unsafe_code, clippy::needless_range_loop)]

use std::marker::PhantomData;
use std::ops::Range;

use hardnet_simd::Isa;

use super::{Points, TILE_STRIDE, Winograd, few, odd_lines};
use crate::context::Context;
use crate::filter::{Filter, for_each_panel, rounded};
use crate::gemm::{self, Panel, Walk, multiply};
use crate::memory::{BEHIND, Piece, Store};
use hardnet_simd::{Kernel, LANES, Simd, dispatch};

/// Weights of a filter.
pub(super) const TAPS: usize = 9;

/// Blocks of input channels that are transformed together: for a panel at 36 frequencies, half of a level 2 cache.
const CHUNK: usize = 12;

/// Packs panels of `[in, vectors, 9, lanes]`, where the last vector may have fewer blocks than others.
pub(super) fn pack(filter: &Filter<'_>, inputs: usize, (isa, threads): (Isa, usize), store: &mut Store) -> Piece {
    let outputs = filter.bias.len();
    store.push(TAPS * inputs * outputs.next_multiple_of(LANES), |packed| {
        for_each_panel(packed, outputs, (inputs, TAPS), (isa, threads), &|first, lanes, panel| {
            dispatch(isa, PackPanel { filter, inputs, first, lanes, panel });
        });
    })
}

/// Packs the panel of the output channels from `first` on.
struct PackPanel<'a> {
    filter: &'a Filter<'a>,
    inputs: usize,
    first: usize,
    lanes: usize,
    panel: &'a mut [f32],
}

impl Kernel for PackPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { filter, inputs, first, lanes, panel } = self;
        let wide = S::Widest::BLOCKS * LANES;
        for lane in 0..lanes.min(filter.bias.len() - first) {
            let channel = first + lane;
            let scale = filter.scale[channel];
            let weights = &filter.weights[channel * inputs * TAPS..][..inputs * TAPS];
            let vector = lane / wide * wide;
            let to = &mut panel[vector * TAPS + lane - vector..];
            for (to, weights) in to.chunks_mut(TAPS * lanes).zip(weights.chunks_exact(TAPS)) {
                for (to, &weight) in to.iter_mut().step_by(wide.min(lanes - vector)).zip(weights) {
                    *to = rounded(f64::from(weight) * scale);
                }
            }
        }
    }
}

/// How products are shared out: panels in so many shares, and frequencies in so many parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    panels: usize,
    parts: usize,
}

impl Shares {
    /// For `panels` panels on `threads` threads: several shares for each thread, so that one helps another. Weights are read
    /// for each part, so there are two only where threads would have unequally many panels.
    pub(super) fn new(panels: usize, threads: usize) -> Self {
        let even = panels.is_multiple_of(threads) || panels >= 4 * threads;
        Self { panels: panels.min(2 * threads), parts: if even { 1 } else { 2 } }
    }

    /// Units of the products.
    pub(super) fn units(self) -> usize {
        self.panels * self.parts
    }

    /// The panels of `unit`, of `panels`, and the rows of frequencies, of `rows`.
    fn of(self, unit: usize, panels: usize, rows: usize) -> (Range<usize>, Range<usize>) {
        let share = |number: usize, shares: usize, of: usize| number * of / shares..(number + 1) * of / shares;
        (share(unit % self.panels, self.panels, panels), share(unit / self.panels, self.parts, rows))
    }
}

/// Values of the transformed weights of one of `panels`, for one thread.
pub(super) fn scratch(frequencies: usize, panels: &[usize]) -> usize {
    frequencies * odd_lines(CHUNK * LANES * panels.iter().max().map_or(0, |blocks| blocks * LANES)) + BEHIND
}

/// Multiplies `tiles` tiles at all frequencies for the panels of `unit`.
///
/// # Safety
/// As [`Winograd::run`].
#[inline(always)]
pub(super) unsafe fn products<S: Simd, P: Points<A, M>, const A: usize, const M: usize>(
    s: S,
    layer: &Winograd,
    unit: usize,
    tiles: usize,
    context: &Context<'_>,
) {
    let (share, rows) = layer.shares.of(unit, layer.panels.len(), A);
    if S::Widest::BLOCKS > 1 && tiles == few::TILES {
        // SAFETY: the caller's promises.
        unsafe { few::products::<S, P, A, M>(s, layer, share, rows, context) };
        return;
    }
    let panels = &layer.panels[share.clone()];
    let before: usize = layer.panels[..share.start].iter().sum();
    let mut channels = 0;
    for (at, runs) in layer.runs.chunks(CHUNK).enumerate() {
        let depth: usize = runs.iter().map(|run| run.count).sum();
        let mut block = before;
        for &blocks in panels {
            let lanes = blocks * LANES;
            let taps = (block * layer.depth * LANES + channels * lanes) * TAPS;
            let taps = context.weights(layer.weights).wrapping_add(taps);
            let frequency = odd_lines(depth * lanes);
            // Weights were packed for these panels and channels; the transformed ones fit the thread's own memory.
            let (to, points) = (context.own, PhantomData::<P>);
            s.widest().call(Transform::<P, A, M> { taps, depth, blocks, to, frequency, rows: rows.clone(), points });
            // Meanwhile weights that are needed next are fetched, a part of them at each frequency.
            let count = depth * lanes * TAPS;
            let part = count.div_ceil(A * rows.len());
            let next = taps.wrapping_add(if panels.len() > 1 { layer.depth * lanes * TAPS } else { count });
            for number in A * rows.start..A * rows.end {
                let inputs = context.scratch.wrapping_add(number * layer.input_frequency());
                let products = A * A * layer.input_frequency() + number * layer.output_frequency();
                let panel = Panel {
                    blocks,
                    weights: to.wrapping_add(number * frequency),
                    bias: if at == 0 { context.weights(layer.zeros) } else { std::ptr::null() },
                    output: context.scratch.wrapping_add(products + block * layer.group * LANES),
                    plane: layer.group * LANES,
                    range: gemm::Range::ALL,
                    next: (next.wrapping_add((number - A * rows.start) * part), part),
                };
                let walk = Walk::new(usize::MAX, 0, TILE_STRIDE, TILE_STRIDE);
                // SAFETY: inputs and products of one frequency lie within the scratch memory, the products of these panels are this
                // unit's alone and hold the sums of the channels before; the weights were transformed just now.
                unsafe { multiply(s, runs, inputs, walk, tiles, &panel) };
            }
            block += blocks;
        }
        channels += depth;
    }
}

/// Transforms a panel's weights of `depth` input channels to vectors at some rows of `A * A` frequencies, `frequency` values apart. To
/// be made where both are valid.
struct Transform<P: Points<A, M>, const A: usize, const M: usize> {
    taps: *const f32,
    depth: usize,
    blocks: usize,
    to: *mut f32,
    frequency: usize,
    rows: Range<usize>,
    points: PhantomData<P>,
}

impl<P: Points<A, M>, const A: usize, const M: usize> Kernel for Transform<P, A, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for input in 0..self.depth {
            for block in (0..self.blocks).step_by(S::BLOCKS) {
                let blocks = S::BLOCKS.min(self.blocks - block);
                let mask = s.mask(blocks);
                let lanes = (input * self.blocks + block) * LANES;
                let mut taps = [s.splat(0.0); TAPS];
                for tap in 0..TAPS {
                    let from = self.taps.wrapping_add(lanes * TAPS + tap * blocks * LANES);
                    // SAFETY: a vector of the weights of one of `depth` input channels, or less of it with what lies behind.
                    taps[tap] = unsafe { s.load(from) };
                }
                // The filter's columns transformed.
                let left = P::weights(s, [taps[0], taps[3], taps[6]]);
                let middle = P::weights(s, [taps[1], taps[4], taps[7]]);
                let right = P::weights(s, [taps[2], taps[5], taps[8]]);
                for y in 0..A {
                    if !self.rows.contains(&y) {
                        continue;
                    }
                    let row = P::weights(s, [left[y], middle[y], right[y]]);
                    for x in 0..A {
                        let to = self.to.wrapping_add((y * A + x) * self.frequency + lanes);
                        // SAFETY: the vector of these weights at one frequency.
                        unsafe { s.store_masked(to, mask, row[x]) };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_every_panel_at_every_frequency_once() {
        for rows in [4, 6] {
            for panels in 1..20 {
                for threads in 1..8 {
                    let shares = Shares::new(panels, threads);
                    let mut times = vec![0; panels * rows];
                    for unit in 0..shares.units() {
                        let (panels, part) = shares.of(unit, panels, rows);
                        assert!(!panels.is_empty() && !part.is_empty(), "unit {unit} of {shares:?}");
                        panels.for_each(|panel| part.clone().for_each(|row| times[panel * rows + row] += 1));
                    }
                    assert!(times.iter().all(|&times| times == 1), "{panels} panels, {threads} threads: {times:?}");
                }
            }
        }
    }
}
